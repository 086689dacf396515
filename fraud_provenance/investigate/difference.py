"""What differs between two models, runs, days, scores or releases: by signed facts, and only that.

Digests tell whether something differs. What it is, is read from bytes that have these digests: the
columns of rows, the lines of a lock, the files of a commit, the values of a policy.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.investigate.facts import SECTIONS, Facts, Source, facts_of
from fraud_provenance.investigate.past import LOCK, Past, leaves_of, policy_changes
from fraud_provenance.investigate.why import bytes_of
from fraud_provenance.models.registry import Registry

if TYPE_CHECKING:
    import polars as pl

    from fraud_provenance.fraud.shift import Shift

_MOST_FILES = 400
_DEEPER = frozenset(("lock", "policy"))  # a digest alone says nothing: see `_deeper`


@dataclass(frozen=True)
class Change:
    """One fact that differs; None where one side does not have it."""

    section: str
    name: str
    a: Any
    b: Any

    @property
    def others(self) -> tuple[Any, Any]:
        """Both values; of two lists, what the other one does not have, if that is anything."""
        if not (isinstance(self.a, list) and isinstance(self.b, list)):
            return self.a, self.b
        left = [item for item in self.a if item not in self.b]
        right = [item for item in self.b if item not in self.a]
        return (left, right) if left or right else (self.a, self.b)


@dataclass(frozen=True)
class Moved:
    """The files of one asset that are not the same on both sides.

    `rows`: as signed, of those files on each side, None where nobody counted them.
    """

    asset: str
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    changed: tuple[str, ...]
    rows: tuple[int | None, int | None]
    shifts: "tuple[Shift, ...]" = ()


@dataclass
class Difference:
    """Two subjects, and everything in which they differ."""

    a: Facts
    b: Facts
    changes: list[Change] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    """Files of the code: path, lines added, lines removed."""
    notes: list[str] = field(default_factory=list)
    """What could not be compared, and why."""

    @property
    def trusted(self) -> bool:
        """Whether both sides hold."""
        return self.a.verdict.trusted and self.b.verdict.trusted

    @property
    def exit_code(self) -> int:
        """0 both sides hold, 1 one does not, 2 that could not be decided."""
        return max(self.a.verdict.exit_code, self.b.verdict.exit_code)

    @property
    def headline(self) -> str:
        """One sentence: in what they differ, or what speaks against a side."""
        for side in (self.a, self.b):
            if side.verdict.root_cause is not None:
                return f"NOT trusted: {side.subject}. {side.verdict.root_cause}"
        sections = [name for name in SECTIONS if self.section(name)]
        if not sections:
            return f"{self.a.subject} and {self.b.subject} do not differ in anything that is signed"
        return f"{self.a.subject} and {self.b.subject} differ in {', '.join(sections)}"

    def section(self, name: str) -> list[Change]:
        """The changes of one section, those of the files among them."""
        own = [change for change in self.changes if change.section == name]
        is_focus = {side.focus for side in (self.a, self.b)} | {"fraud_model", "model_evaluation"}
        for item in self.moved:
            if name == ("outputs" if item.asset in is_focus else "inputs"):
                own.append(Change(name, f"{item.asset}.files", item.rows[0], item.rows[1]))
        return own


def compare(trust: Trust, registry: Registry, project: Path, a: str, b: str) -> Difference:
    """Two subjects, fact by fact. See `facts.facts_of` for what may be named.

    Raises:
        ConfigError: USAGE, nothing is known under a name.
    """
    sides = (facts_of(trust, registry, a), facts_of(trust, registry, b))
    found = Difference(*sides)
    for section in SECTIONS:
        known = [leaves_of(side.sections.get(section, {})) for side in sides]
        found.changes += [
            Change(section, name, known[0].get(name), known[1].get(name))
            for name in sorted(known[0].keys() | known[1].keys())
            if known[0].get(name) != known[1].get(name) and section not in _DEEPER
        ]
    _deeper(found, Past(trust, project))
    _shares(found)
    for asset in dict.fromkeys((*sides[0].files, *sides[1].files)):
        moved = _moved(trust, asset, found)
        if moved is not None:
            found.moved.append(moved)
    return found


def _shares(found: Difference) -> None:
    """Two scores: the scores themselves, and each feature's value and share."""
    if found.a.why is None or found.b.why is None:
        return
    pairs: dict[str, tuple[Any, Any]] = {"score": (found.a.why.score, found.b.why.score)}
    left, right = (
        {share.name: (share.value, round(share.contribution, 6)) for share in why.shares}
        for why in (found.a.why, found.b.why)
    )
    for name in left.keys() | right.keys():
        pairs[f"{name} (value, share)"] = (left.get(name), right.get(name))
    changes = [Change("outputs", name, *pair) for name, pair in pairs.items() if pair[0] != pair[1]]
    found.changes += sorted(changes, key=_by_share)


