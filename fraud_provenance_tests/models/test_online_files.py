"""Which version of the feature store a machine answers for: what is lost was loaded once."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.lineage.nodes import Materialisation, Node, Refused
from fraud_provenance.models.online_files import loaded_here

LOADED = {1: b"first", 2: b"second", 3: b"third"}
"""Sequence of a version → the bytes of the online store that it attests."""


def node(sequence: int) -> Node:
    """Of each version as much as is asked; the second one is refused."""
    named: dict[str, Any] = {"kind": "materialisation", "name": sequence, "statement": ""}
    if sequence == 2:
        return Refused(**named)
    outputs = {"online_sha256": encoding.digest_bytes(LOADED[sequence])}
    unseen: dict[str, Any] = dict.fromkeys(("bundle", "manifest"))
    made: Any = SimpleNamespace(outputs=outputs)
    return Materialisation(**named, **unseen, provenance=made)


def trust(home: Path, *, shared: bool, versions: tuple[int, ...] = (1, 2, 3)) -> SimpleNamespace:
    heads = [SimpleNamespace(statement=number, sequence=number) for number in versions]
    store = SimpleNamespace(
        heads=lambda _: {"online": heads[-1:]} if heads else {},
        versions=lambda _: heads,
        contents=SimpleNamespace(is_shared=shared),
    )
    return SimpleNamespace(home=home, store=store, lineage=lambda: SimpleNamespace(node=node))


@pytest.mark.parametrize(("shared", "there", "expected"), [
    (False, {}, 3),
    (False, {"online.db": b"first", "registry.db": b""}, 3),
    (True, {}, None),
    (True, {"registry.db": b""}, 3),
    (True, {"online.db": b"third"}, 3),
    (True, {"online.db": b"first", "registry.db": b""}, 1),
    (True, {"online.db": b"second", "registry.db": b""}, 3),
    (True, {"online.db": b"edited", "registry.db": b""}, 3),
])  # fmt: skip
def test_a_machine_answers_for_what_it_loaded_and_for_the_newest_in_doubt(
    tmp_path: Path, there: dict[str, bytes], expected: int | None, *, shared: bool
) -> None:
    (tmp_path / "feast").mkdir()
    for name, content in there.items():
        (tmp_path / "feast" / name).write_bytes(content)
    home: Any = trust(tmp_path, shared=shared)
    found: Any = loaded_here(home)
    assert (found and found.name) == expected


def test_before_the_first_load_there_is_nothing_to_answer_for(tmp_path: Path) -> None:
    for shared in (False, True):
        home: Any = trust(tmp_path, shared=shared, versions=())
        assert loaded_here(home) is None
