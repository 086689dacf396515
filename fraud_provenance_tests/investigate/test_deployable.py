"""May a commit be deployed: by what is signed, and by the commit's own files."""

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from fraud_provenance.attested.attestors.ran import Known
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, ConfigError
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Node
from fraud_provenance.cli import application as cli
from fraud_provenance.due.planning import sources_digest
from fraud_provenance.home.settings import Settings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.investigate.deployable import Answer, may_deploy
from fraud_provenance.investigate.past import Past
from fraud_provenance.models import effect
from fraud_provenance.models.champion import deployments
from fraud_provenance.people import governing
from fraud_provenance.people.revoking import revoke_subject
from fraud_provenance_tests.attestors.test_work_tree import git
from fraud_provenance_tests.conftest import PROJECT, Chain, copy_home, release
from fraud_provenance_tests.investigate.story import signed_folder
from fraud_provenance_tests.scored import Deployed, deploy, featurise, make_training_set

TRAINING = "fraud_provenance/defs/training.py"
MART = "dbt_project/models/marts"


@dataclass
class Place:
    """A home with a decided model, and the repository that it was made by."""

    home: Path
    project: Path

    def workspace(self, environment: str = "local") -> Workspace:
        settings = Settings(home=self.home, project=self.project, environment=environment)
        return Workspace(settings)

    def ask(self, revision: str = "HEAD", opened: Workspace | None = None) -> Answer:
        trust = (opened or self.workspace()).trust
        return may_deploy(trust, Past(trust, self.project), revision, sources_digest)

    def commit(self, name: str, text: str) -> str:
        """Add a line to a file and commit it."""
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text("utf-8") if path.exists() else ""
        path.write_text(before + text, "utf-8")
        git(self.project, "add", "-A")
        git(self.project, "commit", "-q", "-m", name)
        return git(self.project, "rev-parse", "HEAD")


def another(trust: Trust) -> Deployed:
    """Another model, decided for."""
    return deploy(trust, "m-2", b"2", model_signature=signed_folder(trust, b"2"))


def reasons(answer: Answer) -> list[str]:
    return [item.code for item in answer.verdict.reasons]


def refused(answer: Answer, check: str, code: str) -> str:
    """What the one check that refuses says; the verdict repeats it and is a refusal."""
    assert (answer.verdict.trusted, answer.verdict.exit_code) == (False, 1)
    assert [item.name for item in answer.checks if item.reasons] == [check]
    assert set(reasons(answer)) == {code}
    first = answer.verdict.reasons[0]
    assert first.remedy
    return first.message


@pytest.fixture(scope="module")
def decided(honest: Chain, tmp_path_factory: pytest.TempPathFactory, policy_project: Path) -> Place:
    """A model that was made by a clean repository, and decided for."""
    folder = tmp_path_factory.mktemp("decided")
    project = Path(shutil.copytree(policy_project, folder / "project"))
    ignored = shutil.ignore_patterns("__pycache__", "target", "logs", ".user.yml")
    for name in ("fraud_provenance", "dbt_project"):
        shutil.copytree(PROJECT / name, project / name, ignore=ignored)
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "First")
    place = Place(copy_home(honest.workspace.home, folder / "home"), project)
    trust = place.workspace().trust
    assert not trust.attestor.code().git_dirty
    featurise(trust, dbt_sources=sources_digest(project))
    make_training_set(trust)
    deploy(trust, model_signature=signed_folder(trust))
    return place


@pytest.fixture
def place(decided: Place, tmp_path: Path) -> Place:
    """A copy that a test may change."""
    project = Path(shutil.copytree(decided.project, tmp_path / "project", symlinks=True))
    return Place(copy_home(decided.home, tmp_path / "home"), project)


def test_decided_model_may_be_deployed_with_the_commit_that_made_it(decided: Place) -> None:
    before = {path.name for path in (decided.home / "evidence" / "bundles").iterdir()}
    answer = decided.ask()
    assert answer.verdict.trusted, "\n".join(map(str, answer.verdict.reasons))
    assert answer.verdict.exit_code == 0
    assert [check.name for check in answer.checks] == [
        "checkout", "release", "branch", "policy", "decision", "model", "code",
    ]  # fmt: skip
    assert answer.commit == git(decided.project, "rev-parse", "HEAD")
    found = answer.deployment
    assert (found.release, found.version) == (1, "1")
    assert found.approvers == ("risk.officer@example.com (people)",)
    assert {link.name for link in answer.verdict.links} >= {"fraud_model", "raw_transactions"}
    assert {path.name for path in (decided.home / "evidence" / "bundles").iterdir()} == before


def test_commit_that_changes_neither_policy_nor_code_of_the_model_may_be_deployed(
    place: Place,
) -> None:
    made_by = git(place.project, "rev-parse", "HEAD")
    commit = place.commit("docs/notes.md", "more\n")
    place.commit("fraud_provenance/cli/ui.py", "# shown otherwise\n")
    for revision in ("HEAD", commit, made_by, git(place.project, "symbolic-ref", "HEAD")):
        assert place.ask(revision).verdict.trusted, revision


