"""A file for an auditor, verified with nothing but itself and what the auditor knows beforehand.

The file becomes a home of its own, in a scratch folder, and the product's own verifier walks it.
Nothing is asked of a network, of a home or of Dagster. A file that brings its own root proves
nothing by itself: whoever reads it says which root, or which state of things, they know.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    ConfigError,
    EvidenceError,
    ProvenanceError,
    VerificationError,
    reason,
)
from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.attested.gates.policy import Policy, PolicyEngine
from fraud_provenance.attested.rules.expectations import Expectations, read_expectations
from fraud_provenance.attested.rules.remembered import Remembered
from fraud_provenance.attested.rules.trial import as_malformed
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import parse_manifest
from fraud_provenance.attested.store.store import open_bundle
from fraud_provenance.home.settings import Settings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance.investigate import gathering
from fraud_provenance.investigate.documents import documents_of
from fraud_provenance.investigate.proof_file import ProofFile, Standing
from fraud_provenance.investigate.proven import proven


@dataclass(frozen=True)
class Pin:
    """What a reader knows of a file beforehand: the trusted root's bytes, or a digest."""

    trusted_root: bytes | None = None
    digest: str = ""


@dataclass(frozen=True)
class Checked:
    """What was found of a file.

    Attributes:
        verdict: On the subject, by the evidence in the file.
        standing: What was in force when it was made.
        rests_on: What is taken from the file itself, for the reader to compare.
    """

    verdict: Verdict
    standing: Standing
    rests_on: tuple[str, ...]


def check_file(proof: ProofFile, pin: Pin) -> Checked:
    """Verify a file. What speaks against the subject is in the verdict.

    Raises:
        ConfigError: USAGE, the reader named nothing that they know.
        EvidenceError, VerificationError: the file is not what it should be, or rests on a root
            that the reader does not know.
    """
    standing = proof.listing.standing
    rests_on = check_pin(standing, pin)
    with tempfile.TemporaryDirectory(prefix="proof-", ignore_cleanup_errors=True) as folder:
        try:
            verdict = judge(proof, Path(folder))
        except ConfigError as error:  # here no configuration is at fault, but what the file brings
            raise as_malformed(error) from error
    return Checked(verdict, standing, rests_on)


def check_pin(standing: Standing, pin: Pin) -> tuple[str, ...]:
    """Compare what the reader knows with what the file says; returns what is left to the file.

    Raises:
        ConfigError: USAGE, they know nothing. VerificationError: ROOT_DIGEST_MISMATCH.
    """
    root, release, whole = standing.trusted_root, standing.release, standing.digest
    chains = ", ".join(f"{name} {link.sequence}" for name, link in standing.chains.items())
    state = f"nothing newer than {chains or 'no chain'} (state sha256:{whole})"
    policy = f"release {standing.version} of policy and trust root (sha256:{release})"
    given = pin.digest.removeprefix("sha256:")
    if pin.trusted_root is not None:
        given_root = encoding.digest_bytes(pin.trusted_root)
        if given_root != root:
            raise _unknown(
                f"the trusted root given has sha256 {given_root}, the file rests on {root}"
            )
        given = given or root
    if not given:
        why = (
            "a file that brings its own root proves nothing by itself; this one rests on the"
            f" trusted root sha256:{root}, on {policy} and on {state}"
        )
        how = (
            "Repeat it with `--trust-root FILE`, or with `--root-digest` and one of these three"
            " that you know from elsewhere."
        )
        raise ConfigError(reason(RootCause.USAGE, why, remedy=how))
    left = {whole: (), release: (state,), root: (policy, state)}
    if given not in left:
        raise _unknown(f"sha256:{given[:80]} is none of the file's: {root}, {release}, {whole}")
    return left[given]


