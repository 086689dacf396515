"""Where two files part that should be the same bytes: the column, or the path in a document.

Names and counts are told, of settings their values, of rows nothing.
"""

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fraud_provenance.investigate.past import leaves_of

if TYPE_CHECKING:
    import polars as pl

_SHOWN = 60


@dataclass(frozen=True)
class Unlike:
    """The first thing that differs. `place`: a column or a path, "" where the whole file does."""

    place: str
    what: str


def first_difference(name: str, signed: bytes, made: bytes) -> Unlike | None:
    """The first difference of two versions of one file; None where they are the same bytes.

    Args:
        name: The file's name, whose ending says what it is.
        signed: The attested bytes.
        made: What came out when it was made again.
    """
    if signed == made:
        return None
    found = None
    if name.endswith(".parquet"):
        found = _of_tables(signed, made)
    elif name.endswith(".json"):
        found = _of_documents(json.loads(signed), json.loads(made))
    elif name.endswith(".ubj"):
        found = _of_trees(signed, made)
    return found or Unlike("", "the same content in other bytes")


def _of_tables(signed: bytes, made: bytes) -> Unlike | None:
    import polars as pl

    a, b = (pl.read_parquet(io.BytesIO(content)) for content in (signed, made))
    for name in dict.fromkeys([*a.columns, *b.columns]):
        if name not in a.columns or name not in b.columns:
            return Unlike(name, "a column that only one has")
        if a.schema[name] != b.schema[name]:
            return Unlike(name, f"{a.schema[name]} was signed, {b.schema[name]} came out")
    if a.columns != b.columns:
        place = next(own for own, other in zip(a.columns, b.columns, strict=True) if own != other)
        return Unlike(place, "the columns are in another order")
    if a.height != b.height:
        return Unlike("", f"{a.height} rows were signed, {b.height} came out")
    return _of_columns(a, b)


def _of_columns(a: "pl.DataFrame", b: "pl.DataFrame") -> Unlike | None:
    for name in a.columns:
        rows = int(_as_bits(a[name]).ne_missing(_as_bits(b[name])).sum())
        if rows:
            return Unlike(name, f"{rows} of {a.height} rows have another value")
    return None


def _as_bits(column: "pl.Series") -> "pl.Series":
    """Floats by their bits: 0.0 and -0.0 are two values in a file."""
    import polars as pl

    if column.dtype == pl.Float32:
        return column.reinterpret(dtype=pl.UInt32)
    return column.reinterpret(dtype=pl.UInt64) if column.dtype == pl.Float64 else column


def _of_documents(signed: Any, made: Any) -> Unlike | None:  # noqa: ANN401 - any JSON value
    a, b = leaves_of(signed), leaves_of(made)
    for place in dict.fromkeys([*a, *b]):
        if place not in a or place not in b:
            return Unlike(place, "a value that only one has")
        if (type(a[place]), a[place]) != (type(b[place]), b[place]):
            return Unlike(place, f"{_short(a[place])} was signed, {_short(b[place])} came out")
    return None


def _of_trees(signed: bytes, made: bytes) -> Unlike | None:
    """Two boosters, as the documents that XGBoost writes of them.

    The signed one is read like any other attested model; whoever calls has it judged before.
    """
    from fraud_provenance.fraud.model import load_booster

    a, b = (json.loads(load_booster(content).save_raw("json")) for content in (signed, made))
    return _of_documents(a, b)


def _short(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, list):
        return f"a list of {len(value)}"
    shown = json.dumps(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