@pytest.mark.parametrize("name", [TRAINING, "fraud_provenance/fraud/model.py"])
def test_commit_with_other_code_than_made_the_model_is_refused(place: Place, name: str) -> None:
    before = git(place.project, "rev-parse", "HEAD")
    after = place.commit(name, "# otherwise\n")
    said = refused(place.ask(after), "code", "CODE_VERSION_MISMATCH")
    assert before[:12] in said
    assert after[:12] in said
    assert place.ask(before).verdict.trusted


def test_commit_with_other_sql_than_made_the_features_is_refused(place: Place) -> None:
    name = next((place.project / MART).glob("*.sql")).relative_to(place.project).as_posix()
    place.commit(name, "-- otherwise\n")
    assert "dbt" in refused(place.ask(), "code", "CODE_VERSION_MISMATCH")


def test_commit_that_locks_another_library_is_refused(place: Place) -> None:
    lock = place.project / "requirements.lock"
    lock.write_text(lock.read_text("utf-8").replace("\nxgboost-cpu==", "\nxgboost-cpu==0."))
    place.commit("docs/notes.md", "with another lock\n")
    refused(place.ask(), "code", "CODE_VERSION_MISMATCH")


def test_commit_whose_code_is_no_python_is_refused(place: Place) -> None:
    place.commit(TRAINING, "def (\n")
    assert "no Python" in refused(place.ask(), "code", "CODE_VERSION_MISMATCH")


def test_commit_with_another_policy_than_the_released_one_is_refused(place: Place) -> None:
    before = git(place.project, "rev-parse", "HEAD")
    path = "policies/data/thresholds.json"
    after = place.commit(path, "\n")
    git(place.project, "checkout", "-q", "--detach", before)
    said = refused(place.ask(after), "policy", "POLICY_DIGEST_MISMATCH")
    assert "data/thresholds.json" in said
    git(place.project, "checkout", "-q", "--detach", after)  # now nothing here can be judged
    refused(place.ask(after), "release", "POLICY_DIGEST_MISMATCH")


def test_policy_that_one_author_signed_names_who_is_missing(place: Place) -> None:
    before = git(place.project, "rev-parse", "HEAD")
    after = place.commit("policies/data/thresholds.json", "\n")
    governing.sign_release(place.workspace(), governing.founders(place.workspace())[0], "looser")
    git(place.project, "checkout", "-q", "--detach", before)
    said = refused(place.ask(after), "policy", "EXPECTATION_CHANGE_UNAPPROVED")
    assert "policy-office" in said


def test_model_decided_under_an_earlier_release_is_refused(place: Place) -> None:
    before = git(place.project, "rev-parse", "HEAD")
    place.commit("policies/data/thresholds.json", "\n")
    release(place.workspace())
    refused(place.ask(), "decision", "DECISION_EXPIRED")
    refused_for = place.ask(before)
    assert reasons(refused_for)[0] in ("POLICY_ROLLBACK", "DECISION_EXPIRED")
    assert [c.name for c in refused_for.checks if c.reasons] == ["policy", "decision"]
    another(place.workspace().trust)
    assert place.ask().verdict.trusted
    assert place.ask().deployment.version == "2"


def test_decision_that_was_taken_back_does_not_count(place: Place) -> None:
    workspace = place.workspace()
    made = another(workspace.trust)
    assert place.ask().deployment.model == made.digest
    trust = workspace.trust
    effect._take_back(trust, trust.policies.current(), made.decision, ())
    assert place.ask().deployment.version == "1"


def test_approval_that_was_withdrawn_carries_no_deployment(place: Place) -> None:
    workspace = place.workspace()
    approval = next(
        node for node in _decision(workspace).children if node.kind == "approval"
    )  # fmt: skip
    revoke_subject(workspace, approval.statement, "a mistake", "", "")
    answer = place.ask()
    assert "decision" in _no(answer)
    assert "APPROVAL_REVOKED" in reasons(answer)
    assert answer.verdict.exit_code == 1


def _decision(workspace: Workspace) -> Node:
    return deployments(workspace.trust, workspace.trust.policies.current())[-1]


def test_decision_that_grew_too_old_is_refused(place: Place) -> None:
    workspace = place.workspace()
    days = workspace.trust.policies.current().layout.step("deploy").max_age_days
    late = workspace.trust.clock() + timedelta(days=days, seconds=1)
    workspace.trust.clock = lambda: late
    refused(place.ask(opened=workspace), "decision", "DECISION_EXPIRED")


def test_nothing_was_ever_decided(decided: Place, honest: Chain, tmp_path: Path) -> None:
    other = Place(copy_home(honest.workspace.home, tmp_path / "home"), decided.project)
    assert "local" in refused(other.ask(), "decision", "DECISION_MISSING")


def test_other_environment_has_no_release_and_no_decision(decided: Place) -> None:
    answer = decided.ask(opened=decided.workspace("production"))
    refused(answer, "release", "POLICY_UNSIGNED")


