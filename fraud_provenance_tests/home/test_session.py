"""A run opens its home once, and notices nevertheless what changes while it runs."""

import os
import shutil
from pathlib import Path

import dagster as dg
import pytest

from fraud_provenance.attested.attestors import work_tree
from fraud_provenance.attested.core.errors import VerificationError
from fraud_provenance.home.session import session, shared
from fraud_provenance.home.settings import Settings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.people.governing import founders, sign_release
from fraud_provenance.resources import ProvenanceResource
from fraud_provenance_tests.conftest import codes


@pytest.fixture
def own(fresh: Workspace, tmp_path: Path) -> Workspace:
    """A home with a project of its own, whose code a test may change."""
    project = tmp_path / "project"
    shutil.copytree(fresh.project, project)
    (project / "fraud_provenance").mkdir()
    (project / "fraud_provenance" / "code.py").write_text("A = 1\n")
    return Workspace(Settings(home=fresh.home, project=project))


def test_jobs_of_one_run_share_what_was_verified(own: Workspace) -> None:
    with session(own):
        first = shared(own.settings)
        assert first is own
        facts = own.code_facts
        assert shared(own.settings) is own
        assert own.code_facts is facts
    assert shared(own.settings) is None


def test_another_home_is_not_that_of_the_session(own: Workspace, tmp_path: Path) -> None:
    with session(own):
        assert shared(Settings(home=tmp_path / "other", project=own.project)) is None
        assert shared(Settings(home=own.home, environment="staging", project=own.project)) is None


def test_changed_code_is_measured_anew(own: Workspace) -> None:
    with session(own):
        shared(own.settings)
        before = own.code_facts
        (own.project / "fraud_provenance" / "code.py").write_text("A = 2\n")
        assert shared(own.settings) is own
        tree = [item.digest for item in before.materials if item.name == "work tree"]
        assert tree != [m.digest for m in own.code_facts.materials if m.name == "work tree"]


def test_trust_root_that_changes_while_a_run_works_is_refused(own: Workspace) -> None:
    with session(own):
        shared(own.settings)
        root = own.home / "trust" / "trusted_root.json"
        root.write_bytes(root.read_bytes() + b"\n")
        with pytest.raises(VerificationError) as caught:
            shared(own.settings)
    assert codes(caught.value) == ["ROOT_DIGEST_MISMATCH"]


def test_another_release_ends_what_was_fixed(own: Workspace) -> None:
    with session(own):
        assert shared(own.settings) is own
        other = Workspace(own.settings)
        path = own.project / "policies" / "data" / "thresholds.json"
        path.write_text(path.read_text("utf-8") + "\n", "utf-8")
        for author in founders(other):
            sign_release(other, author, "another release")
        opened = shared(own.settings)
        assert opened is not None
        assert opened is not own
        assert shared(own.settings) is opened


def test_resource_gives_the_sessions_home_and_a_fresh_one_without(
    fresh: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAUD_PROVENANCE_HOME", str(fresh.home))
    settings = Settings(home=fresh.home)
    mine = Workspace(settings)
    monkeypatch.setattr("fraud_provenance.resources.settings_from", lambda environ: settings)
    monkeypatch.setattr("fraud_provenance.home.session._Session.look_again", lambda self: mine)
    monkeypatch.setattr("fraud_provenance.resources.recover", lambda *_: [])
    monkeypatch.setattr(Workspace, "trust", property(lambda self: None))
    resource = ProvenanceResource()
    with session(mine):
        assert resource.open() is mine
        assert resource.open_anew() is not mine
    assert resource.open() is not mine


def test_assets_of_one_run_share_a_home_and_two_runs_or_ticks_do_not(
    own: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Workspace] = []

    def anew(*_: object, **__: object) -> Workspace:
        return Workspace(own.settings)

    monkeypatch.setattr("fraud_provenance.resources.settings_from", lambda _: own.settings)
    monkeypatch.setattr("fraud_provenance.resources.opened_from", anew)

    @dg.asset
    def first(provenance: ProvenanceResource) -> None:
        opened.append(provenance.open())

    @dg.asset(deps=[first])
    def second(provenance: ProvenanceResource) -> None:
        opened.append(provenance.open())

    resources = {"provenance": ProvenanceResource()}
    for _ in range(2):
        assert dg.materialize([first, second], resources=resources).success
    assert opened[0] is opened[1]
    assert opened[2] is opened[3]
    assert opened[0] is not opened[2]
    assert shared(own.settings) is None
    provenance = dg.build_sensor_context(resources=resources).resources.provenance
    assert provenance.open() is not provenance.open()
    with session(own):
        assert dg.materialize([first], resources=resources).success
    assert opened[-1] is own


def test_listing_tells_every_change_of_the_code_and_none_of_what_dbt_leaves(tmp_path: Path) -> None:
    code, target = tmp_path / "fraud_provenance", tmp_path / "dbt_project" / "target"
    code.mkdir()
    target.mkdir(parents=True)
    (code / "a.py").write_text("A = 1\n")
    found = [work_tree.listing(tmp_path)]
    (target / "manifest.json").write_text("{}")
    assert work_tree.listing(tmp_path) == found[0]
    facts = os.stat(code / "a.py")
    (code / "a.py").write_text("A = 2\n")
    os.utime(code / "a.py", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    found.append(work_tree.listing(tmp_path))
    (code / "b.py").write_text("")
    found.append(work_tree.listing(tmp_path))
    (code / "b.py").unlink()
    (code / "b.py").symlink_to("a.py")
    found.append(work_tree.listing(tmp_path))
    assert len(set(found)) == len(found)
