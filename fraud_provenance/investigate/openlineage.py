"""Evidence as OpenLineage events: what lineage consumers are told, and what they are not.

Only what `verify` would trust is told: signature, log, layout, lineage, chain and the files on
disk. What does not verify, and all that rests on it, is named and left out. The order is the log's,
the times are signed, the ids follow from the statements: the same evidence gives the same bytes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from openlineage.client.event_v2 import RunEvent
from openlineage.client.serde import Serde

from fraud_provenance.attested.core.codes import RootCause, is_undecided
from fraud_provenance.attested.core.errors import (
    BackendError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.core.verdict import Verdict
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Claims, Node, below, fallen
from fraud_provenance.attested.lineage.verifier import LineageVerifier
from fraud_provenance.attested.lineage.versions import REVOCATIONS
from fraud_provenance.attested.sigstore.verification import VerifiedBundle
from fraud_provenance.attested.statements.manifest import Manifest
from fraud_provenance.attested.statements.people import Acceptance
from fraud_provenance.attested.statements.statements import PROVENANCE, Contract, Summary
from fraud_provenance.investigate.breaks import is_of_data
from fraud_provenance.investigate.known_columns import KnownColumns
from fraud_provenance.investigate.openlineage_runs import Runs, is_told
from fraud_provenance.investigate.subjects import verify_subject
from fraud_provenance.investigate.trace import is_transaction, trace_score
from fraud_provenance.models.registry import Registry

ALL = "all"
_WITHDRAWN = frozenset(
    (
        RootCause.PARTITION_REVOKED, RootCause.MODEL_REVOKED, RootCause.STATEMENT_REVOKED,
        RootCause.APPROVAL_REVOKED, RootCause.KEY_REVOKED,
    )
)  # fmt: skip
"""People decided that it counts no more: it is left out, and nothing is wrong."""


@dataclass(frozen=True)
class Told:
    """What consumers are told.

    Attributes:
        events: In the order of the log; START and its end for each run.
        refused: What does not verify, and so is not told.
        withdrawn: How many statements are left out because people withdrew them.
    """

    events: tuple[RunEvent, ...]
    refused: tuple[Reason, ...]
    withdrawn: int = 0

    @property
    def runs(self) -> int:
        """How many runs the events are of."""
        return len({event.run.runId for event in self.events})

    @property
    def lines(self) -> bytes:
        """One JSON document a line, as OpenLineage's own file transport writes it."""
        return "".join(f"{Serde.to_json(event)}\n" for event in self.events).encode()

    @property
    def exit_code(self) -> int:
        """0: all that was asked for is told; 1: something does not verify; 2: not decided."""
        if not self.refused:
            return 0
        return 2 if any(is_undecided(item.code) for item in self.refused) else 1


def events_of(
    trust: Trust,
    registry: Registry,
    columns: KnownColumns,
    subject: str = ALL,
    since: date | None = None,
) -> Told:
    """The events of a subject and of all below it, or of all evidence.

    Args:
        trust: The opened home.
        registry: Its model registry.
        columns: What is known of columns.
        subject: `all`, a transaction id, or what `subjects.verify_subject` knows.
        since: Only what was signed on this UTC day or later. All below is verified all the same.

    Raises:
        ConfigError: USAGE, nothing is known under this name.
        VerificationError, BackendError: nothing of it verifies.
    """
    nodes, problems = _asked(trust, registry, subject)
    verdict = trust.lineage().verify(subject, "openlineage", nodes, problems, partitions={})
    refused = [item for item in verdict.reasons if item.code not in _WITHDRAWN]
    gone = _gone(below(nodes))
    wrong = _wrong(trust.lineage(), verdict, nodes, gone)
    runs, withdrawn = Runs(trust, columns, gone, {name for name in wrong if wrong[name]}), 0
    events: list[RunEvent] = []
    for node in _in_order(nodes):
        against = wrong[node.statement]
        bundle = node.claims.bundle
        if since is not None and bundle and bundle.signed_at.date() < since:
            continue
        told = [] if against else runs.events(node)
        withdrawn += not told and against <= _WITHDRAWN
        events += told
    if refused and not events:
        kind = VerificationError if verdict.decided else BackendError
        raise kind(*refused)
    return Told(tuple(events), tuple(refused), withdrawn)


def _asked(trust: Trust, registry: Registry, subject: str) -> tuple[list[Node], list[Reason]]:
    """The statements that are meant, and what speaks against the subject beside them.

    That data broke a contract is told as the contract's own run, and refuses nothing.
    """
    lineage = trust.lineage()
    if subject == ALL:
        records = [
            record.statement
            for record in trust.store.records()
            if record.environment in ("", trust.environment)
        ]
        nodes = [lineage.node(one) for one in dict.fromkeys(records)]
        return nodes, [*trust.store.problems(), *lineage.versions.vanished()]
    if is_transaction(subject):
        verdict = trace_score(trust, int(subject)).verdict
    else:
        verdict = verify_subject(trust, registry, subject)
    if not verdict.links:
        kind = VerificationError if verdict.decided else BackendError
        why = f"there is no evidence of {subject[:80]!r}"
        raise kind(*verdict.reasons or [reason(RootCause.EVIDENCE_MISSING, why)])
    linked = dict.fromkeys(link.statement for link in verdict.links if link.statement)
    problems = [item for item in verdict.reasons if not is_of_data(item.code)]
    return _with_decisions(lineage, [lineage.node(statement) for statement in linked]), problems


