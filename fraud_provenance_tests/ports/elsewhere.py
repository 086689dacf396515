"""A home some of which lies in an object store: its settings, and what brings it there."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fraud_provenance.cli import application as cli
from fraud_provenance.home.settings import Place
from fraud_provenance.home.workspace import Workspace
from fraud_provenance_tests.conftest import Chain


def write_settings(home: Path, table: str, place: Place) -> None:
    """Name the place in the home's own settings."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in place.model_dump().items()]
    (home / "settings.toml").write_text("\n".join([f"[{table}]", *lines, ""]))


def reopened(chain: Chain, **places: Place) -> Chain:
    """The home anew, with `evidence` or `data` there."""
    workspace = Workspace(replace(chain.workspace.settings, **places))
    workspace.attestor = chain.workspace.attestor
    return replace(chain, workspace=workspace)


def copied(
    command: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """What `copy-evidence` or `copy-data` says."""
    monkeypatch.setenv("FRAUD_PROVENANCE_HOME", str(home))
    code = cli.execute([command, "--json"])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == code
    return document
