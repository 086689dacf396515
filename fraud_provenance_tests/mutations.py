"""Random changes of JSON documents, for property tests. Each gives a document that differs."""

import base64
import binascii
import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

Path = tuple[str | int, ...]
OTHERS: tuple[object, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**53 - 1,
    1.5,
    "",
    "x",
    [],
    {},
    [[]],
    ["x"],
)


def paths(document: Any, above: Path = ()) -> Iterator[Path]:  # noqa: ANN401 - any JSON value
    """The paths of all values inside `document`, parents before children."""
    items: Any = ()
    if isinstance(document, dict):
        items = sorted(document.items())
    elif isinstance(document, list):
        items = list(enumerate(document))
    for key, value in items:
        yield (*above, key)
        yield from paths(value, (*above, key))


def value_at(document: Any, path: Path) -> Any:  # noqa: ANN401 - any JSON value
    """The value that a path leads to."""
    for part in path:
        document = document[part]
    return document


def replaced(document: Any, path: Path, value: object) -> Any:  # noqa: ANN401 - any JSON value
    """A copy with another value at `path`."""
    changed = copy.deepcopy(document)
    value_at(changed, path[:-1])[path[-1]] = value
    return changed


def removed(document: Any, path: Path) -> Any:  # noqa: ANN401 - any JSON value
    """A copy without the value at `path`."""
    changed = copy.deepcopy(document)
    del value_at(changed, path[:-1])[path[-1]]
    return changed


def mutations(document: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - any JSON value
    """Documents that differ from `document` in one place: removed, replaced or bent."""
    return _mutations(document, list(paths(document)))


@st.composite
def _mutations(draw: st.DrawFn, document: Any, found: list[Path]) -> Any:  # noqa: ANN401
    path = draw(st.sampled_from(found))
    value = value_at(document, path)
    kind = draw(st.sampled_from(["bend", "bend", "bend", "replace", "remove"]))
    if kind == "remove":
        return removed(document, path)
    other = draw(st.sampled_from(OTHERS)) if kind == "replace" else draw(bent(value))
    assume(type(other) is not type(value) or other != value)
    return replaced(document, path, other)


@st.composite
def bent(draw: st.DrawFn, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Another value of the same type: a flipped bit, an exchanged character, a shifted number."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + draw(st.sampled_from([-1, 1, 7, -1000, 1000]))
    if isinstance(value, str) and value:
        return draw(_bent_text(value))
    if isinstance(value, list):
        grown = [*value, copy.deepcopy(draw(st.sampled_from(value or [0])))]
        return draw(st.sampled_from([grown, value[:-1] if value else [0], value[::-1]]))
    if isinstance(value, dict):
        return value | {draw(st.sampled_from(["verified", "x", "allow"])): True}
    return "x"


@st.composite
def _bent_text(draw: st.DrawFn, text: str) -> str:
    """One character exchanged; or, in base64, one bit of what it stands for."""
    try:
        content = bytearray(base64.b64decode(text, validate=True)) if len(text) > 20 else None
    except (binascii.Error, ValueError):
        content = None
    if content and draw(st.booleans()):
        bit = draw(st.integers(0, len(content) * 8 - 1))
        content[bit // 8] ^= 1 << bit % 8
        return base64.b64encode(content).decode()
    place = draw(st.integers(0, len(text) - 1))
    character = draw(st.characters(min_codepoint=33, max_codepoint=126))
    return text[:place] + character + text[place + 1 :]
