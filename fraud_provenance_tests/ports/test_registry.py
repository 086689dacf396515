"""The registry, in the home's own database and behind a real MLflow server, also one that lies."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from mlflow import MlflowClient

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.errors import (
    BackendError,
    ConfigError,
    ProvenanceError,
    VerificationError,
)
from fraud_provenance.home.server_settings import Login, Mlflow
from fraud_provenance.models.registry import (
    CANDIDATE,
    CHAMPION,
    MODEL_NAME,
    RegisteredVersion,
    Registry,
)
from fraud_provenance.models.registry_home import HomeStore
from fraud_provenance.models.registry_server import ServerStore
from fraud_provenance_tests.attacks.network import Request, hung_server, lying_server, relay
from fraud_provenance_tests.conftest import codes
from fraud_provenance_tests.mlflow_server import MlflowServer

pytestmark = pytest.mark.integration

FILES = {"MLmodel": b"flavors: {}", "model.ubj": b"trees", "more/notes.txt": b"a note"}
ATTESTED = {name: encoding.digest_bytes(content) for name, content in FILES.items()}
Change = Callable[[dict[str, Any]], object]


@dataclass
class Place:
    """A registry with a client of MLflow's own on the same store."""

    registry: Registry
    client: MlflowClient
    home: Path
    experiment: str

    def log(self) -> tuple[str, str]:
        """(model, run), logged and not registered."""
        run = self.client.create_run(self.experiment).info.run_id
        return self.client.create_logged_model(self.experiment, source_run_id=run).model_id, run

    def register(self, **tags: str) -> tuple[str, str, str]:
        """(version, model, run) of a new model."""
        model, run = self.log()
        return self.registry.register(model, run, tags), model, run


def in_home(home: Path) -> Place:
    (home / "mlflow").mkdir(parents=True)
    store = HomeStore(home)
    client = MlflowClient(store.uri, store.uri)
    experiment = client.create_experiment("x", (home / "mlflow" / "artifacts").as_uri())
    return Place(Registry(store, home), client, home, experiment)


def on_server(server: MlflowServer, home: Path) -> Place:
    known = server.client.get_experiment_by_name("x")
    experiment = known.experiment_id if known else server.client.create_experiment("x")
    registry = Registry(ServerStore(server.address, Login()), home)
    return Place(registry, server.client, home, experiment)


@pytest.fixture
def clean(mlflow_server: MlflowServer) -> Iterator[MlflowServer]:
    """The server without a registered model."""
    mlflow_server.forget_model()
    yield mlflow_server
    mlflow_server.forget_model()


