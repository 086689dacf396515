"""What the stock pipeline's own records name as causes, by a script: `… HOME SUBJECT`; JSON.

The newest thing of its kind is compared with the one before, and whatever the records show as other
is named: parameters and commit (MLflow), raw days that came again in between or failed a check
(Dagster's event log, Great Expectations' results), files of commits (git).
"""

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import mlflow

from fraud_provenance_tests.incidents.stock.pipeline import (
    MODEL,
    RAW,
    SCORES,
    tracking,
)

_LOOK_BACK_DAYS = 37
_CODE, _MODEL = "fraud_provenance/fraud", "fraud_provenance/fraud/model.py"
"""A default that changed is named as its parameter, not as the file that has it."""
_NO_CAUSE = frozenset(("train_start", "test_end"))
"""Parameters that move with the days."""


class Records:
    """Dagster's event log and MLflow's runs of one home."""

    def __init__(self, home: Path, instance: dg.DagsterInstance) -> None:
        self.home, self.instance = home, instance
        self.client = tracking(home)

    def made(self, asset: str, partition: str = "") -> list[dg.EventLogRecord]:
        """Materialisations, oldest first."""
        wanted = dg.AssetRecordsFilter(
            asset_key=dg.AssetKey(asset), asset_partitions=[partition] if partition else None
        )
        return list(self.instance.fetch_materializations(wanted, limit=5_000).records)[::-1]

    def failed_days(self) -> list[str]:
        """Days whose checks failed and that were not taken over after that."""
        found: dict[str, float] = {}
        for record in self.instance.fetch_observations(dg.AssetKey(RAW), limit=1_000).records:
            found.setdefault(str(record.partition_key), record.timestamp)
        return [day for day, at in sorted(found.items())
                if not any(one.timestamp > at for one in self.made(RAW, day))]  # fmt: skip

    def cause(self, day: str) -> str:
        """What a failed day is called: its file, where that could not be read."""
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(RAW), asset_partitions=[day])
        newest = self.instance.fetch_observations(wanted, limit=1).records[0].asset_observation
        said = str(newest.metadata["failed"].value) if newest else ""
        return f"data landing/{day}" if said.startswith("cannot be read") else f"data {RAW}/{day}"

    def came_again(self, since: float, until: float) -> list[str]:
        """Raw days that were taken over in this time, and before it, too."""
        records = self.made(RAW)
        earlier = {one.partition_key for one in records if one.timestamp <= since}
        again = {one.partition_key for one in records if since < one.timestamp <= until}
        return sorted(str(day) for day in again & earlier)

    def runs(self) -> list[Any]:
        """MLflow's runs, newest first."""
        experiment = self.client.get_experiment_by_name(MODEL)
        return list(self.client.search_runs([experiment.experiment_id])) if experiment else []


def causes(records: Records, subject: str) -> list[str]:
    """What the records name."""
    asset, _, day = subject.partition("/")
    if asset == "alert":
        failed = [records.cause(name) for name in records.failed_days()]
        return failed or _of_model(records)
    if subject.startswith("model"):
        return _of_model(records) if subject == "model@candidate" else []
    if day in records.failed_days():
        return [records.cause(day)]
    made = records.made(asset, day)
    if not made:
        return _absent(records, day)
    if asset == SCORES:
        return _of_scores(records, day, made)
    since = made[-2].timestamp if len(made) > 1 else made[-1].timestamp
    return [f"data {RAW}/{name}" for name in records.came_again(since, made[-1].timestamp)]


def _absent(records: Records, day: str) -> list[str]:
    if failed := records.failed_days():
        return [records.cause(name) for name in failed if name <= day]
    landed = {path.stem for path in (records.home / "landing").glob("*.parquet")}
    first = min(landed, default=day)
    now = date.fromisoformat(first)
    while str(now) <= day:
        if str(now) not in landed:
            return [f"missing landing/{now}"]
        now += timedelta(days=1)
    return ["infrastructure run"]


def _of_scores(records: Records, day: str, made: list[dg.EventLogRecord]) -> list[str]:
    """The version before of the same day, else the newest earlier day."""
    others = [one for one in records.made(SCORES) if one.timestamp < made[-1].timestamp]
    if not others:
        return []
    since, until = others[-1].timestamp, made[-1].timestamp
    first = str(date.fromisoformat(day) - timedelta(days=_LOOK_BACK_DAYS))
    again = [name for name in records.came_again(since, until) if first <= name <= day]
    return [f"data {RAW}/{name}" for name in again]


def _of_model(records: Records) -> list[str]:
    """All that is recorded as other between the newest two runs."""
    runs = records.runs()
    if len(runs) < 2:
        return []
    new, old = runs[0], runs[1]
    a, b = old.data.params, new.data.params
    found = [f"parameter {_named(name)}" for name in sorted(a.keys() | b.keys())
             if a.get(name) != b.get(name) and name not in _NO_CAUSE]  # fmt: skip
    since, until = (run.info.start_time / 1000 for run in (old, new))
    last = b.get("test_end", "9999")
    found += [f"data {RAW}/{day}" for day in records.came_again(since, until) if day <= last]
    commits = [run.data.tags.get("mlflow.source.git.commit", "") for run in (old, new)]
    known = found and found[0].startswith("parameter ")
    return found + [f"code {path}" for path in _changed(*commits) if not (known and path == _MODEL)]


def _named(parameter: str) -> str:
    group = "training_set" if parameter == "train_days" else MODEL
    return f"{group}.{parameter}"


def _changed(a: str, b: str) -> list[str]:
    """Files of the pipeline's own code that differ between two commits."""
    if not a or not b or a == b:
        return []
    done = subprocess.run(
        ["git", "diff", "--name-only", a, b, "--", _CODE],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.split()


def main(home: str, subject: str) -> None:
    """Print what is named."""
    os.environ["DAGSTER_HOME"] = str(Path(home) / "dagster")
    with dg.DagsterInstance.get() as instance:
        records = Records(Path(home), instance)
        sys.stdout.write(json.dumps(causes(records, subject)))
    mlflow.end_run()


if __name__ == "__main__":
    main(*sys.argv[1:])
