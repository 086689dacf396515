"""The unit files: systemd reads them without a word, and each is shut in."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from fraud_provenance.home.settings import PROJECT

FOLDER = PROJECT / "deploy" / "systemd"
UNITS = sorted(path.name for path in FOLDER.glob("*.service"))
_PLACE = Path("opt/fraud-provenance")
_EXPOSURE = 20
"""Of 100, by `systemd-analyze security`."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine on which the units are installed; its programs are empty."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    shutil.copytree(
        FOLDER, tmp_path / "etc/systemd/system", ignore=shutil.ignore_patterns("*.yaml", "sys*")
    )
    for program in ("bin/sh", _PLACE / ".venv/bin/mlflow"):
        path = tmp_path / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!\n")
        path.chmod(0o755)
    return tmp_path


def analyse(root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = ["systemd-analyze", *words, f"--root={root}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_every_role_has_a_unit() -> None:
    assert [
        f"fraud-provenance-{role}.service" for role in ("code", "daemon", "mlflow", "web")
    ] == UNITS


@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_valid(root: Path, unit: str) -> None:
    found = analyse(root, "verify", "--man=no", "--recursive-errors=no", unit)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_unit_that_is_not_valid_is_found(root: Path) -> None:
    path = root / "etc/systemd/system" / UNITS[0]
    path.write_text(path.read_text().replace("User=", "Usre="))
    found = analyse(root, "verify", "--man=no", "--recursive-errors=no", UNITS[0])
    assert "Usre" in found.stderr


@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_shut_in(root: Path, unit: str) -> None:
    words = ("security", "--offline=true", f"--threshold={_EXPOSURE}", unit)
    found = analyse(root, *words)
    assert found.returncode == 0, found.stdout[-2000:]
    (root / "etc/systemd/system/fraud-provenance-.service.d/hardening.conf").unlink()
    assert analyse(root, *words).returncode != 0


def test_users_are_made_and_mlflows_is_not_in_the_group_that_reads_the_home(tmp_path: Path) -> None:
    if shutil.which("systemd-sysusers") is None:
        pytest.skip("systemd-sysusers is not installed: apt-get install systemd")
    command = ["systemd-sysusers", f"--root={tmp_path}", str(FOLDER / "sysusers.conf")]
    (tmp_path / "etc").mkdir()
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, found.stderr
    made = {line.split(":")[0] for line in (tmp_path / "etc/passwd").read_text().splitlines()}
    assert {user for unit in UNITS for user in settings_of(unit, "User")} <= made
    groups = [line.split(":") for line in (tmp_path / "etc/group").read_text().splitlines()]
    members = next(group[3] for group in groups if group[0] == "fraud-provenance")
    assert set(members.split(",")) == {"fraud-runs", "fraud-daemon", "fraud-web"}


def settings_of(unit: str, name: str) -> list[str]:
    lines = (FOLDER / unit).read_text().splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]


def test_each_role_has_a_user_of_its_own_and_secrets_are_credentials() -> None:
    users = [user for unit in UNITS for user in settings_of(unit, "User")]
    assert len(set(users)) == len(UNITS)
    known = (FOLDER / "sysusers.conf").read_text()
    assert all(f"u {user} " in known.replace("  ", " ") for user in users)
    for unit in UNITS:
        assert settings_of(unit, "LoadCredential")
        assert "PASSWORD=" not in " ".join(settings_of(unit, "Environment"))
    signs = [unit for unit in UNITS if "FRAUD_PROVENANCE_HOME" in (FOLDER / unit).read_text()]
    assert signs == ["fraud-provenance-code.service"]


def test_daemon_and_pages_ask_for_code_where_it_is_served() -> None:
    [entry] = yaml.safe_load((FOLDER / "workspace.yaml").read_text())["load_from"]
    served = (FOLDER / "fraud-provenance-code.service").read_text()
    place = entry["grpc_server"]
    assert f"--host {place['host']} --port {place['port']}" in served
    assert f"--location-name {place['location_name']}" in served
