"""The pipelines' templates: their commands exist, they ask before they deploy, they get no more."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from fraud_provenance.cli.application import app
from fraud_provenance_tests.attestors.test_work_tree import git

PROJECT = Path(__file__).resolve().parents[2]
CI = PROJECT / "deploy" / "ci"
PAGE = PROJECT / "docs" / "pipelines.md"
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group of commands
_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)


@dataclass(frozen=True)
class Job:
    """One job of a template, in words that both kinds of pipeline have."""

    name: str
    document: dict[str, Any]
    scripts: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        return [line for script in self.scripts for line in script.splitlines() if line.strip()]


def github() -> dict[str, Any]:
    return dict(yaml.safe_load((CI / "github-actions.yml").read_text("utf-8")))


def gitlab() -> dict[str, Any]:
    return dict(yaml.safe_load((CI / "gitlab-ci.yml").read_text("utf-8")))


def jobs() -> Iterator[Job]:
    for name, job in github()["jobs"].items():
        runs = tuple(step["run"] for step in job["steps"] if "run" in step)
        yield Job(f"github {name}", job, runs)
    for name, job in gitlab().items():
        if isinstance(job, dict):
            yield Job(f"gitlab {name}", job, tuple(job["script"]))


ALL = list(jobs())


def check_command(line: str) -> None:
    """Parse a line as the program would: an option or an argument that it has not is an error."""
    first, *words = shlex.split(line)
    if Path(first).name == "fraud-provenance":
        assert words[0] in COMMANDS, line
        try:
            COMMANDS[words[0]].make_context(words[0], words[1:])
        except Exception as error:
            raise AssertionError(f"{line}: {error}") from error
    if first == "make":
        targets = _TARGET.findall((PROJECT / "Makefile").read_text("utf-8"))
        assert words[-1] in targets, line


@pytest.mark.parametrize("job", ALL, ids=[job.name for job in ALL])
def test_every_command_of_a_template_exists(job: Job) -> None:
    assert job.lines
    for line in job.lines:
        check_command(line)
    script = "\n".join(job.lines)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_every_command_of_the_page_exists() -> None:
    typed = re.findall(r"`(fraud-provenance [^`]+)`", PAGE.read_text("utf-8"))
    assert len(typed) > 3
    for line in typed:
        check_command(line)


@pytest.mark.parametrize(
    "line", ["fraud-provenance gate --comit", "fraud-provenance gat", "make polices-test"]
)
def test_a_command_that_does_not_exist_is_found(line: str) -> None:
    with pytest.raises(AssertionError, match=line):
        check_command(line)


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_nothing_moves_before_audit_and_gate_said_yes(kind: str) -> None:
    (job,) = (job for job in ALL if job.name == f"{kind} deploy")
    steps = [" ".join(shlex.split(line)[:4]) for line in job.lines]
    moves = next(index for index, step in enumerate(steps) if step.startswith("git -C"))
    asked = [index for index, step in enumerate(steps) if " gate --commit" in step]
    audited = [index for index, step in enumerate(steps) if step.endswith("provenance audit")]
    assert len(asked) == len(audited) == 1
    assert audited[0] < asked[0] < moves
    assert steps[-1].endswith("verify model@champion")
    assert not any("||" in line or "set +e" in line for line in job.lines)
    assert "continue-on-error" not in str(job.document)
    assert "allow_failure" not in str(job.document)


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_checkout_moves_to_the_commit_and_knows_the_protected_branch(
    kind: str, tmp_path: Path
) -> None:
    origin, ours, runner = (tmp_path / name for name in ("origin", "ours", "runner"))
    origin.mkdir()
    git(origin, "init", "-q")
    git(origin, "commit", "-q", "--allow-empty", "-m", "before")
    git(tmp_path, "clone", "-q", str(origin), str(ours))
    git(origin, "commit", "-q", "--allow-empty", "-m", "now")
    commit = git(origin, "rev-parse", "HEAD")
    git(tmp_path, "clone", "-q", str(origin), str(runner))
    git(runner, "checkout", "-q", "--detach", commit)
    (job,) = (job for job in ALL if job.name == f"{kind} deploy")
    script = "\n".join(line for line in job.lines if line.startswith("git -C"))
    known = dict.fromkeys(("GITHUB_SHA", "CI_COMMIT_SHA"), commit)
    subprocess.run(
        ["bash", "-euc", script], check=True, cwd=runner,
        env={**os.environ, **known, "FRAUD_PROVENANCE_CHECKOUT": str(ours)},
    )  # fmt: skip
    assert git(ours, "rev-parse", "HEAD", "refs/remotes/origin/main").split() == [commit] * 2


def test_what_is_proposed_runs_on_no_machine_of_ours_and_tests_the_policies() -> None:
    hosted = github()["jobs"]["policies"]
    assert "pull_request" in hosted["if"]
    assert "self-hosted" not in hosted["runs-on"]
    assert "environment" not in hosted
    assert "push" in github()["jobs"]["deploy"]["if"]
    ours = gitlab()["policies"]
    assert "tags" not in ours
    assert [rule["if"] for rule in ours["rules"]] == [
        '$CI_PIPELINE_SOURCE == "merge_request_event"'
    ]
    for job in (job for job in ALL if job.name.endswith("policies")):
        assert job.lines == ["make policies-test"]


def test_permissions_are_the_least() -> None:
    document = github()
    assert document["permissions"] == {}
    assert [job["permissions"] for job in document["jobs"].values()] == [{"contents": "read"}] * 2
    assert "pull_request_target" not in document.get(True, {})  # YAML reads `on` as true
    assert "id_tokens" not in str(gitlab())


def test_actions_are_pinned_by_commit_and_keep_no_credentials() -> None:
    steps = [step for job in github()["jobs"].values() for step in job["steps"] if "uses" in step]
    assert steps
    for step in steps:
        assert re.fullmatch(r"[a-z/-]+@[0-9a-f]{40}", step["uses"])
        assert step["with"]["persist-credentials"] is False


def test_no_value_that_others_choose_is_pasted_into_a_script() -> None:
    for job in ALL:
        assert "${{" not in "\n".join(job.lines)
