"""MLflow's view of a training: which days it rests on, as data sets of the run.

Copies for people: digest, DVC's hash and the command that traces each. No gate reads them.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from fraud_provenance.attested.lineage.nodes import Node
from fraud_provenance.data import versions as data_versions
from fraud_provenance.due.planning import outputs_of
from fraud_provenance.home.workspace import Workspace

RAW, FEATURES = "raw_transactions", "transaction_features"
_DIGEST_LIMIT = 36  # MLflow's own; the whole one is a tag


@dataclass(frozen=True)
class DataVersion:
    """One day of an asset as a training used it. `dvc_md5`: empty where DVC does not hold it."""

    asset: str
    day: str
    sha256: str
    path: str
    dvc_md5: str

    @property
    def tags(self) -> dict[str, str]:
        """What MLflow keeps beside the data set."""
        known = {
            "mlflow.data.context": "training" if self.asset == FEATURES else "source",
            "sha256": self.sha256,
            "dvc_md5": self.dvc_md5,
            "trace": f"fraud-provenance trace {self.asset}/{self.day}",
        }
        return {name: value for name, value in known.items() if value}


def data_versions_of(workspace: Workspace, training_set: Node) -> list[DataVersion]:
    """The feature days that a training set was made from, and the raw days of these."""
    used = {sha for entry in training_set.entries for sha in entry.made_from}
    features = _versions(workspace, FEATURES, used)
    lineage = workspace.trust.lineage()
    sources: set[str] = set()
    for head in {statement for statement, _ in features}:
        sources |= {
            sha
            for entry in lineage.node(head).entries
            if entry.sha256 in used
            for sha in entry.made_from
        }
    raw = _versions(workspace, RAW, sources)
    return [found for _, found in (*raw, *features)]


def page_of(training_set: Node) -> str:
    """The name of the page of a training set's own validation."""
    return f"{training_set.link().digest[:16]}.html"


def log_inputs(client: Any, run_id: str, versions: Collection[DataVersion]) -> None:  # noqa: ANN401 - MLflow's own
    """Write them into a run, in one request."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = [
        DatasetInput(
            dataset=Dataset(
                name=f"{item.asset}/{item.day}",
                digest=item.sha256[:_DIGEST_LIMIT],
                source_type="local",
                source=json.dumps({"uri": item.path}),
            ),
            tags=[InputTag(name, value) for name, value in item.tags.items()],
        )
        for item in versions
    ]
    if inputs:
        client.log_inputs(run_id, inputs)


def _versions(
    workspace: Workspace, asset: str, wanted: Collection[str]
) -> list[tuple[str, DataVersion]]:
    """(statement, version) of each wanted digest, by day; DVC's hash as it was signed."""
    signed = outputs_of(workspace, asset, "dvc_md5")
    found = []
    for day, heads in sorted(workspace.store.heads(asset).items()):
        for head in heads:
            if head.sha256 not in wanted:
                continue
            path = workspace.data / asset / f"{day}.parquet"
            md5 = (signed.get(day) or {}).get(day) or data_versions.pointed_to(path)
            found.append((head.statement, DataVersion(asset, day, head.sha256, str(path), md5)))
    return found
