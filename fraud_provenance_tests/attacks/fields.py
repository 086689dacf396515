"""The field matrix: every field of a gate's input removed, emptied, null, and of another type.

The inputs are honest ones that were allowed. Only what is listed in `HONEST` says, changed so,
something else that is honest, too; all the rest must be refused or denied.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from fraud_provenance.attested.core.errors import ProvenanceError
from fraud_provenance.attested.gates.policy import Answer, Policy, PolicyEngine
from fraud_provenance_tests.attacks.home import patched
from fraud_provenance_tests.mutations import Path, removed, replaced

HONEST = {
    r"data_access partitions\.\d+\.partition is empty":
        "an asset without partitions has one, named by nothing",
    r"model_\w+ model\.parameters\."
    r"(gamma|max_delta_step|min_child_weight|reg_alpha|reg_lambda|seed) is empty":
        "the layout allows zero",
}  # fmt: skip
"""Changes that make another honest input of an honest one (a pattern), with the reason."""
_WORKERS = 2
_EMPTY = {str: "", list: [], dict: {}, int: 0, float: 0.0, bool: False}
_OTHER = {str: 1, list: {}, dict: [], int: "1", float: "1", bool: "true", type(None): {}}
Change = tuple[str, Path, Any]  # what was done, where, and the whole document after it


@dataclass
class Played:
    """How many changed inputs there were, and those that a gate allowed."""

    changes: int = 0
    holes: list[str] = field(default_factory=list)


def recorded(found: dict[str, dict[str, Any]]) -> AbstractContextManager[object]:
    """While in force, the newest input that each gate allowed goes into `found`."""
    asked = PolicyEngine.ask

    def ask(
        engine: PolicyEngine, gate: str, document: Mapping[str, Any], policy: Policy | None = None
    ) -> Answer:
        answer = asked(engine, gate, document, policy)
        if answer.allowed:
            found[gate] = deepcopy(dict(document))
        return answer

    return patched(PolicyEngine, "ask", ask)


def play(
    engine: PolicyEngine, policy: Policy, inputs: Mapping[str, Mapping[str, Any]], every: int = 1
) -> Played:
    """Ask each gate about its input with one field changed; or about each `every`th change."""
    played = Played()
    for gate, document in inputs.items():
        assert engine.ask(gate, document, policy).allowed, f"{gate}: the honest input is denied"
        changes = [*_changes(document)][::every]
        played.changes += len(changes)
        with ThreadPoolExecutor(_WORKERS) as pool:
            allowed = pool.map(lambda item, gate=gate: _allows(engine, policy, gate, item), changes)
            for (what, path, _), passed in zip(changes, allowed, strict=True):
                where = f"{gate} " + ".".join(map(str, path))
                if passed and not _is_honest(where, what):
                    played.holes.append(f"{where} {what}")
    return played


def _allows(engine: PolicyEngine, policy: Policy, gate: str, change: Change) -> bool:
    try:
        return engine.ask(gate, change[2], policy).allowed
    except ProvenanceError:
        return False


def _changes(document: Mapping[str, Any]) -> Iterator[Change]:
    for path, value in _fields(document, ()):
        kind = type(value)
        yield "removed", path, removed(document, path)
        yield "is of another type", path, replaced(document, path, _OTHER[kind])
        if value is not None:
            yield "is null", path, replaced(document, path, None)
            if value != _EMPTY[kind]:
                yield "is empty", path, replaced(document, path, _EMPTY[kind])


def _fields(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:  # noqa: ANN401 - any JSON
    """Every field; of a list's items the first and the last, for the rest are as these."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield (*path, key), item
            yield from _fields(item, (*path, key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index in sorted({0, len(value) - 1}) if value else ():
            yield from _fields(value[index], (*path, index))


def _is_honest(where: str, what: str) -> bool:
    return any(re.fullmatch(pattern, f"{where} {what}") for pattern in HONEST)
