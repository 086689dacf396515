"""What is kept of every day, so that a repeated one is known however old it is.

A summary is small: the day's transaction ids, the digest of its content, and samples of hashes
(bottom-k sketches; Broder, On the resemblance and containment of documents, 1997). It holds no
amount, no time and no name, but hashes can be guessed: keep it where the data are.
"""

import hashlib
import io
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from fraud_provenance.fraud.errors import DataError

Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]

SKETCH_SIZE: Final = 256
"""Row hashes kept per day and key: the smallest ones, a uniform sample of the distinct rows."""

KEYS: Final = ("pair", "row", "moment", "exact")
"""What a row is recognised by: customer and terminal; these and the amount; these and the second
of the hour; all of them. A repeated day shows although its amounts were stirred, or its hours."""

SUMMARY: Final[Mapping[str, Any]] = {
    "day": pl.String,
    "sha256": pl.String,
    "content_sha256": pl.String,
    "least_id": pl.Int64,
    "greatest_id": pl.Int64,
    "ids": pl.List(pl.Int64),
    **{f"{key}_sketch": pl.List(pl.UInt32) for key in KEYS},
}
REPEATS: Final[Mapping[str, Any]] = {
    "repeated_ids": pl.Int64,
    "content_repeats": pl.Int64,
    "row_overlap": pl.Float64,
}

# The days whose overlaps say what is usual: a month's pattern lies within them.
_WINDOW_DAYS: Final = 37
_LEAST_DAYS: Final = 7
# Fewer equal hashes are chance, whatever the share.
_LEAST_MATCHES: Final = 5
_LEAST_COMPARED: Final = 16
# A day that repeats more than this does not say what is usual.
_REJECT: Final = 0.3
# Nothing honest repeats amount and second alike: such rows count twice.
_WEIGHTS: Final = {"exact": 2.0}
_NOISE: Final = 3.0
_DELTAS: Final = ("ids", *(f"{key}_sketch" for key in KEYS))


