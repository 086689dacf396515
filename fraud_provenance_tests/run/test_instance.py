"""Dagster's history that is damaged is told, with a way on: it is no evidence."""

import os
from pathlib import Path

import pytest

from fraud_provenance.attested.core.errors import BackendError
from fraud_provenance.home.settings import Settings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.run.instance import history_error, open_instance


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A home with a history of runs."""
    monkeypatch.setenv("DAGSTER_HOME", "")  # given back afterwards
    made = Workspace(Settings(home=tmp_path))
    made.create_folders()
    with open_instance(made) as instance:
        instance.add_dynamic_partitions("day", ["2018-04-01"])
    return made


def test_damaged_history_is_told_and_its_remedy_works(workspace: Workspace) -> None:
    for path in workspace.dagster.rglob("*.db"):
        path.write_bytes(b"\0" * 4096)
    with pytest.raises(BackendError) as caught:
        open_instance(workspace)
    (why,) = caught.value.reasons
    assert (why.code, why.artifact) == ("STORAGE_UNAVAILABLE", "dagster")
    assert f"`mv {workspace.dagster} {workspace.dagster}-damaged`" in why.remedy
    os.rename(workspace.dagster, f"{workspace.dagster}-damaged")
    workspace.create_folders()
    with open_instance(workspace) as instance:
        assert instance.get_runs() == []


def test_other_errors_are_no_matter_of_the_history(workspace: Workspace) -> None:
    assert history_error(workspace, ValueError("x")) is None
