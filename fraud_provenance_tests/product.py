"""The whole product on a real home, driven through its own commands from a clean repository."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
APPROVER = "risk.officer@example.com"
TRAINER = "ml.engineer@example.com"
SEED, ROWS_PER_DAY = "7", "1200"
ENGINEER_ENV = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.com",
                "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.com"}  # fmt: skip


@dataclass(frozen=True)
class Done:
    """One finished command."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.out))


@dataclass(frozen=True)
class Product:
    """The command line on one home and one copy of the project."""

    home: Path
    project: Path
    python: str = sys.executable

    def environment(self, **more: str) -> dict[str, str]:
        """This process's, without what MLflow left in it: of another home it is an override."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        return {
            **inherited,
            "FRAUD_PROVENANCE_HOME": str(self.home),
            "PYTHONPATH": str(self.runs_from),
            **more,
        }

    @property
    def runs_from(self) -> Path:
        """The work tree whose code runs."""
        return self.project

    def command(self, *arguments: str) -> list[str]:
        return [self.python, "-m", "fraud_provenance.cli", *arguments]

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.runs_from,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> Done:
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=1800)
        return Done(process.returncode, out, err)

    def ok(self, *arguments: str) -> Done:
        done = self.run(*arguments)
        assert done.code == 0, done.text
        return done

    def generate(self, days: int) -> Done:
        """Land the first `days` days of the one feed that all tests use."""
        return self.ok(
            "generate", "--days", str(days), "--rows-per-day", ROWS_PER_DAY, "--seed", SEED
        )

    def approve(self, subject: str = "model@candidate") -> Done:
        return self.ok(
            "approve", subject, "--environment", "local", "--as", APPROVER, "--reason", "reviewed"
        )


def copy_project(target: Path) -> Path:
    """A clean repository with this work tree's files: what runs is exactly a commit."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        source = PROJECT / name
        if source.is_file():
            destination = target / name
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, destination)
    shutil.copytree(PROJECT / "dbt_project" / "target", target / "dbt_project" / "target")
    environment = {**os.environ, **ENGINEER_ENV}
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "copy"]):
        subprocess.run(["git", *command], cwd=target, check=True, env=environment)
    return target
