"""`python -m benchmarks.contracts`: what the contracts of raw days catch, from which size on.

For every kind of fault the smallest size that is refused (or told), by volume of the feed; beside
it how many honest days pass and how many are refused. The detection limits in docs/contracts.md
are those printed here. A fault hits rows that are spread over the whole day.
"""

import argparse
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.feeds import HABITS, SETTINGS, feed_with, habit
from benchmarks.homes import PROJECT
from benchmarks.overhead import HANDBOOK
from fraud_provenance.data.landing import by_day
from fraud_provenance.data.reading import read_transactions
from fraud_provenance.fraud.expectation_suites import RAW
from fraud_provenance.fraud.expectations import raw_statistics
from fraud_provenance.fraud.feed import fitted
from fraud_provenance.fraud.generator import generate_days
from fraud_provenance.fraud.profile import profile_days
from fraud_provenance.fraud.schemas import check_raw_schema
from fraud_provenance.fraud.summaries import summarise
from fraud_provenance.fraud.transactions import to_raw

Days = dict[str, pl.DataFrame]
Change = Callable[["Scene", float], pl.DataFrame]
THRESHOLDS: Mapping[str, Any] = json.loads(
    (PROJECT / "policies" / "data" / "contracts.json").read_text("utf-8")
)
# What is told, and holds no day.
TOLD = {"TRIGGER_SUSPECT"}
WEEK, AGO, SIZES = 36, 41, 25
_DAY_S = 86_400
_WINDOW_DAYS = 37


@dataclass(frozen=True)
class Scene:
    """A day, the days before it, and a day of weeks ago."""

    day: str
    own: pl.DataFrame
    before: Days
    old: pl.DataFrame
    known: pl.DataFrame


@dataclass(frozen=True)
class Fault:
    """One kind of fault. `unit`: what its size is; shares are of the day's rows."""

    name: str
    code: str
    change: Change
    unit: str = "share"
    sizes: tuple[float, ...] = ()


# --- judging -----------------------------------------------------------------------------------


def findings(
    profile: pl.DataFrame,
    days: Sequence[str],
    thresholds: Mapping[str, Any] = THRESHOLDS,
    there: Collection[str] = (),
) -> dict[str, list[str]]:
    """Day to the codes of what breaks the suite: its statistics and bounds, without pages.

    `there`: days that were delivered and are no yardstick; they are no gap.
    """
    table = raw_statistics(profile, days, thresholds, there)
    bounds = thresholds["raw_expectations"]
    found: dict[str, list[str]] = {day: [] for day in days}
    for item in RAW:
        value = pl.col(item.statistic)
        bad = value.is_null() if item.required else pl.lit(value=False)
        if item.minimum:
            bad |= value < bounds[item.minimum]["value"]
        if item.maximum:
            bad |= value > bounds[item.maximum]["value"]
        for day in table.filter(bad.fill_null(value=False))["day"].cast(pl.String):
            found[day].append(item.code)
    return found


def codes_of(scene: Scene, changed: pl.DataFrame) -> list[str]:
    """Every code that the day is given, the cause first."""
    report = check_raw_schema({scene.day: changed}, THRESHOLDS)
    if report.failures:
        return [item.code for item in report.failures]
    frames = {**scene.before, scene.day: changed}
    known = pl.concat([scene.known, summarise({scene.day: changed})])
    return findings(profile_days(frames, known, [scene.day]), [scene.day])[scene.day]


def smallest(scene: Scene, fault: Fault) -> tuple[float, list[str]] | None:
    """The smallest size that is caught and its codes; None where not even the largest is."""
    sizes = fault.sizes or tuple(np.geomspace(1 / scene.own.height, 1, SIZES))
    low, high = 0, len(sizes) - 1
    best = None
    while low <= high:
        middle = (low + high) // 2
        codes = codes_of(scene, fault.change(scene, sizes[middle]))
        if codes:  # a large fault may have another name than a small one
            best, high = (sizes[middle], codes), middle - 1
        else:
            low = middle + 1
    return best


# --- faults ------------------------------------------------------------------------------------


def chosen(size: float) -> pl.Expr:
    """So large a share of the rows, spread evenly over the day."""
    place = pl.int_range(pl.len())
    share = size * (1 + 1e-9)
    return (place * share).floor() < ((place + 1) * share).floor()