def test_changed_model_file_is_refused(place: Place) -> None:
    next(place.home.rglob("m-1/artifacts/model.ubj")).write_bytes(b"other trees")
    answer = place.ask()
    assert "DIGEST_MISMATCH" in reasons(answer)
    assert (answer.verdict.exit_code, "model") == (1, _no(answer)[0])


def _no(answer: Answer) -> list[str]:
    return [check.name for check in answer.checks if check.reasons]


def test_changed_checkout_is_refused_where_it_is_the_commits(place: Place) -> None:
    first = git(place.project, "rev-parse", "HEAD")
    (place.project / TRAINING).write_text("changed\n", "utf-8")
    refused(place.ask(), "checkout", "GIT_DIRTY")
    git(place.project, "checkout", "-q", TRAINING)
    place.commit("docs/notes.md", "more\n")
    (place.project / TRAINING).write_text("changed\n", "utf-8")
    assert place.ask(first).verdict.trusted  # the checkout is of another commit


def test_model_that_does_not_say_by_which_code_counts_for_its_own_commit_only(
    place: Place,
) -> None:
    workspace = place.workspace()
    facts = workspace.code_facts
    workspace.attestor = Known(facts)  # it tells no step's code
    trust = workspace.trust
    featurise(trust, seed=2, dbt_sources=sources_digest(place.project))
    another(trust)
    assert place.ask().verdict.trusted
    place.commit("docs/notes.md", "more\n")
    assert "which code" in refused(place.ask(), "code", "CODE_VERSION_MISMATCH")


def test_model_of_a_changed_tree_is_refused(place: Place) -> None:
    workspace = place.workspace()
    workspace.attestor = Known(replace(workspace.code_facts, git_dirty=True))
    another(workspace.trust)
    assert "not exactly" in refused(place.ask(), "code", "CODE_VERSION_MISMATCH")


def test_commit_must_be_on_the_branch_that_the_policy_protects(place: Place) -> None:
    path = place.project / "policies" / "data" / "thresholds.json"
    thresholds = json.loads(path.read_text("utf-8"))
    thresholds["protected_branches"]["value"]["local"] = "refs/heads/protected"
    path.write_text(json.dumps(thresholds), "utf-8")
    first = place.commit("docs/notes.md", "with a protected branch\n")
    git(place.project, "branch", "protected")
    release(place.workspace())
    another(place.workspace().trust)
    assert place.ask(first).verdict.trusted
    place.commit("docs/notes.md", "more\n")
    assert "refs/heads/protected" in refused(place.ask(), "branch", "COMMIT_UNTRUSTED")


@pytest.mark.parametrize("revision", ["main", "deadbeef", "refs/heads/nowhere", "", "HEAD~1"])
def test_commit_that_is_not_named_exactly_is_no_question(decided: Place, revision: str) -> None:
    with pytest.raises(ConfigError, match="knows no") as error:
        decided.ask(revision)
    assert "refs/heads/main" in error.value.reasons[0].remedy


def test_commit_that_is_not_here_leaves_it_undecided(decided: Place) -> None:
    with pytest.raises(BackendError, match="missing") as error:
        decided.ask("f" * 40)
    assert error.value.exit_code == 2


def test_what_cannot_be_checked_leaves_it_undecided(
    decided: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_past: Past, _name: str) -> bytes:
        from fraud_provenance.attested.core.errors import reason

        raise BackendError(reason(RootCause.GIT_UNAVAILABLE, "the disk is away"))

    monkeypatch.setattr(Past, "blob", away)
    answer = decided.ask()
    assert (answer.verdict.decided, answer.verdict.exit_code) == (False, 2)
    assert _no(answer) == ["policy", "code"]


@pytest.fixture
def command(place: Place, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command itself, on that home."""
    from fraud_provenance.cli import gating

    monkeypatch.setattr(gating, "open_workspace", place.workspace)
    monkeypatch.setattr(cli.err, "_file", io.StringIO())
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return lambda *words: cli.execute(["gate", *words])


def test_command_answers_with_code_document_and_summary(
    place: Place,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    job, own = tmp_path / "job.md", tmp_path / "own.md"
    assert command("--commit", "HEAD", "--summary", str(own), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["trusted"], told["exit_code"], told["environment"]) == (True, 0, "local")
    assert not job.exists()
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(job))
    place.commit(TRAINING, "# otherwise\n")
    assert command("--commit") == 1
    assert "may NOT be deployed" in capsys.readouterr().out
    assert command("--commit", "f" * 40, "--json") == 2
    assert json.loads(capsys.readouterr().out)["root_cause"] == "GIT_UNAVAILABLE"
    first, second = job.read_text("utf-8").split("## Deployment ")[1:]
    assert first.startswith("refused")
    assert "CODE_VERSION_MISMATCH" in first
    assert second.startswith("could not decide")
    assert own.read_text("utf-8").startswith("## Deployment allowed")


def test_summary_that_cannot_be_written_is_no_answer(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command("--commit", "--summary", str(tmp_path / "no" / "x.md"), "--json") == 2
    assert json.loads(capsys.readouterr().out)["root_cause"] == "USAGE"


def test_command_wants_to_be_told_what_to_ask(command: Callable[..., int]) -> None:
    assert command("HEAD") == 2
