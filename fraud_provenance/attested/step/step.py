"""`Step`: the only way to data. What it reads is verified and decided on, what it writes is signed.

A session over what is there (`catalogue`), what is taken in through the gate (`reading`) and the
place where outputs wait for their signature (`staging`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    ConfigError,
    VerificationError,
    reason,
)
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.policy import Policy
from fraud_provenance.attested.lineage.signers import Signers, identity_of
from fraud_provenance.attested.lineage.verifier import LineageVerifier
from fraud_provenance.attested.lineage.versions import went_back
from fraud_provenance.attested.sigstore.signing import PendingSignature
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import FileEntry, Manifest
from fraud_provenance.attested.statements.statements import Material
from fraud_provenance.attested.step.access import GATE
from fraud_provenance.attested.step.catalogue import Catalogue
from fraud_provenance.attested.step.inputs import (
    Usable,
    VerifiedInput,
)
from fraud_provenance.attested.step.reading import Reader
from fraud_provenance.attested.step.staging import Finish, Staging


@dataclass(frozen=True)
class Materialisation:
    """A signed, published output."""

    manifest: Manifest
    bundle: VerifiedBundle
    sequence: int


@dataclass
class Step:
    """One run of one step of the layout. Use as a context manager."""

    trust: Trust
    name: str
    run_id: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    location: str = "data"

    def __post_init__(self) -> None:
        """Take the policy as it is now; the whole step runs under it."""
        self.trust.attestor.code()  # which code this is must be known before anything is signed
        self.policy: Policy = self.trust.policies.current()
        self.lineage: LineageVerifier = self.trust.lineage(self.policy)
        self.rule = self.policy.layout.step(self.name)
        self.identity = identity_of(self.policy.layout, self.name)
        self.started_at = encoding.utc_text(self.trust.clock())
        self.catalogue = Catalogue(self.trust, self.policy, self.lineage)
        self._reader = Reader(self.trust, self.policy, self.lineage, self.name)
        self._staging = Staging(self.trust.home, self.location, self.trust.store.contents)
        if not self.trust.gates_elsewhere:  # else the one identity of the run is asked for later
            self.trust.signing.prepare(self.identity)
            self.trust.signing.prepare(identity_of(self.policy.layout, GATE))
        self.parameters = {**self.parameters, **self.trust.variables}
        try:  # whatever tells the step what to do: a verifier would refuse what it made
            self.rule.check_parameters(self.parameters)
        except VerificationError as error:
            raise ConfigError(*error.reasons) from error

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Throw away whatever was staged and not committed."""
        self._staging.discard()

    # --- reading -----------------------------------------------------------------------------

    def usable(self, asset: str, partitions: Iterable[str] | None = None, step: str = "") -> Usable:
        """The partitions of `asset` whose contracts passed, for what this (or that) step needs.

        What was made from an older version of something is left out until it is made anew, but
        for judges.
        """
        return self.catalogue.usable(
            asset,
            partitions,
            step=step or self.name,
            with_outdated=self.rule.is_judge,
        )

    def read(self, asset: str, partitions: Iterable[str], purpose: str = "") -> VerifiedInput:
        """Verified bytes of `partitions`, after the policy allowed reading exactly these.

        Raises:
            EvidenceError, VerificationError: something about the input is not valid.
            GateDenied: the policy refuses. BackendError: could not decide.
        """
        heads = self.catalogue.newest(asset, sorted(set(partitions)))
        return self._reader.take(asset, heads, purpose)

    def read_statement(self, statement: str, purpose: str = "") -> VerifiedInput:
        """As `read`, of all that one statement attests: what was decided on, not what is newest.

        Raises:
            As `read`.
        """
        return self._reader.statement(statement, purpose)

    def require_current_code(self, read: VerifiedInput) -> None:
        """Refuse what the former code of its step made: nobody learns from it beside what is newer.

        Raises:
            VerificationError: CODE_VERSION_MISMATCH.
        """
        self._reader.require_current_code(read)

    def read_source(self, asset: str, paths: Mapping[str, Path]) -> VerifiedInput:
        """Bytes from outside the attested world (the landing zone), bound by their digests."""
        return self._reader.source(asset, paths)

    def carry_source(self, view: Manifest) -> None:
        """Name sources that an earlier version was made from; their bytes are not read again."""
        self._reader.carry(view)

    def join_reads(self) -> None:
        """Wait until every access decision of this step is signed and logged."""
        self._reader.join()

    # --- writing -----------------------------------------------------------------------------

    def write(self, partition: str, path: str, content: bytes, made_from: Iterable[str]) -> str:
        """Stage one output file; returns its SHA-256. `path` is relative to the location.

        Raises:
            VerificationError: SECRET_IN_TREE, the bytes hold a private key or an access token.
        """
        return self._staging.write(partition, path, content, made_from)

    def adopt(self, location: str, partition: str, made_from: Iterable[str]) -> None:
        """Take a folder that a library wrote, below the home, as output: every file of it.

        Raises:
            EvidenceError: a file cannot be read. VerificationError: SECRET_IN_TREE.
        """
        self._staging.adopt(location, partition, made_from)

    def commit(
        self,
        outputs: Mapping[str, Any] | None = None,
        *,
        finish: Finish | None = None,
    ) -> Materialisation:
        """Sign the manifest over everything written, then move it into view.

        `finish` is called in between with the statement and the folder of the staged files; what
        it refuses stays staged until `recover` is given the same `finish` and it succeeds.

        Raises:
            BackendError: could not sign or keep the bytes; nothing became visible.
            VerificationError: TIME_SKEW, this machine's clock is wrong; nothing became visible.
        """
        if not self._staging.entries:
            raise ConfigError(reason(RootCause.USAGE, f"step {self.name} wrote nothing"))
        self.rule.check_complete(self.parameters)  # a verifier would refuse it
        asset = self.rule.produces or ""
        manifest = Manifest.of(asset, self._staging.entries)
        self.trust.store.put_manifest(manifest)
        self._reader.join()
        self._staging.settle()
        self._reader.refuse_overtaken()
        with self.trust.locks.held(asset):
            self._staging.name(asset, manifest.digest)
            bundle, sequence = self._sign(asset, manifest, dict(outputs or {}))
            statement = bundle.statement.digest
            self._staging.publish(
                None if finish is None else lambda staged: finish(self.trust, statement, staged)
            )
        self._staging.discard()
        return Materialisation(manifest, bundle, sequence)

    def _sign(
        self, asset: str, manifest: Manifest, outputs: dict[str, Any]
    ) -> tuple[VerifiedBundle, int]:
        versions = self.lineage.versions
        sequence, previous = versions.next(asset)
        self._refuse_going_back(asset, sequence, manifest, outputs)
        code = self.trust.attestor.code()
        finished_at = encoding.utc_text(self.trust.clock())
        started_at = min(self.started_at, finished_at)  # clocks are set back, too
        statement = statements.build_statement(
            statements.PROVENANCE,
            asset,
            manifest.digest,
            statements.provenance_predicate(
                builder_id=self.trust.builder_id(self.identity),
                environment=self.trust.environment,
                asset=asset,
                step=self.name,
                parameters=self.parameters,
                sequence=sequence,
                previous=previous,
                run_id=self.run_id,
                materials=[
                    *self._reader.materials,
                    *code.materials,
                    Material(name="policies", digest=self.policy.digest, role="policy"),
                ],
                started_at=started_at,
                finished_at=finished_at,
                outputs={
                    "location": self._staging.location,
                    "git_commit": code.git_commit,
                    "git_dirty": code.git_dirty,
                    "step_code": self.trust.attestor.step_code(self.name),
                }
                | outputs,
            ),
        )
        signed = self.trust.signing.sign(
            statement,
            self.identity,
            lambda made: Signers.check_span(made, started_at, finished_at),
        )
        versions.seen.remember(asset, sequence, signed.statement.digest)
        return signed, sequence

    def would_go_back(self, partition: str, path: str, content: bytes) -> bool:
        """Whether these bytes were replaced by others: only a person brings them back."""
        asset = self.rule.produces or ""
        digest = encoding.digest_bytes(content)
        entry = FileEntry(path=path, partition=partition, size=len(content), sha256=digest)
        sequence, _ = self.lineage.versions.next(asset)
        head = self.lineage.versions.gone_back(asset, sequence, (entry,)).get(partition)
        if head is None:
            return False
        return head.sha256 != digest or bool(self.lineage.node(head.statement).all_reasons())

    def _refuse_going_back(
        self, asset: str, sequence: int, manifest: Manifest, outputs: Mapping[str, Any]
    ) -> None:
        """Do not sign what the verifier would refuse: an older version without a decision."""
        if any(material.role == "source" for material in self._reader.materials):
            back = self.lineage.versions.gone_back(asset, sequence, manifest.entries)
            written = {entry.partition: entry.sha256 for entry in manifest.entries}
            undecided = sorted(
                partition
                for partition, head in back.items()
                if partition not in outputs.get("supersede", ())
                and (
                    head.sha256 != written[partition]
                    or self.lineage.node(head.statement).all_reasons()
                )
            )
            if undecided:
                raise went_back(asset, undecided[0])

    def attest_contract(
        self,
        view: Manifest,
        *,
        suite: str,
        suite_digest: str,
        checks: tuple[str, ...],
        failures: list[dict[str, Any]],
        rows: Mapping[str, int],
        warnings: Sequence[Mapping[str, Any]] = (),
        held: Sequence[Mapping[str, Any]] = (),
        waivers: Mapping[str, str] | None = None,
        history: str = "",
        ground: Mapping[str, str] | None = None,
    ) -> PendingSignature:
        """Sign what a contract found about exactly the bytes that were read.

        Raises:
            VerificationError: DECISION_MISSING, this step did not read all of `view`;
                EXPECTATION_CHANGE_UNAPPROVED, CHECK_MISSING: the layout does not know the suite.
        """
        self.policy.layout.contract(suite).check_suite(suite, suite_digest)
        predicate = statements.contract_predicate(
            suite=suite,
            suite_digest=suite_digest,
            environment=self.trust.environment,
            step=self.name,
            checks=checks,
            failures=failures,
            rows=rows,
            run_id=self.run_id,
            decision=self._reader.decision_about(view),
            warnings=warnings,
            held=held,
            waivers=waivers,
            history=history,
            ground=ground,
        )
        statement = statements.build_statement(
            statements.TEST_RESULT, view.asset, view.digest, predicate
        )
        self.trust.store.put_manifest(view)
        return self.trust.signing.submit(statement, self.identity)

    def attest_bom(self, name: str, digest: str, bom: Mapping[str, Any]) -> PendingSignature:
        """Sign what one written file contains, as a CycloneDX document. `digest`: its SHA-256."""
        statement = statements.build_statement(statements.ML_BOM, name, digest, dict(bom))
        return self.trust.signing.submit(statement, self.identity)
