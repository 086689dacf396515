"""Reads an untrusted model in a process of its own, under limits; says whether it holds together.

Run by path as a script: nothing of this package is imported, only the standard library and numpy.
In: one line of JSON (what is expected), then the model's bytes. Out: one line of JSON.

It parses UBJSON (draft 12, as XGBoost writes it) with every declared length held against the bytes
that are there, checks the trees as arrays, then lets XGBoost's own library load the same bytes: a
parser that crashes or runs wild does so here.
"""

import ctypes
import json
import resource
import sys
from typing import Any, Final

import numpy as np

MAX_BYTES: Final = 256 * 1024**2
MAX_DEPTH: Final = 32
MAX_ITEMS: Final = 10_000_000
CPU_S: Final = 20
MEMORY_BYTES: Final = 2 * 1024**3
_NONE: Final = 2_147_483_647  # the root's parent
_ROOT_PARENTS: Final = (-1, _NONE)
_NODE_ARRAYS: Final = (
    "left_children", "right_children", "parents", "split_indices", "split_conditions",
    "default_left", "base_weights", "loss_changes", "sum_hessian", "split_type",
)  # fmt: skip
_SCALARS: Final = {
    b"i": (">i1", 1), b"U": (">u1", 1), b"I": (">i2", 2), b"l": (">i4", 4), b"L": (">i8", 8),
    b"d": (">f4", 4), b"D": (">f8", 8),
}  # fmt: skip
_CONSTANTS: Final = {b"T": True, b"F": False, b"Z": None}


class MalformedModel(Exception):  # noqa: N818 - a verdict, not a defect
    """The bytes are no model; the message says why."""


