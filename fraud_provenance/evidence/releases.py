"""Releases: which policy, trust root and tools are expected here, and who said so.

A release fixes all three by digest. It is in force once two distinct policy authors have signed
it, judged by the principals and under the trust root of the release *before* it; the first one
judges itself and is the anchor, trusted on first use. Versions count up by one and name their
predecessor, and `trust/releases.json` remembers the newest one seen: nothing ever goes back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fraud_provenance.evidence import encoding, files, statements
from fraud_provenance.evidence.checkpoints import WitnessedLogs
from fraud_provenance.evidence.codes import RootCause
from fraud_provenance.evidence.errors import (
    EvidenceError,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.evidence.layout import Principal, find_principal, parse_principals
from fraud_provenance.evidence.manifest import Manifest
from fraud_provenance.evidence.statements import Statement
from fraud_provenance.evidence.store import EvidenceStore, open_bundle
from fraud_provenance.evidence.verification import (
    BundleVerifier,
    VerifiedBundle,
    load_issuers,
)

TRUST_FILES = (
    "client_trust_config.json",
    "issuers.json",
    "signing_config.json",
    "trusted_root.json",
    "witnesses.json",
)
SIGNATURES_NEEDED = 2
ROLE = "policy_author"
_MEMORY = "releases.json"
_MAX_OBJECT_BYTES = 8 * 1024 * 1024
_MAX_RELEASES = 10_000


class Expectations(BaseModel):
    """What one release fixes. Its digest names the release."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    environment: str
    version: int = Field(ge=1, le=_MAX_RELEASES)
    previous: str
    policies: str
    trust: dict[str, str]
    tools: dict[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form."""
        return encoding.digest_json(self.model_dump(mode="json"))

    def statement(self, signer: str, why: str) -> Statement:
        """What the person behind the e-mail address `signer` signs."""
        predicate = self.model_dump(mode="json", exclude={"policies"})
        return statements.build_statement(
            statements.POLICY_RELEASE,
            "policies",
            self.policies,
            predicate | {"signer": signer, "reason": why},
        )


@dataclass(frozen=True)
class Release:
    """Expectations with those who have validly signed them so far."""

    expectations: Expectations
    authors: tuple[str, ...]
    statements: tuple[str, ...]
    completed_at: tuple[int, int] = (0, 0)  # when the signature that completes it was logged

    @property
    def is_complete(self) -> bool:
        """Whether enough distinct principals signed."""
        return len(self.authors) >= SIGNATURES_NEEDED


@dataclass(frozen=True)
class Chain:
    """Every release that was ever in force, oldest first, and what waits for more signatures."""

    releases: tuple[Release, ...] = ()
    proposals: tuple[Release, ...] = ()
    problems: tuple[Reason, ...] = ()

    @property
    def head(self) -> Release | None:
        """The release in force."""
        return self.releases[-1] if self.releases else None

    def versions_of(self, policies: str) -> list[int]:
        """The versions that had exactly these policy files."""
        return [
            item.expectations.version
            for item in self.releases
            if item.expectations.policies == policies
        ]


class _Remembered(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    anchor: str
    version: int = Field(ge=1)
    release: str


class Objects:
    """Files that releases name, kept under their SHA-256: old principals, old trust roots."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, content: bytes) -> str:
        """Keep `content`; returns its SHA-256."""
        digest = encoding.digest_bytes(content)
        path = self._folder / digest
        if not path.exists():
            files.write_atomic(path, content)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes that `digest` names.

        Raises:
            EvidenceError: EVIDENCE_MISSING or EVIDENCE_TAMPERED.
        """
        what = f"trust/objects/{digest[:12]}"
        try:
            content = files.read_once(self._folder / digest, limit_bytes=_MAX_OBJECT_BYTES)
        except EvidenceError as error:
            raise EvidenceError(
                reason(RootCause.EVIDENCE_MISSING, "it is not there", artifact=what)
            ) from error
        if encoding.digest_bytes(content) != digest:
            raise EvidenceError(
                reason(RootCause.EVIDENCE_TAMPERED, "its bytes have another digest", artifact=what)
            )
        return content

    def path(self, digest: str) -> Path:
        """Where the bytes that `digest` names lie, after they were compared with it."""
        self.get(digest)
        return self._folder / digest


class Releases:
    """The releases of one environment in one home."""

    def __init__(self, store: EvidenceStore, trust: Path, environment: str) -> None:
        """`trust` is the home's folder of that name."""
        self.objects = Objects(trust / "objects")
        self._store = store
        self._trust = trust
        self._environment = environment
        self._verifiers: dict[tuple[str, ...], BundleVerifier] = {}
        self._seen: tuple[str, ...] = ()
        self._chain: Chain | None = None

    # --- what is in force --------------------------------------------------------------------

    def chain(self) -> Chain:
        """All releases, verified and compared with what this home remembers.

        Raises:
            VerificationError: POLICY_ROLLBACK, POLICY_REVISION_MISMATCH, ROOT_DIGEST_MISMATCH, or
                what is wrong with the signatures of the release that should be in force.
        """
        records = self._store.records(predicate_type=statements.POLICY_RELEASE)
        seen = tuple(record.statement for record in records)
        if self._chain is None or seen != self._seen:
            chain = self._walk(seen)
            self._compare_with_memory(chain)
            self._chain, self._seen = chain, seen
        return self._chain

    def head(self) -> Release:
        """The release in force; remembers it.

        Raises:
            VerificationError: POLICY_UNSIGNED where there is none; ROOT_DIGEST_MISMATCH where this
                home does not remember its first one; else as `chain`.
        """
        head, memory = self._newest(), self._memory().get(self._environment)
        if memory is None:
            raise VerificationError(
                reason(
                    RootCause.ROOT_DIGEST_MISMATCH,
                    "nothing here remembers the first release",
                    artifact=f"trust/{_MEMORY}",
                )
            )
        if memory.version < head.expectations.version:
            self.remember()
        return head

    def _newest(self) -> Release:
        chain = self.chain()
        if chain.head is None:
            raise VerificationError(
                *chain.problems,
                reason(RootCause.POLICY_UNSIGNED, "the policy has no release", artifact="policies"),
            )
        return chain.head

    def signed_for(self, policies: str) -> list[tuple[str, ...]]:
        """The statements of each release that put these policy files into force, oldest first.

        Several where a later release changed only trust root or tools; none if they never were.
        """
        return [
            item.statements
            for item in self.chain().releases
            if item.expectations.policies == policies
        ]

    def verifier(self, expectations: Expectations) -> BundleVerifier:
        """Verifies bundles against the trust root that a release names.

        Raises:
            EvidenceError: that root is not among the kept objects. ConfigError: it is unusable.
        """
        names = ("trusted_root.json", "issuers.json", "witnesses.json")
        key = tuple(expectations.trust[name] for name in names)
        if key not in self._verifiers:
            root, issuers, witnesses = (self.objects.path(digest) for digest in key)
            logs = WitnessedLogs(self._trust, root, witnesses)
            self._verifiers[key] = BundleVerifier(root, load_issuers(issuers), logs)
        return self._verifiers[key]

    def trust_digests(self) -> dict[str, str]:
        """SHA-256 of each public file of the trust root as it is now."""
        return {
            name: encoding.digest_bytes(
                files.read_once(self._trust / name, limit_bytes=_MAX_OBJECT_BYTES)
            )
            for name in TRUST_FILES
        }

    def check_trust_root(self) -> None:
        """Compare the trust root on disk with the release in force.

        Raises:
            VerificationError: ROOT_ROLLBACK for the files of an earlier release, else
                ROOT_DIGEST_MISMATCH. EvidenceError: ARTIFACT_MISSING.
        """
        head = self.head().expectations
        for name, found in self.trust_digests().items():
            if found == head.trust[name]:
                continue
            earlier = [
                item.expectations.version
                for item in self.chain().releases
                if item.expectations.trust[name] == found
            ]
            code = RootCause.ROOT_ROLLBACK if earlier else RootCause.ROOT_DIGEST_MISMATCH
            known = f"it is that of release {earlier[-1]}" if earlier else "no release names it"
            raise VerificationError(
                reason(
                    code,
                    f"sha256 {found[:12]}, release {head.version} says {head.trust[name][:12]};"
                    f" {known}",
                    artifact=f"trust/{name}",
                )
            )

    # --- walking -----------------------------------------------------------------------------

    def _walk(self, found: tuple[str, ...]) -> Chain:
        problems: list[Reason] = []
        drafts: dict[str, tuple[Expectations, list[str]]] = {}
        for statement in found:
            try:
                expected = read_expectations(_unverified(self._store, statement))
            except ProvenanceError as error:
                problems.extend(error.reasons)
                continue
            if expected.environment == self._environment:
                drafts.setdefault(expected.digest, (expected, []))[1].append(statement)
        releases: list[Release] = []
        while True:
            judge = releases[-1].expectations if releases else None
            judged = [
                self._judge(expected, signed, judge or expected, problems)
                for expected, signed in drafts.values()
                if expected.version == len(releases) + 1
                and expected.previous == (judge.digest if judge else "")
            ]
            complete = [item for item in judged if item.is_complete]
            if not complete:
                return Chain(tuple(releases), tuple(judged), tuple(problems))
            releases.append(min(complete, key=lambda item: item.completed_at))

    def _judge(
        self,
        expected: Expectations,
        signed: list[str],
        judge: Expectations,
        problems: list[Reason],
    ) -> Release:
        """Who validly signed `expected`, by the principals and the root of `judge`."""
        valid: list[tuple[tuple[int, int], str, str]] = []
        try:
            principals, verifier = self._principals(judge), self.verifier(judge)
        except ProvenanceError as error:
            problems.extend(error.reasons)
            return Release(expected, (), ())
        for statement in signed:
            try:
                bundle = verifier.verify(self._store.bundle(statement)[1])
                principal = _author(bundle, statement, principals)
            except ProvenanceError as error:
                problems.extend(error.reasons)
                continue
            valid.append((bundle.logged, principal.id, statement))
        # each principal counts once, by the first signature
        first: dict[str, tuple[tuple[int, int], str]] = {}
        for logged, principal_id, statement in sorted(valid):
            first.setdefault(principal_id, (logged, statement))
        counted = list(first.items())[:SIGNATURES_NEEDED]  # who signs later changes nothing
        return Release(
            expected,
            tuple(sorted(name for name, _ in counted)),
            tuple(statement for _, (_, statement) in counted),
            max((logged for _, (logged, _) in counted), default=(0, 0)),
        )

    def manifest(self, release: Release) -> Manifest:
        """The policy files that a release fixes.

        Raises:
            EvidenceError: EVIDENCE_MISSING, EVIDENCE_TAMPERED or MANIFEST_MALFORMED.
        """
        return self._store.manifest(release.expectations.policies)

    def principals(self, release: Release) -> tuple[Principal, ...]:
        """The principals of the policy that a release fixes; they judge the next release."""
        return self._principals(release.expectations)

    def _principals(self, judge: Expectations) -> tuple[Principal, ...]:
        entries = self._store.manifest(judge.policies).entries
        digest = next((e.sha256 for e in entries if e.path == "data/principals.json"), "")
        return parse_principals(self.objects.get(digest))

    # --- memory ------------------------------------------------------------------------------

    def remember(self) -> None:
        """Write down the release in force: nothing older is believed from here on."""
        head, first = self._newest().expectations, self.chain().releases[0].expectations
        now = _Remembered(anchor=first.digest, version=head.version, release=head.digest)
        with files.exclusive_lock(self._trust / "releases.lock"):
            memory = self._memory()
            known = memory.get(self._environment)
            if known is None or known.version < now.version:
                memory[self._environment] = now
                content = {name: item.model_dump(mode="json") for name, item in memory.items()}
                files.write_atomic(self._trust / _MEMORY, encoding.canonical_json(content))

    def _memory(self) -> dict[str, _Remembered]:
        path = self._trust / _MEMORY
        if not path.exists():
            return {}
        try:
            content = encoding.strict_json(files.read_once(path, limit_bytes=1 << 20))
            return {name: _Remembered.model_validate(item) for name, item in content.items()}
        except (ValidationError, AttributeError) as error:
            raise VerificationError(
                reason(
                    RootCause.ROOT_DIGEST_MISMATCH,
                    "it cannot be read as what this home remembers",
                    artifact=f"trust/{_MEMORY}",
                )
            ) from error

    @property
    def is_founded(self) -> bool:
        """Whether this home remembers a release of this environment."""
        return self._environment in self._memory()

    def _compare_with_memory(self, chain: Chain) -> None:
        known = self._memory().get(self._environment)
        if known is None:
            return  # `head` demands it
        digests = [item.expectations.digest for item in chain.releases]
        if len(digests) < known.version:
            raise VerificationError(
                *chain.problems,
                reason(
                    RootCause.POLICY_ROLLBACK,
                    f"release {known.version} was in force here; the newest that verifies now is"
                    f" {len(digests)}",
                    artifact="policies",
                ),
            )
        if (digests[0], digests[known.version - 1]) != (known.anchor, known.release):
            raise VerificationError(
                reason(
                    RootCause.POLICY_REVISION_MISMATCH,
                    "these releases are not the ones that this home remembers",
                    artifact="policies",
                )
            )


def read_expectations(statement: Statement) -> Expectations:
    """What a release statement says is expected.

    Raises:
        VerificationError: PREDICATE_TYPE, it is no release statement or malformed.
    """
    predicate = dict(statement.predicate)
    signer, why = predicate.pop("signer", None), predicate.pop("reason", None)
    try:
        if statement.predicate_type != statements.POLICY_RELEASE:
            raise ValueError(statement.predicate_type)
        if not isinstance(signer, str) or not isinstance(why, str):
            raise ValueError("signer and reason must be text")
        expected = Expectations.model_validate(predicate | {"policies": statement.subject_digest})
        if set(expected.trust) != set(TRUST_FILES):
            raise ValueError("it names other trust files")
    except ValueError as error:
        raise VerificationError(
            reason(
                RootCause.PREDICATE_TYPE,
                f"malformed policy release: {str(error)[:200]}",
                artifact="policies",
            )
        ) from error
    return expected


def _unverified(store: EvidenceStore, statement: str) -> Statement:
    """The statement of a stored bundle, only to sort it; whoever believes it verifies first."""
    payload, _, _ = open_bundle(store.bundle(statement)[1])
    return statements.parse_statement(payload)


def _author(bundle: VerifiedBundle, statement: str, principals: tuple[Principal, ...]) -> Principal:
    """The policy author who signed.

    Raises:
        VerificationError: SUBJECT_MISMATCH or EXPECTATION_CHANGE_UNAPPROVED.
    """
    claimed: Any = bundle.statement.predicate.get("signer")
    if bundle.statement.digest != statement or claimed != bundle.identity.subject:
        raise VerificationError(
            reason(RootCause.SUBJECT_MISMATCH, "the bundle carries another statement or signer")
        )
    principal = find_principal(principals, bundle.identity, bundle.signed_at)
    if bundle.identity.issuer != "people" or principal is None or ROLE not in principal.roles:
        raise VerificationError(
            reason(
                RootCause.EXPECTATION_CHANGE_UNAPPROVED,
                f"{bundle.identity} was no policy author under the release before this one",
                artifact="policies",
                identity=str(bundle.identity),
                at=encoding.utc_text(bundle.signed_at),
            )
        )
    return principal


def policy_difference(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Paths whose digest differs between two policies, sorted."""
    return sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
