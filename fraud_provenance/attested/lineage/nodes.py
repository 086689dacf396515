"""One statement of a chain with what hangs below it: refused, or whole and of a type of its own."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ProvenanceError, Reason, VerificationError, reason
from fraud_provenance.attested.core.verdict import Link
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements.manifest import FileEntry, Manifest
from fraud_provenance.attested.statements.people import Acceptance, Said
from fraud_provenance.attested.statements.statements import Contract, Provenance, Summary

_Kind = TypeVar("_Kind", bound="Node")

_MISSIGNED = frozenset(
    (
        RootCause.IDENTITY_NOT_AUTHORIZED_FOR_STEP,
        RootCause.PREDICATE_TYPE,
        RootCause.SUBJECT_MISMATCH,
        RootCause.DIGEST_ALG_UNACCEPTABLE,
        RootCause.PARAM_UNEXPECTED,
        RootCause.PARAM_MISSING,
        RootCause.ENVIRONMENT_MISMATCH,
        RootCause.MANIFEST_MALFORMED,
        RootCause.MATERIAL_UNEXPLAINED,
        RootCause.MATERIAL_NOT_ALLOWED,
        RootCause.ORDER_INVALID,
        RootCause.DECISION_MISSING,
    )
)
"""What no step signs: the statement's bundle and log entry are named, for people take them out."""
Version = tuple[str, str, str]
"""Asset, partition, and the SHA-256 of its bytes (of all its files, where it has several)."""


class Withdrawal(NamedTuple):
    """Why something may not be used any more, and since which entry of the log.

    The log's order decides what came first: timestamps know whole seconds only.
    """

    why: Reason
    logged: tuple[int, int]


class Claims(NamedTuple):
    """What a statement says of itself; of a refused one, as far as it could be read.

    Its bundle verified, what it says was read, and the manifest has the digest that was signed:
    None is what was not come to. For whoever shows broken chains, and judges what they rest on.
    """

    bundle: VerifiedBundle | None = None
    said: Provenance | Summary | Contract | Said | None = None
    manifest: Manifest | None = None

    @property
    def made(self) -> Provenance | None:
        """What a materialisation says of itself; None for anything else."""
        return self.said if isinstance(self.said, Provenance) else None

    @property
    def decided(self) -> Summary | None:
        """What a gate answered; None for anything else."""
        return self.said if isinstance(self.said, Summary) else None

    @property
    def subject(self) -> str | None:
        """The digest of what it is about; None where not even its signature verifies."""
        return self.bundle.statement.subject_digest if self.bundle else None

    @property
    def logged(self) -> tuple[int, int]:
        """Its place in the log; before all others where not even its signature verifies."""
        return self.bundle.logged if self.bundle else (0, 0)

    def explain(self, name: str, item: Reason) -> Reason:
        """A reason that names a statement, its signer and its time where it names nothing."""
        signer = str(self.bundle.identity) if self.bundle else ""
        at = encoding.utc_text(self.bundle.signed_at) if self.bundle else ""
        named = ""
        if self.bundle and item.code in _MISSIGNED and not item.at:  # another node's has its time
            named = f"bundle {self.bundle.bundle_digest[:12]} (log entry {self.bundle.log_index}): "
        return item.model_copy(
            update={
                "message": f"{named}{item.message}",
                "artifact": item.artifact or name,
                "identity": item.identity or signer,
                "at": item.at or at,
            }
        )


_NOTHING = Claims()


