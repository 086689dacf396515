"""A released home whose policies a test may change, and what it says."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.gates.policy import Policy
from fraud_provenance.home.settings import Settings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance_tests.conftest import PROJECT, codes, copy_home


@pytest.fixture
def opened(tmp_path: Path, home_with_servers: Workspace) -> Workspace:
    """A released home on a project whose policies a test may change."""
    project = tmp_path / "project"
    shutil.copytree(PROJECT / "policies", project / "policies")
    shutil.copyfile(PROJECT / "requirements.lock", project / "requirements.lock")
    home = copy_home(home_with_servers.home, tmp_path / "home")
    return Workspace(Settings(home=home, project=project))


def anew(workspace: Workspace) -> Workspace:
    return Workspace(workspace.settings)


def refused(work: Callable[[], object]) -> list[str]:
    with pytest.raises(ProvenanceError) as caught:
        work()
    return codes(caught.value)


def current(workspace: Workspace) -> Policy:
    return anew(workspace).trust.policies.current()
