"""The Merkle tree of RFC 6962 (section 2.1) over a prediction batch's rows.

One row can be proved by itself: its leaf, an inclusion path and the signed root.
"""

import hashlib
from collections.abc import Sequence

_LEAF, _NODE = b"\x00", b"\x01"


def leaf_hash(row: bytes) -> bytes:
    """Hash of one leaf (RFC 6962, 2.1)."""
    return hashlib.sha256(_LEAF + row).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()


def _split(count: int) -> int:
    """The largest power of two smaller than `count`."""
    return 1 << (count - 1).bit_length() - 1


def root_of(rows: Sequence[bytes]) -> str:
    """Hex Merkle tree hash of the rows in order; of no rows, the hash of nothing."""
    level = [leaf_hash(row) for row in rows]
    if not level:
        return hashlib.sha256(b"").hexdigest()
    while len(level) > 1:
        pairs = [_node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2 :]
    return level[0].hex()


def inclusion_path(rows: Sequence[bytes], index: int) -> list[str]:
    """Hex audit path of row `index` (RFC 6962, 2.1.1), from the leaf up."""
    if not 0 <= index < len(rows):
        raise IndexError(f"row {index} of {len(rows)}")
    if len(rows) == 1:
        return []
    middle = _split(len(rows))
    if index < middle:
        return [*inclusion_path(rows[:middle], index), root_of(rows[middle:])]
    return [*inclusion_path(rows[middle:], index - middle), root_of(rows[:middle])]


def root_from_path(row: bytes, index: int, count: int, path: Sequence[str]) -> str:
    """The hex root that a row, its index, the number of rows and its audit path lead to.

    Raises:
        ValueError: the path cannot belong to this index and count.
    """
    if not 0 <= index < count:
        raise ValueError(f"row {index} of {count}")
    sides: list[bool] = []
    low, high = 0, count
    while high - low > 1:
        middle = low + _split(high - low)
        sides.append(index < middle)
        low, high = (low, middle) if index < middle else (middle, high)
    if len(path) != len(sides):
        raise ValueError(f"path has {len(path)} hashes, needs {len(sides)}")
    found = leaf_hash(row)
    for is_left, sibling in zip(reversed(sides), path, strict=True):
        other = bytes.fromhex(sibling)
        found = _node_hash(found, other) if is_left else _node_hash(other, found)
    return found.hex()
