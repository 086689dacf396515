"""Everything that changed between two recipes, one by one, each so that it can be put back alone.

What can be put back is data, the days of the training, parameters, the fraud package's code and
the libraries that it computes with. What cannot (the code around it, other libraries, a changed
work tree) is a change as well: it explains only what is left when all else is put back.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Node
from fraud_provenance.home.step_code import shapes_values, values_rest_on
from fraud_provenance.investigate.past import Past, policy_changes
from fraud_provenance.investigate.past_code import PACKAGE
from fraud_provenance.investigate.recipes import LENGTHS, Recipe, Source
from fraud_provenance.investigate.why import RAW
from fraud_provenance.models.facts import MODEL, model_statement

DATA, DAYS, PARAMETER, CODE, LIBRARY, POLICY = (
    "data", "days", "parameter", "code", "library", "policy",
)  # fmt: skip
COMPUTING = {
    "numpy": "numpy", "polars": "polars", "scikit-learn": "sklearn", "xgboost-cpu": "xgboost",
}  # fmt: skip
"""The distributions that `fraud.replay` computes with, and the module of each."""
TRAINING_DAYS = "days of the training"
SWAPPED = "model"


@dataclass(frozen=True)
class Change:
    """One thing that is otherwise than it was.

    Attributes:
        kind: `data`, `days`, `parameter`, `code`, `library` or `policy`.
        name: What it is, e.g. `raw_transactions/2018-05-01`, `fraud_model.max_depth`, a file.
        before: Digest or value when things were good; "" where there was none.
        after: The same now.
        at: The statement that says so, or that rests on it.
        can_be_put_back: Whether it can be made again without it.
        shapes_values: False for what no value rests on, such as a document.
        commit: Of code, the commit that has it.
    """

    kind: str
    name: str
    before: str
    after: str
    at: Node | None = None
    can_be_put_back: bool = True
    shapes_values: bool = True
    commit: str = ""
    said: str = ""

    @property
    def key(self) -> str:
        """Kind and name: what it is called in an answer."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Changes:
    """All changes, and what could not be compared."""

    all: tuple[Change, ...]
    notes: tuple[str, ...] = ()

    @property
    def replayable(self) -> list[Change]:
        """Those that can be put back."""
        return [item for item in self.all if item.can_be_put_back and item.shapes_values]

    @property
    def fixed(self) -> list[Change]:
        """Those that a value may rest on and that cannot be put back."""
        return [item for item in self.all if item.shapes_values and not item.can_be_put_back]


def changes_between(trust: Trust, past: Past, a: Recipe, b: Recipe) -> Changes:
    """What changed from `a`, which was good, to `b`."""
    found = [*_data(a, b), *_days(a, b), *_parameters(a, b)]
    notes = []
    for look in (_code, _libraries, _policies):
        try:
            found += look(trust, past, a, b)
        except ProvenanceError as error:
            notes.append(str(error.reasons[0]))
        except (ValueError, UnicodeDecodeError) as error:
            notes.append(f"a file of the past cannot be read: {error}")
    for asset in sorted(b.dirty | a.dirty):
        said = f"{asset} was made by a work tree that was no commit"
        found.append(Change(CODE, "work tree", "", "changed", b.made.get(asset), said=said,
                            can_be_put_back=False))  # fmt: skip
    return Changes(tuple({item.key: item for item in found}.values()), tuple(notes))


def _data(a: Recipe, b: Recipe) -> Iterator[Change]:
    for day in sorted(a.raw.keys() | b.raw.keys()):
        before, after = a.raw.get(day), b.raw.get(day)
        if before is None and (not a.raw or not min(a.raw) <= day <= max(a.raw)):
            continue  # it came after, or lies before what was looked back to: see `_days`
        if after is None and (not b.raw or not min(b.raw) <= day <= max(b.raw)):
            continue
        if (before.sha256 if before else "") != (after.sha256 if after else ""):
            yield _redelivered(day, before, after)


def _redelivered(day: str, before: Source | None, after: Source | None) -> Change:
    known = after or before
    assert known is not None  # noqa: S101 - the day is of one of both
    said = "delivered again" if before and after else "came" if after else "is left out"
    return Change(DATA, f"{RAW}/{day}", before.sha256 if before else "",
                  after.sha256 if after else "", known.node, said=said)  # fmt: skip


def new_day(day: str, source: Source) -> Change:
    """A day that came first after things were good; putting it back is to leave it out."""
    return Change(DATA, f"{RAW}/{day}", "", source.sha256, source.node,
                  said="came for the first time")  # fmt: skip


