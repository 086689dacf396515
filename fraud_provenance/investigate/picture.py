"""A lineage as a picture: few boxes, from the raw data on the left to the scores on the right.

In: the links of a trace or what a recall reached. Out: boxes with places, and lines between them.
Links that are alike are one box, so that ten thousand of them are as many boxes as ten.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fraud_provenance.investigate.chain import ROLES, Fold, Joint, folded
from fraud_provenance.investigate.reach import Reach, Touched

_COLUMNS: Mapping[str, int] = {
    "landing file": 0, "waiver": 0, "policy": 0, "supersede": 0,
    "raw days": 1, "raw contracts": 1, "acceptance": 1,
    "features": 2, "feature contracts": 2, "feature store": 3,
    "training set": 3, "training contracts": 3,
    "model": 4, "model signature": 4, "bill of materials": 4, "evaluation": 5,
    "registration decision": 5, "approval": 6, "promotion request": 6, "release decision": 6,
    "scores": 7, "score contract": 7, "prediction batch": 8,
}  # fmt: skip
_CONTRACTS = {
    "raw_transactions": "raw contracts", "transaction_features": "feature contracts",
    "training_set": "training contracts",
}  # fmt: skip
_BY_ROLE = (("landing file", "raw days"), ("scores", "prediction batch"),
            ("model", "model signature"))  # fmt: skip
"""Lower and upper role where no statement names the other one as what it rests on."""
MARKS = {"good": "✓", "odd": "!", "broken": "✗"}
"""A state without its colour."""
_CHARACTERS = 23
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _EDGE = 168, 58, 34, 16, 12


@dataclass(frozen=True)
class Box:
    """One node. `lines` are what stands in it; `state` is `good`, `odd` or `broken`."""

    key: str
    title: str
    lines: tuple[str, ...]
    state: str
    column: int
    x: int = 0
    y: int = 0

    @property
    def mark(self) -> str:
        """The state for those who see no colours, and for paper."""
        return MARKS[self.state]


@dataclass(frozen=True)
class Line:
    """From one box to another, as an SVG path."""

    path: str
    state: str


@dataclass
class Picture:
    """Placed boxes and lines, and the picture's size."""

    boxes: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    width: int = 0
    height: int = 0

    box_width: int = _WIDTH
    box_height: int = _HEIGHT


def of_joints(joints: Sequence[Joint], odd: Callable[[Joint], bool] | None = None) -> Picture:
    """The picture of a trace.

    Access decisions are the lines between boxes; one that is not good is a box of its own.

    Args:
        joints: The links.
        odd: Which of them are marked for another reason than their own.
    """
    folds = [fold for fold in folded(joints)
             if fold.role != "access decision" or fold.state == "broken"]  # fmt: skip
    boxes = [_box(f"n{index}", fold, odd) for index, fold in enumerate(folds)]
    edges = _rests(folds, joints)
    return _placed(_shadowed(boxes, edges), edges)


def _rests(folds: Sequence[Fold], joints: Sequence[Joint]) -> set[tuple[str, str]]:
    """From what is below to what rests on it; a policy is below all, and has no lines."""
    keys = {item.link.statement: f"n{index}" for index, fold in enumerate(folds)
            for item in fold.joints if item.link.statement and fold.role != "policy"}  # fmt: skip
    between = {item.link.statement: item for item in joints if item.role == "access decision"}
    edges = set()
    for index, fold in enumerate(folds):
        for below in {name for item in fold.joints for name in item.rests_on}:
            passed = between[below].rests_on if below in between else ()
            edges |= {(keys[name], f"n{index}") for name in (below, *passed) if name in keys}
    for lower, upper in _BY_ROLE:
        for index, fold in enumerate(folds):
            if fold.role == lower:
                edges |= {(f"n{index}", f"n{n}") for n, other in enumerate(folds)
                          if other.role == upper}  # fmt: skip
    return edges


def _shadowed(boxes: Sequence[Box], edges: Iterable[tuple[str, str]]) -> list[Box]:
    """What rests on something that does not hold is to be looked at, however good it is itself."""
    dark = {box.key for box in boxes if box.state == "broken"}
    known = list(edges)
    for _ in boxes:
        dark |= {target for source, target in known if source in dark}
    return [
        replace(box, state="odd") if box.key in dark and box.state == "good" else box
        for box in boxes
    ]


