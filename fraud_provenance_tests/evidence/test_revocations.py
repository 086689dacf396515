"""What was revoked is refused, with everything made from it, and with nothing else."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import ConfigError, GateDenied, VerificationError
from fraud_provenance.attested.lineage.versions import REVOCATIONS
from fraud_provenance.attested.sigstore.verification import PAYLOAD_TYPE, VerifiedBundle
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.attested.step.step import Step
from fraud_provenance.attested.tlog.tiles import signed_digest
from fraud_provenance.people.revoking import revoke_subject
from fraud_provenance_tests.conftest import (
    AUTHOR,
    DAYS,
    FEATURES,
    RAW,
    RAW_SUITES,
    Chain,
    Forger,
    codes,
    featurise,
    ingest,
    judge,
    open_workspace,
)

pytestmark = pytest.mark.integration
OFFICER = "risk.officer@example.com"


def revoke(chain: Chain, subject: str, **more: Any) -> dict[str, Any]:
    return revoke_subject(chain.workspace, subject, "found to be wrong", **more)


def verdict_on(chain: Chain, bundle: VerifiedBundle, *partitions: str) -> list[str]:
    lineage = chain.trust.lineage()
    node = lineage.node(bundle.statement.digest)
    about = {node.statement: partitions} if partitions else None
    return codes(lineage.verify("subject", "test", [node], partitions=about))


# --- a day -------------------------------------------------------------------------------------


def test_revoked_day_takes_what_was_made_from_it_along_and_nothing_else(chain: Chain) -> None:
    made = revoke(chain, f"{RAW}/{DAYS[0]}")
    assert made["kind"] == "partition"
    assert made["signer"] == f"{OFFICER} (people)"
    for bundle in (chain.raw.bundle, chain.features.bundle):
        assert verdict_on(chain, bundle) == ["PARTITION_REVOKED"]
        assert verdict_on(chain, bundle, DAYS[0]) == ["PARTITION_REVOKED"]
        assert verdict_on(chain, bundle, DAYS[1]) == []
    reasons = chain.verdict().reasons
    assert (reasons[0].artifact, reasons[0].partition) == (RAW, DAYS[0])
    assert "found to be wrong" in reasons[0].message


@pytest.mark.parametrize("asset", [RAW, FEATURES])
def test_step_cannot_read_a_revoked_day_but_the_others(chain: Chain, asset: str) -> None:
    revoke(chain, f"{RAW}/{DAYS[0]}")
    with Step(chain.trust, "contracts", "run") as step:
        assert step.usable(asset).partitions == (DAYS[1],)
        with pytest.raises(VerificationError, match="PARTITION_REVOKED"):
            step.read(asset, DAYS)
        assert step.read(asset, DAYS[1:]).files


def test_corrected_day_heals_what_is_made_from_it(chain: Chain) -> None:
    revoke(chain, f"{RAW}/{DAYS[0]}")
    corrected = ingest(chain.trust, {DAYS[0]: b"corrected"})
    judge(chain.trust, RAW, DAYS[:1])
    made = featurise(chain.trust, DAYS)
    assert verdict_on(chain, corrected.bundle) == []
    assert verdict_on(chain, made.bundle) == []
    assert verdict_on(chain, chain.features.bundle, DAYS[0]) == ["PARTITION_REVOKED"]


def test_revoked_bytes_stay_revoked_when_they_come_back(chain: Chain) -> None:
    revoke(chain, f"{RAW}/{DAYS[0]}")
    again = ingest(chain.trust, {DAYS[0]: f"transactions of {DAYS[0]}".encode()})
    assert verdict_on(chain, again.bundle) == ["PARTITION_REVOKED"]


# --- a statement -------------------------------------------------------------------------------


def test_revoked_materialisation_takes_its_files_along(chain: Chain) -> None:
    assert revoke(chain, chain.raw.bundle.statement.digest[:12])["kind"] == "statement"
    assert verdict_on(chain, chain.features.bundle) == ["STATEMENT_REVOKED"]
    again = ingest(chain.trust, {day: f"transactions of {day}".encode() for day in DAYS})
    assert verdict_on(chain, again.bundle) == []


def test_revoked_contract_counts_no_more_and_can_be_repeated(chain: Chain) -> None:
    revoke(chain, chain.contracts["raw_schema"].statement.digest)
    assert verdict_on(chain, chain.features.bundle) == ["STATEMENT_REVOKED"]
    assert verdict_on(chain, chain.raw.bundle) == []
    with Step(chain.trust, "features", "run") as step:
        assert {why.code for why in step.usable(RAW).refused.values()} == {"CHECK_MISSING"}
    judge(chain.trust, RAW, DAYS, RAW_SUITES[:1])
    assert verdict_on(chain, featurise(chain.trust, DAYS).bundle) == []


def test_revoked_decision_and_policy_are_refused(open_copy: Callable[[], Chain]) -> None:
    for predicate in (statements.VERIFICATION_SUMMARY, statements.POLICY_RELEASE):
        chain = open_copy()
        node = chain.node(chain.features.bundle)
        found = next(
            item for item in node.walk()
            if item.bundle and item.bundle.statement.predicate_type == predicate
        )  # fmt: skip
        revoke(chain, found.statement)
        assert set(verdict_on(chain, chain.features.bundle)) >= {"STATEMENT_REVOKED"}


def test_revoked_approval_has_a_code_of_its_own(chain: Chain, forger: Forger) -> None:
    now = encoding.utc_text(chain.trust.clock())
    made = forger.sign(
        statements.APPROVAL, chain.raw.manifest.asset, chain.raw.manifest.digest,
        {"issued_at": now, "policy_digest": chain.trust.policies.current().digest}, OFFICER,
    )  # fmt: skip
    assert codes(chain.node(made)) == []
    revoke(chain, made.statement.digest)
    assert codes(chain.node(made)) == ["APPROVAL_REVOKED"]


def signed_revocation(chain: Chain, forger: Forger, kind: str, digest: str) -> None:
    made = forger.sign(
        statements.REVOCATION,
        RAW,
        "d" * 64,
        revocation(chain, kind=kind, digests=[digest]),
        OFFICER,
    )
    assert codes(chain.node(made)) == []


def test_revoked_model_is_refused_by_its_manifest(chain: Chain, forger: Forger) -> None:
    signed_revocation(chain, forger, "model", chain.features.manifest.digest)
    assert verdict_on(chain, chain.features.bundle) == ["MODEL_REVOKED"]
    assert verdict_on(chain, chain.raw.bundle) == []


def test_revoked_log_entry_takes_its_statement_along(chain: Chain, forger: Forger) -> None:
    content = chain.features.bundle.statement.content
    signed_revocation(chain, forger, "log entry", signed_digest(content, PAYLOAD_TYPE))
    assert verdict_on(chain, chain.features.bundle) == ["STATEMENT_REVOKED"]
    assert verdict_on(chain, chain.raw.bundle) == []


# --- a signer ----------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", ["identity:/steps/features", "principal:platform"])
def test_signer_is_revoked_from_a_time_on(chain: Chain, subject: str) -> None:
    signed = chain.features.bundle.signed_at
    revoke(chain, subject, since=encoding.utc_text(signed + timedelta(seconds=1)))
    assert verdict_on(chain, chain.features.bundle) == []
    before = encoding.utc_text(signed.replace(microsecond=0))
    revoke(chain, "identity:/steps/features", since=before)
    assert codes(chain.node(chain.features.bundle)) == ["KEY_REVOKED"]


def test_revocations_by_a_person_who_is_revoked_go_on_counting(chain: Chain) -> None:
    revoke(chain, f"{RAW}/{DAYS[0]}")
    revoke(chain, f"identity:{OFFICER}", since="2024-01-01T00:00:00Z")
    assert "PARTITION_REVOKED" in verdict_on(chain, chain.raw.bundle)


# --- who may, and what can be named --------------------------------------------------------------


@pytest.mark.parametrize(
    ("email", "code"),
    [(AUTHOR, "APPROVAL_ROLE"), ("stranger@example.com", "APPROVAL_UNKNOWN_PERSON")],
)
def test_only_a_person_with_the_role_may_revoke(chain: Chain, email: str, code: str) -> None:
    with pytest.raises(GateDenied, match=code):
        revoke(chain, f"{RAW}/{DAYS[0]}", email=email)


@pytest.mark.parametrize(
    ("email", "refused"),
    [
        ("risk.deputy@example.com", ["PARTITION_REVOKED"]),
        (AUTHOR, []),
        ("/steps/ingest", []),
    ],
)
def test_revocation_counts_only_from_whom_the_layout_names(
    chain: Chain, forger: Forger, email: str, refused: list[str]
) -> None:
    forged = revocation(chain, digests=[chain.raw.manifest.entries[0].sha256])
    forger.sign(statements.REVOCATION, RAW, "d" * 64, forged, email)
    assert verdict_on(chain, chain.raw.bundle) == refused


def revocation(chain: Chain, **changed: Any) -> dict[str, Any]:
    sequence, previous = chain.trust.lineage().versions.next(REVOCATIONS)
    return {
        "environment": "local", "kind": "partition", "artifact": RAW, "partition": DAYS[0],
        "digests": [], "identity": None, "principal": "", "from_time": "", "sequence": sequence,
        "previous": previous, "issued_at": "2026-11-23T00:00:00Z", "reason": "x",
    } | changed  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [{"kind": "nonsense"}, {"from_time": "yesterday"}, {"more": 1}, {"digests": "abc"}],
)
def test_malformed_revocation_refuses_everything(
    chain: Chain, forger: Forger, changed: dict[str, Any]
) -> None:
    forged = revocation(chain, **changed)
    forger.sign(statements.REVOCATION, RAW, "d" * 64, forged, OFFICER)
    assert codes(chain.verdict()) == ["PREDICATE_TYPE"]


@pytest.mark.parametrize(
    "subject",
    ["nonsense", f"{RAW}/2031-01-01", "principal:nobody", "identity:", "ffffffff", "model:7"],
)
def test_what_nobody_knows_cannot_be_revoked(chain: Chain, subject: str) -> None:
    with pytest.raises(ConfigError):
        revoke(chain, subject)


def test_reason_and_time_must_make_sense(chain: Chain) -> None:
    for why, since, subject in (
        (" ", "", f"{RAW}/{DAYS[0]}"),
        ("x", "yesterday", "identity:/steps/train"),
        ("x", "2026-01-01T00:00:00Z", f"{RAW}/{DAYS[0]}"),
    ):
        with pytest.raises(ConfigError):
            revoke_subject(chain.workspace, subject, why, OFFICER, since)


def test_outside_the_local_environment_a_person_must_be_named(
    chain: Chain, policy_project: Path
) -> None:
    chain.trust.policies.current()
    chain.workspace.environment = "production"
    with pytest.raises(ConfigError, match="--as"):
        revoke(chain, f"{RAW}/{DAYS[0]}")


# --- forgetting --------------------------------------------------------------------------------


@pytest.mark.parametrize("rebuilt", [False, True], ids=["index kept", "index rebuilt"])
def test_revocation_cannot_be_forgotten_by_deleting_it(
    chain: Chain, policy_project: Path, rebuilt: bool
) -> None:
    made = revoke(chain, f"{RAW}/{DAYS[0]}")
    store = chain.trust.store
    store.bundle_path(store.bundle(made["statement"])[0]).unlink()
    if rebuilt:
        (chain.workspace.home / "evidence" / "index.sqlite").unlink()
    again = replace(chain, workspace=open_workspace(chain.workspace.home, policy_project))
    assert "EVIDENCE_MISSING" in codes(again.verdict())
    assert "EVIDENCE_MISSING" in verdict_on(again, again.raw.bundle, DAYS[1])


def test_changed_revocation_refuses_everything(chain: Chain) -> None:
    made = revoke(chain, f"{RAW}/{DAYS[0]}")
    store = chain.trust.store
    path = store.bundle_path(store.bundle(made["statement"])[0])
    path.write_bytes(path.read_bytes() + b" ")
    assert "EVIDENCE_TAMPERED" in codes(chain.verdict())


def test_revocation_by_another_process_is_seen_by_a_verifier_that_is_open(
    chain: Chain, policy_project: Path
) -> None:
    assert chain.trust.lineage().node(chain.raw.bundle.statement.digest).revoked == {}
    other = replace(chain, workspace=open_workspace(chain.workspace.home, policy_project))
    revoke(other, f"{RAW}/{DAYS[0]}")
    assert verdict_on(chain, chain.raw.bundle) == ["PARTITION_REVOKED"]


def test_identity_reads_as_people_write_it() -> None:
    assert str(Identity(issuer="people", subject=OFFICER)) == f"{OFFICER} (people)"
