"""`LocalSigstore`: one home's Sigstore, from nothing to answering.

For users of this class:

- `up` is idempotent and cheap when all runs; it never changes an existing trust root, key, port
  or log. `status` and `down` create nothing. All three work from several processes at once.
- Sign: `SigningContext.from_trust_config(ClientTrustConfig.from_json(trust_config.read_text()))`
  with `IdentityToken(workload_token("/steps/ingest"))`. The certificate's identity is the URI
  `<workloads issuer>/steps/ingest`, a person's is the e-mail address. A token, and the
  certificate made from it, lives ten minutes: one signer serves many statements and threads.
- Verify: with `trusted_root` alone, offline; no server need run.
- A server that is down shows as `requests.ConnectionError`, a refusal as `FulcioClientError`,
  `RekorClientError` or `TimestampError` of sigstore-python, none of them ours. The very same
  envelope logged twice is such a refusal (409).
- If `HTTP_PROXY` is set, `requests`, hence sigstore-python, takes 127.0.0.1 through the proxy
  unless `NO_PROXY=127.0.0.1` is set as well.
- `up` also makes the home's witness (`<home>/witness/`) and has it countersign a first head.
- The log's files are in `<home>/log/` (C2SP tlog-tiles: `checkpoint`, `tile/`). Checkpoints are
  signed with Ed25519; `origin` is the host name in the trusted root's `tlogs[0].baseUrl`. That
  name need not resolve: clients submit to the address in the signing configuration.
- The CT server issues SCTs and stores nothing: the certificates' log is not auditable here.
- Whoever may read `trust/private/` may sign as anybody. That is what "local" means; in
  production the company's identity provider and authorities take its place.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import jwt
import psutil

from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import BackendError, ConfigError, EvidenceError, reason
from fraud_provenance.attested.core.files import exclusive_lock, read_once
from fraud_provenance.attested.local import ports, trust_root
from fraud_provenance.attested.local.processes import (
    Processes,
    Server,
    ServerStatus,
    is_current,
    wait_healthy,
)
from fraud_provenance.attested.local.servers import TOOLS, all_servers
from fraud_provenance.attested.local.tools import tool
from fraud_provenance.attested.ports.clock import machine_clock
from fraud_provenance.attested.tlog.checkpoints import LogKeeper, WitnessedLogs

TOKEN_LIFETIME_S = 600
_MAX_KEY_BYTES = 1 << 16
START_TIMEOUT_S = 30.0
_WORKLOAD_PATH = re.compile(r"(/[A-Za-z0-9][A-Za-z0-9._-]*)+")
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


class LocalSigstore:
    """The local Sigstore of one home; several processes may hold one for the same home."""

    def __init__(self, home: Path) -> None:
        self._home = home.resolve()  # one spelling, for it stands in command lines
        self._run = self._home / "run"
        self._processes = Processes(self._run)

    def authority_key(self) -> bytes | None:
        """Bytes that only who holds every key of this home's authorities knows; None without them.

        Not a key of any authority: it signs nothing.
        """
        folder = trust_root.private_folder(self._home)
        keys = sorted(folder.glob("*.key"))
        if not keys:
            return None
        digest = hashlib.sha256()
        try:
            for path in (*keys, folder / "fulcio.json"):
                digest.update(read_once(path, limit_bytes=_MAX_KEY_BYTES))
        except EvidenceError:
            return None
        return digest.digest()

    @property
    def trust_config(self) -> Path:
        """Sigstore ClientTrustConfig (trusted root and signing configuration in one file)."""
        return self._home / "trust" / "client_trust_config.json"

    @property
    def trusted_root(self) -> Path:
        """Sigstore TrustedRoot: all that a verifier needs."""
        return self._home / "trust" / "trusted_root.json"

    @property
    def signing_config(self) -> Path:
        """Sigstore SigningConfig: where a signer sends its requests."""
        return self._home / "trust" / "signing_config.json"

    @property
    def issuers(self) -> dict[str, str]:
        """`{"workloads": url, "people": url}`.

        Raises:
            ConfigError: HOME_MISSING, `up` has never run here.
        """
        return trust_root.load(self._home).issuers

    @property
    def origin(self) -> str:
        """The log's origin, first line of its checkpoints."""
        return trust_root.load(self._home).origin

    @property
    def is_elsewhere(self) -> bool:
        """Whether the home was given the public files of another Sigstore, and has none itself."""
        return trust_root.is_given(self._home)

    def lacking(self) -> list[str]:
        """The public files below `trust/` that are not there."""
        return trust_root.lacking(self._home)

    def up(self, progress: Callable[[str], None] | None = None) -> list[ServerStatus]:
        """Create the trust root if there is none, start what does not run, wait for answers.

        Of a Sigstore elsewhere nothing is created or started; a first head of its log is kept.

        Raises:
            ConfigError: TOOL_UNAVAILABLE, HOME_MISSING, ROOT_DIGEST_MISMATCH.
            BackendError: AUTHORITY_UNAVAILABLE, LOG_UNAVAILABLE or TIMESTAMP_UNAVAILABLE, a
                server did not start; the message ends with its last log lines.
        """
        say = progress or (lambda _message: None)
        if self.is_elsewhere:
            say("signing by the Sigstore that trust/ names; nothing is started here")
            self.remember_first_checkpoint()
            return []
        for name in TOOLS:  # before anything is created
            tool(name)
        self._run.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(self._run / "lock"):
            if not trust_root.exists(self._home):
                say("creating the trust root: keys, certificates, ports")
                self._processes.end_leftovers(self._home / "trust")
            settings = trust_root.ensure(self._home)
            (self._home / "log").mkdir(exist_ok=True)
            servers = all_servers(self._home, settings)
            self._start(servers[:1], say)  # Fulcio asks the issuer when it starts
            self._start(servers[1:], say)
            self.remember_first_checkpoint()
            return [self._processes.status(server) for server in servers]

    def _start(self, servers: Iterable[Server], say: Callable[[str], None]) -> None:
        """Start those of `servers` that do not run, then wait for all of them together."""
        running: list[tuple[Server, psutil.Process, Callable[[], psutil.Process] | None]] = []
        for server in servers:
            begin = partial(self._begin, server, say)
            process = self._processes.find(server) or self._processes.adopt(server)
            if process is not None and not is_current(server, process):
                say(f"ending {server.name} of an earlier version")
                self._processes.end([server])
                process = None
            running.append((server, *((process, begin) if process else (begin(), None))))
        for server, process, again in running:
            problem = wait_healthy(server, process, START_TIMEOUT_S, again)
            if problem is not None:
                lines = self._processes.last_lines(server.name)
                raise _unavailable(server, f"{problem}; its last log lines:\n{lines}")

    def _begin(self, server: Server, say: Callable[[str], None]) -> psutil.Process:
        _refuse_taken_ports(server)
        say(f"starting {server.name} on port {server.port}")
        try:
            return self._processes.start(server)
        except OSError as error:
            raise _unavailable(server, f"{server.argv[0]}: {error.strerror}") from error

    def remember_first_checkpoint(self) -> None:
        """Before anything is verified against this log, one head of it is countersigned.

        Raises:
            BackendError: LOG_UNAVAILABLE or WITNESS_UNAVAILABLE.
            VerificationError: the log shows another history than the witness saw.
        """
        keeper = LogKeeper(self._home, WitnessedLogs(self._home / "trust"))
        deadline = time.monotonic() + START_TIMEOUT_S
        with keeper.lock():
            for memory in keeper.logs.memories.values():
                while True:
                    try:
                        keeper.begin(memory)
                        break
                    except BackendError:  # a new log shows its first head a moment after its start
                        if time.monotonic() > deadline:
                            raise
                        time.sleep(0.05)

    def down(self) -> list[ServerStatus]:
        """End every server of this home, by process id, and wait until they are gone."""
        if not trust_root.exists(self._home):
            self._processes.end_leftovers(self._home / "trust")  # of a home that was deleted
            return []
        with exclusive_lock(self._run / "lock"):
            servers = self._servers()
            self._processes.end(servers)
            return [self._processes.status(server) for server in servers]

    def status(self) -> list[ServerStatus]:
        """Every server as it is now; empty if this home has no trust root."""
        if not trust_root.exists(self._home):
            return []
        return [self._processes.status(server) for server in self._servers()]

    def check_at_work(self) -> None:
        """Before work that has to be signed: none of this home's servers is gone.

        Raises:
            BackendError: as `up`, of the first one that nobody answers for.
        """
        if not trust_root.exists(self._home):
            if not (self._home / "log" / "checkpoint").exists():
                return  # another Sigstore's, or none yet
            why = "trust/private/ is gone: no authority of this home has a key"
            code = RootCause.AUTHORITY_UNAVAILABLE
            raise BackendError(reason(code, why, remedy=trust_root.RESTORE))
        for server in self._servers():
            found = self._processes.status(server)
            if found.state != "running" and ports.is_free(server.port):
                raise _unavailable(server, f"{server.name} of the local Sigstore is {found.state}")

    def _servers(self) -> list[Server]:
        return all_servers(self._home, trust_root.load(self._home))

    def workload_token(self, path: str) -> str:
        """An OpenID token for a workload; `/steps/ingest` becomes `<workloads>/steps/ingest`.

        Raises:
            ConfigError: USAGE, not an absolute path; HOME_MISSING, no trust root.
        """
        if not _WORKLOAD_PATH.fullmatch(path):
            message = f"a workload is a path such as /steps/ingest, not {path!r}"
            raise ConfigError(reason(RootCause.USAGE, message))
        return self._token("workloads", {"sub": f"{self.issuers['workloads']}{path}"})

    def person_token(self, email: str) -> str:
        """An OpenID token for a person; the certificate's identity is the e-mail address.

        Raises:
            ConfigError: USAGE, not an address; HOME_MISSING, no trust root.
        """
        if not _EMAIL.fullmatch(email):
            message = f"a person is an e-mail address, not {email!r}"
            raise ConfigError(reason(RootCause.USAGE, message))
        return self._token("people", {"sub": email, "email": email, "email_verified": True})

    def _token(self, issuer: str, claims: dict[str, object]) -> str:
        now = int(machine_clock().timestamp())  # as its servers, which run here
        base: dict[str, object] = {
            "iss": self.issuers[issuer],
            "aud": "sigstore",
            "iat": now,
            "nbf": now,
            "exp": now + TOKEN_LIFETIME_S,
        }
        key = trust_root.load_key(self._home, issuer)
        header = {"kid": trust_root.key_id(key.public_key())}
        return jwt.encode(base | claims, key, algorithm="ES256", headers=header)


def _refuse_taken_ports(server: Server) -> None:
    for port in (server.port, *server.other_ports):
        if not ports.is_left(port):
            message = (
                f"port {port} of {server.name} is taken by another program; "
                "end that program, for a home's ports never change"
            )
            raise _unavailable(server, message)


def _unavailable(server: Server, message: str) -> BackendError:
    codes: dict[str, str] = {
        "rekor": RootCause.LOG_UNAVAILABLE,
        "timestamp": RootCause.TIMESTAMP_UNAVAILABLE,
    }
    code = codes.get(server.name) or RootCause.AUTHORITY_UNAVAILABLE
    return BackendError(reason(code, message))
