"""The only Dagster entry point: it merges what `defs/` defines."""

from pathlib import Path

import dagster as dg

import fraud_provenance.causes  # noqa: F401 - no refusal is shown without its remedy


@dg.definitions
def defs() -> dg.Definitions:
    """Every asset, check, job, sensor, schedule and resource."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