def _with_decisions(lineage: LineageVerifier, nodes: list[Node]) -> list[Node]:
    """Also the decisions that scores name: what made a model champion stands below no score."""
    named = (node.claims.made.outputs.get("decision") for node in nodes if node.claims.made)
    decisions = [lineage.node(one) for one in dict.fromkeys(named) if isinstance(one, str)]
    return list({node.statement: node for node in [*nodes, *below(decisions)]}.values())


def _gone(nodes: Iterable[Node]) -> dict[str, str]:
    """Files that were withdrawn, or made from such, and that nothing else made → why, as a code."""
    found: dict[str, str] = {}
    left: set[str] = set()
    for node in nodes:
        if node.claims.made:
            found |= {digest: item.why.code for digest, item in node.revoked.items()}
            left |= {entry.sha256 for entry in node.entries if entry.sha256 not in node.revoked}
    return {digest: code for digest, code in found.items() if digest not in left}


def _withdrawn(node: Node, gone: Mapping[str, str]) -> set[str]:
    """Why a statement went with what it is about, which is no fault of its own."""
    match node.claims:
        case Claims(said=Contract(), manifest=Manifest(entries=entries)):
            codes = {gone.get(entry.sha256, "") for entry in entries}
            return set() if "" in codes else codes
        case Claims(said=Summary(allowed=True)) if is_told(node):
            return {n.revoked[digest].why.code for n, digest in fallen(node.children, _revoked)}
        case Claims(said=Acceptance()) if node.revoked:
            return {item.why.code for item in node.revoked.values()}
        case Claims(bundle=VerifiedBundle() as bundle) if node.kind in ("acceptance", "supersede"):
            about = str(bundle.statement.predicate.get("sha256"))
            return {gone[about]} if about in gone else set()
    return set()


def _revoked(node: Node) -> Collection[str]:
    return node.revoked


def _wrong(
    lineage: LineageVerifier, verdict: Verdict, nodes: Sequence[Node], gone: Mapping[str, str]
) -> dict[str, set[str]]:
    """Statement → the codes that speak against it: its own, its chain's, and those of all below.

    A denial may rest on what is wrong: that is why it is one. It needs to verify itself.
    """
    own: dict[str, set[str]] = {}
    for link in verdict.links:
        own.setdefault(link.statement, set()).update(item.code for item in link.reasons)
    everywhere = {
        item.code
        for item in (*lineage.versions.problems(REVOCATIONS), *lineage.revocations.problems)
    }
    found: dict[str, set[str]] = {}
    chains: dict[str, set[str]] = {}
    for node in sorted(below(nodes), key=lambda node: node.distance):
        codes = own.get(node.statement, set()) | everywhere | _withdrawn(node, gone)
        if node.claims.made is not None:
            asset = node.claims.made.asset
            if asset not in chains:
                chains[asset] = {item.code for item in lineage.versions.problems(asset)}
            codes |= chains[asset]
        said = node.claims.decided
        if said is None or said.allowed:
            codes = codes.union(*(_of_child(found, child) for child in node.children))
            if not node.is_sound and not codes:
                codes = {str(RootCause.VERIFY_ERROR)}  # fail closed, whatever it was
        found[node.statement] = codes
    for node in nodes:
        if node.kind == "approval" and node.claims.subject is not None:
            found[node.statement] |= _of_approved(lineage, found, node.claims.subject)
    return found


def _of_approved(lineage: LineageVerifier, found: Mapping[str, set[str]], digest: str) -> set[str]:
    """What speaks against the model that was approved; its approval names it and no statement."""
    against = [
        found.get(record.statement, {item.code for item in made.all_reasons()})
        | {item.why.code for item in made.revoked.values()}
        for record in lineage.store.records(predicate_type=PROVENANCE, subject=digest)
        if (made := lineage.node(record.statement)).claims.bundle is not None
    ]
    if not against:
        return {str(RootCause.EVIDENCE_MISSING)}
    return min(against, key=len)


def _of_child(found: Mapping[str, set[str]], child: Node) -> set[str]:
    return found.get(child.statement, {str(RootCause.LINEAGE_CYCLE)})


def _in_order(nodes: Iterable[Node]) -> list[Node]:
    """What is told, and what would be if it verified, as it was logged."""
    told = [
        (bundle.logged, node.statement, node)
        for node in nodes
        if (bundle := node.claims.bundle) is not None and is_told(node)
    ]
    return [node for _, _, node in sorted(told, key=lambda item: item[:2])]
