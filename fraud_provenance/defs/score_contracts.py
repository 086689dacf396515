"""The scores' contract: another signer compares each scored day with its features and its model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import dagster as dg

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    ConfigError,
    EvidenceError,
    GateDenied,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.step.inputs import VerifiedInput
from fraud_provenance.attested.step.step import Step
from fraud_provenance.defs import support
from fraud_provenance.defs.contracts import check_result, mark_day
from fraud_provenance.defs.training import model_files
from fraud_provenance.due.planning import failed_days, judgeable_scores, scores_to_judge
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.models.facts import model_statement
from fraud_provenance.predictions import log as prediction_log
from fraud_provenance.predictions.batch import FEATURES, SCORES, Batch, read_batch
from fraud_provenance.predictions.contract import SUITE
from fraud_provenance.refusals import as_failure
from fraud_provenance.resources import ProvenanceResource

if TYPE_CHECKING:
    import polars as pl

    from fraud_provenance.fraud.contract import ContractReport


@dg.multi_asset_check(
    name="judge_transaction_scores",  # a job is called score_contracts
    specs=[
        dg.AssetCheckSpec(
            SUITE,
            asset=SCORES,
            blocking=True,
            description=(
                "Each transaction of the day's features has exactly one score, under its own card, "
                "terminal, time and amount; each score is the champion's own output, bit by bit, "
                "and each alert follows from the signed threshold. All rows, no sample."
            ),
        )
    ],
)
@as_failure
def score_contracts(
    context: dg.AssetCheckExecutionContext, provenance: ProvenanceResource
) -> Iterator[dg.AssetCheckResult | dg.AssetCheckEvaluation]:
    """Judge the days of this run (or all days not judged yet)."""
    workspace = provenance.open()
    known = judgeable_scores(workspace)
    days = support.days_of_run(context, known) or scores_to_judge(workspace)
    if not days:
        yield _nothing_to_judge(workspace)
        return
    report = judge_scores(workspace, context.run.run_id, days)
    for day in sorted({failure.day for failure in report.failures}):
        yield mark_day(SCORES, report, day)
    yield check_result(SCORES, report)


def _nothing_to_judge(workspace: Workspace) -> dg.AssetCheckResult:
    """All is judged already: repeat what the evidence says."""
    if not workspace.store.heads(SCORES):
        raise ConfigError(reason(RootCause.CHECK_VACUOUS, "no day is scored", artifact=SCORES))
    bad = sorted(failed_days(workspace, SCORES))
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(SCORES),
        check_name=SUITE,
        passed=not bad,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"failed_days": bad},
        description="no new day; the signed results stand",
    )


def judge_scores(workspace: Workspace, run_id: str, days: Sequence[str]) -> "ContractReport":
    """Compare `days` with what their batches say that they were made from, and sign the results.

    Raises:
        GateDenied: a model may not be read any more; the days of the others are judged first.
        EvidenceError, VerificationError: something about the scores or their sources is not valid.
    """
    by_model: dict[str, dict[str, Batch]] = {}
    for day in days:
        batch = _batch_of(workspace, day)
        by_model.setdefault(batch.model_digest, {})[day] = batch
    reports: list[ContractReport] = []
    denied: list[Reason] = []
    for digest, batches in by_model.items():
        try:
            reports.append(_judge(workspace, run_id, digest, batches))
        except GateDenied as error:
            denied += error.reasons
    if denied:
        raise GateDenied(*denied)
    return replace(
        reports[0],
        days=tuple(sorted(days)),
        rows={day: count for report in reports for day, count in report.rows.items()},
        findings=tuple(item for report in reports for item in report.findings),
    )


def _batch_of(workspace: Workspace, day: str) -> Batch:
    """The batch that logged the day's newest scores; what it says of them holds.

    Raises:
        VerificationError, EvidenceError: there is none, or it does not hold.
    """
    trust = workspace.trust
    scores = trust.lineage().node(trust.store.heads(SCORES)[day][0].statement)
    logged = prediction_log.batch_about(trust, scores)
    if logged is None:
        why = "no prediction batch covers these scores"
        raise EvidenceError(reason(RootCause.EVIDENCE_MISSING, why, artifact=SCORES, partition=day))
    said = logged.signed().statement
    batch = read_batch(said)
    problems = prediction_log.batch_problems(trust, batch, scores, said.subject_digest)
    if problems:
        raise VerificationError(*problems)
    return batch


def _judge(
    workspace: Workspace, run_id: str, model: str, batches: Mapping[str, Batch]
) -> "ContractReport":
    """Days that one model scored: from the batches' digests to the bytes, compared, signed."""
    from fraud_provenance.fraud.score_checks import check_scores

    days = sorted(batches)
    with Step(workspace.trust, "contracts", run_id) as step:
        read = step.read(SCORES, days)
        features = step.read(FEATURES, days)
        _check_features(features, batches)
        statement = model_statement(workspace.trust, model)
        ubj, contract = model_files(workspace, step, step.read_statement(statement))
        report = check_scores(_tables(read), support.frames_of(features), ubj, contract)
        pending = step.attest_contract(
            read.view,
            suite=report.suite,
            suite_digest=encoding.digest_json(report.suite_config),
            checks=report.checks,
            failures=[failure.public() for failure in report.failures],
            rows=report.rows,
        )
        step.join_reads()
        pending.result()
    return report


def _check_features(features: VerifiedInput, batches: Mapping[str, Batch]) -> None:
    """The features that were read are those that were scored.

    Raises:
        EvidenceError: PARTITION_MISSING.
    """
    for day, batch in batches.items():
        if features.digests[day] != batch.batches[day].features_sha256:
            raise EvidenceError(
                reason(
                    RootCause.PARTITION_MISSING,
                    "the scores were made from features that are not the current ones",
                    artifact=SCORES,
                    partition=day,
                    remedy="Score the day again: `fraud-provenance run`.",
                )
            )


def _tables(read: VerifiedInput) -> "dict[str, pl.DataFrame]":
    """Day → its scores, without the leaf hashes that lie beside them."""
    tables = tuple(item for item in read.files if item.name.endswith(".parquet"))
    return support.frames_of(replace(read, files=tables))
