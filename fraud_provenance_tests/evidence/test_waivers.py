"""A day counts as empty because a person with the role says so, and only as long as that stands."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import ConfigError, GateDenied, VerificationError
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.people import Waiver
from fraud_provenance.attested.step.step import Step
from fraud_provenance.due import planning
from fraud_provenance.investigate.subjects import contract_reasons
from fraud_provenance.people.revoking import revoke_subject
from fraud_provenance.people.waiving import waive_day
from fraud_provenance_tests.conftest import AUTHOR, DAYS, FEATURES, RAW, Chain, Forger, codes

pytestmark = pytest.mark.integration
HOLIDAY, OFFICER = "2018-04-03", "risk.officer@example.com"


def subject_of(asset: str, day: str) -> str:
    return Waiver(environment="local", asset=asset, partition=day, issued_at="", reason="").subject


def waive(chain: Chain, day: str = HOLIDAY, **more: Any) -> str:
    return str(waive_day(chain.workspace, RAW, day, "holiday", **more)["statement"])


def forged(chain: Chain, forger: Forger, who: str = OFFICER, **changed: Any) -> VerifiedBundle:
    """A waiver that says what it is told to; `subject` is the digest that it is about."""
    digest = changed.pop("subject", subject_of(RAW, HOLIDAY))
    predicate = {
        "environment": "local", "asset": RAW, "partition": HOLIDAY,
        "issued_at": encoding.utc_text(chain.trust.clock()), "reason": who,
    } | changed  # fmt: skip
    return forger.sign(statements.WAIVER, RAW, digest, predicate, who)


def judged(chain: Chain, forger: Forger, waivers: dict[str, str]) -> list[str]:
    """The verdict on a contract that rests on these waivers."""
    made = forger.contract(
        chain.raw.manifest, "raw_expectations", [chain.raw.bundle], waivers=waivers
    )
    return codes(chain.verdict(made))


def test_a_day_that_was_declared_empty_is_known_with_its_waiver(chain: Chain) -> None:
    assert planning.declared_empty(chain.workspace) == {}
    statement = waive(chain)
    assert planning.declared_empty(chain.workspace) == {HOLIDAY: statement}
    node = chain.trust.lineage().node(statement)
    assert (node.kind, str(node.bundle and node.bundle.identity)) == (
        "waiver",
        f"{OFFICER} (people)",
    )


@pytest.mark.parametrize(("code", "left"), [
    ("EMPTY_PARTITION", []), ("VALUE_RANGE", ["VALUE_RANGE"]),
])  # fmt: skip
def test_a_day_that_failed_as_empty_is_told_no_more_once_it_is_declared_so(
    chain: Chain, forger: Forger, code: str, left: list[str]
) -> None:
    day = DAYS[0]
    finding = {"day": day, "code": code, "check": "partitions_are_not_empty", "rows": 0,
               "column": ""}  # fmt: skip
    forger.contract(
        chain.raw.manifest, "raw_schema", [chain.raw.bundle],
        checks=("partitions_are_not_empty",), failures=[finding],
    )  # fmt: skip
    told = [item.code for item in contract_reasons(chain.trust, RAW, day)]
    forged(chain, forger, partition=day, subject=subject_of(RAW, day))
    assert told == [code]
    assert [item.code for item in contract_reasons(chain.trust, RAW, day)] == left


def test_a_contract_may_rest_on_it_and_its_word_is_walked(chain: Chain) -> None:
    statement = waive(chain)
    with Step(chain.trust, "contracts", "run") as step:
        pending = step.attest_contract(
            step.read(RAW, DAYS).view, suite="raw_expectations",
            suite_digest=step.policy.layout.contract("raw_expectations").suite_digests[-1],
            checks=("days_follow_each_other",), failures=[], rows=dict.fromkeys(DAYS, 3),
            waivers={HOLIDAY: statement},
        )  # fmt: skip
        step.join_reads()
        made = pending.result()
    assert codes(chain.verdict(made)) == []
    assert statement in {node.statement for node in chain.node(made).walk()}
    revoke_subject(chain.workspace, statement, "there were transactions after all")
    assert codes(chain.verdict(made)) == ["STATEMENT_REVOKED"]
    assert planning.declared_empty(chain.workspace) == {}


def test_features_may_rest_on_a_waiver_of_what_they_are_made_from(
    chain: Chain, forger: Forger
) -> None:
    statement = waive(chain)
    made = forger.contract(
        chain.features.manifest, "feature_expectations", [chain.features.bundle],
        name=FEATURES, waivers={HOLIDAY: statement},
    )  # fmt: skip
    assert codes(chain.verdict(made)) == []


@pytest.mark.parametrize(
    ("waivers", "expected"),
    [
        pytest.param({"2018-04-04": HOLIDAY}, "SUBJECT_MISMATCH", id="of-another-day"),
        pytest.param({HOLIDAY: "raw"}, "PREDICATE_TYPE", id="no-waiver-at-all"),
        pytest.param({HOLIDAY: "0" * 64}, "EVIDENCE_MISSING", id="not-there"),
    ],
)
def test_a_contract_that_rests_on_anything_else_is_refused(
    chain: Chain, forger: Forger, waivers: dict[str, str], expected: str
) -> None:
    known = {HOLIDAY: waive(chain), "raw": chain.raw.bundle.statement.digest}
    named = {day: known.get(what, what) for day, what in waivers.items()}
    assert expected in judged(chain, forger, named)


def test_a_waiver_of_another_asset_excuses_nothing(chain: Chain, forger: Forger) -> None:
    other = "transaction_scores"
    predicate = {
        "environment": "local", "asset": other, "partition": HOLIDAY,
        "issued_at": encoding.utc_text(chain.trust.clock()), "reason": "x",
    }  # fmt: skip
    made = forger.sign(statements.WAIVER, other, subject_of(other, HOLIDAY), predicate, OFFICER)
    assert planning.declared_empty(chain.workspace) == {}
    assert judged(chain, forger, {HOLIDAY: made.statement.digest}) == ["SUBJECT_MISMATCH"]


@pytest.mark.parametrize(
    ("who", "changed", "expected"),
    [
        (OFFICER, {}, []),
        (AUTHOR, {}, ["IDENTITY_NOT_AUTHORIZED_FOR_STEP"]),
        ("stranger@example.com", {}, ["APPROVAL_UNKNOWN_PERSON"]),
        ("/steps/ingest", {}, ["APPROVAL_UNKNOWN_PERSON"]),
        (OFFICER, {"environment": "production"}, ["ENVIRONMENT_MISMATCH"]),
        (OFFICER, {"issued_at": "2018-04-03T00:00:00Z"}, ["TIME_SKEW"]),
        (OFFICER, {"more": 1}, ["PREDICATE_TYPE"]),
        (OFFICER, {"subject": "d" * 64}, ["SUBJECT_MISMATCH"]),
        (OFFICER, {"partition": "2018-04-04"}, ["SUBJECT_MISMATCH"]),
    ],
)
def test_a_waiver_counts_only_from_whom_and_for_what_it_says(
    chain: Chain, forger: Forger, who: str, changed: dict[str, Any], expected: list[str]
) -> None:
    made = forged(chain, forger, who, **changed)
    assert codes(chain.node(made)) == expected
    assert (HOLIDAY in planning.declared_empty(chain.workspace)) == (not expected)


def test_another_statement_is_no_waiver(chain: Chain) -> None:
    with pytest.raises(VerificationError, match="is not a waiver"):
        statements.read(chain.raw.bundle.statement, Waiver)


def test_a_day_with_rows_is_not_empty_whoever_says_so(chain: Chain, forger: Forger) -> None:
    forged(chain, forger, partition=DAYS[0], subject=subject_of(RAW, DAYS[0]))
    assert list(chain.trust.lineage().waivers(RAW)) == [DAYS[0]]
    assert planning.declared_empty(chain.workspace) == {}
    with pytest.raises(ConfigError, match="has transactions"):
        waive(chain, DAYS[0])


@pytest.mark.parametrize(
    ("asset", "day", "why"),
    [(FEATURES, HOLIDAY, "x"), (RAW, "20180403", "x"), (RAW, "Monday", "x"), (RAW, HOLIDAY, " ")],
)
def test_what_makes_no_sense_is_not_signed(chain: Chain, asset: str, day: str, why: str) -> None:
    with pytest.raises(ConfigError):
        waive_day(chain.workspace, asset, day, why)


def test_only_an_approver_may_waive(chain: Chain) -> None:
    with pytest.raises(GateDenied, match="APPROVAL_ROLE"):
        waive(chain, email=AUTHOR)


def test_an_empty_file_of_a_declared_day_is_not_due(chain: Chain) -> None:
    landing: Path = chain.workspace.landing
    frame = pl.DataFrame({"TX_AMOUNT": [1.0]})
    frame.clear().write_parquet(landing / f"{HOLIDAY}.parquet")
    assert list(planning.ingest_due(chain.workspace)) == [HOLIDAY]
    waive(chain)
    assert list(planning.ingest_due(chain.workspace)) == []
    frame.write_parquet(landing / f"{HOLIDAY}.parquet")
    assert list(planning.ingest_due(chain.workspace)) == [HOLIDAY]
    (landing / f"{HOLIDAY}.parquet").write_bytes(b"nothing that can be read")
    assert list(planning.ingest_due(chain.workspace)) == [HOLIDAY]


def test_who_declares_it_again_after_a_withdrawal_declares_it_anew(chain: Chain) -> None:
    """Within the same second, with the same words: still another statement."""
    now = chain.trust.clock()
    chain.trust.clock = lambda: now
    withdrawn = waive(chain)
    revoke_subject(chain.workspace, withdrawn, "there were transactions after all")
    again = waive(chain)
    assert planning.declared_empty(chain.workspace) == {HOLIDAY: again}
