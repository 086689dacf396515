"""Where alerts go: variables before the file, a file that is the owner's, and no value told."""

from pathlib import Path

import pytest

from fraud_provenance.alerts import settings_of, sinks_of
from fraud_provenance.attested.core.errors import ConfigError

MAIL = (
    'smtp = "smtps://mail.example.com"\nmail_from = "a@example.com"\nmail_to = ["b@example.com"]\n'
)


def written(home: Path, text: str, mode: int = 0o600) -> None:
    path = home / "alerts.toml"
    path.write_text(text)
    path.chmod(mode)


def test_nothing_is_set_by_default(tmp_path: Path) -> None:
    assert sinks_of(settings_of({}, tmp_path)) == []


def test_variables_are_preferred_to_the_file(tmp_path: Path) -> None:
    written(tmp_path, f'webhook = "https://example.com/file"\nlog = "/var/log/alerts"\n{MAIL}')
    environ = {
        "FRAUD_PROVENANCE_WEBHOOK": "https://example.com/variable",
        "FRAUD_PROVENANCE_MAIL_TO": "c@example.com, d@example.com",
    }
    found = settings_of(environ, tmp_path)
    assert found.webhook is not None
    assert found.webhook.get_secret_value() == "https://example.com/variable"
    assert found.mail_to == ("c@example.com", "d@example.com")
    assert [sink.name for sink in sinks_of(found)] == ["log", "webhook", "mail"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    written(tmp_path, 'webhook = "https://example.com/secret"\n', mode)
    with pytest.raises(ConfigError, match="may be read by others") as refused:
        settings_of({}, tmp_path)
    assert "chmod 600" in refused.value.reasons[0].remedy


@pytest.mark.parametrize(
    "text",
    [
        'webhook = "http://example.com/secret"',
        'webhook = "https://u:secret@example.com/"',
        'webhook = "https://u:secret/"',
        'heartbeat = "ftp://example.com/secret"',
        'heartbeat = "https://"',
        'smtp = "http://example.com/secret"',
        'smtp = "smtp://u:secret@example.com"',
        'smtp = "smtps://mail.example.com"\nsmtp_password = "secret"',
        'log = "secret/relative.log"',
        'mail_to = ["secret"]',
        'mail_from = "secret"',
        'secret_word = "secret"',
        'smtp_password = "secret',
        "\x00secret",
    ],
)
def test_settings_that_cannot_be_are_refused_without_their_value(tmp_path: Path, text: str) -> None:
    written(tmp_path, f"{text}\n")
    with pytest.raises(ConfigError, match="alerts cannot be sent") as refused:
        settings_of({}, tmp_path)
    assert "secret" not in str(refused.value).replace("secret_word", "")


def test_link_in_the_files_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "alerts.toml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"alerts\.toml"):
        settings_of({}, tmp_path)