@dataclass(frozen=True, eq=False, kw_only=True)
class Node(ABC):
    """One statement of a chain and what hangs below it: refused, or of the kind that it is.

    `revoked` holds, by SHA-256, the files of its manifest that were revoked or made from revoked
    ones: a statement over 183 days does not fall with one of them, what was made from that one
    does. `rests` is each file of a materialisation with every version that it was made from.
    """

    kind: str
    name: str
    statement: str
    children: Sequence["Node"] = ()
    reasons: Sequence[Reason] = ()
    """What speaks against the statement itself, hence against all above it: of a `Refused` only."""
    revoked: Mapping[str, Withdrawal] = field(default_factory=dict)
    rests: Mapping[FileEntry, frozenset[Version]] = field(default_factory=dict)
    distance: int = 0
    is_sound: bool = False
    """Neither it nor anything below it is refused. What was not looked through is not sound."""

    @property
    @abstractmethod
    def claims(self) -> Claims:
        """What it says of itself, also where it is refused."""

    @property
    def entries(self) -> Sequence[FileEntry]:
        """The files of its manifest; none where none was read."""
        return self.claims.manifest.entries if self.claims.manifest else ()

    def signed(self) -> VerifiedBundle:
        """Its bundle, whose signature verified, whatever else speaks against the statement.

        Raises:
            VerificationError: it did not verify; the reasons say why.
        """
        if self.claims.bundle is None:
            raise self.refusal()
        return self.claims.bundle

    def expect(self, kind: type[_Kind]) -> _Kind:
        """This node as what it should be, whole. What is below it may still be refused.

        Raises:
            VerificationError: it is refused, or something else; the reasons say why.
        """
        if not isinstance(self, kind):
            raise self.refusal()
        return self

    def trusted(self, kind: type[_Kind]) -> _Kind:
        """As `expect`, where nothing below it is refused either.

        Raises:
            VerificationError: as `expect`, or what it rests on is refused.
        """
        if not self.is_sound:
            raise self.refusal()
        return self.expect(kind)

    def refusal(self) -> VerificationError:
        """Why this cannot be used, the reason nearest the raw data first. Never without one."""
        found = self.all_reasons() or [
            reason(RootCause.PREDICATE_TYPE, f"a {self.kind} stands here", artifact=self.name)
        ]
        return VerificationError(*found)

    def explain(self, item: Reason) -> Reason:
        """A reason that names this node, its signer and its time where it names nothing."""
        return self.claims.explain(self.name, item)

    def walk(self) -> list["Node"]:
        """This node and all below it, each once."""
        return below([self])

    def all_reasons(self) -> list[Reason]:
        """What speaks against this node and all below it, the reason nearest the raw data first."""
        found = [
            item.model_copy(update={"distance": node.distance})
            for node in self.walk()
            for item in node.reasons
        ]
        return sorted(dict.fromkeys(found), key=lambda item: item.distance)

    def link(self, more: Iterable[Reason] = ()) -> Link:
        """This node as a link of a verdict; `more` is what speaks against it beside its reasons."""
        bundle, made = self.claims.bundle, self.claims.made
        commit = made.material("source_code") if made else None
        return Link(
            kind=self.kind,
            name=self.name,
            digest=bundle.statement.subject_digest if bundle else "",
            statement=self.statement,
            signer=str(bundle.identity) if bundle else "",
            signed_at=encoding.utc_text(bundle.signed_at) if bundle else "",
            log_index=bundle.log_index if bundle else None,
            git_commit=(str(made.outputs.get("git_commit", "")) if made else "")
            or (commit.digest[:12] if commit else ""),
            partitions=_partitions(self.claims),
            detail=_detail(self.claims.said),
            distance=self.distance,
            reasons=tuple(
                item.model_copy(update={"distance": self.distance})
                for item in dict.fromkeys([*self.reasons, *more])
            ),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Refused(Node):
    """A statement that does not count, with the reasons and what it seemed to be."""

    claims: Claims = _NOTHING


@dataclass(frozen=True, eq=False, kw_only=True)
class Verified(Node):
    """A statement that is not refused: its bundle verified, and it is one of the types below."""

    bundle: VerifiedBundle

    @cached_property
    def claims(self) -> Claims:
        """All of it."""
        return Claims(self.bundle)


@dataclass(frozen=True, eq=False, kw_only=True)
class Materialisation(Verified):
    """What a step made: who made what from what, and which files."""

    provenance: Provenance
    manifest: Manifest

    @cached_property
    def claims(self) -> Claims:
        """All of it."""
        return Claims(self.bundle, self.provenance, self.manifest)


@dataclass(frozen=True, eq=False, kw_only=True)
class Decision(Verified):
    """A gate's answer, a permission or a denial."""

    summary: Summary

    @cached_property
    def claims(self) -> Claims:
        """All of it."""
        return Claims(self.bundle, self.summary)


@dataclass(frozen=True, eq=False, kw_only=True)
class Judgement(Verified):
    """What a contract found of the files of a manifest."""

    contract: Contract
    manifest: Manifest

    @cached_property
    def claims(self) -> Claims:
        """All of it."""
        return Claims(self.bundle, self.contract, self.manifest)


@dataclass(frozen=True, eq=False, kw_only=True)
class Declaration(Verified):
    """What people say, and whatever else is signed: batches, model signatures, releases.

    `said` is what is read here; of the others, whoever uses them reads the predicate.
    """

    said: Said | None

    @cached_property
    def claims(self) -> Claims:
        """All of it."""
        return Claims(self.bundle, self.said)


@dataclass(frozen=True, eq=False, kw_only=True)
class AcceptedDay(Declaration):
    """An unusual day that a person looked at and found right."""

    said: Acceptance


@dataclass
class Draft:
    """A statement while it is looked at; `node` is what came of it."""

    name: str
    statement: str
    kind: str = "evidence"
    claims: Claims = _NOTHING
    children: list[Node] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    revoked: dict[str, Withdrawal] = field(default_factory=dict)
    rests: Mapping[FileEntry, frozenset[Version]] = field(default_factory=dict)

    def blame(self, error: ProvenanceError) -> None:
        """Record an error as this statement's own, naming it where the error names nothing."""
        self.reasons.extend(self.claims.explain(self.name, item) for item in error.reasons)

    def node(self) -> Node:
        """What it is: refused if anything speaks against it or is lacking, else whole."""
        deepest = max((child.distance for child in self.children), default=-1)
        found: dict[str, Any] = {
            "kind": self.kind, "name": self.name, "statement": self.statement,
            "children": tuple(self.children), "revoked": self.revoked, "rests": self.rests,
            "distance": 1 + deepest,
        }  # fmt: skip
        whole = None if self.reasons else _whole(self.claims)
        if whole is None:
            lacking = reason(RootCause.EVIDENCE_MISSING, "it is not whole: a part was not read")
            reasons = self.reasons or [self.claims.explain(self.name, lacking)]
            return Refused(**found, reasons=tuple(reasons), claims=self.claims)
        kind, parts = whole
        return kind(**found, **parts, is_sound=all(child.is_sound for child in self.children))


def _whole(claims: Claims) -> tuple[type[Verified], dict[str, Any]] | None:
    """The type of what is whole, and its parts; None where one is lacking: no smaller thing."""
    kind: type[Verified]
    parts: dict[str, Any]
    match claims:
        case Claims(bundle=None):
            return None
        case Claims(said=Provenance() as made, manifest=Manifest() as manifest):
            kind, parts = Materialisation, {"provenance": made, "manifest": manifest}
        case Claims(said=Contract() as contract, manifest=Manifest() as manifest):
            kind, parts = Judgement, {"contract": contract, "manifest": manifest}
        case Claims(said=Summary() as summary):
            kind, parts = Decision, {"summary": summary}
        case Claims(said=Acceptance() as accepted):
            kind, parts = AcceptedDay, {"said": accepted}
        case Claims(said=None | Said() as said):
            kind, parts = Declaration, {"said": said}
        case _:
            return None
    return kind, {"bundle": claims.bundle, **parts}


def below(roots: Iterable[Node], *, judged: bool = True) -> list[Node]:
    """`roots` and all below them, each once; without recursion, for chains may be long.

    `judged`: also what contracts read in order to judge, of which nothing was made.
    """
    seen: dict[int, Node] = {}
    stack = list(roots)
    while stack:
        node = stack.pop()
        if id(node) not in seen:
            seen[id(node)] = node
            if judged or node.kind != "contract":
                stack.extend(node.children)
    return list(seen.values())


def fallen(
    nodes: Sequence[Node], files_of: Callable[[Node], Collection[str]]
) -> list[tuple[Node, str]]:
    """(statement, SHA-256) of what falls among the files that were read by one decision.

    Bytes that were made again, from what nobody withdrew, do not fall with those made first.
    `files_of` tells which of a statement's files do not count.
    """
    again = {
        entry.sha256
        for node in nodes
        if node.claims.made and node.claims.manifest
        for entry in node.claims.manifest.entries
        if entry.sha256 not in files_of(node)
    }
    return [
        (node, digest)
        for node in nodes
        for digest in files_of(node)
        if node.claims.made is None or digest not in again
    ]


def _partitions(claims: Claims) -> tuple[str, ...]:
    if isinstance(claims.said, Acceptance):
        return (claims.said.partition,)
    return claims.manifest.partitions if claims.manifest else ()


def _detail(said: Provenance | Summary | Contract | Said | None) -> str:
    match said:
        case Summary():
            outcome = "allowed" if said.allowed else "denied"
            return f"{said.gate}: {outcome}, policy {said.policy_digest[:12]}"
        case Contract():
            return f"{said.suite}: {said.checks} checks, {sum(said.rows.values())} rows"
        case Acceptance():
            accepted = sorted({item.check.replace("_", " ") for item in said.findings})
            return f"not true that {', '.join(accepted)[:200]}; accepted: {said.reason[:200]}"
    return ""
