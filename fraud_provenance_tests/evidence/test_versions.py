"""Chains of versions: no gap, no fork, nothing forgotten, and no way back without a decision."""

import datetime as dt
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import EvidenceError, ProvenanceError, VerificationError
from fraud_provenance.attested.lineage.versions import DEPLOYMENTS, SeenHeads
from fraud_provenance.attested.ports.clock import machine_clock
from fraud_provenance.attested.ports.memory import ProcessMemory
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import FileEntry
from fraud_provenance.attested.step.step import Step
from fraud_provenance.due.planning import registry_of
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.investigate.subjects import verify_subject
from fraud_provenance_tests.conftest import (
    AUTHOR,
    DAYS,
    FEATURES,
    RAW,
    Chain,
    Forger,
    codes,
    featurise,
    ingest,
    open_workspace,
    raw_path,
)

pytestmark = pytest.mark.integration
DAY = DAYS[0]
FIRST = f"transactions of {DAY}".encode()
OFFICER = "risk.officer@example.com"


def delete(chain: Chain, *bundles: VerifiedBundle, rebuilt: bool) -> None:
    store = chain.trust.store
    for bundle in bundles:
        store.bundle_path(bundle.bundle_digest).unlink()
    if rebuilt:
        (chain.workspace.home / "evidence" / "index.sqlite").unlink()


def every_bundle_about(chain: Chain, asset: str) -> list[VerifiedBundle]:
    store, lineage = chain.trust.store, chain.trust.lineage()
    bundles = [lineage.node(link.statement).claims.bundle for link in store.chain(asset)]
    return [bundle for bundle in bundles if bundle]


def reopened(chain: Chain, policy_project: Path) -> Chain:
    return replace(chain, workspace=open_workspace(chain.workspace.home, policy_project))


def read_day(chain: Chain) -> bytes:
    with Step(chain.trust, "contracts", "run") as step:
        return step.read(RAW, [DAY]).files[0].content


# --- the chain ---------------------------------------------------------------------------------


def test_late_data_replace_a_day_as_its_next_version(chain: Chain) -> None:
    newer = ingest(chain.trust, {DAY: b"late rows"})
    provenance = statements.read_provenance(newer.bundle.statement)
    assert (provenance.sequence, provenance.previous) == (2, chain.raw.bundle.statement.digest)
    assert chain.verdict(newer.bundle).trusted
    assert read_day(chain) == b"late rows"


@pytest.mark.parametrize("rebuilt", [False, True], ids=["index kept", "index rebuilt"])
def test_newest_version_that_was_deleted_does_not_bring_the_old_one_back(
    chain: Chain, policy_project: Path, rebuilt: bool
) -> None:
    newer = ingest(chain.trust, {DAY: b"late rows"})
    delete(chain, newer.bundle, rebuilt=rebuilt)
    (chain.workspace.home / "data" / raw_path(DAY)).write_bytes(FIRST)
    again = reopened(chain, policy_project)
    with pytest.raises((EvidenceError, VerificationError), match="EVIDENCE_MISSING"):
        read_day(again)
    assert "EVIDENCE_MISSING" in codes(again.verdict(chain.raw.bundle))


def test_gap_in_the_chain_is_named(chain: Chain, policy_project: Path) -> None:
    middle = ingest(chain.trust, {DAY: b"late rows"})
    newest = ingest(chain.trust, {DAY: b"later rows"})
    delete(chain, middle.bundle, rebuilt=True)
    verdict = reopened(chain, policy_project).verdict(newest.bundle)
    assert codes(verdict) == ["EVIDENCE_MISSING"]
    assert "version 2 is gone" in verdict.reasons[0].message


@pytest.mark.parametrize(
    ("lie", "expected"),
    [
        ({}, []),
        ({"sequence": 1, "previous": ""}, ["PARTITION_DUPLICATE"]),
        ({"previous": "d" * 64}, ["PARTITION_DUPLICATE"]),
        ({"sequence": 5}, ["EVIDENCE_MISSING"]),
    ],
)
def test_fork_and_jump_are_named(
    chain: Chain, forger: Forger, lie: dict[str, Any], expected: list[str]
) -> None:
    assert codes(chain.verdict(forger.raw(**lie))) == expected