def judge(proof: ProofFile, folder: Path) -> Verdict:
    """The verdict on a file's subject, its members laid out as a home below an empty folder.

    Raises:
        ProvenanceError: the file holds more or less than the verdict takes, or states what is not.
    """
    workspace, store = lay_out(proof, folder)
    listing = proof.listing
    verdict = proven(workspace.trust, listing.subject)
    chains = gathering.chains_of(workspace, listing.subject, store)
    if not verdict.trusted:
        return verdict
    if gathering.standing_of(workspace, chains) != listing.standing:
        why = "the file states another release, root or newest link than its evidence has"
        raise VerificationError(reason(RootCause.POLICY_REVISION_MISMATCH, why))
    derived = documents_of(workspace.trust, verdict, listing.subject)
    wanted = gathering.members_of(workspace, store, chains) | derived
    gathering.check_members(proof.members, wanted)
    return verdict


def lay_out(proof: ProofFile, folder: Path) -> tuple[Workspace, gathering.NotingStore]:
    """Make a home of a file.

    Raises:
        ProvenanceError: it lacks what every home has.
    """
    home, project, standing = folder / "home", folder / "project", proof.listing.standing
    head = _head(proof)
    for name, content in proof.members.items():
        files.write_atomic(home / name, content, durable=False)
    for name, digest in head.trust.items():
        _write(home / "trust" / name, _object(proof.members, digest))
    name = f"evidence/manifests/{head.policies}.json"
    manifest = parse_manifest(proof.members.get(name, b""), head.policies)
    for entry in manifest.entries:
        _write(project / "policies" / entry.path, _object(proof.members, entry.sha256))
    memory = Remembered(
        anchor=standing.first_release, version=standing.version, release=standing.release
    )
    heads = {name: link.model_dump(mode="json") for name, link in standing.chains.items()}
    _write_json(home / "trust" / "heads.json", {"version": 1, "heads": heads})
    _write_json(
        home / "trust" / "releases.json", {standing.environment: memory.model_dump(mode="json")}
    )
    settings = Settings(home=home, environment=standing.environment, project=project, whole=True)
    workspace = Workspace(settings)
    store = gathering.noting(workspace)
    workspace.trust.policies = _ReadOnce(
        workspace.policies_folder, lambda: workspace.pinned_tool("opa"), workspace.releases
    )
    return workspace, store


class _ReadOnce(PolicyEngine):
    """The policy of a home that nobody else knows: read once, and compared with its release."""

    _known: Policy | None = None

    def current(self) -> Policy:
        """As `PolicyEngine.current`."""
        if self._known is None:
            self._known = super().current()
        return self._known


def _head(proof: ProofFile) -> Expectations:
    """What the release in force fixes, as the file has it; whoever opens the home verifies it."""
    wanted = proof.listing.standing.release
    for item in proof.listing.members:
        if item.kind == "bundle":
            try:
                payload, _, _ = open_bundle(proof.members[item.name])
                statement = statements.parse_statement(payload)
                if statement.predicate_type == statements.POLICY_RELEASE:
                    found = read_expectations(statement)
                    if found.digest == wanted:
                        return found
            except ProvenanceError:
                continue  # whoever needs it says what is wrong with it
    why = f"the file holds no release {wanted[:12]}"
    raise EvidenceError(reason(RootCause.EVIDENCE_MISSING, why, artifact="policies"))


def _object(members: Mapping[str, bytes], digest: str) -> bytes:
    content = members.get(f"trust/objects/{digest}")
    if content is None:
        why = f"the file lacks {digest[:12]}, which the release in force names"
        raise EvidenceError(reason(RootCause.EVIDENCE_MISSING, why, artifact="proof file"))
    return content


def _write(path: Path, content: bytes) -> None:
    files.write_atomic(path, content, durable=False)


def _write_json(path: Path, document: object) -> None:
    _write(path, encoding.canonical_json(document))


def _unknown(why: str) -> VerificationError:
    how = "Ask whose file it is: it comes from elsewhere or is forged, or you know another state."
    return VerificationError(
        reason(RootCause.ROOT_DIGEST_MISMATCH, why, artifact="proof file", remedy=how)
    )
