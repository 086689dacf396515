"""`Step`: the only way to data. What it reads is verified and decided on, what it writes is signed.

A step stages its outputs, signs the manifest over them, and only then moves them into view: no
unsigned file is ever visible, and a kill at any moment leaves either nothing or something that
`recover` completes.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fraud_provenance.attested.core import encoding, files
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.disclosure import Finding
from fraud_provenance.attested.core.errors import (
    ConfigError,
    EvidenceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.core.leaks import refuse_secrets
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.gates.decisions import (
    identity_fact,
    joined,
    sign_decision,
    signer_facts,
)
from fraud_provenance.attested.gates.policy import Policy
from fraud_provenance.attested.lineage.acceptances import finding_ids
from fraud_provenance.attested.lineage.signers import Signers
from fraud_provenance.attested.lineage.snapshots import Reading, two_versions
from fraud_provenance.attested.lineage.verifier import LineageVerifier, Node, identity_of
from fraud_provenance.attested.lineage.versions import went_back
from fraud_provenance.attested.sigstore.signing import PendingSignature
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import FileEntry, Manifest
from fraud_provenance.attested.statements.statements import Contract, Material
from fraud_provenance.attested.store.store import ContractResult, Head

Finish = Callable[[Trust, str, Path], object]
"""What must be done with signed output before it may be seen: (trust, statement, staged files)."""
_WRITTEN = (
    "evidence",
    "trust",
    "witness",
    "landing",
    "run",
    "alerts",
    "history",
)  # file by file, by us alone


@dataclass(frozen=True)
class VerifiedFile:
    """Bytes that equal their attested digest. Use these; never open the path again."""

    partition: str
    name: str
    sha256: str
    content: bytes


@dataclass(frozen=True)
class VerifiedInput:
    """What one `read` handed over."""

    asset: str
    view: Manifest
    files: tuple[VerifiedFile, ...]
    nodes: tuple[Node, ...] = ()

    @cached_property
    def digests(self) -> dict[str, str]:
        """Partition → SHA-256 (the last file's where a partition has several)."""
        return {item.partition: item.sha256 for item in self.files}

    def export(self, folder: Path) -> Path:
        """Write the verified bytes into a private folder for a tool that reads files."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for item in self.files:
            (folder / Path(item.name).name).write_bytes(item.content)
        return folder


@dataclass(frozen=True)
class Usable:
    """Which partitions may be read, and why the others may not."""

    partitions: tuple[str, ...]
    refused: Mapping[str, Reason]


@dataclass(frozen=True)
class Materialisation:
    """A signed, published output."""

    manifest: Manifest
    bundle: VerifiedBundle
    sequence: int


@dataclass
class _Reading:
    material: Material
    view: Manifest
    pending: PendingSignature | None = None
    nodes: tuple[Node, ...] = ()


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
        self.trust.code()  # which code this is must be known before anything is signed
        self.policy: Policy = self.trust.policies.current()
        self.lineage: LineageVerifier = self.trust.lineage(self.policy)
        self.rule = self.policy.layout.step(self.name)
        self.identity = identity_of(self.policy.layout, self.name)
        self.started_at = encoding.utc_text(self.trust.clock())
        self._readings: list[_Reading] = []
        self._entries: list[FileEntry] = []
        self._staging: Path | None = None
        self._staging_lock: Any = None
        self.trust.signing.prepare(self.identity)
        self.trust.signing.prepare(identity_of(self.policy.layout, "data_access"))
        self.parameters = {**self.parameters, **self.trust.variables}
        try:  # whatever tells the step what to do: a verifier would refuse what it made
            self.rule.check_parameters(self.parameters)
        except VerificationError as error:
            raise ConfigError(*error.reasons) from error

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Throw away whatever was staged and not committed."""
        self._discard_staging()

    # --- reading -----------------------------------------------------------------------------

    def usable(self, asset: str, partitions: Iterable[str] | None = None, step: str = "") -> Usable:
        """The partitions of `asset` whose contracts passed, for what this (or that) step needs.

        What was made from an older version of something is left out until it is made anew.
        """
        heads = self.trust.store.heads(asset)
        wanted = sorted(heads) if partitions is None else sorted(set(partitions))
        outdated = self._outdated(asset, {name: heads[name] for name in wanted if name in heads})
        results = self.trust.store.contract_results(asset)
        rule = (self.policy.layout.step(step) if step else self.rule).material(asset)
        suites = rule.requires_suites if rule else ()
        good: list[str] = []
        refused: dict[str, Reason] = {}
        for partition in wanted:
            problem = outdated.get(partition) or self._unusable(
                asset, partition, heads.get(partition), suites, results
            )
            if problem is None:
                good.append(partition)
            else:
                refused[partition] = problem
        return Usable(tuple(good), refused)

    def _outdated(self, asset: str, heads: Mapping[str, list[Head]]) -> dict[str, Reason]:
        """Partition → why nothing may be made from it; contracts may judge it nevertheless."""
        if self.rule.produces is None:
            return {}
        return self.lineage.snapshots.outdated_heads(heads, self.policy.layout.inputs(asset))

    def _unusable(
        self,
        asset: str,
        partition: str,
        heads: list[Head] | None,
        suites: Iterable[str],
        results: Mapping[tuple[str, str], Mapping[str, ContractResult]],
    ) -> Reason | None:
        place = {"artifact": asset, "partition": partition}
        if not heads:
            return reason(RootCause.PARTITION_MISSING, f"{partition} is not attested", **place)
        for head in heads:
            found = results.get((partition, head.sha256), {})
            for suite in suites:
                if suite not in found:
                    return reason(RootCause.CHECK_MISSING, f"{suite} has not run", **place)
                forms = self.policy.layout.contract(suite).suite_digests
                if found[suite].suite_digest not in forms:
                    why = f"{suite} ran in a former form only"
                    return reason(RootCause.CHECK_MISSING, why, **place)
                if found[suite].result == "FAILED":
                    return reason(RootCause.CHECK_FAILED, f"{suite} failed", **place)
                if found[suite].result != "PASSED" and not self.frees(head, found[suite]):
                    return held(asset, partition, suite)
        return self.trust.revoked_head(heads, self.lineage)

    def frees(self, head: Head, result: ContractResult) -> bool:
        """Whether somebody accepted all that a result holds these bytes for."""
        contract = self.lineage.node(result.statement).contract
        found = contract.held_findings(head.partition) if contract else ()
        place = (head.asset, head.partition, head.sha256)
        return self.lineage.accepting(place, result.suite, found) is not None

    def is_accepted(
        self, item: VerifiedFile, asset: str, suite: str, findings: Iterable[Mapping[str, Any]]
    ) -> bool:
        """Whether somebody accepted all that a suite holds these bytes for now."""
        found = [Finding.model_validate(dict(finding)) for finding in findings]
        place = (asset, item.partition, item.sha256)
        return self.lineage.accepting(place, suite, found) is not None

    def read(self, asset: str, partitions: Iterable[str], purpose: str = "") -> VerifiedInput:
        """Verified bytes of `partitions`, after the policy allowed reading exactly these.

        Raises:
            EvidenceError, VerificationError: something about the input is not valid.
            GateDenied: the policy refuses. BackendError: could not decide.
        """
        return self._read(asset, self._choose(asset, sorted(set(partitions))), purpose)

    def read_statement(self, statement: str, purpose: str = "") -> VerifiedInput:
        """As `read`, of all that one statement attests: what was decided on, not what is newest.

        Raises:
            As `read`.
        """
        node = self.lineage.node(statement)
        if node.provenance is None or node.manifest is None:
            raise node.refusal()
        asset, sequence = node.provenance.asset, node.provenance.sequence
        chosen = [
            Head(
                asset=asset, partition=entry.partition, path=entry.path, sha256=entry.sha256,
                statement=statement, sequence=sequence,
            )
            for entry in node.manifest.entries
        ]  # fmt: skip
        return self._read(asset, chosen, purpose)

    def _read(self, asset: str, chosen: list[Head], purpose: str) -> VerifiedInput:
        purpose = purpose or self.rule.purposes[0]
        nodes = {head.statement: self.lineage.node(head.statement) for head in chosen}
        about: dict[str, set[str]] = {}
        for head in chosen:
            about.setdefault(head.statement, set()).add(head.partition)
        unattested = [item for node in nodes.values()
                      for item in self.lineage.artifacts.unattested(node)]  # fmt: skip
        verdict = self.lineage.verify(
            asset, purpose, nodes.values(), unattested, with_files=False, partitions=about
        )  # the files are read, hence compared, below
        if not verdict.trusted:
            raise VerificationError(*verdict.reasons)
        entries, handed = [], []
        for head in chosen:
            node = nodes[head.statement]
            entry = _entry(node, head)
            content = self._content(node, entry)
            entries.append(entry)
            handed.append(VerifiedFile(entry.partition, entry.path, entry.sha256, content))
        view = Manifest.of(asset, entries)
        self._check_snapshot(Reading(view, tuple(nodes.values())))
        self._decide(asset, view, chosen, nodes, purpose)
        return VerifiedInput(asset, view, tuple(handed), tuple(nodes.values()))

    def require_current_code(self, read: VerifiedInput) -> None:
        """Refuse what the former code of its step made: nobody learns from it beside what is newer.

        What was made before its code was recorded counts as current.

        Raises:
            VerificationError: CODE_VERSION_MISMATCH.
        """
        now = self.trust.step_code(self.policy.layout.producer(read.asset))
        for node in read.nodes:
            code = node.provenance_of().outputs.get("step_code")
            if code and now and code != now:
                why = f"made by the code {str(code)[:12]}, which is {now[:12]} now"
                partitions = node.manifest.partitions if node.manifest else ()
                first = min({*partitions} & {*read.view.partitions}, default="")
                raise VerificationError(
                    reason(
                        RootCause.CODE_VERSION_MISMATCH, why, artifact=read.asset, partition=first
                    )
                )

    def _check_snapshot(self, reading: Reading) -> None:
        """Refuse to read what does not rest on the newest version of each partition.

        Raises:
            VerificationError: SNAPSHOT_INCOHERENT.
        """
        if self.rule.produces is None:
            return  # contracts judge days beside others that are not made anew yet
        before = [Reading(item.view, item.nodes) for item in self._readings if item.pending]
        found = two_versions([*before, reading]) or self.lineage.snapshots.problem([reading])
        if found:
            raise VerificationError(found)

    def _content(self, node: Node, entry: FileEntry) -> bytes:
        """The attested bytes; a partition whose file is gone is one that is not there."""
        try:
            return self.lineage.artifacts.read(node, entry)
        except EvidenceError as error:
            if os.path.lexists(self.lineage.artifacts.location(node) / entry.path):
                raise
            gone = {"code": RootCause.PARTITION_MISSING.value}
            raise EvidenceError(
                *(item.model_copy(update=gone) for item in error.reasons)
            ) from error

    def _choose(self, asset: str, partitions: list[str]) -> list[Head]:
        heads = self.trust.store.heads(asset)
        missing = [partition for partition in partitions if partition not in heads]
        if missing or not partitions:
            raise EvidenceError(
                reason(
                    RootCause.PARTITION_MISSING,
                    f"{len(missing)} of {len(partitions)} partitions are not attested",
                    artifact=asset,
                    partition=missing[0] if missing else "",
                )
            )
        return [head for partition in partitions for head in heads[partition]]

    def _decide(
        self, asset: str, view: Manifest, heads: list[Head], nodes: Mapping[str, Node], purpose: str
    ) -> None:
        rule = self.rule.material(asset)
        suites = rule.requires_suites if rule else ()
        results = self.trust.store.contract_results(asset)
        inputs = set(nodes)
        partitions = []
        for head in heads:
            node = nodes[head.statement]
            entry = _entry(node, head)
            contracts = []
            for suite in suites:
                found = results.get((entry.partition, entry.sha256), {}).get(suite)
                if found is None:
                    continue
                contracts.append(self._contract_fact(found.statement, entry))
                inputs.add(found.statement)
                inputs |= {item["statement"] for item in contracts[-1].get("acceptances", ())}
            partitions.append(
                {
                    "partition": entry.partition,
                    "sha256": entry.sha256,
                    "environment": node.provenance.environment if node.provenance else "",
                    "contracts": contracts,
                }
                | signer_facts(node)
            )
        document = {
            "request": {
                "step": self.name,
                "identity": identity_fact(self.identity),
                "environment": self.trust.environment,
                "asset": asset,
                "purpose": purpose,
                "at": encoding.utc_text(self.trust.clock()),
            },
            "partitions": partitions,
        }
        answer = self.trust.policies.ask("data_access", document, self.policy)
        self.trust.store.put_manifest(view)
        pending = sign_decision(
            self.trust,
            self.policy,
            gate="data_access",
            name=asset,
            digest=view.digest,
            inputs=sorted(inputs),
            facts={
                "step": self.name,
                "asset": asset,
                "purpose": purpose,
                "partitions": list(view.partitions),
            },
            answer=answer,
        )
        material = Material(
            name=asset, digest=view.digest, role="input", decision=pending.statement.digest
        )
        self._readings.append(_Reading(material, view, pending, tuple(nodes.values())))

    def _contract_fact(self, statement: str, entry: FileEntry) -> dict[str, Any]:
        """What the signed result says about exactly these bytes; the index only found it."""
        node = self.lineage.node(statement)
        if node.reasons:
            raise VerificationError(*node.reasons)
        contract = node.contract
        judged = node.manifest.entries if node.manifest else ()
        known = {(item.partition, item.sha256) for item in judged}
        if contract is None or (entry.partition, entry.sha256) not in known:
            raise VerificationError(
                reason(
                    RootCause.CHECK_MISSING,
                    f"{node.name} does not judge {entry.path} ({entry.sha256[:12]})",
                    partition=entry.partition,
                )
            )
        rule = self.policy.layout.contract(contract.suite)
        rule.check_suite(contract.suite, contract.suite_digest)
        facts = signer_facts(node)
        found = {
            "suite": contract.suite,
            "result": "FAILED" if entry.partition in contract.failed else "PASSED",
            "checks": contract.checks,
            "rows": contract.rows.get(entry.partition, 0),
            "statement": facts["statement"],
            "signer": facts["signer"],
        }
        if contract.judges(entry.partition) != RootCause.DATA_HELD:
            return found
        return found | {"result": "WARNED"} | self._accepted_fact(node, entry, contract)

    def _accepted_fact(self, node: Node, entry: FileEntry, contract: Contract) -> dict[str, Any]:
        """What a contract holds these bytes for, and what a person accepted of it."""
        place = (node.manifest.asset if node.manifest else "", entry.partition, entry.sha256)
        held_by = contract.held_findings(entry.partition)
        fitting = self.lineage.accepting(place, contract.suite, held_by)
        shown = [fitting] if fitting else self.lineage.acceptances(*place)[:1]
        return {
            "findings": list(finding_ids(entry.partition, contract)),
            "acceptances": [
                {
                    "asset": said.asset,
                    "partition": said.partition,
                    "sha256": said.sha256,
                    "environment": said.environment,
                    "findings": sorted(said.covered),
                }
                | signer_facts(item)
                for item in shown
                if (said := item.acceptance)
            ],
        }

    def newest_result(self, asset: str, suite: str) -> Contract | None:
        """What a suite's newest result says, if it and all that it rests on verifies."""
        statement = self.trust.store.newest_result(asset, suite)
        node = self.lineage.node(statement) if statement else None
        return None if node is None or node.all_reasons() else node.contract

    def read_source(self, asset: str, paths: Mapping[str, Path]) -> VerifiedInput:
        """Bytes from outside the attested world (the landing zone), bound by their digests."""
        entries, handed = [], []
        for partition, path in sorted(paths.items()):
            content = files.read_once(path)
            digest = encoding.digest_bytes(content)
            name = f"{asset}/{path.name}"
            entries.append(
                FileEntry(path=name, partition=partition, size=len(content), sha256=digest)
            )
            handed.append(VerifiedFile(partition, name, digest, content))
        view = Manifest.of(asset, entries)
        self.trust.store.put_manifest(view)
        material = Material(name=asset, digest=view.digest, role="source")
        self._readings.append(_Reading(material, view))
        return VerifiedInput(asset, view, tuple(handed))

    def carry_source(self, view: Manifest) -> None:
        """Name sources that an earlier version was made from; their bytes are not read again."""
        self.trust.store.put_manifest(view)
        material = Material(name=view.asset, digest=view.digest, role="source")
        self._readings.append(_Reading(material, view))

    # --- writing -----------------------------------------------------------------------------

    def write(self, partition: str, path: str, content: bytes, made_from: Iterable[str]) -> str:
        """Stage one output file; returns its SHA-256. `path` is relative to the location.

        Raises:
            VerificationError: SECRET_IN_TREE, the bytes hold a private key or an access token.
        """
        refuse_secrets([(path, content)])
        if self._staging is None:
            self._open_staging()
        assert self._staging is not None  # noqa: S101 - set by _open_staging
        entry = FileEntry(
            path=path,
            partition=partition,
            size=len(content),
            sha256=encoding.digest_bytes(content),
            made_from=tuple(sorted(set(made_from))),
        )
        target = self._staging / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        self._entries.append(entry)
        return entry.sha256

    def adopt(self, partition: str, made_from: Iterable[str]) -> None:
        """Take a folder that a library wrote (`location`) as output: every file, none left out.

        Raises:
            EvidenceError: a file cannot be read. VerificationError: SECRET_IN_TREE.
        """
        folder = self.trust.home / self.location
        sources = tuple(sorted(set(made_from)))
        for path in sorted(folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                continue
            content = files.read_once(path)
            refuse_secrets([(path.name, content)])
            self._entries.append(
                FileEntry(
                    path=path.relative_to(folder).as_posix(),
                    partition=partition,
                    size=len(content),
                    sha256=encoding.digest_bytes(content),
                    made_from=sources,
                )
            )

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
            BackendError: could not sign; nothing became visible.
            VerificationError: TIME_SKEW, this machine's clock is wrong; nothing became visible.
        """
        if not self._entries:
            raise ConfigError(reason(RootCause.USAGE, f"step {self.name} wrote nothing"))
        self.rule.check_complete(self.parameters)  # a verifier would refuse it
        asset = self.rule.produces or ""
        manifest = Manifest.of(asset, self._entries)
        self.trust.store.put_manifest(manifest)
        self.join_reads()
        self._refuse_overtaken()
        with files.exclusive_lock(self.trust.home / "run" / f"{asset}.lock"):
            if self._staging is not None:
                name = f"{asset}.{manifest.digest}.{secrets.token_hex(4)}"
                self._staging = self._staging.rename(self._staging.with_name(name))
            bundle, sequence = self._sign(asset, manifest, dict(outputs or {}))
            if self._staging is not None:
                if finish is not None:
                    self._finish(finish, bundle.statement.digest, self._staging)
                publish(self._staging, self.trust.home / self.location)
        self._discard_staging()
        return Materialisation(manifest, bundle, sequence)

    def _refuse_overtaken(self) -> None:
        """Do not sign what the verifier would refuse: something newer was logged before a read was.

        Raises:
            VerificationError: SNAPSHOT_INCOHERENT.
        """
        readings = [
            Reading(item.view, item.nodes, item.pending.result().logged)
            for item in self._readings
            if item.pending is not None
        ]
        read = {reading.view.asset for reading in readings}
        below = {name for asset in read for name in self.policy.layout.inputs(asset)}
        for asset in sorted(read | below):
            with files.exclusive_lock(self.trust.home / "run" / f"{asset}.lock"):
                pass  # whoever was about to publish a version of it has done so
        found = self.lineage.snapshots.problem(readings)
        if found:
            raise VerificationError(found)

    def _finish(self, finish: Finish, statement: str, staged: Path) -> None:
        try:
            finish(self.trust, statement, staged)
        except BaseException:
            self._staging_lock.close()
            self._staging = None  # signed: left for `recover`
            raise

    def _sign(
        self, asset: str, manifest: Manifest, outputs: dict[str, Any]
    ) -> tuple[VerifiedBundle, int]:
        versions = self.lineage.versions
        sequence, previous = versions.next(asset)
        self._refuse_going_back(asset, sequence, manifest, outputs)
        code = self.trust.code()
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
                    *(reading.material for reading in self._readings),
                    *code.materials,
                    Material(name="policies", digest=self.policy.digest, role="policy"),
                ],
                started_at=started_at,
                finished_at=finished_at,
                outputs={
                    "location": self.location,
                    "git_commit": code.git_commit,
                    "git_dirty": code.git_dirty,
                    "step_code": self.trust.step_code(self.name),
                }
                | outputs,
            ),
        )
        signed = self.trust.signing.sign(statement, self.identity)
        Signers.check_span(signed, started_at, finished_at)
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
        if any(reading.material.role == "source" for reading in self._readings):
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
            decision=self._decision_about(view),
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

    def _decision_about(self, view: Manifest) -> str:
        """The access decision under which everything in `view` was read."""
        for reading in reversed(self._readings):
            if reading.pending is None or reading.view.asset != view.asset:
                continue
            if set(reading.view.entries).issuperset(view.entries):
                reading.pending.result()  # else the time-stamps could say that it came later
                return reading.material.decision
        raise VerificationError(
            reason(
                RootCause.DECISION_MISSING, f"{self.name} has not read this", artifact=view.asset
            )
        )

    def join_reads(self) -> None:
        """Wait until every access decision of this step is signed and logged."""
        for reading in self._readings:
            if reading.pending is not None:
                joined(reading.pending)

    # --- staging -----------------------------------------------------------------------------

    def _open_staging(self) -> None:
        folder = _staging_root(self.trust.home, self.location)
        folder.mkdir(parents=True, exist_ok=True)
        self._staging = folder / f"open.{secrets.token_hex(8)}"
        self._staging.mkdir(mode=0o700)
        self._staging_lock = (self._staging / ".lock").open("w")
        fcntl.flock(self._staging_lock, fcntl.LOCK_EX)

    def _discard_staging(self) -> None:
        if self._staging is not None:
            shutil.rmtree(self._staging, ignore_errors=True)
            self._staging_lock.close()
            self._staging = None
            self._entries = []


def _staging_root(home: Path, location: str) -> Path:
    return home / "staging" / location


def publish(staged: Path, target: Path, only: Container[str] | None = None) -> None:
    """Move every staged file (or `only` these paths) into place; safe to repeat after a kill."""
    folders = set()
    for path in sorted(staged.rglob("*")):
        name = path.relative_to(staged).as_posix()
        if path.is_file() and name != ".lock" and (only is None or name in only):
            destination = target / path.relative_to(staged)
            destination.parent.mkdir(parents=True, exist_ok=True)
            path.replace(destination)
            folders.add(destination.parent)
    for folder in folders:
        files.fsync_folder(folder)


def recover(trust: Trust, finish: Mapping[str, Finish] | None = None) -> list[str]:
    """Finish what a killed run had signed, throw away what it had not; returns what was done.

    `finish` holds, by asset, what `commit` was given.
    """
    root = trust.home / "staging"
    unfinished = sum(files.sweep(trust.home / name) for name in _WRITTEN)
    done = [f"removed {unfinished} unfinished files"] if unfinished else []
    for lock in sorted(root.rglob(".lock")):
        staged = lock.parent
        with lock.open("a") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its owner is alive
            asset, _, rest = staged.name.partition(".")
            digest = rest.partition(".")[0]
            signed = asset != "open" and trust.store.records(
                predicate_type=statements.PROVENANCE, asset=asset, subject=digest
            )
            if signed:
                location = staged.parent.relative_to(root)
                newest = _newest_files(trust, asset, digest)
                if newest and asset in (finish or {}):
                    (finish or {})[asset](trust, signed[-1].statement, staged)
                publish(staged, trust.home / location, newest)
                done.append(f"completed {asset} {digest[:12]}")
            else:
                done.append(f"discarded unsigned output {staged.name.partition('.')[0]}")
            shutil.rmtree(staged, ignore_errors=True)
    return done


def _newest_files(trust: Trust, asset: str, digest: str) -> set[str]:
    """Paths of a manifest that no later run replaced: only these may be moved into view."""
    heads = trust.store.heads(asset)
    newest = {(head.path, head.sha256) for found in heads.values() for head in found}
    entries = trust.store.manifest(digest).entries
    return {entry.path for entry in entries if (entry.path, entry.sha256) in newest}


def held(asset: str, partition: str, suite: str) -> Reason:
    """Why an unusual partition may not be used yet, and the exact command that frees it."""
    return reason(
        RootCause.DATA_HELD,
        f"{suite} found it unusual, and nobody has accepted it",
        artifact=asset,
        partition=partition,
        remedy=accept_command(asset, partition),
    )


def accept_command(asset: str, partition: str) -> str:
    """What to type, once a person has looked at a held partition."""
    return (
        "Look at the day; if it is right: "
        f"`fraud-provenance accept {asset} {partition} --as EMAIL --reason TEXT`."
    )


def _entry(node: Node, head: Head) -> FileEntry:
    entries = node.manifest.entries if node.manifest else ()
    for entry in entries:
        if entry.partition == head.partition and entry.path == head.path:
            return entry
    raise EvidenceError(
        reason(
            RootCause.EVIDENCE_MISSING,
            f"{head.path} is in no verified manifest",
            artifact=head.asset,
            partition=head.partition,
        )
    )
