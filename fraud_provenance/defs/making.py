"""What every attested asset does around its own work, in one place.

`attested_asset` declares one. `Making` runs its step: it counts what is written, signs it, puts it
under DVC and shows it. What the asset reads and how it makes its frames stays in its function.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Self

import dagster as dg

from fraud_provenance.attested.core.errors import BackendError
from fraud_provenance.attested.step.staging import Finish
from fraud_provenance.attested.step.step import Materialisation, Step
from fraud_provenance.day_partitions import DAYS
from fraud_provenance.defs import shown, support
from fraud_provenance.fraud.parquet import parquet_bytes
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.refusals import as_failure

if TYPE_CHECKING:
    import polars as pl  # heavy: assets import it in their bodies

BY_DAY: Final[Mapping[str, Any]] = {
    "partitions_def": DAYS,
    "backfill_policy": support.SINGLE_RUN,
    "freshness_policy": support.FRESH,
}
"""What an asset that is kept by day is declared with."""


def attested_asset(
    step: str, **declared: Any
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`dg.asset` for what a step of the layout makes: the version of its code, and refusals.

    Args:
        step: The step's name in the layout.
        declared: What `dg.asset` is given beside that.
    """

    def define(body: Callable[..., Any]) -> dg.AssetsDefinition:
        version = support.code_version(step)
        made: dg.AssetsDefinition = dg.asset(code_version=version, **declared)(as_failure(body))
        return made

    return define


class Making:
    """One run of a step as an asset. Use as a context manager; `result` comes after it.

    Attributes:
        step: Reads, writes and signs.
        rows: Partition to its rows, of all that was counted.
    """

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        workspace: Workspace,
        step: str,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        """Open the step, under the policy of this moment."""
        self.step = Step(workspace.trust, step, context.run_id, parameters or {})
        self.rows: dict[str, int] = {}
        self._context, self._workspace = context, workspace
        self._times: dict[str, list[str]] = {}
        self._numbers: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        """Begin."""
        self.step.__enter__()
        return self

    def __exit__(self, *ended: object) -> None:
        """Throw away whatever was staged and not committed."""
        self.step.__exit__(*ended)

    def count(
        self, partition: str, frame: "pl.DataFrame", numbers: Mapping[str, Any] | None = None
    ) -> None:
        """Note a partition's rows and event time; `numbers` of it are shown and plotted."""
        self.rows[partition] = frame.height
        self._times[partition] = support.event_range(frame)
        self._numbers[partition] = dict(numbers or {})

    def table(
        self,
        partition: str,
        path: str,
        frame: "pl.DataFrame",
        made_from: Iterable[str],
        numbers: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a frame as Parquet, and count it.

        Raises:
            VerificationError: SECRET_IN_TREE.
        """
        self.count(partition, frame, numbers)
        self.step.write(partition, path, parquet_bytes(frame), made_from)

    def commit(
        self, outputs: Mapping[str, Any] | None = None, *, finish: Finish | None = None
    ) -> Materialisation:
        """Sign what was written, with its rows and times, and move it into view.

        Raises:
            As `Step.commit`.
        """
        counted = {"rows": self.rows, "event_time": self._times}
        return self.step.commit({**counted, **(outputs or {})}, finish=finish)

    def keep_versions(self, made: Materialisation) -> None:
        """Put the files that were written under DVC.

        A remote that is away fails nobody's work: the files are signed and there, and `run`
        catches up.
        """
        from fraud_provenance.data import versions as data_versions

        home = self._workspace.home
        written = [self._workspace.data / entry.path for entry in made.manifest.entries]
        try:
            data_versions.track(home, data_versions.lacking(home, written))
        except BackendError as away:
            self._context.log.warning(str(away.reasons[0]))

    def show_days(self, of_day: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Show each day's rows and numbers with the day; `of_day` beside them."""
        for day, count in self.rows.items():
            told = shown.rows_of_day(count) | self._numbers[day] | dict((of_day or {}).get(day, {}))
            self._context.add_asset_metadata(told, partition_key=day)

    def result(
        self,
        made: Materialisation,
        *metadata: Mapping[str, Any],
        rows: Mapping[str, int] | None = None,
    ) -> dg.MaterializeResult[Any]:
        """What Dagster is told: first what people ask, then digests, then `metadata`.

        Args:
            made: What `commit` returned.
            metadata: More that is shown.
            rows: Those that add up to the rows of the asset; all that were counted by default.
        """
        told = shown.evidence_metadata(self._workspace, made, self.rows if rows is None else rows)
        for more in metadata:
            told |= more
        return dg.MaterializeResult(
            metadata=told, data_version=dg.DataVersion(made.manifest.digest)
        )
