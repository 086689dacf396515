"""One opened home: settings in, the kernel, the gates and the local Sigstore wired together.

Only `cli.terminal` and `resources` read the environment; they hand it to `opened_from`.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

from fraud_provenance.attested.attestors import work_tree
from fraud_provenance.attested.attestors.ran import Attestor, CodeFacts
from fraud_provenance.attested.core import files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    BackendError,
    ConfigError,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.core.leaks import key_sized, refuse_secrets
from fraud_provenance.attested.gates import canaries
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.policy import Policy, PolicyEngine, read_policies
from fraud_provenance.attested.local import (
    LocalSigstore,
    check_private,
    tool,
    tool_digest,
)
from fraud_provenance.attested.ports.blobs import Blobs, FolderBlobs
from fraud_provenance.attested.ports.chain_memory import ChainMemory
from fraud_provenance.attested.ports.locks import FolderLocks, Locks
from fraud_provenance.attested.ports.memory import FolderMemory, Memory
from fraud_provenance.attested.ports.object_store import Bucket, ObjectBlobs
from fraud_provenance.attested.rules.releases import Expectations, Releases
from fraud_provenance.attested.sigstore.ambient import ambient_token
from fraud_provenance.attested.sigstore.log_audit import LogAuditor
from fraud_provenance.attested.sigstore.oidc_login import OidcLogin, Show
from fraud_provenance.attested.sigstore.recall import Recall
from fraud_provenance.attested.sigstore.signing import SigningService
from fraud_provenance.attested.sigstore.token_files import TokenFiles
from fraud_provenance.attested.sigstore.verification import BundleVerifier, load_issuers
from fraud_provenance.attested.statements import identities
from fraud_provenance.attested.statements.manifest import Manifest
from fraud_provenance.attested.statements.statements import Identity
from fraud_provenance.attested.step.access import GATE
from fraud_provenance.attested.store.contents import Contents
from fraud_provenance.attested.store.databases import Database, SqliteDatabase
from fraud_provenance.attested.store.objects import Objects
from fraud_provenance.attested.store.store import EvidenceStore
from fraud_provenance.attested.tlog.checkpoints import LogKeeper, WitnessedLogs
from fraud_provenance.attested.tlog.notes import log_keys
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.home import surroundings
from fraud_provenance.home.checkout import Checkout
from fraud_provenance.home.postgres import PostgresDatabase, PostgresLocks, Server
from fraud_provenance.home.settings import AMBIENT, LOCAL, Settings, settings_from

PINNED_TOOLS = ("opa", "cosign")


class Workspace:
    """A home's folders and everything that works on them. Parts are made when first used."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = settings.home
        self.environment = settings.environment
        self.project = settings.project
        self.clock = settings.clock
        self.landing = self.home / "landing"
        self.data = self.home / "data"
        self.history = self.home / "history"
        self.dvc_remote = self.home / "dvc-remote"
        self.mlflow = self.home / "mlflow"
        self.feast = self.home / "feast"
        self.dagster = self.home / "dagster"
        self.reports = self.home / "reports"
        self.scratch = self.home / "scratch"
        self.policies_folder = settings.project / "policies"
        self.show_login: Show | None = None
        self._looked_through: dict[str, str] = {}

    @property
    def is_local(self) -> bool:
        """Whether this is a home to try things in, which may hold its own authorities' keys."""
        return self.environment == LOCAL

    @cached_property
    def sigstore(self) -> LocalSigstore:
        """The home's local Sigstore."""
        return LocalSigstore(self.home)

    @cached_property
    def store(self) -> EvidenceStore:
        """The home's evidence."""
        self._require_trust_root()
        root = files.read_once(self.sigstore.trusted_root, limit_bytes=1 << 20)
        try:
            logs = [*log_keys(root)]
        except ProvenanceError:
            logs = []  # it orders nothing; what it is instead of the released one is said by that
        return EvidenceStore(self.blobs("evidence"), self.index(), logs, contents_of(self.settings))

    def index(self) -> Database:
        """Where the index over the evidence lies: here, or with the machines that share it."""
        if self.settings.is_shared:
            return PostgresDatabase(self._server, self.settings.memory.place)
        return SqliteDatabase(self.home / "evidence" / "index.sqlite")

    @property
    def _server(self) -> Server:
        return Server(self.settings.postgres, self.settings.postgres_password)

    def blobs(self, part: str) -> Blobs:
        """Where a part of the evidence lies: `evidence` or `trust/objects`."""
        return blobs_of(self.settings, part)

    @cached_property
    def memory(self) -> Memory:
        """What this home remembers beside its evidence, alone or with other machines."""
        own = FolderMemory(self.home, self.home / "run" / "memory.lock")
        bucket = self.settings.memory.bucket()
        if bucket is None:
            return own
        return ChainMemory(_below(bucket, "chains", self.settings), own)

    @cached_property
    def locks(self) -> Locks:
        """Who goes first, among this machine's processes or among machines."""
        if self.settings.is_shared:
            return PostgresLocks(self._server, self.settings.memory.place)
        return FolderLocks(self.home / "run")

    @cached_property
    def releases(self) -> Releases:
        """Which policy, trust root and tools are expected in this environment."""
        trust = self.home / "trust"
        return Releases(
            self.store,
            trust,
            self.environment,
            self._try_rules,
            Objects(self.blobs("trust/objects")),
            self.memory,
            self._recall(),
        )

    def _recall(self) -> Recall | None:
        """What was found of bundles in this home before; nothing where no key of ours is at hand.

        The key is the local authority's: whoever has it needs no memory to be believed.
        """
        key = self.sigstore.authority_key()
        if self.settings.whole or key is None:
            return None
        return Recall(self.home / "run" / "verified.lines", key)

    def _try_rules(
        self,
        expected: Expectations,
        manifest: Manifest,
        contents: Mapping[str, bytes],
        at: datetime,
    ) -> None:
        """Compile a policy with the engine that its release names, and put canaries to it.

        Raises:
            VerificationError: TOOL_DIGEST_MISMATCH, the engine here is another; as
                `canaries.check_policy`. BackendError: it could not be run.
        """
        path, found = tool("opa"), tool_digest("opa")
        if found != expected.tools.get("opa"):
            raise VerificationError(_other_tool("opa", found, expected.tools.get("opa", "")))
        key = (manifest.digest, found, self.environment)
        if key in _TRIED:
            return
        engine = PolicyEngine(self.policies_folder, lambda: path, self.releases)
        canaries.check_policy(engine, Policy(manifest, contents), self.environment, at)
        _TRIED.add(key)

    @cached_property
    def bundles(self) -> BundleVerifier:
        """Verifies bundles against the home's trusted root, which must be the released one.

        Raises:
            VerificationError: ROOT_DIGEST_MISMATCH, ROOT_ROLLBACK or what is wrong with the
                releases.
        """
        self._require_trust_root()
        if self.releases.chain().head is None and not self.releases.is_founded:
            trust = self.home / "trust"  # nothing was released yet, so nothing can be trusted
            return BundleVerifier(
                self.sigstore.trusted_root,
                load_issuers(trust / "issuers.json"),
                WitnessedLogs(trust),
            )
        self.releases.check_trust_root()
        return self.releases.verifier(self.releases.head().expectations)

    @cached_property
    def auditor(self) -> LogAuditor:
        """Holds the log against the store, and remembers the log's heads."""
        return LogAuditor(
            LogKeeper(self.home, self.bundles.logs, self.clock), self.store, self.bundles
        )

    def _require_trust_root(self) -> None:
        if not self.sigstore.trusted_root.exists():
            raise ConfigError(reason(RootCause.HOME_MISSING, f"{self.home} has no trust root"))

    @cached_property
    def trust(self) -> Trust:
        """Everything the gates work with."""
        signing = self.signing_by(self.sigstore.trust_config, self.bundles)
        policies = PolicyEngine(
            self.policies_folder, lambda: self.pinned_tool("opa"), self.releases
        )
        return Trust(
            home=self.home,
            environment=self.environment,
            store=self.store,
            memory=self.memory,
            locks=self.locks,
            bundles=self.bundles,
            signing=signing,
            policies=policies,
            attestor=self.attestor,
            auditor=lambda: self.auditor,
            self_check=self.self_check,
            variables=dict(self.settings.variables),
            gates_elsewhere=frozenset({GATE} if self.settings.runs.one_identity else ()),
            clock=self.clock,
        )

    def signing_by(self, config: Path, verifier: BundleVerifier) -> SigningService:
        """Signs by the servers that a client trust configuration names."""
        return SigningService(
            config,
            self.token,
            self.store,
            verifier,
            clock=self.clock,
            people_client=self.settings.oidc_login.client_id,
            token_first=self.settings.runs.one_identity,
        )

    def token(self, identity: Identity) -> str:
        """An OpenID token for an identity: by a login, a file, our own issuers, or this job.

        Raises:
            BackendError: AUTHORITY_UNAVAILABLE. ConfigError: as the local Sigstore's.
            VerificationError: somebody else signed in.
        """
        tokens, provider = self.settings.tokens, self.settings.oidc_login.provider()
        if provider is not None and identity.issuer == identities.PEOPLE:
            return OidcLogin(provider, self.show_login, self.clock)(identity)
        if isinstance(tokens, Path):
            return TokenFiles(tokens, self.clock)(identity)
        if identity.issuer == identities.WORKLOADS:
            return self.sigstore.workload_token(identity.subject)
        if identity.issuer == identities.PEOPLE:
            return self.sigstore.person_token(identity.subject)
        if tokens == AMBIENT:
            return ambient_token(identity)
        raise BackendError(
            reason(
                RootCause.AUTHORITY_UNAVAILABLE,
                f"this home has no tokens for {identity}",
                artifact=identity.issuer,
                remedy="Set FRAUD_PROVENANCE_TOKENS, or `tokens` in settings.toml, to a folder of "
                "tokens, or in a pipeline's job to `ambient`.",
            )
        )

    @cached_property
    def attestor(self) -> Attestor:
        """Says what runs here."""
        return Checkout(self.project, self.settings.features.engine)

    @property
    def code_facts(self) -> CodeFacts:
        """What is running, measured once."""
        return self.attestor.code()

    def pinned_tool(self, name: str) -> Path:
        """A tool whose bytes are those that the release in force fixes.

        Raises:
            ConfigError: TOOL_UNAVAILABLE. VerificationError: TOOL_DIGEST_MISMATCH.
        """
        path, found = tool(name), tool_digest(name)
        expected = self.releases.head().expectations.tools.get(name, "")
        if found != expected:
            raise VerificationError(_other_tool(name, found, expected))
        return path

    def start_check(self) -> None:
        """What must hold before anything is done: trust root, releases, policy, no secret about.

        Secrets are looked for in the work tree, and among artifacts, models and DVC's objects.

        Raises:
            VerificationError: the root cause, e.g. ROOT_DIGEST_MISMATCH or SECRET_IN_TREE;
                TMP_PERMS, a key is open to others.
        """
        check_private(self.home, self.environment)
        self.trust.policies.current()
        refuse_secrets(
            (path.relative_to(self.project).as_posix(), files.read_once(path))
            for path in work_tree.files(self.project)
        )
        for folder in (self.data, self.mlflow, self.dvc_remote, self.home / ".dvc"):
            refuse_secrets(key_sized(folder, self._looked_through))

    def self_check(self) -> None:
        """`start_check`, and canaries through every judge: before promoting and scoring.

        Raises:
            VerificationError: as `start_check`; TOOL_DIGEST_MISMATCH or CANARY_FAILED.
        """
        self.start_check()
        binary = self.pinned_tool("cosign")
        canaries.check(self.trust, binary, tuple(tool_digest(name) for name in PINNED_TOOLS))

    def expectations(self) -> Expectations:
        """What a release signed now would fix: policy, trust root and tools as they are."""
        manifest, contents = read_policies(self.policies_folder)
        self.store.put_manifest(manifest)
        for content in contents.values():
            self.releases.objects.put(content)
        trust = self.releases.trust_digests()
        for name in trust:
            self.releases.objects.put(files.read_once(self.home / "trust" / name))
        head = self.releases.chain().head
        return Expectations(
            environment=self.environment,
            version=head.expectations.version + 1 if head else 1,
            previous=head.expectations.digest if head else "",
            policies=manifest.digest,
            trust=trust,
            tools={name: tool_digest(name) for name in PINNED_TOOLS},
        )

    def create_folders(self) -> None:
        """Make the home's folders."""
        for folder in (
            self.landing, self.data, self.mlflow, self.feast, self.dagster, self.reports,
            self.scratch, self.home / "run",
        ):  # fmt: skip
            folder.mkdir(parents=True, exist_ok=True)