@pytest.fixture(params=["home", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    (tmp_path / "home" / "run").mkdir(parents=True)
    if request.param == "home":
        return in_home(tmp_path / "home")
    return on_server(request.getfixturevalue("clean"), tmp_path / "home")


# --- both kinds ------------------------------------------------------------------------------


def test_nothing_is_found_where_nothing_is(place: Place) -> None:
    for _ in range(2):
        assert place.registry.alias(CHAMPION) is None
        assert place.registry.version("7") is None
        assert place.registry.of_model("m-0") is None
        if not place.client.search_registered_models():
            place.client.create_registered_model(MODEL_NAME)


def test_what_is_registered_is_found_by_each_of_its_names(place: Place) -> None:
    version, model, run = place.register(manifest_sha256="a")
    assert place.registry.register(model, run, {}) == version
    place.registry.move(CANDIDATE, "", version)
    found = place.registry.alias(CANDIDATE)
    assert found is not None
    assert (found.version, found.model_id) == (version, model)
    assert model in found.location
    assert place.registry.version(version) == place.registry.of_model(model) == found
    assert place.registry.is_there()


def test_newest_version_of_a_model_counts(place: Place) -> None:
    first, model, run = place.register()
    source = f"models:/{model}"
    made = place.client.create_model_version(MODEL_NAME, source, run, model_id=model)
    assert int(made.version) > int(first)
    found = place.registry.of_model(model)
    assert found is not None
    assert found.version == str(made.version)


def test_alias_moves_only_from_what_was_expected(place: Place) -> None:
    first, second = place.register()[0], place.register()[0]
    place.registry.move(CHAMPION, "", first)
    for expected in ("", second):
        with pytest.raises(VerificationError, match="CAS_CONFLICT"):
            place.registry.move(CHAMPION, expected, second)
    place.registry.move(CHAMPION, first, second)
    named = place.registry.alias(CHAMPION)
    assert named is not None
    assert named.version == second


def test_who_asks_last_can_forbid_the_move(place: Place) -> None:
    version, _, _ = place.register()

    def never() -> None:
        raise ProvenanceError

    with place.registry.asking(never), pytest.raises(ProvenanceError):
        place.registry.move(CHAMPION, "", version)
    assert place.registry.alias(CHAMPION) is None


def test_of_many_moves_at_once_one_wins(place: Place) -> None:
    versions = [place.register()[0] for _ in range(4)]

    def move(version: str) -> bool:
        try:
            Registry(place.registry._store, place.home).move(CHAMPION, "", version)
        except VerificationError:
            return False
        return True

    with ThreadPoolExecutor(len(versions)) as pool:
        moved = dict(zip(versions, pool.map(move, versions), strict=True))
    named = place.registry.alias(CHAMPION)
    assert named is not None
    assert [named.version] == [version for version, won in moved.items() if won]


def test_copies_and_metrics_are_told(place: Place) -> None:
    version, model, run = place.register(manifest_sha256="a")
    place.client.log_param(run, "max_depth", 6)
    place.client.set_tag(run, "git_commit", "c")
    place.client.log_metric(run, "auc_roc", 0.75)
    place.client.log_metric(run, "auc_roc", 0.5, model_id=model)
    place.registry.note(version, {"deployment_decision": "d"})
    assert {
        ("max_depth", "6"), ("git_commit", "c"), ("manifest_sha256", "a"),
        ("deployment_decision", "d"),
    } <= set(place.registry.copies(run, version))  # fmt: skip
    assert ("auc_roc", 0.5) in place.registry.metrics(run, model)


def test_version_that_names_no_logged_model_is_refused(place: Place) -> None:
    version, _, run = place.register()
    other = place.client.create_model_version(MODEL_NAME, f"runs:/{run}/model", run).version
    with pytest.raises(VerificationError, match="SOURCE_SCHEME"):
        place.registry.version(str(other))
    with pytest.raises(VerificationError, match="SOURCE_SCHEME"):
        place.register()
    assert place.registry.version(version) is not None


# --- files on a server -----------------------------------------------------------------------


@dataclass
class Served:
    """A registered model on a server, whose files were sent there."""

    server: MlflowServer
    home: Path
    version: RegisteredVersion
    run: str

    def check(self, registry: Registry | None = None, **changed: str) -> None:
        asked = registry or self.registry()
        asked.check_location(self.version, "mlflow/there", ATTESTED | changed)

    def registry(self, port: int = 0, deadline_s: float = 60) -> Registry:
        address = f"http://127.0.0.1:{port or self.server.port}"
        return Registry(ServerStore(address, Login(), deadline_s), self.home)


@pytest.fixture
def served(clean: MlflowServer, tmp_path: Path) -> Served:
    home = tmp_path / "home"
    (home / "run").mkdir(parents=True)
    logged = clean.log(FILES, tmp_path / "files")
    registry = Registry(ServerStore(clean.address, Login()), home)
    number = registry.register(logged.model_id, logged.run_id, {})
    registry.move(CHAMPION, "", number)
    version = registry.version(number)
    assert version is not None
    return Served(clean, home, version, logged.run_id)


def test_files_on_the_server_are_those_that_were_attested(served: Served) -> None:
    served.check()


def test_other_bytes_another_file_or_one_less_are_refused(served: Served, tmp_path: Path) -> None:
    files = served.server.files(served.version.location)
    with pytest.raises(VerificationError, match=r"another model\.ubj"):
        served.check(**{"model.ubj": "0" * 64})
    with pytest.raises(VerificationError, match="other files"):
        served.check(gone="0" * 64)
    (tmp_path / "odd.txt").write_text("odd")
    files.log_artifact(str(tmp_path / "odd.txt"), "more")
    with pytest.raises(VerificationError, match="SOURCE_MISMATCH") as caught:
        served.check()
    assert "more/odd.txt" in caught.value.reasons[0].message


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("file:///home/mlflow/artifacts/models/m-1/artifacts", "SOURCE_SCHEME"),
        ("s3://bucket/models/m-1/artifacts", "SOURCE_SCHEME"),
        ("mlflow-artifacts://elsewhere.example.com/1/models/m-1/artifacts", "SOURCE_SCHEME"),
        ("mlflow-artifacts:/1/models/m-1/../m-2/artifacts", "SOURCE_SCHEME"),
        ("mlflow-artifacts:/1/models/%2e%2e/m-1/artifacts", "SOURCE_SCHEME"),
        ("mlflow-artifacts:/1/models/m-1/artifacts?x=1", "SOURCE_SCHEME"),
        ("", "SOURCE_SCHEME"),
        ("mlflow-artifacts:/1/models/m-2/artifacts", "SOURCE_MISMATCH"),
    ],
)
def test_a_place_that_is_not_the_models_own_is_refused(
    tmp_path: Path, place: str, code: str
) -> None:
    registry = Registry(ServerStore("http://127.0.0.1:9", Login()), tmp_path)
    with pytest.raises(VerificationError, match=code):
        registry.check_location(RegisteredVersion("1", "m-1", place), "there", ATTESTED)


