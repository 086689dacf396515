"""The graph's keys as a document; `python -m fraud_provenance_tests.defs.snapshot` writes it."""

import json
from pathlib import Path
from typing import Any

import dagster as dg

from fraud_provenance.definitions import defs

FILE = Path(__file__).with_name("graph.json")


def graph() -> dict[str, Any]:
    """Every key of the code location, sorted."""
    repository = defs().get_repository_def()
    assets = repository.asset_graph
    return {
        "assets": {
            key.to_user_string(): assets.get(key).group_name
            for key in sorted(assets.get_all_asset_keys())
        },
        "checks": [key.to_user_string() for key in sorted(assets.asset_check_keys)],
        "jobs": {
            job.name: _selected(job)
            for job in sorted(repository.get_all_jobs(), key=lambda job: job.name)
            if not job.name.startswith("__")
        },
        "sensors": sorted(sensor.name for sensor in repository.sensor_defs),
        "schedules": {item.name: item.cron_schedule for item in repository.schedule_defs},
    }


def _selected(job: dg.JobDefinition) -> list[str]:
    """The assets a job makes and the checks it runs, without dbt's own tests."""
    layer = job.asset_layer
    checks = [key for key in layer.asset_graph.asset_check_keys if not _is_dbt_test(key)]
    return sorted(key.to_user_string() for key in [*layer.selected_asset_keys, *checks])


def _is_dbt_test(key: dg.AssetCheckKey) -> bool:
    return key.name.startswith(("complete_", "not_null_", "unique_", "accepted_values_"))


if __name__ == "__main__":
    FILE.write_text(json.dumps(graph(), indent=1) + "\n", "utf-8")
