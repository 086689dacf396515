"""What was built on something: from seeds, along verified edges, up to the single score file.

An edge is what a signed statement says: this file was made from those bytes, read under a decision
that rests on these statements. So the same bytes, attested twice, are two things: what was made
from one of them does not fall with the other. Statements are taken in the log's order, each after
all that it can rest on. One that does not verify is no part of the answer; it is told.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from fraud_provenance.attested.core.errors import Reason
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import (
    AcceptedDay,
    Decision,
    Judgement,
    Materialisation,
    Node,
    Verified,
    fallen,
)
from fraud_provenance.attested.statements.manifest import FileEntry
from fraud_provenance.attested.statements.statements import Provenance
from fraud_provenance.investigate.chain import role_of
from fraud_provenance.predictions.batch import SCORES, read_batch

ACCESS, DECISION, SEED = "data_access", "decision", "itself"


@dataclass(frozen=True)
class Seeds:
    """What is recalled.

    Attributes:
        files: SHA-256 of files, wherever they are used.
        chosen: Whether a verified statement is recalled as a whole.
    """

    files: frozenset[str] = frozenset()
    chosen: Callable[[Node], bool] = lambda _node: False


@dataclass(frozen=True)
class Touched:
    """One attested file that is recalled, or was made from such.

    Attributes:
        node: Its statement.
        entry: The file.
        through: The assets (or `decision`) right below by which it is reached; `itself` for a seed.
        is_current: Whether it is the newest version of its partition.
    """

    node: Materialisation
    entry: FileEntry
    through: frozenset[str]
    is_current: bool

    @property
    def asset(self) -> str:
        """What it is a file of."""
        return self.node.provenance.asset


@dataclass
class Reach:
    """All that was built on the seeds.

    Attributes:
        seeds: The statements recalled as a whole.
        touched: Files, in the log's order.
        statements: Decisions, approvals, contracts and batches that rest on it.
        scores: Day → rows, of the current scores among the files.
        refused: What does not verify, so that nobody can tell what was built on it.
    """

    seeds: list[Node] = field(default_factory=list)
    touched: list[Touched] = field(default_factory=list)
    statements: list[Verified] = field(default_factory=list)
    scores: dict[str, int] = field(default_factory=dict)
    refused: list[Reason] = field(default_factory=list)

    def of(self, asset: str) -> list[Touched]:
        """The files of one asset."""
        return [item for item in self.touched if item.asset == asset]

    def partitions(self, *, current: bool = False) -> dict[str, list[str]]:
        """Asset → its partitions, in the order in which assets are made from each other."""
        found: dict[str, set[str]] = {}
        for item in self.touched:
            if item.is_current or not current:
                found.setdefault(item.asset, set()).add(item.entry.partition)
        return {asset: sorted(days) for asset, days in found.items()}


def reach_of(trust: Trust, seeds: Seeds) -> Reach:
    """Walk from the seeds to everything that was built on them, in one pass over the evidence."""
    return _Walk(trust, seeds).run()


class _Walk:
    def __init__(self, trust: Trust, seeds: Seeds) -> None:
        self._trust, self._seeds = trust, seeds
        self._files: dict[str, set[str]] = {}  # statement → recalled files among its own
        self._whole: set[str] = set()  # statements that are recalled, or rest on such
        self._newest: dict[str, set[tuple[str, str]]] = {}
        self._models: set[str] = set()  # manifest digests of recalled models, and their statements
        self.reach = Reach()

    def run(self) -> Reach:
        """In the log's order: what a statement rests on was signed before it."""
        lineage = self._trust.lineage()
        nodes = {record.statement: lineage.node(record.statement)
                 for record in self._trust.store.records()}  # fmt: skip
        ordered = sorted(nodes.values(), key=lambda node: node.claims.logged)
        for node in ordered:
            if not isinstance(node, Verified):
                self.reach.refused += node.reasons
                continue
            is_seed = self._seeds.chosen(node)
            if is_seed:
                self._whole.add(node.statement)
                self.reach.seeds.append(node)
            if isinstance(node, Materialisation):
                self._materialisation(node, is_seed)
            elif isinstance(node, Decision) and node.summary.gate == ACCESS:
                self._access(node)
            elif self._rests(node) or is_seed:
                self._whole.add(node.statement)
                self._files[node.statement] = self._freed(node)
                self.reach.statements.append(node)
        return self.reach

    def _materialisation(self, node: Materialisation, is_seed: bool) -> None:
        made = node.provenance
        below, decided = self._read(node), self._decided(made)
        mine: set[str] = set()
        for entry in node.entries:
            through = {name for source in entry.made_from for name in below.get(source, ())}
            if is_seed or entry.sha256 in self._seeds.files:
                through.add(SEED)
            if self._seeds.files.intersection(entry.made_from) and not through:
                through.add("landing")
            if decided & {"", entry.partition}:
                through.add(DECISION)
            if through:
                mine.add(entry.sha256)
                is_current = (node.statement, entry.partition) in self._heads(made.asset)
                touched = Touched(node, entry, frozenset(through), is_current)
                self.reach.touched.append(touched)
                if made.asset == SCORES and is_current and entry.path.endswith(".parquet"):
                    self._count(node, entry.partition)
        if mine:
            self._files[node.statement] = mine
            self._models |= {node.bundle.statement.subject_digest}
            self._models |= {str(made.outputs.get(name)) for name in ("model_signature", "ml_bom")}

    def _heads(self, asset: str) -> set[tuple[str, str]]:
        """(statement, partition) of the newest versions."""
        if asset not in self._newest:
            heads = self._trust.store.heads(asset)
            self._newest[asset] = {(head.statement, day) for day in heads for head in heads[day]}
        return self._newest[asset]

    def _count(self, node: Materialisation, day: str) -> None:
        rows = node.provenance.outputs.get("rows")
        self.reach.scores[day] = int(rows.get(day, 0)) if isinstance(rows, dict) else 0

    def _read(self, node: Node) -> dict[str, set[str]]:
        """Recalled files that a materialisation read → the assets that they are files of."""
        found: dict[str, set[str]] = {}
        for decision in node.children:
            if isinstance(decision, Decision):
                for digest in self._files.get(decision.statement, ()):
                    found.setdefault(digest, set()).add(decision.bundle.statement.subject_name)
        return found

    def _decided(self, made: Provenance) -> set[str]:
        """The partitions that a recalled statement of people or a gate let be made; "" for all."""
        outputs = made.outputs
        found = {""} if outputs.get("decision") in self._whole else set()
        for name in ("waivers", "supersede"):
            said = outputs.get(name)
            for day, statement in said.items() if isinstance(said, Mapping) else ():
                if statement in self._whole:
                    found.add("" if name == "waivers" else str(day))
        return found

    def _access(self, node: Decision) -> None:
        """What one decision let be read, as far as it is recalled."""
        view = self._trust.store.manifest(node.bundle.statement.subject_digest)
        readable = {entry.sha256 for entry in view.entries}
        recalled = fallen(node.children, lambda read: self._files.get(read.statement, ()))
        bad = {digest for _, digest in recalled} | self._seeds.files
        if node.statement in self._whole or any(
            child.kind == "policy" and child.statement in self._whole for child in node.children
        ):
            bad = readable
        self._files[node.statement] = bad & readable

    def _rests(self, node: Verified) -> bool:
        """Whether a statement that attests no files rests on what is recalled."""
        said = node.bundle.statement
        if node.kind == "prediction batch":
            return bool(self._files.get(str(said.predicate.get("scores_statement")))) or (
                str(said.predicate.get("decision")) in self._whole
            )
        if node.kind in ("contract", "acceptance"):
            about = {item.sha256 for item in node.entries}
            about |= {node.said.sha256} if isinstance(node, AcceptedDay) else set()
            judged = {digest for child in node.children
                      for digest in self._files.get(child.statement, ())}  # fmt: skip
            waived = any(c.kind == "waiver" and c.statement in self._whole for c in node.children)
            return bool(about & judged) or waived
        if node.kind in ("approval", "model signature", "bill of materials", "promotion request"):
            return said.subject_digest in self._models or node.statement in self._models
        return any(
            child.statement in self._whole or self._files.get(child.statement)
            for child in node.children
        )

    def _freed(self, node: Node) -> set[str]:
        """The files that count by a recalled contract or acceptance, and so do not count."""
        if isinstance(node, AcceptedDay):
            return {node.said.sha256}
        waived = any(c.kind == "waiver" and c.statement in self._whole for c in node.children)
        if isinstance(node, Judgement) and (self._seeds.chosen(node) or waived):
            return {entry.sha256 for entry in node.entries}
        return set()


def batches_of(reach: Reach) -> list[int]:
    """The numbers of the prediction batches among the statements."""
    return sorted(
        read_batch(node.bundle.statement).sequence
        for node in reach.statements
        if node.kind == "prediction batch"
    )


def counted(nodes: Iterable[Node]) -> dict[str, int]:
    """Role → how many statements."""
    found: dict[str, int] = {}
    for node in nodes:
        found[role_of(node)] = found.get(role_of(node), 0) + 1
    return found
