"""`Node`: one statement of a chain, verified or refused, with what hangs below it."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import ProvenanceError, Reason, VerificationError, reason
from fraud_provenance.attested.core.verdict import Link
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements.manifest import FileEntry, Manifest
from fraud_provenance.attested.statements.people import Acceptance
from fraud_provenance.attested.statements.statements import Contract, Provenance, Statement, Summary

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


@dataclass
class Node:
    """One verified (or refused) statement and what hangs below it.

    `reasons` speak against the statement itself, hence against everything above it. `revoked`
    holds, by SHA-256, the files of its manifest that were revoked or made from revoked ones: a
    statement over 183 days does not fall with one of them, what was made from that one does.
    """

    kind: str
    name: str
    statement: str
    bundle: VerifiedBundle | None = None
    manifest: Manifest | None = None
    provenance: Provenance | None = None
    summary: Summary | None = None
    contract: Contract | None = None
    acceptance: Acceptance | None = None
    children: list["Node"] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    revoked: dict[str, Withdrawal] = field(default_factory=dict)
    rests: dict[FileEntry, frozenset[Version]] = field(default_factory=dict)
    """Each file of a materialisation with every version that it was made from."""
    distance: int = 0
    is_sound: bool = False
    """Neither it nor anything below it is refused. What was not looked through is not sound."""

    def statement_of(self) -> Statement:
        """The verified statement.

        Raises:
            VerificationError: it did not verify; the reasons say why.
        """
        if self.bundle is None:
            raise self.refusal()
        return self.bundle.statement

    def summary_of(self) -> Summary:
        """What a decision says.

        Raises:
            VerificationError: this is no decision that verified.
        """
        if self.summary is None:
            raise self.refusal()
        return self.summary

    def provenance_of(self) -> Provenance:
        """What a materialisation says of itself.

        Raises:
            VerificationError: this is no materialisation that verified.
        """
        if self.provenance is None:
            raise self.refusal()
        return self.provenance

    def refusal(self) -> VerificationError:
        """Why this cannot be used, the reason nearest the raw data first. Never without one."""
        found = self.all_reasons() or [
            reason(RootCause.PREDICATE_TYPE, f"a {self.kind} stands here", artifact=self.name)
        ]
        return VerificationError(*found)

    def blame(self, error: ProvenanceError) -> None:
        """Record an error as this node's own, naming this node where it names nothing."""
        self.reasons.extend(self.explain(item) for item in error.reasons)

    def explain(self, item: Reason) -> Reason:
        """A reason that names this node, its signer and its time where it names nothing."""
        signer = str(self.bundle.identity) if self.bundle else ""
        at = encoding.utc_text(self.bundle.signed_at) if self.bundle else ""
        named = ""
        if self.bundle and item.code in _MISSIGNED and not item.at:  # another node's has its time
            named = f"bundle {self.bundle.bundle_digest[:12]} (log entry {self.bundle.log_index}): "
        return item.model_copy(
            update={
                "message": f"{named}{item.message}",
                "artifact": item.artifact or self.name,
                "identity": item.identity or signer,
                "at": item.at or at,
            }
        )

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
        commit = self.provenance.material("source_code") if self.provenance else None
        return Link(
            kind=self.kind,
            name=self.name,
            digest=self.bundle.statement.subject_digest if self.bundle else "",
            statement=self.statement,
            signer=str(self.bundle.identity) if self.bundle else "",
            signed_at=encoding.utc_text(self.bundle.signed_at) if self.bundle else "",
            log_index=self.bundle.log_index if self.bundle else None,
            git_commit=(
                str(self.provenance.outputs.get("git_commit", "")) if self.provenance else ""
            )
            or (commit.digest[:12] if commit else ""),
            partitions=_partitions(self),
            detail=_detail(self),
            distance=self.distance,
            reasons=tuple(
                item.model_copy(update={"distance": self.distance})
                for item in dict.fromkeys([*self.reasons, *more])
            ),
        )


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
        if node.provenance and node.manifest
        for entry in node.manifest.entries
        if entry.sha256 not in files_of(node)
    }
    return [
        (node, digest)
        for node in nodes
        for digest in files_of(node)
        if node.provenance is None or digest not in again
    ]


def _partitions(node: Node) -> tuple[str, ...]:
    if node.acceptance:
        return (node.acceptance.partition,)
    return node.manifest.partitions if node.manifest else ()


def _detail(node: Node) -> str:
    if node.summary:
        outcome = "allowed" if node.summary.allowed else "denied"
        return f"{node.summary.gate}: {outcome}, policy {node.summary.policy_digest[:12]}"
    if node.contract:
        found = node.contract
        return f"{found.suite}: {found.checks} checks, {sum(found.rows.values())} rows"
    if node.acceptance:
        accepted = sorted({item.check.replace("_", " ") for item in node.acceptance.findings})
        return (
            f"not true that {', '.join(accepted)[:200]}; accepted: {node.acceptance.reason[:200]}"
        )
    return ""