def test_invalid_statement_in_the_store_does_not_spoil_the_chain(
    chain: Chain, forger: Forger
) -> None:
    forger.raw(who="/steps/features", sequence=900)
    newer = ingest(chain.trust, {DAY: b"late rows"})
    assert newer.sequence == 2
    assert chain.verdict(newer.bundle).trusted


@pytest.mark.parametrize("rebuilt", [False, True], ids=["index kept", "index rebuilt"])
@pytest.mark.parametrize("asset", [RAW, FEATURES])
def test_an_asset_that_is_gone_whole_is_named(
    chain: Chain, policy_project: Path, asset: str, rebuilt: bool
) -> None:
    assert chain.trust.lineage().versions.vanished() == []
    delete(chain, *every_bundle_about(chain, asset), rebuilt=rebuilt)
    again = reopened(chain, policy_project)
    found = verify_subject(again.trust, registry_of(again.workspace), "all")
    assert ("EVIDENCE_MISSING", asset) in {(item.code, item.artifact) for item in found.reasons}
    assert not found.trusted
    if rebuilt:
        (reason,) = again.trust.lineage().versions.vanished()
        assert (reason.code, reason.artifact) == ("EVIDENCE_MISSING", asset)


# --- the memory --------------------------------------------------------------------------------


def test_memory_only_grows() -> None:
    seen = SeenHeads(ProcessMemory())
    assert seen.all() == {}
    seen.remember("raw", 2, "b" * 64)
    seen.remember("raw", 1, "a" * 64)
    assert (seen.all()["raw"].sequence, seen.all()["raw"].statement) == (2, "b" * 64)


@pytest.mark.parametrize("content", [b"{}", b"nonsense", b'{"version": 1, "heads": {"a": 5}}'])
def test_memory_that_cannot_be_read_refuses(chain: Chain, content: bytes) -> None:
    (chain.workspace.home / "trust" / "heads.json").write_bytes(content)
    assert "EVIDENCE_MALFORMED" in codes(chain.verdict())
    (reason,) = chain.trust.lineage().versions.vanished()
    assert reason.code == "EVIDENCE_MALFORMED"


@pytest.mark.parametrize("days", [-1, 1])
def test_what_a_wrong_clock_signed_is_never_stored_and_the_next_step_goes_on(
    chain: Chain, days: int
) -> None:
    off = dt.timedelta(days=days)
    wrong = Workspace(replace(chain.workspace.settings, clock=lambda: machine_clock() + off))
    wrong.attestor = chain.workspace.attestor
    before = chain.trust.store.bundles()
    for work in (ingest, lambda trust, _: featurise(trust, [DAY])):
        with pytest.raises(ProvenanceError) as caught:
            work(wrong.trust, {DAY: b"late rows"})
        assert set(codes(caught.value)) <= {"TIME_SKEW", "CLOCK_BEHIND"}
    assert chain.trust.store.bundles() == before
    newer = ingest(chain.trust, {DAY: b"late rows"})
    assert newer.sequence == 2
    assert chain.verdict(newer.bundle).trusted
    assert read_day(chain) == b"late rows"


# --- going back --------------------------------------------------------------------------------


def test_older_bytes_on_disk_are_named_as_such(chain: Chain) -> None:
    newer = ingest(chain.trust, {DAY: b"late rows"})
    (chain.workspace.home / "data" / raw_path(DAY)).write_bytes(FIRST)
    with pytest.raises(VerificationError, match=r"ROLLBACK\(raw_transactions@2018-04-01\)"):
        read_day(chain)
    assert codes(chain.verdict(newer.bundle)) == ["ROLLBACK"]