class _Reader:
    """Strict UBJSON: every length is held against what is left."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0
        self._items = 0

    def _take(self, count: int) -> bytes:
        if count < 0 or count > len(self._content) - self._at:
            left = len(self._content) - self._at
            raise MalformedModel(f"{count} bytes are declared at {self._at}, {left} are left")
        self._at += count
        return self._content[self._at - count : self._at]

    def _count(self) -> int:
        kind = self._take(1)
        if kind not in (b"i", b"U", b"I", b"l", b"L"):
            raise MalformedModel(f"{kind!r} is no length")
        dtype, size = _SCALARS[kind]
        found = int(np.frombuffer(self._take(size), dtype)[0])
        if found < 0:
            raise MalformedModel(f"the length {found} is negative")
        return found

    def _text(self) -> str:
        try:
            return self._take(self._count()).decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedModel("a text is not UTF-8") from error

    def document(self) -> Any:  # noqa: ANN401 - untrusted
        """The one value that the bytes must be, to the last byte."""
        found = self._value(self._take(1), 0)
        if self._at != len(self._content):
            raise MalformedModel(f"{len(self._content) - self._at} bytes follow the model")
        return found

    def _value(self, kind: bytes, depth: int) -> Any:  # noqa: ANN401 - untrusted
        self._items += 1
        if depth > MAX_DEPTH or self._items > MAX_ITEMS:
            raise MalformedModel("it is nested too deeply or holds too many values")
        if kind in _SCALARS:
            dtype, size = _SCALARS[kind]
            return np.frombuffer(self._take(size), dtype)[0].item()
        if kind in _CONSTANTS:
            return _CONSTANTS[kind]
        if kind == b"S":
            return self._text()
        if kind == b"{":
            return self._object(depth)
        if kind == b"[":
            return self._array(depth)
        raise MalformedModel(f"{kind!r} begins no value")

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while True:
            kind = self._take(1)
            if kind == b"}":
                return found
            self._at -= 1
            name = self._text()
            if name in found:
                raise MalformedModel(f"the key {name[:80]!r} appears twice")
            found[name] = self._value(self._take(1), depth + 1)

    def _array(self, depth: int) -> Any:  # noqa: ANN401 - a list, or a numpy array where typed
        kind = self._take(1)
        if kind == b"$":
            element, hash_mark = self._take(1), self._take(1)
            if element not in _SCALARS or hash_mark != b"#":
                raise MalformedModel(f"an array of {element!r} is not allowed")
            dtype, size = _SCALARS[element]
            return np.frombuffer(self._take(self._count() * size), dtype)
        if kind == b"#":
            count = self._count()
            if count > len(self._content) - self._at:  # each element takes a byte at least
                raise MalformedModel(f"an array of {count} values cannot fit")
            return [self._value(self._take(1), depth + 1) for _ in range(count)]
        raise MalformedModel("an array must declare its length")


def parse_ubjson(content: bytes) -> Any:  # noqa: ANN401 - untrusted
    """Parse UBJSON strictly; typed arrays become numpy arrays.

    Raises:
        MalformedModel: a length is impossible, a key appears twice, or bytes are left over.
    """
    return _Reader(content).document()


def check_model(document: Any, expected: dict[str, Any]) -> int:  # noqa: ANN401 - untrusted
    """Check a parsed model against what was signed with it.

    Args:
        document: What `parse_ubjson` returned.
        expected: `names`, `objective`, `booster`, `base_score`, `n_estimators`.

    Returns:
        The number of trees.

    Raises:
        MalformedModel: something is missing, out of range, or other than expected.
    """
    try:
        learner = document["learner"]
        model = learner["gradient_booster"]["model"]
        trees, facts = model["trees"], learner["learner_model_param"]
        count, features = len(trees), int(facts["num_feature"])
        _require(list(learner["feature_names"]) == expected["names"], "other inputs than signed")
        _require(features == len(expected["names"]), f"{features} features are declared")
        _require(learner["objective"]["name"] == expected["objective"], "another objective")
        _require(learner["gradient_booster"]["name"] == expected["booster"], "another booster")
        base, signed = float(str(facts["base_score"]).strip("[]")), float(expected["base_score"])
        _require(np.float32(base) == np.float32(signed), f"base score {base}, signed {signed}")
        _require(count == expected["n_estimators"], f"{count} trees")
        _require(int(model["gbtree_model_param"]["num_trees"]) == count, "another number of trees")
        _require(list(model["tree_info"]) == [0] * count, "trees of another output")
        _require(list(model["iteration_indptr"]) == list(range(count + 1)), "other iterations")
        for index, tree in enumerate(trees):
            _check_tree(index, tree, features)
    except MalformedModel:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise MalformedModel(f"it lacks a part or has it in another form: {error!r}") from error
    return count


def _require(holds: Any, message: str) -> None:  # noqa: ANN401 - a truth value, numpy's included
    if not bool(holds):
        raise MalformedModel(message)


def _check_tree(index: int, tree: dict[str, Any], features: int) -> None:
    """One tree as arrays: every index in range, every node below one parent, numbers finite."""
    here = f"tree {index}: "
    nodes = int(tree["tree_param"]["num_nodes"])
    _require(nodes >= 1, f"{here}no nodes")
    _require(int(tree["tree_param"]["num_feature"]) == features, f"{here}other features")
    _require(int(tree["tree_param"]["size_leaf_vector"]) <= 1, f"{here}vector leaves")
    arrays = {name: np.asarray(tree[name]) for name in _NODE_ARRAYS}
    for name, array in arrays.items():
        _require(array.shape == (nodes,), f"{here}{name} has {array.size} values of {nodes}")
        if array.dtype.kind == "f":
            _require(np.isfinite(array).all(), f"{here}{name} is not finite")
    _require(not any(len(tree[name]) for name in tree if name.startswith("categories")),
             f"{here}categorical splits")  # fmt: skip
    left, right = (arrays[name].astype(np.int64) for name in ("left_children", "right_children"))
    inner = left != -1
    _require((inner == (right != -1)).all(), f"{here}a node has one child")
    below = np.concatenate([left[inner], right[inner]])
    _require(((below >= 1) & (below < nodes)).all(), f"{here}a child index is out of range")
    _require(np.unique(below).size == below.size, f"{here}a node has two parents")
    parents = arrays["parents"].astype(np.int64)
    above = np.concatenate([np.flatnonzero(inner)] * 2)
    _require((parents[below] == above).all(), f"{here}parents and children disagree")
    _require(int(parents[0]) in _ROOT_PARENTS, f"{here}the root has a parent")
    splits = arrays["split_indices"].astype(np.int64)[inner]
    _require(((splits >= 0) & (splits < features)).all(), f"{here}a split index is out of range")
    _require(np.isin(arrays["default_left"], (0, 1)).all(), f"{here}a direction is no flag")
    _require((arrays["split_type"] == 0).all(), f"{here}another kind of split")


def load_natively(content: bytes, library: str) -> None:
    """Let XGBoost's own library load the bytes, without its Python package.

    Raises:
        MalformedModel: the library refuses them.
    """
    xgboost = ctypes.CDLL(library)
    xgboost.XGBGetLastError.restype = ctypes.c_char_p
    booster = ctypes.c_void_p()
    failed = xgboost.XGBoosterCreate(
        None, ctypes.c_uint64(0), ctypes.byref(booster)
    ) or xgboost.XGBoosterLoadModelFromBuffer(
        booster, ctypes.c_char_p(content), ctypes.c_uint64(len(content))
    )
    if failed:
        told = (xgboost.XGBGetLastError() or b"").decode("utf-8", "replace")
        raise MalformedModel(f"XGBoost cannot load it: {told[:200]}")


def set_limits(cpu_s: int = CPU_S, memory_bytes: int = MEMORY_BYTES) -> None:
    """Bound what this process may take; it can never raise the limits again."""
    for what, limit in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (limit, limit))


def main() -> int:
    """Judge the model on standard input."""
    expected = json.loads(sys.stdin.buffer.readline(1 << 16))
    set_limits(expected["cpu_s"], expected["memory_bytes"])
    content = sys.stdin.buffer.read(MAX_BYTES + 1)
    answer: dict[str, object]
    try:
        if len(content) > MAX_BYTES:
            raise MemoryError
        answer = {"trees": check_model(parse_ubjson(content), expected)}
        load_natively(content, expected["library"])
    except MalformedModel as error:
        answer = {"code": "MODEL_MALFORMED", "message": str(error)[:500]}
    except (MemoryError, RecursionError):
        answer = {"code": "RESOURCE_LIMIT", "message": "it takes more memory than allowed"}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
