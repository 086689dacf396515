"""What was found of bundles before: it spares work, and decides nothing."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fraud_provenance.attested.core.encoding import digest_bytes
from fraud_provenance.attested.core.errors import ConfigError, ProvenanceError
from fraud_provenance.attested.sigstore import verification
from fraud_provenance.attested.sigstore.recall import Recall, code_of_verification
from fraud_provenance.attested.sigstore.verification import BundleVerifier, load_issuers
from fraud_provenance.attested.tlog.checkpoints import WitnessedLogs
from fraud_provenance.home.workspace import Workspace
from fraud_provenance_tests.conftest import Chain

KEY = b"k" * 32
FACTS = {"signed_at": "now", "log_index": 3}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the lines are kept."""
    return tmp_path / "run" / "verified.lines"


def kept(path: Path, key: bytes = KEY) -> Recall:
    Recall(path, key).put("context", "bundle", FACTS)
    return Recall(path, key)


def test_what_was_kept_is_found_under_its_name_and_context_only(path: Path) -> None:
    recall = kept(path)
    assert recall.get("context", "bundle") == FACTS
    assert recall.get("context", "another") is None
    assert recall.get("another", "bundle") is None
    assert path.stat().st_mode & 0o077 == 0


def test_lines_of_another_key_are_none(path: Path) -> None:
    kept(path)
    assert Recall(path, b"x" * 32).get("context", "bundle") is None


@pytest.mark.parametrize(
    "edit",
    [
        lambda line: ["other", line[1], line[2]],
        lambda line: [line[0], "0" * 64, line[2]],
        lambda line: [line[0], line[1], line[2].replace("3", "4")],
        lambda line: [line[0], line[1]],
        lambda line: [line[0], line[1], 7],
        lambda line: [line[0], "\u00e9" * 64, line[2]],
        lambda line: {"bundle": line},
        lambda line: "[" * 100_000,
    ],
)
def test_edited_line_is_no_line(path: Path, edit: Callable[[list[str]], object]) -> None:
    kept(path)
    made = edit(json.loads(path.read_bytes()))
    path.write_text(made if isinstance(made, str) else json.dumps(made), "utf-8")
    assert Recall(path, KEY).get("context", "bundle") is None
    assert Recall(path, KEY).get("context", "other") is None


def test_torn_line_costs_its_neighbours_nothing(path: Path) -> None:
    kept(path)
    with path.open("ab") as stream:
        stream.write(b'["half')
    assert Recall(path, KEY).get("context", "bundle") == FACTS


def test_without_lines_or_a_place_for_them_nothing_is_found_and_nothing_fails(path: Path) -> None:
    assert Recall(path, KEY).get("context", "bundle") is None
    path.parent.mkdir()
    path.symlink_to("elsewhere")
    assert kept(path).get("context", "bundle") is None
    blocked = path.parent / "file"
    blocked.write_bytes(b"")
    assert kept(blocked / "below" / "lines").get("context", "bundle") is None
    os.mkfifo(path.parent / "pipe")
    assert kept(path.parent / "pipe").get("context", "bundle") is None


def test_code_of_verification_is_that_of_what_looks() -> None:
    assert code_of_verification() == code_of_verification()
    assert len(code_of_verification()) == 64


# --- a verifier with it ------------------------------------------------------------------------


def verifier(chain: Chain, recall: Recall | None) -> BundleVerifier:
    trust = chain.workspace.home / "trust"
    issuers = load_issuers(trust / "issuers.json")
    return BundleVerifier(trust / "trusted_root.json", issuers, WitnessedLogs(trust), recall)


def content_of(chain: Chain) -> bytes:
    return chain.workspace.store.bundle(chain.features.bundle.statement.digest)[1]


def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> object:
        raise AssertionError("verified again")

    monkeypatch.setattr(BundleVerifier, "_verify", refuse)


