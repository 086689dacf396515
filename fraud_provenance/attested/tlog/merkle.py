"""The Merkle tree of RFC 6962 (section 2.1), over a prediction batch's rows and over the log.

One row can be proved by itself: its leaf, an inclusion path and the signed root. Two heads of one
growing tree are consistent if a short proof leads to both.
"""

import hashlib
from collections.abc import Sequence

_LEAF, _NODE = b"\x00", b"\x01"
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(row: bytes) -> bytes:
    """Hash of one leaf (RFC 6962, 2.1).

    >>> leaf_hash(b"").hex()[:16]
    '6e340b9cffb37a98'
    """
    return hashlib.sha256(_LEAF + row).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node (RFC 6962, 2.1).

    >>> one, two = leaf_hash(b"a"), leaf_hash(b"b")
    >>> root_of_hashes([one, two]) == node_hash(one, two)
    True
    """
    return hashlib.sha256(_NODE + left + right).digest()


def split(count: int) -> int:
    """The largest power of two smaller than `count` (at least 2).

    >>> [split(count) for count in (2, 3, 4, 5, 9)]
    [1, 2, 2, 4, 8]
    """
    return 1 << (count - 1).bit_length() - 1


def root_of(rows: Sequence[bytes]) -> str:
    """Hex Merkle tree hash of the rows in order; of no rows, the hash of nothing.

    >>> root_of([]) == EMPTY_ROOT.hex()
    True
    """
    sha256 = hashlib.sha256
    return root_of_hashes([sha256(_LEAF + row).digest() for row in rows]).hex()


def root_of_hashes(hashes: Sequence[bytes]) -> bytes:
    """Merkle tree hash over leaf hashes (or over the roots of complete subtrees of one height).

    >>> root_of_hashes([leaf_hash(b"a")]) == leaf_hash(b"a")
    True
    """
    level = list(hashes)
    if not level:
        return EMPTY_ROOT
    sha256 = hashlib.sha256
    while len(level) > 1:  # as `node_hash`, without a call for each of very many
        pairs = zip(level[::2], level[1::2], strict=False)
        odd = level[-1:] if len(level) % 2 else []
        level = [sha256(_NODE + left + right).digest() for left, right in pairs] + odd
    return level[0]


def inclusion_path(rows: Sequence[bytes], index: int) -> list[str]:
    """Hex audit path of row `index` (RFC 6962, 2.1.1), from the leaf up.

    >>> len(inclusion_path([b"a", b"b", b"c"], 0)), len(inclusion_path([b"a", b"b", b"c"], 2))
    (2, 1)
    """
    if not 0 <= index < len(rows):
        raise IndexError(f"row {index} of {len(rows)}")
    if len(rows) == 1:
        return []
    middle = split(len(rows))
    if index < middle:
        return [*inclusion_path(rows[:middle], index), root_of(rows[middle:])]
    return [*inclusion_path(rows[middle:], index - middle), root_of(rows[:middle])]


def root_from_path(row: bytes, index: int, count: int, path: Sequence[str]) -> str:
    """The hex root that a row, its index, the number of rows and its audit path lead to.

    Raises:
        ValueError: the path cannot belong to this index and count.

    >>> rows = [b"a", b"b", b"c"]
    >>> root_from_path(b"b", 1, 3, inclusion_path(rows, 1)) == root_of(rows)
    True
    >>> root_from_path(b"another", 1, 3, inclusion_path(rows, 1)) == root_of(rows)
    False
    """
    if not 0 <= index < count:
        raise ValueError(f"row {index} of {count}")
    sides: list[bool] = []
    low, high = 0, count
    while high - low > 1:
        middle = low + split(high - low)
        sides.append(index < middle)
        low, high = (low, middle) if index < middle else (middle, high)
    if len(path) != len(sides):
        raise ValueError(f"path has {len(path)} hashes, needs {len(sides)}")
    found = leaf_hash(row)
    for is_left, sibling in zip(reversed(sides), path, strict=True):
        other = bytes.fromhex(sibling)
        found = node_hash(found, other) if is_left else node_hash(other, found)
    return found.hex()


def is_consistent(
    old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the tree of `size` leaves begins with the tree of `old_size` (RFC 9162, 2.1.4.2).

    >>> one, two = leaf_hash(b"a"), leaf_hash(b"b")
    >>> is_consistent(1, one, 2, node_hash(one, two), [two])
    True
    >>> is_consistent(1, two, 2, node_hash(one, two), [two])
    False
    """
    if not 0 <= old_size <= size:
        return False
    if old_size in (0, size):
        expected = EMPTY_ROOT if old_size == 0 else root
        return not proof and old_root == expected
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    old, new = old_size - 1, size - 1
    while old & 1:
        old, new = old >> 1, new >> 1
    old_found = new_found = path[0]
    for item in path[1:]:
        if new == 0:
            return False
        if old & 1 or old == new:
            old_found, new_found = node_hash(item, old_found), node_hash(item, new_found)
            while old and not old & 1:
                old, new = old >> 1, new >> 1
        else:
            new_found = node_hash(new_found, item)
        old, new = old >> 1, new >> 1
    return new == 0 and old_found == old_root and new_found == root