def test_newer_bytes_are_no_way_back_to_who_asks_for_an_older_version(chain: Chain) -> None:
    ingest(chain.trust, {DAY: b"late rows"})
    older = chain.node(chain.raw.bundle)
    assert older.manifest is not None
    (entry,) = [item for item in older.manifest.entries if item.partition == DAY]
    with pytest.raises(VerificationError, match="newer version's") as caught:
        chain.trust.lineage().artifacts.read(older, entry)
    assert codes(caught.value) == ["DIGEST_MISMATCH"]


def test_step_does_not_sign_a_way_back(chain: Chain) -> None:
    ingest(chain.trust, {DAY: b"late rows"})
    with pytest.raises(VerificationError, match="ROLLBACK"):
        ingest(chain.trust, {DAY: FIRST})
    assert read_day(chain) == b"late rows"


def test_same_bytes_again_are_no_way_back(chain: Chain) -> None:
    again = ingest(chain.trust, {DAY: FIRST})
    assert chain.verdict(again.bundle).trusted


def going_back(
    chain: Chain, forger: Forger, outputs: dict[str, Any], **lies: Any
) -> VerifiedBundle:
    """What a step that signs everything would sign: the first version after the second."""
    material, digest = forger.source(b"landed")
    entry = FileEntry(
        path=raw_path(DAY), partition=DAY, size=len(FIRST),
        sha256=encoding.digest_bytes(FIRST), made_from=(digest,),
    )  # fmt: skip
    (chain.workspace.home / "data" / raw_path(DAY)).write_bytes(FIRST)
    outputs = {"location": "data"} | outputs
    return forger.provenance(RAW, "ingest", [entry], [material], outputs=outputs, **lies)


def decision(chain: Chain, forger: Forger, who: str = OFFICER, **lies: Any) -> str:
    said = {
        "environment": "local", "partition": DAY, "sha256": encoding.digest_bytes(FIRST),
        "issued_at": encoding.utc_text(chain.trust.clock()),
        "restores": chain.raw.bundle.statement.digest,
        "replaces": chain.trust.store.versions(RAW, DAY)[-1].statement,
    } | lies  # fmt: skip
    name = said.pop("name", RAW)
    return forger.sign(statements.SUPERSEDE, name, "d" * 64, said, who).statement.digest


WAYS_BACK: dict[str, tuple[dict[str, Any], list[str]]] = {
    "decided": ({}, []),
    "another day": ({"partition": DAYS[1]}, ["ROLLBACK"]),
    "other bytes": ({"sha256": "d" * 64}, ["ROLLBACK"]),
    "another head": ({"replaces": "d" * 64}, ["ROLLBACK"]),
    "another asset": ({"name": "transaction_features"}, ["ROLLBACK"]),
    "another environment": ({"environment": "production"}, ["ENVIRONMENT_MISMATCH"]),
    "nobody who may": ({"who": AUTHOR}, ["IDENTITY_NOT_AUTHORIZED_FOR_STEP"]),
}


@pytest.mark.parametrize(("lie", "expected"), WAYS_BACK.values(), ids=WAYS_BACK.keys())
def test_way_back_needs_a_decision_about_exactly_it(
    chain: Chain, forger: Forger, lie: dict[str, Any], expected: list[str]
) -> None:
    ingest(chain.trust, {DAY: b"late rows"})
    decided = decision(chain, forger, **lie)
    made = going_back(chain, forger, {"supersede": {DAY: decided}})
    assert codes(chain.verdict(made)) == expected


@pytest.mark.parametrize("outputs", [{}, {"supersede": "x"}, {"supersede": {DAY: 5}}])
def test_way_back_without_a_decision_is_refused(
    chain: Chain, forger: Forger, outputs: dict[str, Any]
) -> None:
    ingest(chain.trust, {DAY: b"late rows"})
    made = going_back(chain, forger, outputs)
    assert codes(chain.verdict(made)) == ["ROLLBACK"]