def test_second_verifier_finds_the_same_without_the_work(
    honest: Chain, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = content_of(honest)
    first = verifier(honest, Recall(path, KEY)).verify(content)
    no_work(monkeypatch)
    assert verifier(honest, Recall(path, KEY)).verify(content) == first


def is_loaded(made: BundleVerifier) -> bool:
    """Whether Sigstore's own reader was asked for."""
    return "_library" in vars(made)


def test_library_is_loaded_where_nothing_was_verified_under_this_root_before(
    honest: Chain, path: Path
) -> None:
    content = content_of(honest)
    assert is_loaded(verifier(honest, None))
    first = verifier(honest, Recall(path, KEY))
    assert is_loaded(first)
    first.verify(content)
    second = verifier(honest, Recall(path, KEY))
    second.verify(content)
    assert not is_loaded(second)
    assert is_loaded(verifier(honest, Recall(path, b"x" * 32)))
    assert second.timekeepers()
    assert is_loaded(second)


def test_root_that_cannot_be_used_is_refused_at_once_where_it_was_not_used_before(
    honest: Chain, tmp_path: Path, path: Path
) -> None:
    trust = honest.workspace.home / "trust"
    broken = tmp_path / "trusted_root.json"
    broken.write_text("{}")
    kept(path)
    with pytest.raises(ConfigError, match="ROOT_DIGEST_MISMATCH"):
        BundleVerifier(broken, {}, WitnessedLogs(trust), Recall(path, KEY))


def test_other_bytes_are_verified(honest: Chain, path: Path) -> None:
    content = content_of(honest)
    verifier(honest, Recall(path, KEY)).verify(content)
    document = json.loads(content)
    document["dsseEnvelope"]["signatures"][0]["sig"] = "AAAA"
    with pytest.raises(ProvenanceError):
        verifier(honest, Recall(path, KEY)).verify(json.dumps(document).encode())


@pytest.mark.parametrize("what", ["key", "root", "code", "none"])
def test_other_key_root_or_code_verifies_anew(
    honest: Chain, path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    content = content_of(honest)
    verifier(honest, Recall(path, KEY)).verify(content)
    if what == "root":
        monkeypatch.setattr(BundleVerifier, "root_digest", "another")
    if what == "code":
        monkeypatch.setattr(verification, "code_of_verification", lambda: "another")
    key = b"x" * 32 if what == "key" else KEY
    no_work(monkeypatch)
    with pytest.raises(AssertionError, match="verified again"):
        verifier(honest, None if what == "none" else Recall(path, key)).verify(content)


def test_entry_is_held_against_the_witnessed_tree_each_time(
    honest: Chain, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = content_of(honest)
    verifier(honest, Recall(path, KEY)).verify(content)
    asked: list[int] = []
    monkeypatch.setattr(
        WitnessedLogs, "check_leaf", lambda self, log_id, index, leaf: asked.append(index)
    )
    found = verifier(honest, Recall(path, KEY)).verify(content)
    assert asked == [found.log_index]


def test_refusal_is_not_kept(honest: Chain, path: Path) -> None:
    document = json.loads(content_of(honest))
    document["dsseEnvelope"]["signatures"][0]["sig"] = "AAAA"
    forged = json.dumps(document).encode()
    with pytest.raises(ProvenanceError):
        verifier(honest, Recall(path, KEY)).verify(forged)
    assert not path.exists() or digest_bytes(forged).encode() not in path.read_bytes()


def test_home_recalls_by_its_authorities_keys_and_not_where_all_is_asked_for(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = chain.workspace.settings
    statement = chain.features.bundle.statement.digest
    assert not Workspace(settings).trust.lineage().node(statement).reasons
    assert (chain.workspace.home / "run" / "verified.lines").exists()
    whole = Workspace(replace(settings, whole=True)).trust
    again = Workspace(settings).trust
    no_work(monkeypatch)
    assert not again.lineage().node(statement).reasons
    with pytest.raises(AssertionError, match="verified again"):
        whole.bundles.verify(content_of(chain))
    (chain.workspace.home / "trust" / "private" / "fulcio.json").unlink()
    assert Workspace(settings).sigstore.authority_key() is None
