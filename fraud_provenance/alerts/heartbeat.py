"""A sign of life for a watch elsewhere: where none comes, alerts themselves have stopped."""

import json
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from fraud_provenance.alerts.settings import AlertSettings
from fraud_provenance.alerts.sinks import DEADLINE_S, request, within
from fraud_provenance.attested.core import encoding, files

_WHAT = "the heartbeat's address"


def beat(settings: AlertSettings, home: Path, now: datetime, deadline_s: float = DEADLINE_S) -> str:
    """Ask the heartbeat's address, if one is set; returns what went wrong, without the address."""
    if settings.heartbeat is None:
        return ""
    url = settings.heartbeat.get_secret_value()
    answer = within(deadline_s, lambda: request("GET", url, deadline_s, _WHAT), _WHAT)
    document = {"at": encoding.utc_text(now), "error": answer.error}
    content = encoding.canonical_json(document)
    files.write_atomic(_path(home), content, mode=0o600, durable=False)
    return answer.error


def last_beat(home: Path) -> dict[str, Any] | None:
    """When the last sign was sent, and what went wrong; None where there was none."""
    with suppress(OSError, ValueError):
        return dict(json.loads(_path(home).read_bytes()))
    return None


def _path(home: Path) -> Path:
    return home / "alerts" / "heartbeat.json"