def value(column: str, new: pl.Expr | float) -> Change:
    """A share of a column becomes something else."""

    def change(scene: Scene, size: float) -> pl.DataFrame:
        kind = scene.own.schema[column]
        other = (new if isinstance(new, pl.Expr) else pl.lit(new)).cast(kind)
        expression = pl.when(chosen(size)).then(other).otherwise(column)
        return scene.own.with_columns(expression.alias(column))

    return change


def new_ids(scene: Scene, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows under ids that nobody had."""
    first = int(scene.own["transaction_id"].max()) + 1  # type: ignore[arg-type]  # a number
    return rows.with_columns(transaction_id=(pl.int_range(pl.len()) + first).cast(pl.Int32))


def twice(seconds: int, dearer: float = 0.0, cents: int = 0) -> Change:
    """A share of the payments once more."""

    def change(scene: Scene, size: float) -> pl.DataFrame:
        room = (
            pl.col("tx_datetime").dt.date()
            == (pl.col("tx_datetime") + timedelta(seconds=seconds)).dt.date()
        )
        more = (
            scene.own.filter(chosen(size))
            .filter(room)
            .with_columns(
                pl.col("tx_datetime") + timedelta(seconds=seconds),
                pl.col("tx_time_seconds") + seconds,
                (pl.col("tx_amount") * (1 + dearer) + cents / 100).round(2),
            )
        )
        return pl.concat([scene.own, new_ids(scene, more)])

    return change


def redated(rows: pl.DataFrame, day: str, seconds: int = 0) -> pl.DataFrame:
    """Rows of another day under this day's date, so much later."""
    start = pl.lit(day).str.to_datetime("%Y-%m-%d", time_unit="us")
    second = (pl.col("tx_datetime").dt.epoch("s") + seconds) % _DAY_S
    days = (start.dt.date() - pl.col("tx_datetime").dt.date()).dt.total_days()
    number = pl.col("tx_time_days").cast(pl.Int32) + days.cast(pl.Int32)
    return rows.with_columns(
        tx_datetime=(start + pl.duration(seconds=second)).cast(pl.Datetime("us")),
        tx_time_days=number.cast(pl.Int16),
        tx_time_seconds=(number * _DAY_S + second.cast(pl.Int32)).cast(pl.Int32),
    )


def replay(*, yesterday: bool = False, stirred: bool = False) -> Change:
    """A share of the day is another day's, under new ids."""

    def change(scene: Scene, size: float) -> pl.DataFrame:
        other = list(scene.before.values())[-1] if yesterday else scene.old
        rows = redated(other.filter(chosen(size)), scene.day, 3_600 if stirred else 0)
        if stirred:
            rows = rows.with_columns((pl.col("tx_amount") + 0.01).round(2))
        return pl.concat([scene.own.filter(~chosen(size)), new_ids(scene, rows)])

    return change


def same_ids(scene: Scene, size: float) -> pl.DataFrame:
    """Some rows of weeks ago with their ids."""
    return pl.concat([scene.own, redated(scene.old.filter(chosen(size)), scene.day)])


def permuted(*columns: str) -> Change:
    """A share of the rows exchange their values among each other."""

    def change(scene: Scene, size: float) -> pl.DataFrame:
        hit, rest = scene.own.filter(chosen(size)), scene.own.filter(~chosen(size))
        mixed = hit.with_columns(hit.select(columns).sample(fraction=1, shuffle=True, seed=1))
        return pl.concat([rest, mixed])

    return change


def exchanged(scene: Scene, size: float) -> pl.DataFrame:
    """Customer and terminal change places."""
    hit = chosen(size)
    return scene.own.with_columns(
        customer_id=pl.when(hit).then("terminal_id").otherwise("customer_id"),
        terminal_id=pl.when(hit).then("customer_id").otherwise("terminal_id"),
    )


def later(scene: Scene, minutes: float) -> pl.DataFrame:
    """All times moved; what leaves the day is another day's."""
    moved = timedelta(minutes=minutes)
    day = scene.own["tx_datetime"].dt.date()[0]
    return scene.own.with_columns(
        pl.col("tx_datetime") + moved,
        pl.col("tx_time_seconds") + int(minutes * 60),
    ).filter(pl.col("tx_datetime").dt.date() == day)


def unlabelled(scene: Scene, size: float) -> pl.DataFrame:
    """A share of the frauds is not known as such."""
    lost = (pl.col("tx_fraud") == 1) & ((pl.int_range(pl.len()).over("tx_fraud") + 1) <= (
        size * pl.col("tx_fraud").sum()
    ))  # fmt: skip
    return scene.own.with_columns(
        pl.when(lost).then(pl.lit(0, pl.Int8)).otherwise(name).alias(name)
        for name in ("tx_fraud", "tx_fraud_scenario")
    )


AMOUNT = "tx_amount"
HUNDREDTH = (pl.col(AMOUNT) / 100).round(2)
MINUTES = (1, 2, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 60, 75, 90, 120)
FACTORS = (1.05, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2, 2.2, 2.5, 3, 5, 10, 100)
FAULTS = (
    Fault("DF-03 all amounts times a factor", "UNIT_SHIFT",
          lambda s, f: s.own.with_columns((pl.col(AMOUNT) * f).round(2)), "factor", FACTORS),
    Fault("DF-03 amounts in cents", "UNIT_SHIFT", value(AMOUNT, pl.col(AMOUNT) * 100)),
    Fault("DF-03 amounts in hundreds", "UNIT_SHIFT", value(AMOUNT, HUNDREDTH)),
    Fault("DF-05 amounts that are not numbers", "NULL_RATE", value(AMOUNT, float("nan"))),
    Fault("DF-06 infinite amounts", "NON_FINITE", value(AMOUNT, float("inf"))),
    Fault("DF-06 negative zeros", "NON_FINITE", value(AMOUNT, -0.0)),
    Fault("DF-08 rows sent twice", "DUPLICATE_KEY",
          lambda s, f: pl.concat([s.own, s.own.filter(chosen(f))])),
    Fault("DF-11 times moved", "EVENT_TIME_OUTSIDE_PARTITION", later, "minutes", MINUTES),
    Fault("DF-20 one amount planted", "TRIGGER_SUSPECT", value(AMOUNT, 137.77)),
    Fault("DF-32 yesterday's rows, new ids", "FROZEN_FEED", replay(yesterday=True)),
    Fault(f"N2 rows of {AGO} days ago, same ids", "DUPLICATE_KEY", same_ids),
    Fault(f"N2 rows of {AGO} days ago, new ids", "FROZEN_FEED", replay()),
    Fault("N2 these a cent dearer, an hour later", "FROZEN_FEED", replay(stirred=True)),
    Fault("N8 once more, a second later", "DUPLICATE_BUSINESS_KEY", twice(1)),
    Fault("N8 once more, a cent dearer", "DUPLICATE_BUSINESS_KEY", twice(0, cents=1)),
    Fault("N8 once more, 5 min, 5 % dearer", "DUPLICATE_BUSINESS_KEY", twice(300, 0.05)),
    Fault("N8 once more, 2 hours later", "DUPLICATE_BUSINESS_KEY", twice(7_200)),
    Fault("N8 once more, 2 hours, half dearer", "DUPLICATE_BUSINESS_KEY", twice(7_200, 0.5)),
    Fault("customer 0", "SENTINEL_VALUE", value("customer_id", 0)),
    Fault("terminal 999999999", "SENTINEL_VALUE", value("terminal_id", 999_999_999)),
    Fault("any one customer", "SENTINEL_VALUE", value("customer_id", 17)),
    Fault("any one terminal", "SENTINEL_VALUE", value("terminal_id", 17)),
    Fault("amounts 9999.99", "SENTINEL_VALUE", value(AMOUNT, 9999.99)),
    Fault("amounts 0", "DISTRIBUTION_SHIFT", value(AMOUNT, 0.0)),
    Fault("rows lost", "VOLUME", lambda s, f: s.own.filter(~chosen(min(f, 0.999)))),
    Fault("customer and terminal exchanged", "COLUMNS_SWAPPED", exchanged),
    Fault("customers permuted", "DISTRIBUTION_SHIFT", permuted("customer_id")),
    Fault("labels lost (share of the frauds)", "LABEL_RATE", unlabelled),
    Fault("labels permuted", "LABEL_INCOHERENT", permuted("tx_fraud", "tx_fraud_scenario")),
)  # fmt: skip


# --- feeds of any volume -----------------------------------------------------------------------


def scaled(rows: pl.DataFrame, volume: float) -> pl.DataFrame:
    """A tenth: every tenth customer. Tenfold: ten cities, each with its own times and prices."""
    if volume < 1:
        return rows.filter(pl.col("customer_id") % round(1 / volume) == 0)
    cities = []
    for city in range(round(volume)):
        chance = np.random.default_rng(city)
        noise = chance.integers(-600, 601, rows.height) * (city > 0)
        dearer = 1 + chance.uniform(-0.05, 0.05, rows.height) * (city > 0)
        second = (pl.col("tx_datetime").dt.epoch("s") % _DAY_S + pl.Series(noise)).clip(
            0, _DAY_S - 1
        )
        start = pl.col("tx_datetime").dt.truncate("1d")
        cities.append(
            rows.with_columns(
                pl.col("transaction_id") * round(volume) + city,
                pl.col("customer_id") + city * 10_000,
                pl.col("terminal_id") + city * 20_000,
                (pl.col("tx_amount") * pl.Series(dearer)).round(2),
                tx_datetime=(start + pl.duration(seconds=second)).cast(pl.Datetime("us")),
                tx_time_seconds=(pl.col("tx_time_days").cast(pl.Int32) * _DAY_S + second).cast(
                    pl.Int32
                ),
            )
        )
    return pl.concat(cities).sort("tx_datetime", "transaction_id")


def scene_of(days: Days, volume: float) -> Scene:
    """The last day, the week before it, and what is known of the days before these."""
    names = sorted(days)[-(AGO + 1) :]
    frames = {day: scaled(days[day], volume) for day in names}
    before = {day: frames[day] for day in names[-1 - WEEK : -1]}
    known = summarise({day: rows for day, rows in frames.items() if day != names[-1]})
    return Scene(names[-1], frames[names[-1]], before, frames[names[0]], known)


@dataclass
class Judged:
    """What came of honest days, delivered one after the other.

    `held`: the days that were stopped, and for what. `row`: the longest run of them.
    """

    days: int = 0
    held: dict[str, list[str]] = field(default_factory=dict)
    told: int = 0
    row: int = 0


def honest(
    days: Iterator[tuple[str, pl.DataFrame]],
    thresholds: Mapping[str, Any] = THRESHOLDS,
    *,
    accepts: bool = False,
) -> Judged:
    """Judge each day beside the month before it; a held one is no yardstick, unless accepted."""
    frames: Days = {}
    known: dict[str, pl.DataFrame] = {}
    result = Judged()
    waiting: list[str] = []
    run = 0

    def judge() -> None:
        nonlocal run
        found = held_days(frames, known, waiting, thresholds, result.held, accepts=accepts)
        for day in waiting:
            hard = [code for code in found[day] if code not in TOLD]
            result.told += bool(found[day]) and not hard
            run = run + 1 if hard else 0
            result.row = max(result.row, run)
            if hard:
                result.held[day] = hard
                if not accepts:
                    del frames[day], known[day]
        result.days += len(waiting)
        for day in sorted(frames)[:-_WINDOW_DAYS]:
            del frames[day]
        waiting.clear()

    for day, rows in days:
        frames[day] = rows
        known[day] = summarise({day: rows})
        waiting.append(day)
        if len(waiting) == _WINDOW_DAYS:
            judge()
    if waiting:
        judge()
    return result


def held_days(
    frames: Days,
    known: Mapping[str, pl.DataFrame],
    waiting: Sequence[str],
    thresholds: Mapping[str, Any],
    there: Collection[str],
    *,
    accepts: bool,
) -> dict[str, list[str]]:
    """Day to its codes, as if the days came one by one: who accepts, does so before the next."""
    found: dict[str, list[str]] = {}
    formed = []
    for day in waiting:
        report = check_raw_schema({day: frames[day]}, thresholds)
        found[day] = [item.code for item in report.failures]
        if not found[day]:
            formed.append(day)
    usable = {day: rows for day, rows in frames.items() if day not in waiting or day in formed}
    table = profile_days(usable, pl.concat(known.values()), waiting)
    left = formed
    while left:
        codes = findings(table, left, thresholds, there)
        first = next((day for day in left if set(codes[day]) - TOLD), None)
        last = left.index(first) if accepts and first else len(left)
        found |= {day: codes[day] for day in left[: last + 1]}
        left = left[last + 1 :]
    return found


# --- the tables --------------------------------------------------------------------------------


def print_faults(days: Days, volumes: Sequence[float], only: str) -> list[dict[str, Any]]:
    """One line a fault: the smallest size that is caught, by volume."""
    scenes = {volume: scene_of(days, volume) for volume in volumes}
    heads = [f"x{v:g} ({s.own.height} rows)" for v, s in scenes.items()]
    print(f"{'fault':<40} {'code':<30}" + "".join(f"{head:>24}" for head in heads), flush=True)
    found = []
    for fault in (fault for fault in FAULTS if only in fault.name):
        line: dict[str, Any] = {"fault": fault.name, "code": fault.code, "unit": fault.unit}
        for volume, scene in scenes.items():
            best = smallest(scene, fault)
            line[f"x{volume:g}"] = best
        texts = (_size(line[f"x{v:g}"], fault, s.own.height) for v, s in scenes.items())
        print(f"{fault.name:<40} {fault.code:<30}" + "".join(f"{t:>24}" for t in texts), flush=True)
        found.append(line)
    return found


def _size(best: tuple[float, list[str]] | None, fault: Fault, rows: int) -> str:
    if best is None:
        return "not caught"
    text = {
        "share": f"{max(1, round(best[0] * rows))} rows, {best[0]:.2%}",
        "factor": f"x {best[0]:g}",
        "minutes": f"{best[0]:g} min",
    }[fault.unit]
    return text if best[1][0] == fault.code else f"{text} *"


def print_honest(
    name: str,
    days: Iterator[tuple[str, pl.DataFrame]],
    thresholds: Mapping[str, Any] = THRESHOLDS,
    *,
    accepts: bool = False,
) -> dict[str, Any]:
    """One line: how many honest days were held, for what, and how many of them in a row."""
    judged = honest(days, thresholds, accepts=accepts)
    codes = sorted({code for day in judged.held.values() for code in day})
    print(
        f"{name:<52} {judged.days:5} days, {len(judged.held):3} held, {judged.row:2} in a row, "
        f"{judged.told:2} told {', '.join(codes)}",
        flush=True,
    )
    return {"feed": name, **asdict(judged)}


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.contracts", description=__doc__)
    parser.add_argument("--data", type=Path, help="transactions, as `import` takes them")
    parser.add_argument("--volumes", type=float, nargs="*", default=[0.1, 1, 10])
    parser.add_argument("--generated-rows", type=int, nargs="*", default=[300, 1_000, 2_000])
    parser.add_argument("--generated-days", type=int, default=365)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="", help="only faults whose name holds this")
    parser.add_argument("--part", choices=("faults", "honest"), help="only this table")
    parser.add_argument("--json", type=Path, help="write all numbers to this file, too")
    return parser.parse_args(given)