def _box(key: str, fold: Fold, odd: Callable[[Joint], bool] | None) -> Box:
    role = fold.role
    first = fold.joints[0].link
    if role == "contract":
        role = _CONTRACTS.get(first.name.rpartition(" on ")[2], role)
    state = fold.state
    if state == "good" and odd is not None and any(odd(item) for item in fold.joints):
        state = "odd"
    many = f" ({fold.count})" if fold.count > 1 else ""
    name = "landing" if role == "landing file" else first.name.partition(" on ")[0]
    days = [day for item in fold.joints for day in item.link.partitions if day]
    lines = (_cut(name), _cut(_span(days) if days else first.signer.partition(" ")[0]))
    return Box(key, f"{role}{many}", lines, state, _COLUMNS.get(role, 0))


def _cut(text: str) -> str:
    return text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 1]}…"


def _span(partitions: Iterable[str]) -> str:
    """Days as first, last and number; anything else by name."""
    known = sorted(set(partitions))
    if len(known) < 2 or known[0][:4].isdigit() is False:
        return ", ".join(known)
    return f"{known[0]} … {known[-1][5:]} ({len(known)})"


def of_reach(reach: Reach) -> Picture:
    """The picture of a recall: what is recalled is broken, what was built on it is odd."""
    assets: dict[str, list[Touched]] = {}
    for item in reach.touched:
        assets.setdefault(item.asset, []).append(item)
    boxes, edges = [], set()
    for asset, items in assets.items():
        role = ROLES.get(asset, asset)
        through = {name for item in items for name in item.through}
        state = "broken" if "itself" in through else "odd"
        days = _span([item.entry.partition for item in items])
        boxes.append(Box(asset, f"{role} ({len(items)})", (_cut(asset), _cut(days)), state,
                         _COLUMNS.get(role, 0)))  # fmt: skip
        edges |= {(name, asset) for name in through if name in assets and name != asset}
    kinds: dict[str, int] = {}
    for node in reach.statements:
        kinds[node.kind] = kinds.get(node.kind, 0) + 1
    for kind, count in kinds.items():
        role = {"decision": "release decision"}.get(kind, kind)
        boxes.append(Box(kind.replace(" ", "-"), f"{kind} ({count})", ("rests on it", ""), "odd",
                         _COLUMNS.get(role, 5)))  # fmt: skip
    if "decision" in kinds:
        edges |= {(name, "decision") for name in ("fraud_model", "model_evaluation", "approval")
                  if name in assets or name in kinds}  # fmt: skip
        edges |= {("decision", "transaction_scores")} if "transaction_scores" in assets else set()
    if "prediction batch" in kinds and "transaction_scores" in assets:
        edges.add(("transaction_scores", "prediction-batch"))
    return _placed(boxes, edges)


def _placed(boxes: Iterable[Box], edges: Iterable[tuple[str, str]]) -> Picture:
    """Columns from left to right, boxes below each other; empty columns take no place."""
    columns: dict[int, list[Box]] = {}
    for box in boxes:
        columns.setdefault(box.column, []).append(box)
    found = Picture()
    places: dict[str, Box] = {}
    tallest = max((len(column) for column in columns.values()), default=0)
    found.height = 2 * _EDGE + tallest * (_HEIGHT + _GAP_Y) - _GAP_Y
    for index, number in enumerate(sorted(columns)):
        top = _EDGE + (tallest - len(columns[number])) * (_HEIGHT + _GAP_Y) // 2
        for row, box in enumerate(columns[number]):
            x = _EDGE + index * (_WIDTH + _GAP_X)
            placed = replace(box, x=x, y=top + row * (_HEIGHT + _GAP_Y))
            places[box.key] = placed
            found.boxes.append(placed)
    found.width = 2 * _EDGE + len(columns) * (_WIDTH + _GAP_X) - _GAP_X
    for source, target in sorted(edges):
        if source in places and target in places and source != target:
            found.lines.append(_line(places[source], places[target]))
    return found


def _line(source: Box, target: Box) -> Line:
    """A curve from the right side of a box to the left side of another; along one column, a bow."""
    y0, y1 = source.y + _HEIGHT // 2, target.y + _HEIGHT // 2
    if source.x < target.x:
        x0, x1 = source.x + _WIDTH, target.x
        bend = max(20, (x1 - x0) // 2)
        path = f"M{x0},{y0} C{x0 + bend},{y0} {x1 - bend},{y1} {x1},{y1}"
    else:
        x0, x1 = source.x + _WIDTH, target.x + _WIDTH
        path = f"M{x0},{y0} C{x0 + 26},{y0} {x1 + 26},{y1} {x1},{y1}"
    return Line(path, source.state)
