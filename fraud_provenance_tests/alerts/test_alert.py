"""What alerts tell, and what they keep to themselves."""

from datetime import UTC, datetime
from pathlib import Path

from fraud_provenance.alerts import Alert, Outbox


def test_alert_shows_no_secret_and_is_kept_without_it(tmp_path: Path) -> None:
    token = f"gh{'s_'}{'Ab3' * 12}"
    now = datetime(2026, 1, 1, tzinfo=UTC)
    alert = Alert.of("run_failed", "day", f"401 for {token}", [f"asked with {token}"], now)
    assert Outbox(tmp_path).put(alert)
    (kept,) = (tmp_path / "alerts" / "pending").iterdir()
    assert token not in kept.read_text("utf-8")
    assert alert.text == "Run failed: 401 for [secret]\nasked with [secret]"