def main() -> None:
    """Measure, print, write."""
    options = arguments()
    source = options.data or (HANDBOOK if HANDBOOK.exists() else None)
    landed = by_day(read_transactions(source)) if source else dict(generate_days(60, 9_586, seed=7))
    days = {day: to_raw(rows) for day, rows in landed.items()}
    document: dict[str, Any] = {"data": source.name if source else "generated"}
    if options.part != "honest":
        print("the smallest size that is caught (*: another code is named before it)")
        document["faults"] = print_faults(days, options.volumes, options.only)
    if options.part != "faults":
        print("\nhonest days")
        document["honest"] = (
            [
                print_honest(
                    f"{document['data']} x {v:g}", ((d, scaled(r, v)) for d, r in days.items())
                )
                for v in options.volumes
            ]
            + [
                print_honest(
                    f"{kind}, 700 rows a day" + ", held days accepted" * accepts,
                    habit(kind, 700, options.generated_days),
                    accepts=accepts,
                )
                for kind in HABITS
                for accepts in (True, False)
            ]
            + [
                print_honest(
                    f"{name}, 700 rows a day, by its settings",
                    feed_with(name, 700, options.generated_days),
                    fitted(THRESHOLDS, SETTINGS[name][0]),
                )
                for name in SETTINGS
            ]
            + [
                print_honest(
                    f"generated, {rows} rows a day, seed {seed}",
                    ((d, to_raw(r)) for d, r in generate_days(options.generated_days, rows, seed)),
                )
                for rows in options.generated_rows
                for seed in range(1, options.seeds + 1)
            ]
        )
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
