"""One opened home: settings in, the kernel, the gates and the local Sigstore wired together.

Only `cli` and `resources` read the environment; they hand it to `settings_from`.
"""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib import metadata
from pathlib import Path

from fraud_provenance.evidence import encoding, files
from fraud_provenance.evidence.checkpoints import LogKeeper, WitnessedLogs
from fraud_provenance.evidence.codes import RootCause
from fraud_provenance.evidence.errors import ConfigError, VerificationError, reason
from fraud_provenance.evidence.log_audit import LogAuditor
from fraud_provenance.evidence.manifest import FileEntry, Manifest
from fraud_provenance.evidence.releases import Expectations, Releases
from fraud_provenance.evidence.signing import SigningService
from fraud_provenance.evidence.statements import Identity, Material
from fraud_provenance.evidence.store import EvidenceStore
from fraud_provenance.evidence.verification import BundleVerifier, load_issuers
from fraud_provenance.gates.policy import PolicyEngine, read_policies
from fraud_provenance.gates.trust import CodeFacts, Trust
from fraud_provenance.local import LocalSigstore, tool, tool_digest

PROJECT = Path(__file__).resolve().parent.parent
HOME_VARIABLE = "FRAUD_PROVENANCE_HOME"
ENVIRONMENT_VARIABLE = "FRAUD_PROVENANCE_ENVIRONMENT"
_GIT_DEADLINE_S = 30
PINNED_TOOLS = ("opa", "cosign")
_CODE = ("fraud_provenance", "policies", "dbt_project", "tools")


@dataclass(frozen=True)
class Settings:
    """Where the state lies and which environment this is."""

    home: Path
    environment: str = "local"
    project: Path = PROJECT


def settings_from(environ: Mapping[str, str]) -> Settings:
    """Settings from environment variables, with the documented defaults."""
    home = environ.get(HOME_VARIABLE) or str(PROJECT / ".fraud_provenance")
    return Settings(
        home=Path(home).expanduser().absolute(),
        environment=environ.get(ENVIRONMENT_VARIABLE) or "local",
    )


class Workspace:
    """A home's folders and everything that works on them. Parts are made when first used."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = settings.home
        self.environment = settings.environment
        self.project = settings.project
        self.landing = self.home / "landing"
        self.data = self.home / "data"
        self.dvc_remote = self.home / "dvc-remote"
        self.mlflow = self.home / "mlflow"
        self.feast = self.home / "feast"
        self.dagster = self.home / "dagster"
        self.reports = self.home / "reports"
        self.scratch = self.home / "scratch"
        self.policies_folder = settings.project / "policies"

    @cached_property
    def sigstore(self) -> LocalSigstore:
        """The home's local Sigstore."""
        return LocalSigstore(self.home)

    @cached_property
    def store(self) -> EvidenceStore:
        """The home's evidence."""
        self._require_trust_root()
        return EvidenceStore(self.home / "evidence")

    @cached_property
    def releases(self) -> Releases:
        """Which policy, trust root and tools are expected in this environment."""
        return Releases(self.store, self.home / "trust", self.environment)

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
        return LogAuditor(LogKeeper(self.home, self.bundles.logs), self.store, self.bundles)

    def _require_trust_root(self) -> None:
        if not self.sigstore.trusted_root.exists():
            raise ConfigError(reason(RootCause.HOME_MISSING, f"{self.home} has no trust root"))

    @cached_property
    def trust(self) -> Trust:
        """Everything the gates work with."""
        signing = SigningService(self.sigstore.trust_config, self.token, self.store, self.bundles)
        policies = PolicyEngine(
            self.policies_folder, lambda: self.pinned_tool("opa"), self.releases
        )
        return Trust(
            home=self.home,
            environment=self.environment,
            store=self.store,
            bundles=self.bundles,
            signing=signing,
            policies=policies,
            code=lambda: self.code_facts,
            auditor=lambda: self.auditor,
        )

    def token(self, identity: Identity) -> str:
        """An OpenID token for an identity, from the home's own issuers."""
        if identity.issuer == "workloads":
            return self.sigstore.workload_token(identity.subject)
        return self.sigstore.person_token(identity.subject)

    @cached_property
    def code_facts(self) -> CodeFacts:
        """What is running, measured once per process."""
        commit, dirty = _git_state(self.project)
        materials = (
            Material(name="work tree", digest=tree_digest(self.project), role="source_code"),
            Material(name="requirements.lock", digest=self.lock_digest, role="lock"),
            Material(name="installed packages", digest=packages_digest(), role="environment"),
            Material(name="opa", digest=tool_digest("opa"), role="tool"),
            Material(name="cosign", digest=tool_digest("cosign"), role="tool"),
        )
        return CodeFacts(git_commit=commit, git_dirty=dirty, materials=materials)

    @cached_property
    def lock_digest(self) -> str:
        """SHA-256 of the dependency lock."""
        return encoding.digest_bytes(files.read_once(self.project / "requirements.lock"))

    @staticmethod
    def clock() -> datetime:
        """The time now."""
        return datetime.now(UTC)

    def pinned_tool(self, name: str) -> Path:
        """A tool whose bytes are those that the release in force fixes.

        Raises:
            ConfigError: TOOL_UNAVAILABLE. VerificationError: TOOL_DIGEST_MISMATCH.
        """
        path, found = tool(name), tool_digest(name)
        expected = self.releases.head().expectations.tools.get(name, "")
        if found != expected:
            raise VerificationError(
                reason(
                    RootCause.TOOL_DIGEST_MISMATCH,
                    f"sha256 {found[:12]}, the release says {expected[:12] or 'nothing'}",
                    artifact=name,
                )
            )
        return path

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


def _git(project: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - argument list, no shell
        ["git", *arguments],  # noqa: S607 - the user's own git
        cwd=project,
        capture_output=True,
        timeout=_GIT_DEADLINE_S,
        check=False,
        text=True,
    )
    return done.stdout if done.returncode == 0 else ""


def _git_state(project: Path) -> tuple[str, bool]:
    """(commit, dirty): dirty if a tracked file changed or what runs has a file git does not know.

    Outside a repository the tree counts as dirty.
    """
    commit = _git(project, "rev-parse", "HEAD").strip()
    changed = _git(project, "status", "--porcelain", "--untracked-files=no").strip()
    unknown = _git(project, "ls-files", "--others", "--exclude-standard", "--", *_CODE).strip()
    return commit, not commit or bool(changed or unknown)


def tree_digest(project: Path) -> str:
    """SHA-256 of the manifest over every file of the work tree that git does not ignore."""
    listed = _git(project, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = sorted({name for name in listed.split("\0") if name})
    return folder_digest(project, [project / name for name in names])


def folder_digest(folder: Path, paths: list[Path]) -> str:
    """SHA-256 of the manifest over `paths`, named relative to `folder`; links are left out."""
    entries = []
    for path in paths:
        if path.is_file() and not path.is_symlink():
            content = files.read_once(path)
            entries.append(
                FileEntry(
                    path=path.relative_to(folder).as_posix(),
                    partition="",
                    size=len(content),
                    sha256=encoding.digest_bytes(content),
                )
            )
    return Manifest.of(folder.name or "tree", entries).digest


def packages_digest() -> str:
    """SHA-256 over name, version and RECORD of every installed distribution."""
    found = {}
    for distribution in metadata.distributions():
        record = distribution.read_text("RECORD") or ""
        name = f"{distribution.metadata['Name']}=={distribution.version}"
        found[name] = encoding.digest_bytes(record.encode("utf-8"))
    return encoding.digest_json(found)