# --- a server that lies, or is not well --------------------------------------------------------


def changed(path: str, change: Change) -> Callable[[Request, bytes], bytes]:
    """A lie in the answers to one kind of request."""

    def lie(request: Request, content: bytes) -> bytes:
        if path not in request.path:
            return content
        document = json.loads(content)
        change(document)
        return json.dumps(document).encode()

    return lie


def _is(**said: Any) -> Change:
    return lambda document: document["model_version"].update(said)


LIES: dict[str, tuple[str, Change, str]] = {
    "another model's name": ("/model-versions/get?", _is(name="other"), "REGISTRY_UNAVAILABLE"),
    "another version": ("/model-versions/get?", _is(version="77"), "REGISTRY_UNAVAILABLE"),
    "no number": ("/registered-models/alias", _is(version="../1"), "REGISTRY_UNAVAILABLE"),
    "a number as none": ("/registered-models/alias", _is(version=1), "REGISTRY_UNAVAILABLE"),
    "a path as source": ("/model-versions/get?", _is(source="/etc"), "SOURCE_SCHEME"),
    "no source": ("/model-versions/get?", _is(source=""), "SOURCE_SCHEME"),
    "nothing": ("/model-versions/get?", lambda told: told.clear(), "REGISTRY_UNAVAILABLE"),
    "no place": ("/get-download-uri", lambda told: told.clear(), "REGISTRY_UNAVAILABLE"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_about_a_version_is_never_a_version(served: Served, name: str) -> None:
    path, change, code = LIES[name]
    with (
        lying_server(relay(served.server.port, changed(path, change))) as port,
        pytest.raises(ProvenanceError) as caught,
    ):
        served.registry(port).alias(CHAMPION)
    assert codes(caught.value) == [code]


def test_a_lie_about_files_is_refused(served: Served) -> None:
    def other_bytes(request: Request, content: bytes) -> bytes:
        return b"other trees" if request.path.endswith("model.ubj") else content

    def above(document: dict[str, Any]) -> None:
        document["files"].append({"path": "../../odd", "is_dir": True})

    def a_file_less(document: dict[str, Any]) -> None:
        document["files"] = [item for item in document["files"] if item["path"] != "MLmodel"]

    listing = "/mlflow-artifacts/artifacts?path="
    for lie, code in [
        (other_bytes, "SOURCE_MISMATCH"),
        (changed(listing, above), "REGISTRY_UNAVAILABLE"),
        (changed(listing, a_file_less), "SOURCE_MISMATCH"),
    ]:
        with (
            lying_server(relay(served.server.port, lie)) as port,
            pytest.raises(ProvenanceError) as caught,
        ):
            served.check(served.registry(port))
        assert codes(caught.value) == [code]


def test_another_runs_copies_are_no_answer(served: Served) -> None:
    def other(document: dict[str, Any]) -> None:
        document["run"]["info"]["run_id"] = "f" * 32

    with lying_server(relay(served.server.port, changed("/runs/get", other))) as port:
        registry = served.registry(port)
        with pytest.raises(BackendError, match="REGISTRY_UNAVAILABLE"):
            registry.copies(served.run, served.version.version)
        with pytest.raises(BackendError, match="REGISTRY_UNAVAILABLE"):
            registry.metrics(served.run, served.version.model_id)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"{}"),
        (302, b""),
        (301, b"{}"),
        (401, b'{"error_code": "UNAUTHENTICATED", "message": "not found"}'),
        (404, b"<html>not found</html>"),
        (404, b'{"error_code": "ENDPOINT_NOT_FOUND", "message": "not found"}'),
        (400, b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "no such field"}'),
        (200, b"[]"),
        (200, b"no json"),
        (200, b"{}"),
        (204, b""),
    ],
)
def test_only_a_proper_answer_is_one(tmp_path: Path, status: int, body: bytes) -> None:
    (tmp_path / "run").mkdir()
    with lying_server(lambda _: (status, body)) as port:
        registry = Registry(ServerStore(f"http://127.0.0.1:{port}", Login()), tmp_path)
        for ask in (
            lambda: registry.alias(CHAMPION),
            lambda: registry.version("1"),
            lambda: registry.move(CHAMPION, "", "1"),
        ):
            with pytest.raises(BackendError, match="REGISTRY_UNAVAILABLE"):
                ask()


