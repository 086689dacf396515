"""Runs of one identity, as a cluster would start them: what the daemon asks for, one by one.

Each run finds one token, that of its job's signer; planning finds none. Before a job runs for the
first time it is tried with another step's token. Prints one JSON line a run.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from fraud_provenance.definitions import defs
from fraud_provenance.defs import automation, due, pods
from fraud_provenance.home.settings import PROJECT
from fraud_provenance.home.workspace import Workspace, opened_from
from fraud_provenance.run.instance import open_instance
from fraud_provenance.run.jobs import own_error

TOKENS = "FRAUD_PROVENANCE_TOKENS"
SENSORS = (
    due.landed_day, due.due_raw_contracts, due.due_features, due.due_feature_contracts,
    due.due_online_features, due.due_training, automation.approved_candidate, due.due_scores,
    due.due_score_contracts,
)  # fmt: skip
_LAYOUT = json.loads((PROJECT / "policies" / "data" / "layout.json").read_bytes())["steps"]


def lay(workspace: Workspace, folder: Path, subject: str) -> Path:
    """A folder with one workload's token and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    path = folder / "workloads" / subject.lstrip("/")
    path.parent.mkdir(parents=True)
    path.write_text(workspace.sigstore.workload_token(subject))
    return folder


def signer_of(job: str) -> str:
    return str(_LAYOUT[pods.SIGNERS[job]]["identity"]["subject"])


def requests(instance: dg.DagsterInstance) -> Iterator[tuple[str, dg.RunRequest]]:
    """What the sensors ask for until nothing is due, one run at a time, each key once."""
    cursors: dict[str, str | None] = {}
    asked: set[str] = set()
    again = True
    while again:
        again = False
        for sensor in SENSORS:
            context = dg.build_sensor_context(instance, cursor=cursors.get(sensor.name))
            found = sensor(context)
            cursors[sensor.name] = context.cursor
            if not isinstance(found, dg.SensorResult):
                continue
            for adding in found.dynamic_partitions_requests or ():
                instance.add_dynamic_partitions(adding.partitions_def_name, adding.partition_keys)
            for request in found.run_requests or ():
                if request.run_key not in asked:
                    asked.add(str(request.run_key))
                    again = True
                    yield request.job_name or sensor.job_name, request


def run(instance: dg.DagsterInstance, job: dg.JobDefinition, request: dg.RunRequest) -> str:
    """Run what was asked for; why it was refused, or an empty string."""
    if request.asset_selection:
        job = job.get_subset(
            asset_selection=set(request.asset_selection),
            asset_check_selection=set(request.asset_check_keys or ()),
        )
    try:
        job.execute_in_process(instance=instance, tags=dict(request.tags))
    except Exception as error:
        own = own_error(error)
        return str(own.reasons[0]) if own else repr(error)
    return ""


def evidence(workspace: Workspace) -> tuple[list[str], list[bytes]]:
    return workspace.store.bundles(), workspace.store.intents()


def main(folder: Path) -> None:
    """Do all that is due in the home of the environment. `folder`: for tokens."""
    os.environ[TOKENS] = str(folder / "none")
    workspace = opened_from(os.environ)
    instance, repository = open_instance(workspace), defs().get_repository_def()
    tried: set[str] = set()
    for name, request in requests(instance):
        subject = signer_of(name)
        said: dict[str, Any] = {"job": name, "signer": subject}
        if name not in tried:
            tried.add(name)
            other = "/steps/train" if subject != "/steps/train" else "/steps/ingest"
            before = evidence(workspace)
            os.environ[TOKENS] = str(lay(workspace, folder / "other", other))
            said["with_another"] = run(instance, repository.get_job(name), request)
            said["untouched"] = evidence(workspace) == before
        lay(workspace, folder / "gate", _LAYOUT["data_access"]["identity"]["subject"])
        os.environ[TOKENS] = str(lay(workspace, folder / "own", subject))
        said["refused"] = run(instance, repository.get_job(name), request)
        os.environ[TOKENS] = str(folder / "none")
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
