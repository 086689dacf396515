"""The real servers in a temporary home: three independent verifiers accept what they make."""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
import model_signing
import psutil
import pytest
from sigstore._internal.fulcio.client import FulcioClientError  # what the public signer raises
from sigstore.dsse import Statement, StatementBuilder, Subject
from sigstore.errors import VerificationError
from sigstore.models import Bundle, ClientTrustConfig, TrustedRoot
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from sigstore.verify import Verifier, policy

from fraud_provenance.attested.core.errors import BackendError, ConfigError
from fraud_provenance.attested.local import LocalSigstore, ServerStatus, tool, trust_root
from fraud_provenance.attested.local.ports import HOST

pytestmark = pytest.mark.integration

DIGEST = "ab" * 32
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
NAMES = ["issuer", "ct", "timestamp", "rekor", "fulcio"]


@pytest.fixture(scope="module")
def sigstore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSigstore]:
    made = LocalSigstore(tmp_path_factory.mktemp("home"))
    made.up()
    yield made
    made.down()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[LocalSigstore]:
    made = LocalSigstore(tmp_path / "home")
    yield made
    made.down()


def _statement(text: str) -> Statement:
    builder = StatementBuilder([Subject(name="model", digest={"sha256": DIGEST})])
    return builder.predicate_type(PREDICATE_TYPE).predicate({"text": text}).build()


def _sign(sigstore: LocalSigstore, token: str, text: str = "one") -> Bundle:
    config = ClientTrustConfig.from_json(sigstore.trust_config.read_text())
    with SigningContext.from_trust_config(config).signer(IdentityToken(token)) as signer:
        return signer.sign_dsse(_statement(text))


def _verify(sigstore: LocalSigstore, bundle: Bundle, identity: str, issuer: str) -> bytes:
    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(sigstore.trusted_root)))
    expected = policy.Identity(identity=identity, issuer=issuer)
    return verifier.verify_dsse(bundle, expected)[1]


def _index(bundle: Bundle) -> int:
    return int(json.loads(bundle.to_json())["verificationMaterial"]["tlogEntries"][0]["logIndex"])


def _pids(statuses: list[ServerStatus]) -> dict[str, int | None]:
    return {status.name: status.pid for status in statuses}


