"""What is too much at once, in parts: neighbours together, in their order."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def in_blocks(sized: Iterable[tuple[T, int]], most: int) -> Iterator[list[T]]:
    """Neighbours whose sizes add up to `most` or less; what is larger is a block by itself.

    >>> list(in_blocks([("a", 3), ("b", 7), ("c", 1), ("d", 20)], 10))
    [['a', 'b'], ['c'], ['d']]
    """
    block: list[T] = []
    held = 0
    for item, size in sized:
        if block and held + size > most:
            yield block
            block, held = [], 0
        block.append(item)
        held += size
    if block:
        yield block
