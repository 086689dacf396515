"""The command line's refusals: one JSON document each, as many as there are ways to refuse."""

import errno
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fraud_provenance.alerts import Alert, Outbox
from fraud_provenance.attested.local import trust_root
from fraud_provenance.cli import application as cli
from fraud_provenance_tests.listening import serving
from fraud_provenance_tests.tuf_repository import TufRepository

pytestmark = pytest.mark.usefixtures("errors")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRAUD_PROVENANCE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The document of a refused command; its exit code is the process's."""
    code = cli.execute(arguments)
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == code
    return document


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("command", ["verify", "audit", "run", "trace 1", "gate --commit"])
def test_command_without_a_home_says_so_as_one_document(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    document = refused(capsys, *command.split(), "--json")
    assert (document["trusted"], document["exit_code"]) == (False, 2)
    assert document["reasons"][0]["remedy"]


@pytest.mark.usefixtures("home")
def test_usage_error_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    document = refused(capsys, "approve", "--json")
    assert (document["root_cause"], document["decided"]) == ("USAGE", False)
    assert "subject" in document["reasons"][0]["message"]


@pytest.mark.usefixtures("home")
def test_refused_data_are_one_document_that_names_the_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "bad.csv").write_text("TRANSACTION_ID,NOT_A_COLUMN\n1,2\n")
    document = refused(capsys, "import", str(tmp_path / "bad.csv"), "--json")
    assert (document["decided"], document["exit_code"]) == (True, 1)
    assert document["reasons"][0]["artifact"] == "bad.csv"


def test_mistake_of_ours_is_one_document(
    capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Outbox) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(Outbox, "pending", fail)
    document = refused(capsys, "status", "--json")
    assert (document["root_cause"], document["exit_code"]) == ("VERIFY_ERROR", 2)
    assert "unforeseen" in document["reasons"][0]["message"]
    assert not home.exists()


def test_full_disk_is_told_without_a_traceback(
    capsys: pytest.CaptureFixture[str],
    home: Path,
    errors: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_self: Outbox) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(home / "x.json"))

    monkeypatch.setattr(Outbox, "pending", fail)
    document = refused(capsys, "status", "--json")
    assert (document["root_cause"], document["exit_code"]) == ("STORAGE_UNAVAILABLE", 2)
    assert "Traceback" not in errors.getvalue()


def test_home_is_one_document(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert cli.execute(["home", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"folder": str(home)}


@pytest.mark.usefixtures("home")
def test_without_json_a_refusal_is_text_on_standard_error(
    capsys: pytest.CaptureFixture[str], errors: io.StringIO
) -> None:
    assert cli.execute(["verify"]) == 2
    assert capsys.readouterr().out == ""
    assert "remedy" in errors.getvalue()


def test_alerts_are_listed_until_somebody_takes_them(
    capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    alert = Alert.of("run_failed", "x", "it broke", [], now, subject="train")
    Outbox(home).put(alert)
    monkeypatch.setenv("FRAUD_PROVENANCE_WEBHOOK", "https://example.com/T0/token")
    assert cli.execute(["alerts", "--json"]) == 0
    text = capsys.readouterr().out
    assert "token" not in text
    (shown,) = json.loads(text)["alerts"]
    assert (shown["subject"], shown["since"]) == ("train", "2026-01-01T00:00:00Z")
    assert (shown["told"], shown["acknowledged"]) == ({"webhook": None}, None)
    take = ["alerts", "ack", alert.id[:8], "--as", "a@example.com", "--reason", "I look"]
    assert cli.execute(take) == 0
    capsys.readouterr()
    assert cli.execute(["alerts", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["alerts"] == []
    assert cli.execute(["alerts", "--all", "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)["alerts"]
    assert shown["acknowledged"]["by"] == "a@example.com"


def test_alert_that_nobody_raised_cannot_be_taken(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    assert not home.exists()
    document = refused(capsys, "alerts", "ack", "abcd", "--as", "a@b.c", "--reason", "x", "--json")
    assert document["root_cause"] == "USAGE"


def test_trust_root_is_proposed_to_a_home_that_has_none_of_its_own(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trust_root.ensure(tmp_path / "company")
    own = tmp_path / "company" / "trust"
    repository = TufRepository(tmp_path / "tuf")
    repository.folder.mkdir()
    services = (own / "signing_config.json").read_bytes()
    root = (own / "trusted_root.json").read_bytes()
    repository.publish({"trusted_root.json": root, "signing_config.v0.2.json": services})
    first = ("--root", str(repository.root), "--json")
    with serving(repository.folder) as url:
        document = refused(capsys, "propose-trust", url, *first)
        assert document["root_cause"] == "USAGE"
        assert "FRAUD_PROVENANCE_ENVIRONMENT" in document["reasons"][0]["remedy"]
        monkeypatch.setenv("FRAUD_PROVENANCE_ENVIRONMENT", "staging")
        (home / "trust" / "private").mkdir(parents=True)  # keys of a local one
        assert refused(capsys, "propose-trust", url, *first)["root_cause"] == "USAGE"
        (home / "trust" / "private").rmdir()
        assert cli.execute(["propose-trust", url, "--check", *first]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["written"], len(told["changed"])) == (False, 3)
        assert not list((home / "trust").glob("*.json"))
        assert cli.execute(["propose-trust", url]) == 0
        assert "laid down: trusted_root.json" in capsys.readouterr().out
    assert (home / "trust" / "trusted_root.json").read_bytes() == root