def _cosign(
    sigstore: LocalSigstore, bundle: Path, identity: str, issuer: str, digest: str = DIGEST
) -> subprocess.CompletedProcess[str]:
    options = {
        "trusted-root": str(sigstore.trusted_root),
        "bundle": str(bundle),
        "certificate-identity": identity,
        "certificate-oidc-issuer": issuer,
        "type": PREDICATE_TYPE,
        "digest": digest,
        "digestAlg": "sha256",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    command = [str(tool("cosign")), "verify-blob-attestation", *flags]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_up_on_an_empty_home_starts_five_answering_servers(sigstore: LocalSigstore) -> None:
    statuses = sigstore.status()

    assert [status.name for status in statuses] == NAMES
    assert {(status.state, status.detail) for status in statuses} == {("running", "answers")}


def test_up_again_keeps_every_process(sigstore: LocalSigstore) -> None:
    before = _pids(sigstore.status())
    assert _pids(sigstore.up()) == before


def test_servers_listen_on_the_loopback_interface_only(sigstore: LocalSigstore) -> None:
    listening = [
        connection.laddr.ip
        for status in sigstore.status()
        for connection in psutil.Process(status.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= len(NAMES)
    assert set(listening) == {HOST}


def test_servers_have_no_secret_on_their_command_lines(sigstore: LocalSigstore) -> None:
    private = sigstore.trust_config.parent / "private"
    password = json.loads((private / "fulcio.json").read_text())["fileca-key-passwd"]
    for status in sigstore.status():
        process = psutil.Process(status.pid)
        seen = " ".join([*process.cmdline(), *process.environ().values()])
        assert password not in seen
        assert "PRIVATE" not in seen


def test_workload_signature_is_accepted_for_exactly_its_identity(sigstore: LocalSigstore) -> None:
    issuer = sigstore.issuers["workloads"]
    bundle = _sign(sigstore, sigstore.workload_token("/steps/ingest"))

    payload = _verify(sigstore, bundle, f"{issuer}/steps/ingest", issuer)

    assert json.loads(payload)["subject"][0]["digest"] == {"sha256": DIGEST}
    with pytest.raises(VerificationError, match="SANs do not match"):
        _verify(sigstore, bundle, f"{issuer}/steps/train", issuer)
    with pytest.raises(VerificationError, match="OIDCIssuer"):
        _verify(sigstore, bundle, f"{issuer}/steps/ingest", sigstore.issuers["people"])


def test_person_signature_is_accepted_for_exactly_their_address(sigstore: LocalSigstore) -> None:
    issuer = sigstore.issuers["people"]
    bundle = _sign(sigstore, sigstore.person_token("ann@example.com"))

    assert _verify(sigstore, bundle, "ann@example.com", issuer)
    with pytest.raises(VerificationError, match="SANs do not match"):
        _verify(sigstore, bundle, "bob@example.com", issuer)


def test_cosign_accepts_the_same_bundle_for_exactly_its_identity_and_digest(
    sigstore: LocalSigstore, tmp_path: Path
) -> None:
    issuer = sigstore.issuers["workloads"]
    identity = f"{issuer}/steps/train"
    path = tmp_path / "bundle.json"
    path.write_text(_sign(sigstore, sigstore.workload_token("/steps/train")).to_json())

    right = _cosign(sigstore, path, identity, issuer)
    other = _cosign(sigstore, path, f"{issuer}/steps/ingest", issuer)
    wrong = _cosign(sigstore, path, identity, issuer, digest="cd" * 32)

    assert right.returncode == 0, right.stderr
    assert other.returncode != 0
    assert "expected SAN value" in other.stderr
    assert wrong.returncode != 0
    assert "digest" in wrong.stderr


def test_model_signature_is_accepted_until_a_file_changes(
    sigstore: LocalSigstore, tmp_path: Path
) -> None:
    model, signature = tmp_path / "model", tmp_path / "model.sig"
    model.mkdir()
    (model / "model.ubj").write_bytes(b"trees")
    (model / "features.json").write_text("[]")
    issuer = sigstore.issuers["workloads"]
    token = sigstore.workload_token("/steps/train")
    config = sigstore.trust_config
    model_signing.signing.Config().use_sigstore_signer(
        identity_token=token, trust_config=config
    ).sign(model, signature)

    def verify(identity: str) -> None:
        model_signing.verifying.Config().use_sigstore_verifier(
            identity=identity, oidc_issuer=issuer, trust_config=config
        ).verify(model, signature)

    verify(f"{issuer}/steps/train")
    with pytest.raises(VerificationError, match="SANs do not match"):
        verify(f"{issuer}/steps/ingest")
    (model / "model.ubj").write_bytes(b"other")
    with pytest.raises(ValueError, match="mismatch"):
        verify(f"{issuer}/steps/train")


def test_killed_log_is_seen_as_crashed_and_continues_where_it_was(
    sigstore: LocalSigstore,
) -> None:
    issuer = sigstore.issuers["workloads"]
    token = sigstore.workload_token("/steps/ingest")
    old = _sign(sigstore, token, "before")
    before = _pids(sigstore.status())
    os.kill(before["rekor"] or 0, signal.SIGKILL)
    _await_state(sigstore, "rekor", "crashed")
    with pytest.raises(BackendError, match="LOG_UNAVAILABLE: rekor of the local Sigstore"):
        sigstore.check_at_work()

    after = _pids(sigstore.up())
    sigstore.check_at_work()

    assert after["rekor"] not in (None, before["rekor"])
    assert {n: p for n, p in after.items() if n != "rekor"} == {
        n: p for n, p in before.items() if n != "rekor"
    }
    new = _sign(sigstore, token, "after")
    assert _index(new) == _index(old) + 1
    for bundle in (old, new):
        assert _verify(sigstore, bundle, f"{issuer}/steps/ingest", issuer)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "rekor"])
def test_killed_server_is_started_again_with_the_same_keys(
    sigstore: LocalSigstore, name: str
) -> None:
    root = sigstore.trusted_root.read_bytes()
    os.kill(_pids(sigstore.status())[name] or 0, signal.SIGKILL)
    _await_state(sigstore, name, "crashed")
    with pytest.raises(BackendError, match=f"UNAVAILABLE: {name} of the local Sigstore is crashed"):
        sigstore.check_at_work()

    sigstore.up()

    issuer = sigstore.issuers["people"]
    bundle = _sign(sigstore, sigstore.person_token("ann@example.com"), f"after {name}")
    assert _verify(sigstore, bundle, "ann@example.com", issuer)
    assert sigstore.trusted_root.read_bytes() == root


def test_home_that_lost_its_keys_is_told_before_the_work(tmp_path: Path) -> None:
    trust_root.ensure(tmp_path)
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "checkpoint").write_text("a log\n")
    shutil.rmtree(trust_root.private_folder(tmp_path))
    with pytest.raises(BackendError, match="AUTHORITY_UNAVAILABLE: trust/private/ is gone") as why:
        LocalSigstore(tmp_path).check_at_work()
    assert "from its backup" in why.value.reasons[0].remedy