def blobs_of(settings: Settings, part: str) -> Blobs:
    """Where a part of a home's evidence lies: `evidence` or `trust/objects`."""
    bucket = settings.evidence.bucket()
    if bucket is None:
        return FolderBlobs(settings.home / part)
    return _below(bucket, part, settings)


def contents_of(settings: Settings) -> Contents | None:
    """Where attested files are kept beside their folders in the home, if anywhere."""
    bucket = settings.data.bucket()
    if bucket is None:
        return None
    made = [settings.home / "data", settings.home / "mlflow" / "artifacts"]
    blobs = _below(bucket, "contents", settings)
    return Contents(blobs, made, is_shared=settings.is_shared)


def _below(bucket: Bucket, part: str, settings: Settings) -> ObjectBlobs:
    there = replace(bucket, prefix=f"{bucket.prefix}/{part}".strip("/"))
    return ObjectBlobs(there, clock=settings.clock)


def opened_from(environ: MutableMapping[str, str], *, whole: bool = False) -> Workspace:
    """The home that an environment names, with the environment made harmless.

    `whole`: every bundle is verified anew.

    Raises:
        ConfigError, VerificationError: as `settings_from`.
    """
    settings = replace(settings_from(environ), whole=whole)
    surroundings.harden(environ)
    return Workspace(settings)


def _other_tool(name: str, found: str, expected: str) -> Reason:
    return reason(
        ProductCause.TOOL_DIGEST_MISMATCH,
        f"sha256 {found[:12]}, the release says {expected[:12] or 'nothing'}",
        artifact=name,
    )


_TRIED: set[tuple[str, str, str]] = set()
"""Policies that passed their canaries in this process: when signed, and when judged."""
