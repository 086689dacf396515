"""Releases: which policy, trust root and tools are expected here, and who said so.

A release fixes all three by digest. It is in force once two distinct policy authors have signed
it, judged by the principals and under the trust root of the release *before* it, and once it was
tried (`trial`): what nobody could sign the next release under does not bind, and the release before
stays in force. The first one judges itself and is the anchor, trusted on first use. Versions count
up by one and name their predecessor, and `trust/releases.json` remembers the newest one in force:
nothing ever goes back, and what was in force here is not tried again.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    BackendError,
    ConfigError,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.ports.memory import Memory
from fraud_provenance.attested.rules import remembered, trial
from fraud_provenance.attested.rules.expectations import (
    NEVER,
    TRUST_FILES,
    Chain,
    Draft,
    Expectations,
    Refusal,
    Release,
    not_bound,
    policy_difference,
    read_expectations,
    successors,
)
from fraud_provenance.attested.rules.layout import Principal, read_principals
from fraud_provenance.attested.rules.release_signatures import (
    Signature,
    author_of,
    distinct,
    unverified,
)
from fraud_provenance.attested.sigstore.recall import Recall
from fraud_provenance.attested.sigstore.verification import BundleVerifier, load_issuers
from fraud_provenance.attested.statements import identities, statements
from fraud_provenance.attested.statements.manifest import Manifest
from fraud_provenance.attested.store.objects import MAX_OBJECT_BYTES, Objects
from fraud_provenance.attested.store.store import EvidenceStore
from fraud_provenance.attested.tlog.checkpoints import WitnessedLogs

__all__ = (
    "ROLE", "SIGNATURES_NEEDED", "TRUST_FILES", "Chain", "Expectations", "Objects", "Refusal",
    "Release", "Releases", "policy_difference", "read_expectations",
)  # fmt: skip
SIGNATURES_NEEDED = 2
ROLE = trial.ROLE


class Releases:
    """The releases of one environment in one home."""

    def __init__(
        self,
        store: EvidenceStore,
        trust: Path,
        environment: str,
        try_rules: Callable[[Expectations, Manifest, Mapping[str, bytes], datetime], None],
        objects: Objects,
        memory: Memory,
        recall: Recall | None = None,
    ) -> None:
        """`trust` is the home's folder of that name; `try_rules` compiles and asks a policy.

        `objects`: the files that releases name; `memory`: what is remembered of releases.
        `recall`: what was found of bundles before, for its verifiers.
        """
        self.objects = objects
        self._remembered = memory
        self._store = store
        self._trust = trust
        self._environment = environment
        self._try_rules = try_rules
        self._recall = recall
        self._verifiers: dict[tuple[str, ...], BundleVerifier] = {}
        self._seen: tuple[str, ...] = ()
        self._chain: Chain | None = None
        self._state = (-1, -1)

    # --- what is in force --------------------------------------------------------------------

    def chain(self) -> Chain:
        """All releases, verified and compared with what this home remembers.

        Raises:
            VerificationError: POLICY_ROLLBACK, POLICY_REVISION_MISMATCH, ROOT_DIGEST_MISMATCH, or
                what is wrong with the signatures of the release that should be in force.
        """
        state = self._store.state()
        if self._chain is not None and state == self._state:
            return self._chain  # nobody added anything
        records = self._store.records(predicate_type=statements.POLICY_RELEASE)
        seen = tuple(record.statement for record in records)
        if self._chain is None or seen != self._seen:
            chain = self._walk(seen)
            self._compare_with_memory(chain)
            self._chain, self._seen = chain, seen
        self._state = state
        return self._chain

    def head(self) -> Release:
        """The release in force; remembers it.

        Raises:
            VerificationError: POLICY_UNSIGNED where there is none; ROOT_DIGEST_MISMATCH where this
                home does not remember its first one; else as `chain`.
        """
        head, memory = self._newest(), self._memory().get(self._environment)
        if memory is None:
            raise remembered.missing("nothing here remembers the first release")
        if memory.release != head.expectations.digest:
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
            self._verifiers[key] = BundleVerifier(root, load_issuers(issuers), logs, self._recall)
        return self._verifiers[key]

    def trust_digests(self) -> dict[str, str]:
        """SHA-256 of each public file of the trust root as it is now."""
        return {name: encoding.digest_bytes(self._trust_file(name)) for name in TRUST_FILES}

    def _trust_file(self, name: str) -> bytes:
        return files.read_once(self._trust / name, limit_bytes=MAX_OBJECT_BYTES)

    def check_trust_root(self) -> None:
        """Compare the trust root on disk with the release in force.

        Raises:
            VerificationError: ROOT_ROLLBACK for the files of an earlier release, ROOT_MALFORMED or
                what else keeps the release that names them from binding, else
                ROOT_DIGEST_MISMATCH. EvidenceError: ARTIFACT_MISSING.
        """
        head = self.head().expectations
        for name, found in self.trust_digests().items():
            if found == head.trust[name]:
                continue
            refused = self.chain().why_not(lambda one, n=name, d=found: one.trust[n] == d)  # type: ignore[misc]
            if refused:
                raise VerificationError(*refused)
            earlier = [
                item.expectations.version
                for item in self.chain().releases
                if item.expectations.trust[name] == found
            ]
            code = RootCause.ROOT_ROLLBACK if earlier else RootCause.ROOT_DIGEST_MISMATCH
            known = f"it is that of release {earlier[-1]}" if earlier else "no release names it"
            raise VerificationError(
                *trial.trust_problems({name: self._trust_file(name)}),
                reason(
                    code,
                    f"sha256 {found[:12]}, release {head.version} says {head.trust[name][:12]};"
                    f" {known}",
                    artifact=f"trust/{name}",
                ),
            )

    # --- walking -----------------------------------------------------------------------------

    def _walk(self, found: tuple[str, ...]) -> Chain:
        problems: list[Reason] = []
        drafts: dict[str, tuple[Expectations, list[str]]] = {}
        for statement in found:
            try:
                expected = read_expectations(unverified(self._store, statement))
            except ProvenanceError as error:
                problems.extend(error.reasons)
                continue
            if expected.environment == self._environment:
                drafts.setdefault(expected.digest, (expected, []))[1].append(statement)
        return self._follow(drafts, self._on_the_way(drafts), problems)

    def _on_the_way(self, drafts: Mapping[str, Draft]) -> frozenset[str]:
        """The releases from the one that this home remembers back to the first."""
        memory = self._memory().get(self._environment)
        found: set[str] = set()
        digest = memory.release if memory else ""
        while digest in drafts and digest not in found:
            found.add(digest)
            digest = drafts[digest][0].previous
        return frozenset(found)

    def _follow(
        self, drafts: Mapping[str, Draft], known: frozenset[str], problems: list[Reason]
    ) -> Chain:
        releases: list[Release] = []
        refused: list[Refusal] = []
        while True:
            before = releases[-1] if releases else None
            judge = before.expectations if before else None
            judged = [
                self._judge(expected, signed, judge or expected, problems)
                for expected, signed in drafts.values()
                if expected.version == len(releases) + 1
                and expected.previous == (judge.digest if judge else "")
            ]
            chosen = self._choose(judged, before, known, refused)
            if chosen is None:
                apart = [one.release for one in refused]
                waiting = tuple(item for item in judged if item not in apart)
                later = successors(refused, drafts)
                return Chain(tuple(releases), waiting, tuple(problems), (*refused, *later))
            releases.append(chosen)

    def _choose(
        self,
        judged: Iterable[Release],
        before: Release | None,
        known: frozenset[str],
        refused: list[Refusal],
    ) -> Release | None:
        """The release that binds: the one that did here before, else the first that can be used."""
        complete = [item for item in judged if item.is_complete]
        for item in sorted(
            complete, key=lambda one: (one.expectations.digest not in known, one.completed_at)
        ):
            try:
                if item.expectations.digest in known:
                    self._check_usable(item.expectations, before)
                else:
                    self._try(item, before)
            except BackendError:
                raise  # could not be tried: nobody can say which release is in force
            except ProvenanceError as error:
                if item.expectations.digest in known and trial.is_unread(error):
                    return item  # lost or changed since: whoever needs it says so
                refused.append(Refusal(item, not_bound(item, before, error)))
                continue
            return item
        return None

    # --- trying ------------------------------------------------------------------------------

    def _check_usable(self, expected: Expectations, before: Release | None) -> None:
        """Whether a next release can be judged by one that was in force here, or only said so.

        The first one has nothing before it that could stay in force.
        """
        if before is None:
            return
        try:
            self.verifier(expected)
        except ConfigError as error:
            raise trial.as_malformed(error) from error
        trial.check_authors(self._principals(expected))

    def _try(self, item: Release, before: Release | None) -> None:
        """Try a release that is complete: by its own signatures, and by what was there before."""
        signed = (*item.statements, *(before.statements if before else ()))
        self.check(item.expectations, item.signed_at, signed, before, item.completed_at)

    def check(
        self,
        expected: Expectations,
        at: datetime,
        signed: Iterable[str],
        before: Release | None,
        until: tuple[int, int] | None = None,
    ) -> None:
        """Read everything that a release names, use it, and see that a next one can be signed.

        `signed`: statements that must verify under its trust root, as must the newest evidence
        that verifies under the release `before` and was logged before `until`.

        Raises:
            VerificationError, EvidenceError: ROOT_MALFORMED, POLICY_DATA_INVALID,
                DUPLICATE_KEY_IDENTITY, POLICY_EVAL_ERROR or whatever else it is.
            BackendError: it could not be tried.
        """
        trial.check_trust(
            {name: self.objects.get(digest) for name, digest in expected.trust.items()}, at
        )
        try:
            verifier = self.verifier(expected)
            newest = self._newest_evidence(before, until) if before else ()
            for statement in (*signed, *newest):
                verifier.verify(self._store.bundle(statement)[1])
        except ConfigError as error:
            raise trial.as_malformed(error) from error
        except VerificationError as error:
            why = f"what was signed before does not verify under it: {error.reasons[0]}"
            raise trial.malformed("trusted_root.json", why) from error
        manifest = self._store.manifest(expected.policies)
        contents = {entry.path: self.objects.get(entry.sha256) for entry in manifest.entries}
        trial.check_policy(contents, self._environment, at)
        self._try_rules(expected, manifest, contents, at)

    def _newest_evidence(self, before: Release, until: tuple[int, int] | None) -> tuple[str, ...]:
        """The newest statement of a workload, if there is one."""
        judge = self.verifier(before.expectations)
        for record in reversed(self._store.records()):
            if record.predicate_type == statements.POLICY_RELEASE:
                continue
            try:
                bundle = judge.verify(self._store.bundle_bytes(record.bundle))
            except ProvenanceError:
                continue  # no evidence
            if bundle.identity.issuer != identities.PEOPLE and (
                until is None or bundle.logged < until
            ):
                return (record.statement,)
        return ()

    # --- judging -----------------------------------------------------------------------------

    def _judge(
        self,
        expected: Expectations,
        signed: list[str],
        judge: Expectations,
        problems: list[Reason],
    ) -> Release:
        """Who validly signed `expected`, by the principals and the root of `judge`."""
        valid: list[Signature] = []
        try:
            principals, verifier = self._principals(judge), self.verifier(judge)
        except ProvenanceError as error:
            problems.extend(error.reasons)
            return Release(expected, (), ())
        for statement in signed:
            try:
                bundle = verifier.verify(self._store.bundle(statement)[1])
                principal = author_of(bundle, statement, principals)
            except ProvenanceError as error:
                problems.extend(error.reasons)
                continue
            valid.append(Signature(bundle.logged, principal, statement, bundle.signed_at))
        counted = distinct(valid, principals)[:SIGNATURES_NEEDED]  # later ones change nothing
        return Release(
            expected,
            tuple(sorted(one.principal.id for one in counted)),
            tuple(one.statement for one in counted),
            max((one.logged for one in counted), default=(0, 0)),
            max((one.signed_at for one in counted), default=NEVER),
            tuple(identity for one in counted for identity in one.principal.identities),
            len(counted) >= SIGNATURES_NEEDED,
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
        return read_principals(self.objects.get(digest))  # they need not be good, to judge

    # --- memory ------------------------------------------------------------------------------

    def remember(self) -> None:
        """Write down the release in force: nothing older is believed from here on."""
        head, first = self._newest().expectations, self.chain().releases[0].expectations
        now = remembered.Remembered(anchor=first.digest, version=head.version, release=head.digest)
        refused = frozenset(one.release.expectations.digest for one in self.chain().refused)
        remembered.write(self._remembered, self._environment, now, refused)

    def _memory(self) -> dict[str, remembered.Remembered]:
        return remembered.read(self._remembered)

    @property
    def is_founded(self) -> bool:
        """Whether this home remembers a release of this environment."""
        return self._environment in self._memory()

    def _compare_with_memory(self, chain: Chain) -> None:
        known = self._memory().get(self._environment)
        if known is None:
            return  # `head` demands it
        digests = [item.expectations.digest for item in chain.releases]
        if chain.why_not(lambda one: one.digest == known.release) and known.anchor in digests[:1]:
            return  # it was in force by name only: nothing could be done under it
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