def _await_state(sigstore: LocalSigstore, name: str, state: str) -> None:
    deadline = time.monotonic() + 10
    while {status.name: status.state for status in sigstore.status()}[name] != state:
        assert time.monotonic() < deadline, f"{name} is not {state}"
        time.sleep(0.02)


def test_many_threads_sign_each_with_its_own_entry(sigstore: LocalSigstore) -> None:
    config = ClientTrustConfig.from_json(sigstore.trust_config.read_text())
    token = IdentityToken(sigstore.workload_token("/steps/score"))
    with (
        SigningContext.from_trust_config(config).signer(token) as signer,
        ThreadPoolExecutor(16) as pool,
    ):
        statements = [_statement(f"parallel {number}") for number in range(32)]
        bundles = list(pool.map(signer.sign_dsse, statements))

    issuer = sigstore.issuers["workloads"]
    assert len({_index(bundle) for bundle in bundles}) == 32
    for bundle in bundles:
        assert _verify(sigstore, bundle, f"{issuer}/steps/score", issuer)


def test_checkpoint_is_named_and_signed_as_the_trusted_root_says(sigstore: LocalSigstore) -> None:
    _sign(sigstore, sigstore.workload_token("/steps/ingest"), "for the checkpoint")
    home = sigstore.trust_config.parent.parent
    origin, *_, signature = (home / "log" / "checkpoint").read_text().strip().splitlines()
    key_id = json.loads(sigstore.trusted_root.read_text())["tlogs"][0]["logId"]["keyId"]

    assert origin == sigstore.origin
    hint = base64.b64decode(signature.split()[2])[:4]
    assert hint == base64.b64decode(key_id)[:4]


def test_two_homes_run_side_by_side_and_trust_only_themselves(
    sigstore: LocalSigstore, fresh: LocalSigstore
) -> None:
    fresh.up()
    bundle = _sign(fresh, fresh.person_token("ann@example.com"))

    assert _verify(fresh, bundle, "ann@example.com", fresh.issuers["people"])
    with pytest.raises(VerificationError):
        _verify(sigstore, bundle, "ann@example.com", fresh.issuers["people"])
    fresh.down()
    assert {status.state for status in fresh.status()} == {"stopped"}
    assert {status.state for status in sigstore.status()} == {"running"}


def test_token_of_another_home_gets_no_certificate(
    sigstore: LocalSigstore, fresh: LocalSigstore
) -> None:
    trust_root.ensure(fresh.trust_config.parent.parent)
    claims = jwt.decode(
        sigstore.workload_token("/steps/train"), options={"verify_signature": False}
    )
    key = trust_root.load_key(fresh.trust_config.parent.parent, "workloads")
    forged = jwt.encode(claims, key, algorithm="ES256")

    with pytest.raises(FulcioClientError):
        _sign(sigstore, forged)


