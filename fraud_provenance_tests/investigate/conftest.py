"""The story of one small home: told once a session, copied for those who change it."""

from dataclasses import replace
from pathlib import Path

import pytest

from fraud_provenance.due.planning import registry_of
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.investigate.exporting import Exported, export
from fraud_provenance_tests.conftest import copy_home, judge, open_workspace
from fraud_provenance_tests.investigate.story import Story, tell


@pytest.fixture(scope="session")
def told(
    home_with_servers: Workspace, tmp_path_factory: pytest.TempPathFactory, policy_project: Path
) -> Story:
    """The story, for reading only."""
    home = copy_home(home_with_servers.home, tmp_path_factory.mktemp("told") / "home")
    return tell(open_workspace(home, policy_project))


@pytest.fixture
def story(told: Story, tmp_path: Path, policy_project: Path) -> Story:
    """A copy that a test may change."""
    home = copy_home(told.workspace.home, tmp_path / "home")
    return replace(told, workspace=open_workspace(home, policy_project))


@pytest.fixture(scope="session")
def judged(told: Story, tmp_path_factory: pytest.TempPathFactory, policy_project: Path) -> Story:
    """The story with the scores' contract, as every run signs it after it scored."""
    home = copy_home(told.workspace.home, tmp_path_factory.mktemp("judged") / "home")
    found = replace(told, workspace=open_workspace(home, policy_project))
    judge(found.trust, "transaction_scores", [found.scored_day], ["scores_match_features"])
    return found


@pytest.fixture(scope="session")
def exported(judged: Story) -> Exported:
    """The file of one score."""
    score = int(judged.scored()["transaction_id"][3])
    workspace = open_workspace(judged.trust.home, judged.workspace.project)
    return export(workspace, registry_of(workspace), str(score))