def test_a_server_that_hangs_or_is_down_decides_nothing(tmp_path: Path) -> None:
    with hung_server() as port:
        hung = Registry(ServerStore(f"http://127.0.0.1:{port}", Login(), 0.5), tmp_path)
        begun = time.monotonic()
        with pytest.raises(BackendError, match="REGISTRY_UNAVAILABLE"):
            hung.alias(CHAMPION)
        assert time.monotonic() - begun < 10
    gone = Registry(ServerStore(f"http://127.0.0.1:{port}", Login()), tmp_path)
    with pytest.raises(BackendError, match="REGISTRY_UNAVAILABLE"):
        gone.alias(CHAMPION)


@contextmanager
def talking(say: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port that answers the first client with whatever is said to it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            with suppress(OSError):
                client, _ = listener.accept()
                with client:
                    client.recv(1 << 16)
                    say(client)

        thread = Thread(target=serve)
        thread.start()
        yield int(listener.getsockname()[1])
    thread.join(timeout=30)


def drip(client: socket.socket) -> None:
    """One byte at a time, for ever."""
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        client.sendall(b" ")
        time.sleep(0.1)


def break_off(client: socket.socket) -> None:
    """Half of what was announced."""
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}")


@pytest.mark.parametrize("say", [drip, break_off])
def test_an_answer_that_does_not_end_as_announced_is_none(
    tmp_path: Path, say: Callable[[socket.socket], None]
) -> None:
    begun = time.monotonic()
    with talking(say) as port, pytest.raises(BackendError, match="REGISTRY_UNAVAILABLE"):
        Registry(ServerStore(f"http://127.0.0.1:{port}", Login(), 2), tmp_path).alias(CHAMPION)
    assert time.monotonic() - begun < 20


def test_an_endless_answer_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fraud_provenance.models.registry_server._ANSWER_BYTES", 1000)
    with lying_server(lambda _: (200, b" " * 2000)) as port:
        registry = Registry(ServerStore(f"http://127.0.0.1:{port}", Login()), tmp_path)
        with pytest.raises(BackendError, match="more than 1000 bytes"):
            registry.alias(CHAMPION)


def test_an_alias_that_was_said_to_be_moved_and_was_not_is_no_move(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = served.registry()
    model = served.server.log({}, served.home / "none")
    other = registry.register(model.model_id, model.run_id, {})
    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", lambda *_: None)
    with pytest.raises(VerificationError, match="CAS_CONFLICT"):
        registry.move(CHAMPION, served.version.version, other)


# --- by what it lets us in -----------------------------------------------------------------------


def seen_by(login: Login) -> str:
    """The header that a request carries."""
    import requests

    request = requests.Request("GET", "http://127.0.0.1:9/", auth=login.sign).prepare()
    return str(request.headers.get("Authorization", ""))


def test_token_and_password_go_as_mlflow_sends_them(tmp_path: Path) -> None:
    given = Mlflow(server="http://127.0.0.1:9")
    assert seen_by(Login.of({"MLFLOW_TRACKING_TOKEN": "t0ken"}, given)) == "Bearer t0ken"
    person = {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "s3cret"}
    assert seen_by(Login.of(person, given)) == "Basic YW5uOnMzY3JldA=="
    assert seen_by(Login.of(person, Mlflow())) == ""
    path = tmp_path / "token"
    path.write_text("from-file\n")
    path.chmod(0o600)
    login = Login.of(person, replace_file(given, path))
    assert seen_by(login) == "Bearer from-file"
    path.write_text("newer\n")
    environ = dict(person)
    login.give(environ)
    assert environ == {"MLFLOW_TRACKING_TOKEN": "newer"}
    for secret in ("s3cret", "newer", "t0ken"):
        assert secret not in repr([login, Login.of(person, given)])


def replace_file(given: Mlflow, path: Path) -> Mlflow:
    return given.model_copy(update={"token_file": path})


@pytest.mark.parametrize("fault", ["missing", "empty", "two lines", "open", "binary"])
def test_a_token_file_that_is_none_is_refused(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "token"
    content = {"empty": b"", "two lines": b"a\nb", "binary": b"\xff\x00", "open": b"t"}
    if fault in content:
        path.write_bytes(content[fault])
        path.chmod(0o644 if fault == "open" else 0o600)
    login = replace(Login(), token_file=path)
    with pytest.raises(ConfigError, match="USAGE") as caught:
        login.bearer()
    assert str(path) in caught.value.reasons[0].remedy
    registry = Registry(ServerStore("http://127.0.0.1:9", login), tmp_path)
    with pytest.raises(ConfigError, match="USAGE"):
        registry.alias(CHAMPION)
