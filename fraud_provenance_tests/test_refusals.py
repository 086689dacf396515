"""A refusal is Dagster's own failure: one sentence, facts and what to do."""

import errno
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

from fraud_provenance.attested.core.errors import BackendError, VerificationError, reason
from fraud_provenance.defs.alerts import alerts_of_run
from fraud_provenance.defs.verification import CHECK, CONTRACTS_ALONE
from fraud_provenance.fraud.errors import DataError
from fraud_provenance.refusals import as_failure
from fraud_provenance.run.jobs import own_error

GONE = reason("ARTIFACT_MISSING", "the file is gone", artifact="features", partition="2018-04-01")
ERRORS = {
    "verification": VerificationError(GONE, reason("ROLLBACK", "it went back")),
    "backend": BackendError(reason("POLICY_UNAVAILABLE", "no answer")),
    "data": DataError("NULL_RATE", "values are missing", remedy="Deliver them."),
    "disk": NotADirectoryError(errno.ENOTDIR, "Not a directory", "/home/staging"),
}


@as_failure
def returning(context: dg.AssetExecutionContext) -> None:
    """Refuses what its run's tags say."""
    raise ERRORS[context.run.tags["error"]]


@as_failure
def generating(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
    """As `returning`, in the middle of its work."""
    yield from ()
    raise ERRORS[context.run.tags["error"]]


@pytest.mark.parametrize("body", [returning, generating])
@pytest.mark.parametrize(
    ("error", "said", "remedy"),
    [
        ("verification", "ARTIFACT_MISSING at features/2018-04-01: the file is gone (1 more", ""),
        ("backend", "POLICY_UNAVAILABLE: no answer", "make tools"),
        ("data", "NULL_RATE: values are missing", "Deliver them."),
        ("disk", "STORAGE_UNAVAILABLE at staging: Not a directory: /home/staging", "Make room"),
    ],
)
def test_refusal_is_one_sentence_with_what_to_do(
    body: object, error: str, said: str, remedy: str
) -> None:
    instance = dg.DagsterInstance.ephemeral()
    made = dg.asset(name="made")(body)  # type: ignore[call-overload]
    run = dg.materialize([made], instance=instance, tags={"error": error}, raise_on_error=False)

    (event,) = [e for e in run.all_events if e.is_step_failure]
    told = event.step_failure_data.user_failure_data
    assert told is not None
    assert said in str(told.description)
    assert remedy in str(told.metadata["what to do"].value)
    alerts = alerts_of_run(instance, run.run_id, datetime(2026, 3, 1, tzinfo=UTC))
    assert [said.partition(":")[0].split()[0] in alert.text for alert in alerts] == [True]


@pytest.mark.parametrize("error", ["verification", "backend"])
def test_refusal_itself_reaches_who_ran_it_in_this_process(error: str) -> None:
    with pytest.raises(dg.Failure) as caught:
        dg.materialize([dg.asset(name="made")(returning)], tags={"error": error})
    assert own_error(caught.value) is ERRORS[error]


def test_what_is_no_refusal_stays_what_it_is() -> None:
    @as_failure
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()


@pytest.mark.parametrize(("alone", "told"), [(True, 0), (False, 1)])
def test_what_the_contracts_alone_say_of_a_day_is_told_once(alone: bool, told: int) -> None:
    """The contract's own alert names the day and the command; a second one is only noise."""

    @dg.asset
    def raw_transactions() -> None: ...

    @dg.asset_check(asset=raw_transactions, name=CHECK)
    def verified() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            passed=False,
            description="DATA_HELD(raw_transactions@2018-04-01): unusual",
            metadata={CONTRACTS_ALONE: alone},
        )

    instance = dg.DagsterInstance.ephemeral()
    made = dg.Definitions(assets=[raw_transactions], asset_checks=[verified])
    job = made.resolve_implicit_global_asset_job_def()
    run = job.execute_in_process(instance=instance, raise_on_error=False)
    assert len(alerts_of_run(instance, run.run_id, datetime(2026, 3, 1, tzinfo=UTC))) == told


def test_what_nobody_foresaw_is_told_by_its_kind_and_never_by_its_words() -> None:
    @dg.asset
    def made() -> None:
        try:
            raise KeyError("4012 8888 8888 1881")
        except KeyError as error:
            raise RuntimeError("a row with 4012 8888 8888 1881") from error

    instance = dg.DagsterInstance.ephemeral()
    run = dg.materialize([made], instance=instance, raise_on_error=False)
    (alert,) = alerts_of_run(instance, run.run_id, datetime(2026, 3, 1, tzinfo=UTC))
    assert alert.headline.startswith("Run failed: made: KeyError")
    assert "4012" not in alert.text
