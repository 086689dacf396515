"""What a changed tree made is due again once the tree is clean, and only if that would help."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fraud_provenance.attested.attestors.ran import Known
from fraud_provenance.due import planning
from fraud_provenance.home.workspace import Workspace
from fraud_provenance_tests.conftest import (
    DAYS,
    FEATURES,
    RAW,
    Chain,
    featurise,
    ingest,
    judge,
    open_workspace,
)

BYTES = {day: f"transactions of {day}".encode() for day in DAYS}


@pytest.fixture
def reopened(
    chain: Chain, policy_project: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[bool], Workspace]:
    """The chain, which was made outside of git, opened with a dirty or a clean tree."""
    monkeypatch.setattr(planning, "sources_digest", lambda: None)  # its features come from no dbt
    monkeypatch.setattr(planning, "WINDOW_DAYS", 0)  # and from their own day only
    for day, content in BYTES.items():
        (chain.workspace.landing / f"{day}.parquet").write_bytes(content)

    def opened(dirty: bool) -> Workspace:
        workspace = open_workspace(chain.workspace.home, policy_project)
        workspace.attestor = Known(replace(workspace.code_facts, git_dirty=dirty))
        return workspace

    return opened


def test_nothing_is_due_while_the_tree_is_changed(reopened: Callable[[bool], Workspace]) -> None:
    workspace = reopened(True)
    assert planning.experimental_partitions(workspace, RAW) == set()
    assert list(planning.ingest_due(workspace)) == planning.features_due(workspace) == []


def test_raw_days_are_due_first_and_what_is_made_from_them_next(
    reopened: Callable[[bool], Workspace],
) -> None:
    workspace = reopened(False)
    assert list(planning.ingest_due(workspace)) == list(DAYS)
    assert planning.experimental_partitions(workspace, FEATURES) == set(DAYS)
    assert planning.features_due(workspace) == []  # they would be made from the same again

    ingest(workspace.trust, BYTES)
    judge(workspace.trust, RAW, DAYS)
    workspace = reopened(False)
    assert list(planning.ingest_due(workspace)) == []
    assert planning.features_due(workspace) == list(DAYS)

    featurise(workspace.trust, DAYS)
    assert planning.experimental_partitions(reopened(False), FEATURES) == set()
    assert planning.features_due(reopened(False)) == []


def test_raw_day_whose_landing_file_is_gone_waits(
    reopened: Callable[[bool], Workspace],
) -> None:
    workspace = reopened(False)
    (workspace.landing / f"{DAYS[0]}.parquet").unlink()
    assert list(planning.ingest_due(workspace)) == [DAYS[1]]