def _by_share(change: Change) -> float:
    """The score first, then by how much a feature's share differs."""
    if change.name == "score":
        return -float("inf")
    sides = [side[1] if side else 0.0 for side in (change.a, change.b)]
    return -abs(float(sides[0]) - float(sides[1]))


# --- what a digest stands for ----------------------------------------------------------------


def _deeper(found: Difference, past: Past) -> None:
    """Code, lock and policy by their contents."""
    for look in (_code, _lock, _policy):
        try:
            look(found, past)
        except ProvenanceError as error:
            found.notes.append(str(error))
        except (ValueError, UnicodeDecodeError) as error:
            found.notes.append(f"a file of the past cannot be read: {error}")


def _pairs(found: Difference, section: str, ending: str = "") -> list[tuple[str, str]]:
    """The (A, B) values of those names of a section that have one other value on each side.

    What several runs made has several values; what these are is told, not looked into.
    """
    known = [side.sections.get(section, {}) for side in (found.a, found.b)]
    pairs: dict[tuple[str, str], None] = {}
    for name in known[0].keys() & known[1].keys():
        a, b = known[0][name], known[1][name]
        if a != b and name.endswith(ending) and isinstance(a, str) and isinstance(b, str):
            pairs[a, b] = None
    return sorted(pairs)


def _code(found: Difference, past: Past) -> None:
    files = {}
    for a, b in _pairs(found, "code", ".commit"):
        for file in past.changed_files(a, b):
            files[file["path"]] = file
    found.files = [files[path] for path in sorted(files)]


def _lock(found: Difference, past: Past) -> None:
    lines: dict[str, Change] = {}
    for a, b in _pairs(found, "lock"):
        pins = [past.lock(_commit_of(side, digest), digest)
                for side, digest in ((found.a, a), (found.b, b))]  # fmt: skip
        for name in sorted(pins[0].keys() | pins[1].keys()):
            if pins[0].get(name) != pins[1].get(name):
                lines[name] = Change("lock", name, pins[0].get(name), pins[1].get(name))
        if pins[0] == pins[1]:
            lines[LOCK] = Change("lock", LOCK, a, b)
    found.changes += lines.values()


def _commit_of(side: Facts, lock: str) -> str:
    """The commit of something that was made with this lock."""
    for asset, digest in side.sections.get("lock", {}).items():
        commit = side.sections.get("code", {}).get(f"{asset}.commit")
        if digest == lock and isinstance(commit, str):
            return commit
    return ""


def _policy(found: Difference, past: Past) -> None:
    changes: dict[str, Change] = {}
    for a, b in _pairs(found, "policy"):
        changes["policies"] = Change("policy", "policies", a, b)
        for item in policy_changes(past.policy(a), past.policy(b)):
            changes[item["name"]] = Change("policy", item["name"], item["a"], item["b"])
    found.changes += changes.values()


# --- rows ------------------------------------------------------------------------------------


def _moved(trust: Trust, asset: str, found: Difference) -> Moved | None:
    """What differs in the files of one asset, down to the distributions of their columns."""
    left, right = (side.files.get(asset, {}) for side in (found.a, found.b))
    only_a, only_b = sorted(left.keys() - right.keys()), sorted(right.keys() - left.keys())
    changed = sorted(
        place
        for place in left.keys() & right.keys()
        if left[place].entry.sha256 != right[place].entry.sha256
    )
    if not (only_a or only_b or changed):
        return None
    sides = [[left[place] for place in (*only_a, *changed)],
             [right[place] for place in (*only_b, *changed)]]  # fmt: skip
    return Moved(
        asset, tuple(only_a), tuple(only_b), tuple(changed),
        (_counted(sides[0]), _counted(sides[1])), _shifts(trust, asset, sides, found),
    )  # fmt: skip


def _counted(side: Sequence[Source]) -> int | None:
    counts = [source.rows for source in side]
    return None if None in counts else sum(count for count in counts if count is not None)


def _shifts(
    trust: Trust, asset: str, sides: Sequence[Sequence[Source]], found: Difference
) -> "tuple[Shift, ...]":
    from fraud_provenance.fraud.shift import column_shifts

    frames = [_rows(trust, asset, side, found) for side in sides]
    if frames[0] is None or frames[1] is None:
        return ()
    return tuple(column_shifts(frames[0], frames[1]))


def _rows(
    trust: Trust, asset: str, side: Sequence[Source], found: Difference
) -> "pl.DataFrame | None":
    """The rows of some files, from verified bytes; None where not all of them can be had."""
    import polars as pl

    tables = [source for source in side if source.entry.path.endswith(".parquet")]
    if not tables or len(tables) > _MOST_FILES:
        return None
    try:
        frames = [
            pl.read_parquet(io.BytesIO(bytes_of(trust, item.node, item.entry))) for item in tables
        ]
        return pl.concat(frames, how="diagonal_relaxed")
    except ProvenanceError as error:
        found.notes.append(f"the columns of {asset} are not compared: {error.reasons[0]}")
    except pl.exceptions.PolarsError as error:
        found.notes.append(f"the columns of {asset} are not compared: {str(error)[:200]}")
    return None
