"""Where alerts go: from variables of the environment, and from `alerts.toml` of the home.

Addresses and passwords are secrets. They are read here, handed to the sinks, and told nobody.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from fraud_provenance.attested.core import files
from fraud_provenance.attested.core.addresses import is_safe_address, parts_of
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ConfigError, EvidenceError, reason

NAME: Final = "alerts.toml"
VARIABLES: Final[Mapping[str, str]] = {
    "FRAUD_PROVENANCE_WEBHOOK": "webhook",
    "FRAUD_PROVENANCE_HEARTBEAT": "heartbeat",
    "FRAUD_PROVENANCE_ALERT_LOG": "log",
    "FRAUD_PROVENANCE_SMTP": "smtp",
    "FRAUD_PROVENANCE_SMTP_USER": "smtp_user",
    "FRAUD_PROVENANCE_SMTP_PASSWORD": "smtp_password",
    "FRAUD_PROVENANCE_MAIL_FROM": "mail_from",
    "FRAUD_PROVENANCE_MAIL_TO": "mail_to",
}
_MAX_BYTES: Final = 1 << 16
_ADDRESS: Final = r"^[^@\s,<>]{1,64}@[^@\s,<>]{1,253}$"


class AlertSettings(BaseModel):
    """Sinks and heartbeat. A variable of the environment is preferred to the file.

    Attributes:
        webhook: Gets `{"text": …}`, Slack's form; https, or http on 127.0.0.1.
        heartbeat: Is asked for (GET) at each look of the daemon that went well; the same.
        log: A file, by its full path, that gets one JSON line an alert.
        smtp: `smtps://HOST[:PORT]`, or `smtp://HOST[:PORT]`, which must offer STARTTLS unless it is
            127.0.0.1. `smtp_user` and `smtp_password` log in there.
        mail_from: Who the e-mail is from.
        mail_to: Who gets it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    webhook: SecretStr | None = None
    heartbeat: SecretStr | None = None
    log: Path | None = None
    smtp: str = ""
    smtp_user: str = ""
    smtp_password: SecretStr | None = None
    mail_from: str = Field(default="", pattern=f"{_ADDRESS}|^$")
    mail_to: tuple[str, ...] = ()

    @field_validator("webhook", "heartbeat")
    @classmethod
    def _is_safe(cls, value: SecretStr | None) -> SecretStr | None:
        """Only https, or http to this machine: an alert tells what is weak right now."""
        if value is not None and not is_safe_address(value.get_secret_value()):
            raise ValueError("is not an https address (nor http on 127.0.0.1)")
        return value

    @field_validator("log")
    @classmethod
    def _is_whole_path(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_absolute():
            raise ValueError("is not the full path of a file")
        return value

    @field_validator("smtp")
    @classmethod
    def _is_server(cls, value: str) -> str:
        if value:
            scheme, host, place = parts_of(value)
            if scheme not in ("smtp", "smtps") or not host or "@" in place:
                raise ValueError("is not smtps://HOST:PORT or smtp://HOST:PORT")
        return value

    @field_validator("mail_to", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return [item.strip() for item in value.split(",") if item.strip()]

    @field_validator("mail_to")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any("@" not in item or any(c in item for c in " \r\n<>,") for item in value):
            raise ValueError("is not a list of e-mail addresses")
        return value


def settings_of(environ: Mapping[str, str], home: Path) -> AlertSettings:
    """The settings of a home.

    Raises:
        ConfigError: USAGE, something is not as it must be, or others may read the file. No value is
            repeated: it may be a secret.
    """
    given = _of_file(home / NAME)
    given |= {name: environ[known] for known, name in VARIABLES.items() if environ.get(known)}
    try:
        settings = AlertSettings.model_validate(given)
    except ValidationError as error:
        named = {name: variable for variable, name in VARIABLES.items()}
        wrong = [
            f"{named.get(str(item['loc'][0]), item['loc'][0])}: "
            f"{item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise _unusable("; ".join(wrong)) from None
    if settings.smtp and not (settings.mail_from and settings.mail_to):
        raise _unusable("an SMTP server is set, but not from whom to whom (mail_from, mail_to)")
    return settings


def _of_file(path: Path) -> dict[str, object]:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return {}
    if mode & 0o077 or path.lstat().st_uid != os.getuid():
        raise _unusable(f"{NAME} may be read by others", f"chmod 600 {path}")
    try:
        content = files.read_once(path, limit_bytes=_MAX_BYTES).decode()
        return dict(tomllib.loads(content))
    except (EvidenceError, ValueError) as error:
        raise _unusable(f"{NAME} is no TOML file that can be read") from error


def _unusable(what: str, remedy: str = "") -> ConfigError:
    return ConfigError(
        reason(
            RootCause.USAGE,
            f"alerts cannot be sent: {what}",
            remedy=remedy or f"Mend the variable, or {NAME} of the home; see the README.",
        )
    )
