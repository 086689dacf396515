"""Stage 4, its contract: the training set is held against the attested features and the split."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dagster as dg

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import EvidenceError, VerificationError, reason
from fraud_provenance.attested.step.inputs import VerifiedInput
from fraud_provenance.attested.step.step import Step
from fraud_provenance.defs import support, tracking
from fraud_provenance.defs.contracts import failure_metadata
from fraud_provenance.defs.training import HELD_OUT, KNOWN, TRAIN, TRAINING_SET, days_of_part
from fraud_provenance.due.planning import POINT_IN_TIME, declared_empty
from fraud_provenance.fraud.data_docs import write_page
from fraud_provenance.home import pages
from fraud_provenance.home.pages import address_of
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.refusals import as_failure
from fraud_provenance.resources import ProvenanceResource

if TYPE_CHECKING:
    from fraud_provenance.fraud.contract import ContractReport
    from fraud_provenance.fraud.model import Split

FEATURES = "transaction_features"
_SPLIT_PARAMETERS = ("train_start", "train_days", "delay_days", "test_days")


@dg.asset_check(
    asset=TRAINING_SET,
    name=POINT_IN_TIME,
    blocking=True,
    description=(
        "Each part has exactly the attested features of the days asked for; no feature is newer "
        "than its event, and nothing to be evaluated was learnt from."
    ),
)
@as_failure
def training_set_point_in_time(
    context: dg.AssetCheckExecutionContext, provenance: ProvenanceResource
) -> dg.AssetCheckResult:
    """Prove the join and the split on the bytes that will be used."""
    workspace = provenance.open()
    report = judge_training_set(workspace, context.run.run_id)
    metadata: dict[str, Any] = {
        "report": dg.MetadataValue.url(address_of(workspace.home, report.suite, report.page)),
        "rows_judged": sum(report.rows.values()),
        "checks": list(report.checks),
    }
    if report.failures:
        metadata |= failure_metadata(report.failures)
    return dg.AssetCheckResult(
        passed=not report.failures,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata=metadata,
        description=(
            f"{len(report.failures)} of {len(report.checks)} checks failed"
            if report.failures
            else f"{len(report.checks)} checks passed"
        ),
    )


def judge_training_set(workspace: Workspace, run_id: str) -> "ContractReport":
    """Run and sign the training set's contract."""
    from fraud_provenance.fraud.training_checks import check_training_set

    with Step(workspace.trust, "contracts", run_id) as step:
        read = step.read(TRAINING_SET, [TRAIN, HELD_OUT, KNOWN])
        frames = support.frames_of(read)
        asked = _split_asked_for(workspace, step, read)
        attested = support.frames_of(_features_of(step, read, asked))
        report = check_training_set(frames, step.policy.data("contracts"), attested, asked)
        # The contract judges the files together, so a failure anywhere fails all of them.
        pending = step.attest_contract(
            read.view,
            suite=report.suite,
            suite_digest=encoding.digest_json(report.suite_config),
            checks=report.checks,
            failures=[f.public() | {"day": name} for f in report.failures for name in frames],
            warnings=[f.public() | {"day": TRAIN} for f in report.warnings],
            rows=report.rows,
        )
        step.join_reads()
        pending.result()
    page = tracking.page_of(read.nodes[0])
    write_page(report, pages.folder_of(workspace.home) / report.suite, page)
    return replace(report, page=page)


def _split_asked_for(workspace: Workspace, step: Step, read: VerifiedInput) -> "Split":
    """The days of each part, from the signed parameters and the waivers; never from the rows.

    Raises:
        VerificationError: SNAPSHOT_INCOHERENT, the parts are of several statements; PARAM_MISSING.
        DataError: PARTITION_MISSING, a day that was asked for is not usable any more.
    """
    from fraud_provenance.fraud.model import TrainingConfig, resolve_split

    if len(read.nodes) != 1:
        what = f"its parts are of {len(read.nodes)} statements"
        raise VerificationError(reason(RootCause.SNAPSHOT_INCOHERENT, what, artifact=TRAINING_SET))
    told = read.nodes[0].provenance.parameters
    missing = [name for name in _SPLIT_PARAMETERS if name not in told]
    if missing:
        what = f"the training set does not tell {', '.join(missing)}"
        raise VerificationError(reason(RootCause.PARAM_MISSING, what, artifact=TRAINING_SET))
    config = TrainingConfig.model_validate({name: told[name] for name in _SPLIT_PARAMETERS})
    usable = step.usable(FEATURES, step="training_set").partitions
    return resolve_split(config, usable, declared_empty(workspace))


def _features_of(step: Step, read: VerifiedInput, asked: "Split") -> VerifiedInput:
    """The attested features of the days asked for: those that the parts were made from.

    Raises:
        EvidenceError: PARTITION_MISSING, a part was made from other days or versions than these.
    """
    features = step.read(FEATURES, asked.days)
    for entry in read.view.entries:
        days = days_of_part(asked)[entry.partition]
        if set(entry.made_from) != {features.digests[day] for day in days}:
            raise EvidenceError(
                reason(
                    RootCause.PARTITION_MISSING,
                    "it was made from feature days that are not the current ones of its split",
                    artifact=TRAINING_SET,
                    partition=entry.partition,
                    remedy="Materialise training_set again.",
                )
            )
    return features
