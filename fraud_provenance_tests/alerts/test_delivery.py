"""Each sink gets each alert once; one that is away is tried later; what is taken on is quiet."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fraud_provenance.alerts import (
    Alert,
    AlertSettings,
    LogSink,
    MailSink,
    Outbox,
    WebhookSink,
    alert_of_refusal,
    beat,
    last_beat,
    sinks_of,
)
from fraud_provenance.attested.core.errors import ConfigError
from fraud_provenance_tests.alerts.servers import (
    REPEAT,
    Book,
    MailServer,
    mail_settings,
    started,
    webhook,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=2)


def raised(text: str = "it broke", now: datetime = NOW) -> Alert:
    return Alert.of("run_failed", "a run", text, ["a line"], now, subject="train")


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path / "book.lines")


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "home")


@pytest.fixture
def mail(book: Book) -> Iterator[MailServer]:
    server = MailServer(book)
    started(server)
    yield server
    server.shutdown()
    server.server_close()


def hook(book: Book, answers: list[int] | None = None) -> WebhookSink:
    return WebhookSink(f"http://127.0.0.1:{started(webhook(book, answers))}/T0/B0/secret", 2)


def test_webhook_gets_slacks_form_once(outbox: Outbox, book: Book) -> None:
    assert outbox.put(raised("<b> & more"))
    assert not outbox.put(raised("<b> & more"))
    sink = hook(book)
    assert outbox.deliver([sink]).delivered == 1
    assert outbox.deliver([sink]).delivered == 0
    assert not outbox.put(raised("<b> & more"))
    (line,) = book.lines()
    assert line == {"id": raised("<b> & more").id,
                    "text": "Run failed: &lt;b&gt; &amp; more\na line"}  # fmt: skip


@pytest.mark.parametrize("status", [500, 429, 302])
def test_webhook_that_does_not_accept_is_tried_later(
    outbox: Outbox, book: Book, status: int
) -> None:
    outbox.put(raised())
    sink = hook(book, [status])
    assert f"answered {status}" in outbox.deliver([sink], lambda: NOW).error
    assert outbox.deliver([sink], lambda: NOW + timedelta(seconds=29)).delivered == 0
    assert book.lines() == []
    assert outbox.deliver([sink], lambda: NOW + timedelta(seconds=31)).delivered == 1
    (line,) = book.lines()
    assert REPEAT not in line["text"]


def test_waiting_time_doubles_up_to_an_hour(outbox: Outbox, book: Book) -> None:
    outbox.put(raised())
    sink, now, waits = hook(book, [500] * 9), NOW, []
    for _ in range(9):
        outbox.deliver([sink], lambda: now)  # noqa: B023 - called within the turn
        until = outbox.pending()[0].progress("webhook").not_before
        assert until is not None
        waits.append(int((until - now).total_seconds()))
        now = until
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_sink_that_is_away_holds_up_no_other(
    outbox: Outbox, book: Book, mail: MailServer, tmp_path: Path
) -> None:
    outbox.put(raised())
    away = WebhookSink("http://127.0.0.1:1/", 1)
    mailbox = MailSink(mail_settings(mail.server_address[1]))
    log = LogSink(tmp_path / "alerts.log")
    done = outbox.deliver([away, log, mailbox], lambda: NOW)
    assert (done.delivered, done.waiting) == (0, 1)
    assert "webhook cannot be reached" in done.error
    assert len(book.lines()) == 1
    assert outbox.deliver([hook(book), log, mailbox], lambda: LATER).delivered == 1
    assert [REPEAT in line["text"] for line in book.lines()] == [False, False]
    assert len((tmp_path / "alerts.log").read_text().splitlines()) == 1


def test_mail_has_subject_text_and_an_id_of_its_own(
    outbox: Outbox, book: Book, mail: MailServer
) -> None:
    outbox.put(raised("mean of ä\r\nBcc: all@example.com"))
    settings = mail_settings(mail.server_address[1])
    assert outbox.deliver([MailSink(settings)]).delivered == 1
    (line,) = book.lines()
    head = line["text"].partition("\r\n\r\n")[0]
    assert "To: on.call@example.com" in head
    assert "\nBcc" not in head
    assert line["sender"].startswith("mail FROM:<fraud@example.com>")


def test_mail_that_is_refused_is_tried_later_and_is_no_repeat(
    outbox: Outbox, book: Book, mail: MailServer
) -> None:
    outbox.put(raised())
    mail.refuse = ["451 later"]
    sink = MailSink(mail_settings(mail.server_address[1]))
    assert outbox.deliver([sink], lambda: NOW).error == "the mail server refused it (451)"
    assert outbox.deliver([sink], lambda: LATER).delivered == 1
    assert REPEAT not in book.lines()[0]["text"]


def test_recipient_that_is_unknown_is_told_and_the_others_get_it(
    outbox: Outbox, book: Book, mail: MailServer
) -> None:
    outbox.put(raised())
    settings = mail_settings(mail.server_address[1], mail_to="unknown@example.com,b@example.com")
    assert outbox.deliver([MailSink(settings)]).delivered == 1
    assert outbox.delivered()[0].progress("mail").last_error == "1 recipients were refused"


def test_whoever_could_not_see_an_answer_says_so_when_it_sends_again(
    outbox: Outbox, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.put(raised())
    sink = hook(book)

    class Killed(BaseException):
        """As a kill between the answer and the note of it."""

    def send_and_die(alert: Alert) -> None:
        WebhookSink.send(sink, alert)
        raise Killed

    monkeypatch.setattr(sink, "send", send_and_die)
    with pytest.raises(Killed):
        outbox.deliver([sink])
    monkeypatch.undo()
    assert outbox.deliver([sink]).delivered == 1
    assert [REPEAT in line["text"] for line in book.lines()] == [False, True]
    assert len({line["id"] for line in book.lines()}) == 1


def test_log_repeats_no_line_and_mends_a_part_of_one(outbox: Outbox, tmp_path: Path) -> None:
    path = tmp_path / "alerts.log"
    path.write_text('{"id": "a par')
    outbox.put(raised())
    assert outbox.deliver([LogSink(path)]).delivered == 1
    part, whole = path.read_text().splitlines()
    assert part == '{"id": "a par'
    assert json.loads(whole)["subject"] == "train"


def test_what_is_acknowledged_is_not_sent(outbox: Outbox, book: Book) -> None:
    outbox.put(raised())
    taken = outbox.acknowledge(raised().id[:8], "a@example.com", "I look", NOW)
    assert outbox.deliver([hook(book)]).waiting == 0
    assert book.lines() == []
    assert not outbox.put(raised())
    assert outbox.everything() == [taken]
    outbox.acknowledge(taken.id, "b@example.com", "me, too", LATER)
    assert outbox.acknowledged()[taken.id].by == "a@example.com"


@pytest.mark.parametrize(
    ("name", "by", "why", "said"),
    [
        ("0000000", "a@example.com", "x", "0 alerts"),
        ("", "a@example.com", "x", "alerts begin"),
        (None, "nobody", "x", "an e-mail address"),
        (None, "a@example.com", "  ", "a reason"),
    ],
)
def test_acknowledgement_names_one_alert_a_person_and_a_reason(
    outbox: Outbox, name: str | None, by: str, why: str, said: str
) -> None:
    outbox.put(raised())
    with pytest.raises(ConfigError, match=said):
        outbox.acknowledge(raised().id if name is None else name, by, why, NOW)
    assert outbox.acknowledged() == {}


def test_acknowledged_refusal_is_quiet_while_it_goes_on_and_news_after_a_break(
    outbox: Outbox,
) -> None:
    def found(day: float) -> bool:
        at = NOW + timedelta(days=day)
        return outbox.put(alert_of_refusal("not_trusted", "train", "DIGEST_MISMATCH: x", at))

    assert found(0)
    assert found(1), "nobody took it on: it is told anew each day"
    outbox.acknowledge(outbox.everything()[-1].id, "a@example.com", "I look", NOW)
    assert [found(day) for day in (1, 2, 3, 4, 5)] == [False] * 5
    assert found(8)


def test_alerts_of_an_older_home_are_read_and_sent(
    outbox: Outbox, book: Book, tmp_path: Path
) -> None:
    old = {
        "id": "ab" * 32,
        "kind": "run_failed",
        "text": "old",
        "raised_at": "2025-01-01T00:00:00Z",
        "attempts": 2,
        "not_before": None,
        "last_error": "no",
        "delivered_at": None,
    }
    gone = old | {"id": "cd" * 32, "delivered_at": "2025-01-02T00:00:00Z", "last_error": ""}
    for folder, document in (("pending", old), ("delivered", gone)):
        path = tmp_path / "home" / "alerts" / folder / f"{document['id']}.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(document))
    assert outbox.pending()[0].progress("webhook").attempts == 2
    assert outbox.delivered()[0].progress("webhook").sent_at is not None
    assert outbox.deliver([hook(book)]).delivered == 1
    assert [line["id"] for line in book.lines()] == ["ab" * 32]


def test_heartbeat_is_sent_and_remembered_without_its_address(book: Book, tmp_path: Path) -> None:
    port = started(webhook(book, [200, 503]))
    url = f"http://127.0.0.1:{port}/ping/secret-key"
    settings = AlertSettings.model_validate({"heartbeat": url})
    assert beat(AlertSettings(), tmp_path, NOW) == ""
    assert last_beat(tmp_path) is None
    assert beat(settings, tmp_path, NOW) == ""
    assert [line["text"] for line in book.lines()] == ["/ping/secret-key"]
    assert beat(settings, tmp_path, NOW) == "the heartbeat's address answered 503"
    assert last_beat(tmp_path) == {
        "at": "2026-01-01T00:00:00Z",
        "error": "the heartbeat's address answered 503",
    }
    assert "secret-key" not in (tmp_path / "alerts" / "heartbeat.json").read_text()


def test_errors_tell_no_address(outbox: Outbox, tmp_path: Path) -> None:
    settings = AlertSettings.model_validate(
        {
            "webhook": "http://127.0.0.1:1/T0/secret",
            "smtp": "smtp://127.0.0.1:1",
            "smtp_user": "u",
            "smtp_password": "secret",
            "mail_from": "a@example.com",
            "mail_to": ["b@example.com"],
        }
    )
    outbox.put(raised())
    assert "secret" not in outbox.deliver(sinks_of(settings)).error
    kept = "".join(path.read_text() for path in (tmp_path / "home").rglob("*.json"))
    assert "secret" not in kept + repr(settings)
