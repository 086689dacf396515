"""One file for an auditor: what is in it, what it rests on, and what is refused."""

import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fraud_provenance.attested.core.errors import ConfigError, ProvenanceError
from fraud_provenance.cli.application import execute
from fraud_provenance.due.planning import registry_of
from fraud_provenance.investigate.exporting import Exported, export
from fraud_provenance.investigate.offline import Pin, check_file
from fraud_provenance.investigate.proof_file import LISTING, content_of, parse_proof
from fraud_provenance_tests.conftest import copy_home, open_workspace
from fraud_provenance_tests.investigate.story import Story

Member = tuple[str, bytes]


def packed(members: Sequence[Member], kind: int = zipfile.ZIP_STORED, date: int = 1980) -> bytes:
    """An archive of these members as the product writes it, but for what a test changes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", kind) as archive:
        for name, data in members:
            item = zipfile.ZipInfo(name, (date, 1, 1, 0, 0, 0))
            item.create_system, item.external_attr = 3, 0o644 << 16
            item.compress_type = kind
            archive.writestr(item, data)
    return stream.getvalue()


def members_of(content: bytes) -> list[Member]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [(item.filename, archive.read(item)) for item in archive.infolist()]


# --- what is in it ---------------------------------------------------------------------------


def test_export_of_a_score_is_proven_by_the_file_alone(exported: Exported) -> None:
    proof = parse_proof(exported.content)
    found = check_file(proof, Pin(digest=proof.listing.standing.digest))

    assert found.verdict.trusted
    assert found.rests_on == ()
    kinds = {link.kind for link in found.verdict.links}
    assert {"materialisation", "contract", "decision", "approval", "prediction batch"} <= kinds
    assert {item.kind for item in proof.listing.members} == {
        "bundle", "manifest", "object", "checkpoint", "document",
    } | {item.kind for item in proof.listing.members if item.kind == "tile"}  # fmt: skip


def test_the_same_evidence_gives_the_same_bytes(exported: Exported, judged: Story) -> None:
    workspace = open_workspace(judged.trust.home, judged.workspace.project)
    row = exported.subject.row
    assert row is not None

    again = export(workspace, registry_of(workspace), str(row.transaction_id))

    assert again.content == exported.content


def test_it_holds_no_key_no_data_and_one_row_only(exported: Exported, judged: Story) -> None:
    row = exported.subject.row
    others = judged.scored().filter(judged.scored()["transaction_id"] != row.transaction_id)  # type: ignore[union-attr]
    keys = list((judged.trust.home / "trust" / "private").rglob("*.key"))
    lines = [path.read_text().splitlines()[1] for path in keys]  # further on comes the public half

    assert keys
    assert b"PRIVATE KEY" not in exported.content
    assert not any(line.encode() in exported.content for line in lines)
    assert b"PAR1" not in exported.content
    for other in others["transaction_id"].to_list():
        assert f'"{other},'.encode() not in exported.content


@pytest.mark.parametrize(
    "subject", ["transaction_features/{day}", "raw_transactions/{day}", "training_set/train"]
)
def test_other_subjects_are_exported_as_they_are_spelled(judged: Story, subject: str) -> None:
    workspace = open_workspace(judged.trust.home, judged.workspace.project)
    typed = subject.format(day=judged.days[0])

    found = export(workspace, registry_of(workspace), typed)

    assert found.subject.name == typed
    assert found.checked.verdict.trusted


def test_a_decision_is_exported_by_its_digest(judged: Story) -> None:
    workspace = open_workspace(judged.trust.home, judged.workspace.project)

    found = export(workspace, registry_of(workspace), judged.deployed.decision[:20])

    assert found.subject.statement == judged.deployed.decision


def test_what_does_not_verify_is_not_exported(
    judged: Story, tmp_path: Path, policy_project: Path
) -> None:
    home = copy_home(judged.trust.home, tmp_path / "home")
    day = judged.days[5]
    (home / "data" / "raw_transactions" / f"{day}.parquet").write_bytes(b"other rows")
    workspace = open_workspace(home, policy_project)

    with pytest.raises(ProvenanceError, match="DIGEST_MISMATCH"):
        export(workspace, registry_of(workspace), f"raw_transactions/{day}")


# --- what it rests on ------------------------------------------------------------------------


def test_a_file_alone_proves_nothing(exported: Exported) -> None:
    with pytest.raises(ConfigError, match="proves nothing by itself"):
        check_file(parse_proof(exported.content), Pin())


@pytest.mark.parametrize(("field", "left"), [("trusted_root", 2), ("release", 1), ("digest", 0)])
def test_the_verdict_says_what_is_left_to_the_file(
    exported: Exported, field: str, left: int
) -> None:
    proof = parse_proof(exported.content)
    pin = Pin(digest=f"sha256:{getattr(proof.listing.standing, field)}")

    assert len(check_file(proof, pin).rests_on) == left


def test_another_root_is_refused(exported: Exported) -> None:
    with pytest.raises(ProvenanceError, match="ROOT_DIGEST_MISMATCH"):
        check_file(parse_proof(exported.content), Pin(trusted_root=b"{}"))
    with pytest.raises(ProvenanceError, match="ROOT_DIGEST_MISMATCH"):
        check_file(parse_proof(exported.content), Pin(digest="a" * 64))


def test_the_command_needs_no_home(
    exported: Exported, judged: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("FRAUD_PROVENANCE_HOME", str(tmp_path / "nothing"))
    path = tmp_path / "score.zip"
    path.write_bytes(exported.content)
    root = str(judged.trust.home / "trust" / "trusted_root.json")

    assert execute(["verify", str(path), "--offline", "--trust-root", root]) == 0
    assert execute(["verify", str(path), "--offline"]) == 2
    assert "proven: score of" in capsys.readouterr().out
    assert not (tmp_path / "nothing").exists()


# --- its form --------------------------------------------------------------------------------


def _renamed(members: list[Member]) -> list[Member]:
    return [*members[:-1], ("../../outside", members[-1][1])]


_FORMS: dict[str, Callable[[list[Member]], bytes]] = {
    "compressed": lambda m: packed(m, zipfile.ZIP_DEFLATED),
    "another date": lambda m: packed(m, date=1990),
    "leads out": lambda m: packed(_renamed(m)),
    "twice": lambda m: packed([*m, m[-1]]),
    "another order": lambda m: packed([m[0], *m[:0:-1]]),
    "bytes after": lambda m: packed(m) + b"\0",
    "bytes before": lambda m: b"#!/bin/sh\n" + packed(m),
    "cut": lambda m: packed(m)[:-30],
    "one more": lambda m: packed([*m, ("trust/objects/" + "0" * 64, b"")]),
    "one less": lambda m: packed(m[:-1]),
    "no listing": lambda m: packed(m[1:]),
    "empty": lambda m: b"",
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("form", _FORMS)
def test_another_form_is_refused(exported: Exported, form: str) -> None:
    with pytest.raises(ProvenanceError, match="EVIDENCE_MALFORMED"):
        parse_proof(_FORMS[form](members_of(exported.content)))


def test_the_test_packs_as_the_product_does(exported: Exported) -> None:
    assert packed(members_of(exported.content)) == exported.content


def test_a_member_that_nothing_asks_for_is_refused(exported: Exported) -> None:
    from fraud_provenance.attested.core import encoding

    proof = parse_proof(exported.content)
    more = dict(proof.members) | {f"trust/objects/{encoding.digest_bytes(b'x')}": b"x"}
    content = content_of(proof.listing.standing, proof.listing.subject, more)

    with pytest.raises(ProvenanceError, match="UNATTESTED_FILE"):
        check_file(parse_proof(content), Pin(digest=proof.listing.standing.digest))


def test_a_listing_in_another_form_is_refused(exported: Exported) -> None:
    members = dict(members_of(exported.content))
    members[LISTING] += b"\n"
    with pytest.raises(ProvenanceError, match="one form"):
        parse_proof(packed(list(members.items())))