def _days(a: Recipe, b: Recipe) -> Iterator[Change]:
    if a.scored != b.scored:
        yield Change(DAYS, "scored day", a.scored, b.scored, b.roots[0], said="another day")
    if a.days and b.days and a.days[-1] != b.days[-1]:
        yield Change(DAYS, TRAINING_DAYS, f"{a.days[0]} … {a.days[-1]}",
                     f"{b.days[0]} … {b.days[-1]}", b.made.get("training_set"),
                     said="the days moved on")  # fmt: skip


def _parameters(a: Recipe, b: Recipe) -> Iterator[Change]:
    for name in LENGTHS:
        pair = (a.lengths.get(name), b.lengths.get(name))
        if None not in pair and pair[0] != pair[1]:
            yield Change(PARAMETER, f"training_set.{name}", str(pair[0]), str(pair[1]),
                         b.made.get("training_set"))  # fmt: skip
    if a.parameters and b.parameters:
        for name in sorted(a.parameters.keys() | b.parameters.keys()):
            values = (a.parameters.get(name), b.parameters.get(name))
            if values[0] != values[1]:
                yield Change(PARAMETER, f"{MODEL}.{name}", str(values[0]), str(values[1]),
                             b.made.get(MODEL))  # fmt: skip


def model_change(trust: Trust, a: Recipe, b: Recipe) -> Change:
    """The model as a whole, where it cannot be trained again; the other one can be put back."""
    node = trust.lineage().node(model_statement(trust, b.model))
    return Change(SWAPPED, MODEL, a.model, b.model, node, said="another model scored")


def _code(_trust: Trust, past: Past, a: Recipe, b: Recipe) -> list[Change]:
    """The files of all commits that differ, each once; only those that shape values can matter."""
    found: dict[str, Change] = {}
    shared = a.commits.keys() & b.commits.keys()
    for asset in sorted(shared, key=lambda name: (name == MODEL, name)):  # the model's own last
        pair = (a.commits[asset], b.commits[asset])
        if not all(pair) or pair[0] == pair[1]:
            continue
        trees = [past.tree(commit) for commit in pair]
        for file in past.changed_files(*pair):
            path = str(file["path"])
            said = f"+{file['added']} -{file['removed']} lines"
            found[path] = Change(
                CODE, path, trees[0].get(path, ""), trees[1].get(path, ""), b.made.get(asset),
                can_be_put_back=path.startswith(PACKAGE) and path.endswith(".py"),
                shapes_values=shapes_values(path), commit=pair[1], said=said,
            )  # fmt: skip
    return list(found.values())


def _libraries(_trust: Trust, past: Past, a: Recipe, b: Recipe) -> list[Change]:
    """The lines of all locks that differ, each once; those of the replay's own can be put back."""
    found: dict[str, Change] = {}
    own = {a.lock, b.lock}
    for asset in sorted(a.locks.keys() & b.locks.keys()):
        if a.locks[asset] == b.locks[asset]:
            continue
        pins = [past.lock(side.commits.get(asset, ""), side.locks[asset]) for side in (a, b)]
        for name in sorted(pins[0].keys() | pins[1].keys()):
            if pins[0].get(name) != pins[1].get(name):
                found[name] = Change(
                    LIBRARY, name, pins[0].get(name, ""), pins[1].get(name, ""),
                    b.made.get(asset), shapes_values=values_rest_on(name),
                    can_be_put_back=len(own) > 1 and all(name in pin for pin in pins)
                    and name in COMPUTING,
                )  # fmt: skip
    return list(found.values())


def _policies(_trust: Trust, past: Past, a: Recipe, b: Recipe) -> list[Change]:
    """Values of the policy decide what may be used, not what comes out."""
    digests = [policy_of(side) for side in (a, b)]
    if not all(digests) or digests[0] == digests[1]:
        return []
    return policy_between(past, digests[0], digests[1], b.roots[0])


def policy_of(recipe: Recipe) -> str:
    """The digest of the policy that its newest step was made under."""
    for node in recipe.roots:
        if node.claims.made is not None:
            found = node.claims.made.material("policy")
            return found.digest if found else ""
    return ""


def policy_between(past: Past, before: str, after: str, at: Node | None) -> list[Change]:
    """Each value that differs between two policies.

    Raises:
        EvidenceError: a policy's files are gone or not what was signed.
    """
    return [
        Change(POLICY, item["name"], str(item["a"]), str(item["b"]), at, shapes_values=False)
        for item in policy_changes(past.policy(before), past.policy(after))
    ]