def test_way_back_that_was_decided_before_what_it_replaces_is_refused(
    chain: Chain, forger: Forger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who ingests knows the digest of the statement that it will sign."""
    late = ingest(chain.trust, {DAY: b"late rows"}).bundle
    decided = decision(chain, forger)
    made = going_back(chain, forger, {"supersede": {DAY: decided}})
    verify = chain.trust.bundles.verify

    def earlier(content: bytes) -> VerifiedBundle:
        found = verify(content)
        moved = late.signed_at - dt.timedelta(seconds=1)
        is_it = found.statement.digest == decided
        return found.model_copy(update={"signed_at": moved}) if is_it else found

    monkeypatch.setattr(chain.trust.bundles, "verify", earlier)
    assert codes(chain.verdict(made)) == ["APPROVAL_BEFORE_EVIDENCE"]


def test_decision_allows_one_way_back(chain: Chain, forger: Forger) -> None:
    ingest(chain.trust, {DAY: b"late rows"})
    decided = decision(chain, forger)
    going_back(chain, forger, {"supersede": {DAY: decided}})
    ingest(chain.trust, {DAY: b"later rows"})
    made = going_back(chain, forger, {"supersede": {DAY: decided}})
    assert codes(chain.verdict(made)) == ["ROLLBACK"]


def test_bytes_that_came_back_by_decision_may_be_landed_again(chain: Chain, forger: Forger) -> None:
    ingest(chain.trust, {DAY: b"late rows"})
    going_back(chain, forger, {"supersede": {DAY: decision(chain, forger)}})
    chain.trust.forget()
    again = ingest(chain.trust, {DAY: FIRST})
    assert chain.verdict(again.bundle).trusted


def test_bytes_that_came_back_undecided_do_not_count_the_second_time_either(
    chain: Chain, forger: Forger
) -> None:
    ingest(chain.trust, {DAY: b"late rows"})
    once = going_back(chain, forger, {})
    twice = going_back(chain, forger, {}, sequence=4, previous=once.statement.digest)
    assert "ROLLBACK" in codes(chain.node(once))
    assert "ROLLBACK" in codes(chain.node(twice))
    chain.trust.forget()
    with pytest.raises(VerificationError, match="ROLLBACK"):
        ingest(chain.trust, {DAY: FIRST})


def test_edited_index_does_not_hide_a_lost_head(chain: Chain, policy_project: Path) -> None:
    newer = ingest(chain.trust, {DAY: b"late rows"})
    with sqlite3.connect(chain.workspace.home / "evidence" / "index.sqlite") as db:
        for table in ("bundles", "entries"):
            db.execute(f"delete from {table} where statement = ?", (newer.bundle.statement.digest,))  # noqa: S608
    chain.trust.store.bundle_path(newer.bundle.bundle_digest).unlink()
    assert "EVIDENCE_MISSING" in codes(reopened(chain, policy_project).verdict())


def test_of_two_deployments_at_once_the_one_that_was_logged_first_is_next(
    chain: Chain, forger: Forger
) -> None:
    view = chain.raw.manifest
    facts = {"sequence": 1, "previous": ""}
    signed = [
        forger.decision(view, [], who="/gates/deployment", gate="deploy", facts=facts | {"n": n})
        for n in range(2)
    ]
    forger.decision(view, [], who="/gates/deployment", gate="deploy", facts=facts, allowed=False)
    first = min(signed, key=lambda bundle: bundle.log_index)
    links = chain.trust.lineage().versions.links(DEPLOYMENTS)
    assert [link.statement for link in links] == [first.statement.digest]


def test_deployment_whose_bundle_is_gone_is_not_the_next(chain: Chain, forger: Forger) -> None:
    facts = {"sequence": 1, "previous": ""}
    gone, kept = (
        forger.decision(
            chain.raw.manifest, [], who="/gates/deployment", gate="deploy", facts=facts | {"n": n}
        )
        for n in range(2)
    )
    delete(chain, gone, rebuilt=False)
    links = chain.trust.lineage().versions.links(DEPLOYMENTS)
    assert [link.statement for link in links] == [kept.statement.digest]