def test_up_by_two_processes_at_once_starts_each_server_once(fresh: LocalSigstore) -> None:
    home = fresh.trust_config.parent.parent
    code = (
        "import sys; from pathlib import Path;"
        "from fraud_provenance.attested.local import LocalSigstore;"
        "print({s.name: s.pid for s in LocalSigstore(Path(sys.argv[1])).up()})"
    )
    command = [sys.executable, "-c", code, str(home)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [process.communicate(timeout=60)[0] for process in started]

    assert [process.returncode for process in started] == [0, 0]
    assert printed[0] == printed[1]
    # Both starters are gone, their servers are not.
    assert str(_pids(fresh.status())) == printed[0].strip()
    assert {status.state for status in fresh.status()} == {"running"}


def test_down_ends_every_process_and_up_brings_back_the_same_log(fresh: LocalSigstore) -> None:
    pids = _pids(fresh.up())
    first = _sign(fresh, fresh.person_token("ann@example.com"), "first")

    fresh.down()

    alive = [p for p in psutil.process_iter() if p.pid in pids.values()]
    assert all(process.status() == psutil.STATUS_ZOMBIE for process in alive)
    fresh.up()
    second = _sign(fresh, fresh.person_token("ann@example.com"), "second")
    assert _index(second) == _index(first) + 1
    for bundle in (first, second):
        assert _verify(fresh, bundle, "ann@example.com", fresh.issuers["people"])


def test_up_with_a_taken_port_names_it(fresh: LocalSigstore) -> None:
    port = trust_root.ensure(fresh.trust_config.parent.parent).ports["timestamp"]
    with (
        socket.create_server((HOST, port)),
        pytest.raises(BackendError, match=rf"TIMESTAMP_UNAVAILABLE: port {port} .* is taken"),
    ):
        fresh.up()


def test_up_with_a_server_that_fails_shows_its_last_words(fresh: LocalSigstore) -> None:
    state = fresh.trust_config.parent.parent / "log" / ".state"
    state.parent.mkdir(parents=True)
    state.write_text("a file where the log wants a folder")

    with pytest.raises(BackendError, match=r"(?s)LOG_UNAVAILABLE: rekor ended.*not a directory"):
        fresh.up()

    assert {status.name: status.state for status in fresh.status()}["rekor"] == "crashed"


def test_up_in_a_deleted_and_made_again_home_ends_the_old_servers(fresh: LocalSigstore) -> None:
    home = fresh.trust_config.parent.parent
    old = _pids(fresh.up())
    home.rename(home.with_name("deleted"))

    new = _pids(fresh.up())

    assert not set(old.values()) & set(new.values())
    assert all(
        not psutil.pid_exists(pid or 0) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        for pid in old.values()
    )
    assert _sign(fresh, fresh.person_token("ann@example.com"))


def test_down_in_a_deleted_home_ends_its_servers(fresh: LocalSigstore) -> None:
    home = fresh.trust_config.parent.parent
    pids = _pids(fresh.up())
    home.rename(home.with_name("deleted"))

    assert fresh.down() == []

    assert not home.exists()
    assert all(
        not psutil.pid_exists(pid or 0) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        for pid in pids.values()
    )


def test_up_without_tools_creates_nothing(
    fresh: LocalSigstore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FRAUD_PROVENANCE_TOOLS", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="make tools"):
        fresh.up()
    assert not fresh.trust_config.parent.exists()


@pytest.mark.parametrize("path", ["steps/train", "/", "/steps/", "/../people", "/a b", "/a\n"])
def test_workload_token_for_what_is_no_path_is_refused(sigstore: LocalSigstore, path: str) -> None:
    with pytest.raises(ConfigError, match="USAGE"):
        sigstore.workload_token(path)


@pytest.mark.parametrize("email", ["ann", "ann@", "@example.com", "a@b@example.com", "a@b.c\n"])
def test_person_token_for_what_is_no_address_is_refused(
    sigstore: LocalSigstore, email: str
) -> None:
    with pytest.raises(ConfigError, match="USAGE"):
        sigstore.person_token(email)
