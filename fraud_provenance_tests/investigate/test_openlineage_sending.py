"""OpenLineage events over HTTP: real servers that take, refuse, redirect or hang."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState

from fraud_provenance.attested.core.errors import BackendError, ConfigError
from fraud_provenance.cli.application import execute
from fraud_provenance.investigate import openlineage_form as form
from fraud_provenance.investigate.openlineage_sending import check_url, send
from fraud_provenance_tests.investigate.openlineage_schema import problems
from fraud_provenance_tests.investigate.story import Story

VARIABLE = "FRAUD_PROVENANCE_OPENLINEAGE_TOKEN"


@dataclass
class Consumer:
    """What a consumer was sent, and what it answers: a status for each request, then 201."""

    answers: list[int] = field(default_factory=list)
    silent_s: float = 0.0
    taken: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(consumer: Consumer, *, drips: bool = False) -> Iterator[Consumer]:
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            consumer.asked.append(("POST", self.path, self.headers.get("Authorization", "")))
            if drips:
                self._drip()
                return
            over.wait(consumer.silent_s)
            status = consumer.answers.pop(0) if consumer.answers else 201
            if status == 201:
                consumer.taken.append(json.loads(body))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", f"{consumer.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            consumer.asked.append(("GET", self.path, ""))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _drip(self) -> None:
            self.send_response(201)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            while not over.wait(0.05):
                self.wfile.write(b".")
                self.wfile.flush()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    consumer.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield consumer
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture
def consumer() -> Iterator[Consumer]:
    with serving(Consumer()) as made:
        yield made


def some(count: int) -> list[RunEvent]:
    return [
        RunEvent(
            eventTime=f"2018-04-01T00:00:{number:02d}Z",
            eventType=RunState.COMPLETE,
            run=Run(form.run_id_of(str(number))),
            job=Job("fraud-provenance://test", "ingest"),
            producer=form.PRODUCER,
        )
        for number in range(count)
    ]


def test_all_events_arrive_in_their_order_with_the_token(consumer: Consumer) -> None:
    sent = some(3)
    assert send(sent, consumer.url, "s3cret") == 3
    assert [event["run"]["runId"] for event in consumer.taken] == [e.run.runId for e in sent]
    assert set(consumer.asked) == {("POST", "/api/v1/lineage", "Bearer s3cret")}
    assert [text for event in consumer.taken for text in problems(event)] == []


def test_an_address_may_have_a_path_and_no_token(consumer: Consumer) -> None:
    assert send(some(1), f"{consumer.url}/lineage/") == 1
    assert consumer.asked == [("POST", "/lineage/api/v1/lineage", "")]


@pytest.mark.parametrize("status", [400, 401, 404, 422, 500, 503])
def test_what_is_not_taken_is_an_error_that_says_how_many_were(
    consumer: Consumer, status: int
) -> None:
    consumer.answers = [201, *[status] * 3]
    with pytest.raises(BackendError, match=f"answered {status}; 1 of 3 events") as caught:
        send(some(3), consumer.url, "s3cret")
    assert caught.value.reasons[0].code == "CONSUMER_UNAVAILABLE"
    assert caught.value.exit_code == 2
    assert "run the same command again" in caught.value.reasons[0].remedy
    assert "s3cret" not in str(caught.value)
    assert len(consumer.taken) == 1


def test_a_server_that_is_away_for_a_moment_is_asked_again(consumer: Consumer) -> None:
    consumer.answers = [503, 502]
    assert send(some(2), consumer.url) == 2
    assert len(consumer.asked) == 4


def test_a_redirect_is_no_yes(consumer: Consumer) -> None:
    consumer.answers = [302]
    with pytest.raises(BackendError, match="redirect"):
        send(some(1), consumer.url, "s3cret")
    assert [verb for verb, _, _ in consumer.asked] == ["POST"]


def test_a_server_that_hangs_ends_it_in_time() -> None:
    with serving(Consumer(silent_s=60)) as consumer:
        began = time.monotonic()
        with pytest.raises(BackendError, match=r"cannot be reached \(.*\); 0 of 1"):
            send(some(1), consumer.url, request_s=0.5)
        assert time.monotonic() - began < 5


def test_a_server_that_answers_byte_by_byte_ends_it_in_time() -> None:
    with serving(Consumer(), drips=True) as consumer:
        began = time.monotonic()
        with pytest.raises(BackendError, match="no answer within"):
            send(some(1), consumer.url, request_s=1, deadline_s=1)
        assert time.monotonic() - began < 10


def test_a_server_that_is_not_there_is_an_error(consumer: Consumer) -> None:
    with serving(Consumer()) as gone:
        url = gone.url
    with pytest.raises(BackendError, match="CONSUMER_UNAVAILABLE"):
        send(some(1), url)


@pytest.mark.parametrize(
    "url",
    ["http://marquez.example.com", "ftp://127.0.0.1", "127.0.0.1:80", "https://", "",
     "https://ann:pass@marquez.example.com", "http://127.0.0.1.example.com", "https://h?a=b",
     "https://h:port", "http://localhost"],
)  # fmt: skip
def test_events_go_to_safe_addresses_only(url: str) -> None:
    with pytest.raises(ConfigError, match="USAGE"):
        check_url(url)


@pytest.mark.parametrize("url", ["https://marquez.example.com", "http://127.0.0.1:5000/x"])
def test_safe_addresses_are_taken(url: str) -> None:
    check_url(url)


# --- the command -----------------------------------------------------------------------------


@pytest.fixture
def at_home(story: Story, monkeypatch: pytest.MonkeyPatch) -> Story:
    """The environment names a copy of the story, and no token."""
    monkeypatch.setenv("FRAUD_PROVENANCE_HOME", str(story.trust.home))
    monkeypatch.delenv(VARIABLE, raising=False)
    return story


def test_the_command_writes_a_private_file(
    at_home: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lineage.jsonl"
    assert execute(["openlineage", "--out", str(path)]) == 0
    lines = path.read_bytes().splitlines()
    assert [text for line in lines for text in problems(json.loads(line))] == []
    assert path.stat().st_mode & 0o777 == 0o600
    assert f"{len(lines)} events of {len(lines) // 2} runs written" in capsys.readouterr().out
    first = path.read_bytes()
    assert execute(["openlineage", "--out", str(path), "--json"]) == 0
    assert path.read_bytes() == first
    assert json.loads(capsys.readouterr().out)["runs"] == len(lines) // 2


def test_the_command_sends_the_same_runs_each_time(
    at_home: Story, consumer: Consumer, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv(VARIABLE, "s3cret")
    subject = f"transaction_features/{at_home.days[0]}"
    assert execute(["openlineage", subject, "--url", consumer.url]) == 0
    first = list(consumer.taken)
    assert execute(["openlineage", subject, "--url", consumer.url]) == 0
    assert consumer.taken == first * 2
    assert {token for _, _, token in consumer.asked} == {"Bearer s3cret"}
    printed = capsys.readouterr()
    assert f"{len(first)} events of {len(first) // 2} runs sent" in printed.out
    assert "s3cret" not in printed.out + printed.err


def test_the_command_names_what_it_does_not_tell(
    at_home: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (at_home.trust.home / "data" / "raw_transactions" / f"{at_home.days[0]}.parquet").unlink()
    path = tmp_path / "lineage.jsonl"
    assert execute(["openlineage", "--out", str(path)]) == 1
    printed = capsys.readouterr().out
    assert "NOT told" in printed
    assert "ARTIFACT_MISSING" in printed
    assert b'"ingest"' not in path.read_bytes()


def test_a_consumer_that_refuses_is_exit_2(
    at_home: Story, consumer: Consumer, capsys: pytest.CaptureFixture[str]
) -> None:
    consumer.answers = [401]
    subject = f"raw_transactions/{at_home.days[0]}"
    assert execute(["openlineage", subject, "--url", consumer.url, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["root_cause"] == "CONSUMER_UNAVAILABLE"


@pytest.mark.parametrize(
    "arguments",
    [[], ["--out", "x", "--url", "https://h"], ["--out", "x", "--since", "May"],
     ["--url", "http://marquez.example.com"]],
    ids=["nowhere", "both", "no day", "unsafe"],
)  # fmt: skip
def test_bad_usage_is_exit_2(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUD_PROVENANCE_HOME", "/nonexistent")
    assert execute(["openlineage", *arguments]) == 2