def summarise(
    frames: Mapping[str, pl.DataFrame], sha256: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """Summarise each day.

    Args:
        frames: Day to its rows x the columns of `RAW_SCHEMA`.
        sha256: Day to the SHA-256 of its file.

    Returns:
        Days (ascending) x the columns of `SUMMARY`. Neither dates nor ids are part of the content
        or of a sketch, so that a repeated day has the same ones.
    """
    days = sorted(frames)
    found = [
        {"day": day, "sha256": (sha256 or {}).get(day, ""), **_one(frames[day])} for day in days
    ]
    return pl.DataFrame(found, schema=dict(SUMMARY))


def nothing() -> pl.DataFrame:
    """The summaries of no days."""
    return pl.DataFrame(schema=dict(SUMMARY))


def to_bytes(summaries: pl.DataFrame) -> bytes:
    """Write summaries as Parquet; sorted lists become differences, which take a few bits each."""
    buffer = io.BytesIO()
    summaries.sort("day").with_columns(
        pl.col(name)
        .cast(pl.List(pl.Int64))
        .list.eval(pl.element().diff().fill_null(pl.element().first()))
        for name in _DELTAS
    ).write_parquet(buffer, compression="zstd", statistics=False)
    return buffer.getvalue()


def from_bytes(content: bytes) -> pl.DataFrame:
    """Read what `to_bytes` wrote.

    Raises:
        DataError: FILE_FORMAT.
    """
    try:
        return pl.read_parquet(io.BytesIO(content)).select(
            (
                pl.col(name).list.eval(pl.element().cum_sum()) if name in _DELTAS else pl.col(name)
            ).cast(kind)
            for name, kind in SUMMARY.items()
        )
    except pl.exceptions.PolarsError as error:
        raise DataError(
            "FILE_FORMAT", f"no summaries of days: {error}", remedy="judge the days again"
        ) from error


def repeats_of(
    summaries: pl.DataFrame, described: Collection[str], judged: Collection[str] | None = None
) -> pl.DataFrame:
    """Say how much of each day other days had before.

    Args:
        summaries: Those of `described` and of all other days that are known.
        described: The days to describe.
        judged: Those of them that are not accepted yet (None: all of them). Accepted days come
            before them, whatever their dates: a late day may repeat a later one.

    Returns:
        Days (ascending) x `day` and the columns of `REPEATS`. `repeated_ids` are of judged days
        only. `row_overlap` is the share that is repeated beyond what is usual, 0 to 2.
    """
    wanted = set(described) if judged is None else set(judged)
    table = (
        summaries.with_columns(judged=pl.col("day").is_in(sorted(wanted)))
        .sort("judged", "day")
        .with_columns(number=pl.int_range(pl.len(), dtype=pl.Int32))
    )
    found = table.select(
        "day",
        "number",
        content_repeats=pl.int_range(pl.len()).over("content_sha256").cast(pl.Int64),
    ).filter(pl.col("day").is_in(sorted(described)))
    overlap = _overlap(table, found["number"].to_list())
    return (
        found.with_columns(row_overlap=pl.Series(overlap, dtype=pl.Float64))
        .join(_repeated_ids(table), on="number", how="left")
        .with_columns(pl.col("repeated_ids").fill_null(0))
        .sort("day")
        .select("day", *(pl.col(name).cast(kind) for name, kind in REPEATS.items()))
    )


def _one(frame: pl.DataFrame) -> dict[str, Any]:
    amount = pl.col("tx_amount")
    # No amount at all (missing, infinite) still is a value of the content.
    cents = pl.when(amount.is_finite() & (amount.abs() < 1e15)).then((amount * 100).round())
    rows = frame.select(
        pl.col("customer_id", "terminal_id").cast(pl.Int64),
        cents=cents.otherwise(-1).cast(pl.Int64),
        second=pl.col("tx_datetime").dt.epoch("s") % 3_600,
    ).fill_null(-1)
    ids = np.sort(frame["transaction_id"].drop_nulls().cast(pl.Int64).to_numpy())
    pair = _mixed(
        _mixed(np.zeros(rows.height, np.uint64), rows, "customer_id"), rows, "terminal_id"
    )
    row = _mixed(pair, rows, "cents")
    hashes = {
        "pair": pair,
        "row": row,
        "moment": _mixed(pair, rows, "second"),
        "exact": _mixed(row, rows, "second"),
    }
    return {
        "content_sha256": hashlib.sha256(np.sort(row).tobytes()).hexdigest(),
        "least_id": int(ids[0]) if ids.size else None,
        "greatest_id": int(ids[-1]) if ids.size else None,
        "ids": ids,
        **{f"{key}_sketch": _sketch(value) for key, value in hashes.items()},
    }


def _sketch(hashes: Hashes) -> npt.NDArray[np.uint32]:
    """The smallest distinct hashes; their upper half is enough, and half as much to keep."""
    value = np.sort((hashes >> np.uint64(32)).astype(np.uint32))
    smallest: npt.NDArray[np.uint32] = value[np.diff(value, prepend=~value[:1]) != 0][:SKETCH_SIZE]
    return smallest


def _mixed(value: Hashes, rows: pl.DataFrame, column: str) -> Hashes:
    """Mix a column into hashes: splitmix64's finaliser, written out so that releases agree."""
    value = value + rows[column].to_numpy().astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _repeated_ids(table: pl.DataFrame) -> pl.DataFrame:
    """Ids that an accepted day, or an earlier judged one, has already."""
    nothing = pl.DataFrame(schema={"number": pl.Int32, "repeated_ids": pl.UInt32})
    own = table.filter(pl.col("judged") & pl.col("least_id").is_not_null())
    if own.is_empty():
        return nothing
    least, greatest = own["least_id"].min(), own["greatest_id"].max()
    near = (pl.col("greatest_id") >= least) & (pl.col("least_id") <= greatest)
    # Days whose ids lie elsewhere are not unfolded: nearly all, where ids grow with time.
    beside = table.filter(near).sort("least_id")
    if (beside["least_id"].shift(-1) > beside["greatest_id"]).fill_null(value=True).all():
        return nothing
    ids = beside.select("number", "judged", id="ids").explode("id")
    if not np.any(np.diff(np.sort(ids["id"].to_numpy())) == 0):
        return nothing
    again = ids.select(
        "number", again=pl.col("judged") & (pl.col("number") > pl.col("number").min().over("id"))
    )
    return again.group_by("number").agg(repeated_ids=pl.col("again").sum())


def _overlap(table: pl.DataFrame, numbers: Sequence[int]) -> Floats:
    """The largest share, over keys and ways to count, that is repeated beyond the usual."""
    found = np.zeros(len(numbers))
    for key in KEYS:
        one, any_day = _shares(table, f"{key}_sketch", numbers)
        weight = _WEIGHTS.get(key, 1.0)
        # Pairs of customer and terminal come again on many days; only one day may stand out.
        # Before a week is known, equal seconds count as they are; equal fares may be usual.
        is_rare = key == "moment"
        found = np.maximum(found, weight * _beyond_usual(one, at_once=is_rare))
        if key != "pair":
            found = np.maximum(found, weight * _beyond_usual(any_day, at_once=False))
    return found


def _shares(table: pl.DataFrame, sketch: str, numbers: Sequence[int]) -> tuple[Floats, Floats]:
    """Share of each day's sample that one earlier day has, and that any earlier day has."""
    hashes = table.select("number", hash=sketch).explode("hash").drop_nulls()
    own = hashes.filter(pl.col("number").is_in(list(numbers)))
    met = own.join(hashes, on="hash", suffix="_before").filter(
        pl.col("number_before") < pl.col("number")
    )
    pairs = (
        met.group_by("number", "number_before")
        .agg(n=pl.len())
        .filter(pl.col("n") >= _LEAST_MATCHES)
    )
    seen = {number: (before, n) for number, before, n in _grouped(pairs)}
    anywhere = dict(met.select("number", "hash").unique().group_by("number").len().iter_rows())
    samples = dict(own.group_by("number").agg("hash").iter_rows())
    cutoffs = _cutoffs(table[sketch])
    one, any_day = np.zeros(len(numbers)), np.zeros(len(numbers))
    for place, number in enumerate(numbers):
        sample = np.sort(np.array(samples.get(number, ()), dtype=np.uint32))
        if number in seen:
            before, n = seen[number]
            # Only hashes that the other sample could hold are compared with it.
            compared = np.searchsorted(sample, cutoffs[before], side="right")
            one[place] = (n / np.maximum(compared, _LEAST_COMPARED)).max()
        if anywhere.get(number, 0) >= _LEAST_MATCHES:
            size = int(np.searchsorted(sample, np.median(cutoffs[:number]), side="right"))
            any_day[place] = min(1.0, anywhere[number] / max(size, _LEAST_COMPARED))
    return np.minimum(one, 1.0), any_day


def _grouped(pairs: pl.DataFrame) -> list[tuple[int, npt.NDArray[np.int32], Floats]]:
    return [
        (int(number), part["number_before"].to_numpy(), part["n"].to_numpy().astype(np.float64))
        for (number,), part in pairs.partition_by("number", as_dict=True).items()
    ]


def _cutoffs(sketches: pl.Series) -> Floats:
    """Up to which hash each sketch is complete."""
    full = sketches.list.len() >= SKETCH_SIZE
    return np.where(full.to_numpy(), sketches.list.max().fill_null(0).to_numpy(), 2.0**32)


def _beyond_usual(shares: Floats, *, at_once: bool) -> Floats:
    """What a day repeats beyond the most that the month before did, of what was left to repeat.

    `at_once`: judge before a week is known, as if nothing were usual.
    """
    usual: list[float] = []
    found = np.zeros(len(shares))
    for place, share in enumerate(shares):
        if len(usual) >= _LEAST_DAYS or at_once:
            most = max(usual[-_WINDOW_DAYS:], default=0.0) if len(usual) >= _LEAST_DAYS else 0.0
            noise = _NOISE * (most * (1 - most) / SKETCH_SIZE) ** 0.5
            found[place] = max(0.0, share - most - noise) / max(1 - most, 1e-9)
        if found[place] <= _REJECT:
            usual.append(float(share))
    return found
