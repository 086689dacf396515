"""Days judged as wholes, in order: each beside the newest days that count, and no others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraud_provenance.attested.step.inputs import VerifiedInput
from fraud_provenance.attested.step.step import Step
from fraud_provenance.defs import raw_history
from fraud_provenance.due.ground import Surroundings, accepted
from fraud_provenance.due.planning import RAW_SUITES, WINDOW_DAYS, judged_days
from fraud_provenance.home.workspace import Workspace

if TYPE_CHECKING:
    import polars as pl

    from fraud_provenance.fraud.contract import ContractReport, Failure

# As far as a feature window reaches: what is repeated within it would be counted twice.
BASELINE_DAYS = WINDOW_DAYS


def thresholds_of(step: Step) -> dict[str, Any]:
    """The contracts' bounds for the feed that the policy describes; the defaults where it is not.

    Raises:
        DataError: THRESHOLD_TYPE.
    """
    from fraud_provenance.fraud.feed import fitted

    return fitted(step.policy.data("contracts"), step.policy.optional("feed"))


def judge_wholes(
    workspace: Workspace,
    step: Step,
    suite: str,
    read: VerifiedInput,
    frames: "Mapping[str, pl.DataFrame]",
    sound: Sequence[str],
    around: Surroundings,
) -> "tuple[ContractReport, str]":
    """Judge the sound days beside the usable ones; also the digest of what is kept of raw days.

    Raises:
        EvidenceError, VerificationError: A day that must be read is not valid.
        BackendError: Could not decide.
    """
    from fraud_provenance.fraud.judging import judge_in_order

    known = {day: frames[day] for day in {*around.usable, *sound} & frames.keys()}
    summaries = None
    if suite in RAW_SUITES:
        summaries = raw_history.summaries_of(workspace, step, known, read.digests)
    docs = workspace.reports / "data_docs" / suite
    thresholds = thresholds_of(step)
    by_day = {item.partition: item for item in read.files}
    looked_at = [day for day in sound if accepted(workspace, read.asset, day, by_day[day].sha256)]
    wholes = Wholes(thresholds, suite, known, sound, summaries, around, docs, looked_at)

    def excused(day: str, findings: "Sequence[Failure]") -> bool:
        told = [finding.public() for finding in findings]
        return step.catalogue.is_accepted(by_day[day], read.asset, suite, told)

    usable = around.usable.keys() & known
    report = judge_in_order(wholes.judge, usable, sound, excused, BASELINE_DAYS)
    wholes.mend_docs()
    report = replace(report, page=wholes.page)
    if summaries is None:
        return report, ""
    waiting = known.keys() - {*sound, *judged_days(workspace, read.asset, RAW_SUITES)}
    broken = {failure.day for failure in report.broken}
    kept = set(summaries["day"]).difference(waiting, broken)
    return report, raw_history.keep(workspace, summaries, kept)


@dataclass
class Wholes:
    """Judges days as wholes, round by round, and remembers what was said last of each."""

    thresholds: Mapping[str, Any]
    suite: str
    frames: "Mapping[str, pl.DataFrame]"
    sound: Sequence[str]
    summaries: "pl.DataFrame | None"
    around: Surroundings
    docs: Path | None
    accepted: Sequence[str] = ()
    rounds: int = 0
    page: str = ""
    newest: "dict[str, pl.DataFrame]" = field(default_factory=dict)

    def judge(self, beside: Sequence[str], days: Sequence[str]) -> "ContractReport":
        """Judge `days` beside others; the first round, of all days, writes the Data Docs."""
        from fraud_provenance.fraud import expectations
        from fraud_provenance.fraud.profile import profile_days

        frames = {day: self.frames[day] for day in beside}
        table = profile_days(frames, self.summaries, self.sound)
        empty = [day for day in self.around.empty if beside[0] < day < beside[-1]]
        is_raw = self.suite in RAW_SUITES
        describe = expectations.raw_statistics if is_raw else expectations.feature_statistics
        frame = describe(table, days, self.thresholds, empty, list(self.around.delivered),
                         self.accepted)  # fmt: skip
        for (day,), row in frame.partition_by("day", as_dict=True).items():
            self.newest[str(day)] = row
        docs = None if self.rounds else self.docs
        self.rounds += 1
        report = expectations.check_statistics(self.suite, frame, self.thresholds, docs)
        self.page = report.page or self.page
        return report

    def mend_docs(self) -> None:
        """After several rounds, Data Docs of what was said last."""
        import polars as pl

        from fraud_provenance.fraud.expectations import check_statistics

        if self.rounds > 1:
            frame = pl.concat([self.newest[day] for day in sorted(self.newest)])
            self.page = check_statistics(self.suite, frame, self.thresholds, self.docs).page
