"""Senders and sinks are killed at random: no alert is lost, and none comes twice as if it were new.

`FRAUD_PROVENANCE_ALERT_KILLS` says how many rounds (`make faults`: 200); here a sample is played.
"""

import multiprocessing
import os
import random
import time
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

from fraud_provenance.alerts import Alert, LogSink, MailSink, Outbox, WebhookSink
from fraud_provenance_tests.alerts import servers
from fraud_provenance_tests.alerts.servers import REPEAT, Book, mail_settings
from fraud_provenance_tests.attacks.network import free_port

ROUNDS = int(os.environ.get("FRAUD_PROVENANCE_ALERT_KILLS", "25"))
_SEED = 7
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["fraud_provenance_tests.alerts.servers", "requests", "smtplib"])


def _free_ports() -> tuple[int, int]:
    one = other = free_port()
    while other == one:
        other = free_port()
    return one, other


def _started(body: object, *given: object) -> BaseProcess:
    process = _CONTEXT.Process(target=body, args=given, daemon=True)  # type: ignore[arg-type]
    process.start()
    return process


def _kill(process: BaseProcess) -> None:
    process.kill()
    process.join()


def _counts(lines: list[dict[str, str]]) -> dict[str, list[bool]]:
    """For each alert, whether each of its messages said that it may be a repeat."""
    found: dict[str, list[bool]] = {}
    for line in lines:
        found.setdefault(line["id"], []).append(REPEAT in line["text"])
    return found


def test_no_alert_is_lost_or_told_twice_as_new_whoever_is_killed(tmp_path: Path) -> None:
    chance, now = random.Random(_SEED), datetime.now(UTC)  # noqa: S311 - moments, no secrets
    web_port, mail_port = _free_ports()
    texts: list[str] = []
    sink = _started(servers.serve_both, tmp_path, web_port, mail_port)
    for number in range(ROUNDS):
        new = [f"round {number}, alert {index}" for index in range(chance.randint(0, 2))]
        texts += new
        sender = _started(servers.put_and_deliver, tmp_path, web_port, mail_port, texts[-4:])
        time.sleep(chance.uniform(0.0, 0.12))
        if chance.random() < 0.4:
            _kill(sink)
            if chance.random() < 0.5:
                time.sleep(chance.uniform(0.0, 0.05))
            sink = _started(servers.serve_both, tmp_path, web_port, mail_port)
        _kill(sender)
    outbox = Outbox(tmp_path / "home")
    sinks = [
        LogSink(tmp_path / "alerts.log"),
        WebhookSink(f"http://127.0.0.1:{web_port}/"),
        MailSink(mail_settings(mail_port)),
    ]
    for text in texts:  # whoever found them finds them again: what a kill kept from `put`
        outbox.put(Alert.of("run_failed", "round", text, [], now))
    for turn in range(1, 50):
        later = now + timedelta(days=turn)
        if not outbox.deliver(sinks, lambda: later).waiting:  # noqa: B023 - called within the turn
            break
        time.sleep(0.1)
    _kill(sink)
    wanted = {Alert.of("run_failed", "round", text, [], now).id for text in texts}
    assert {alert.id for alert in outbox.delivered()} == wanted
    for name in ("webhook", "mail"):
        counts = _counts(Book(tmp_path / f"{name}.lines").lines())
        assert set(counts) == wanted, f"{name}: an alert was lost"
        as_new = {key: said.count(False) for key, said in counts.items()}
        assert max(as_new.values(), default=0) <= 1, f"{name}: an alert came twice as new"
    lines = (tmp_path / "alerts.log").read_text("utf-8").splitlines()
    whole = [line for line in lines if line.endswith("}")]
    for name in wanted:
        assert sum(1 for line in whole if name in line) == 1, "the log knows what it has"
