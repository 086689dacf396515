"""From a feed's columns to ours: what has one meaning is converted and told, the rest is refused.

A message names file, column, lines and how many. Of a value it shows the shape only: digits as 9,
letters as a.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from fraud_provenance.data.mapping import (
    EPOCHS,
    IDENTIFIERS,
    REQUIRED,
    Mapping,
    guess_columns,
    is_pandas_index,
)
from fraud_provenance.data.numbers import RowKeys
from fraud_provenance.data.wanted import MEANINGS
from fraud_provenance.fraud.columns import LANDING_SCHEMA, PolarsType
from fraud_provenance.fraud.errors import MAX_ROWS_NAMED, DataError

MOMENT, AMOUNT, LABEL, SCENARIO = "TX_DATETIME", "TX_AMOUNT", "TX_FRAUD", "TX_FRAUD_SCENARIO"
_INTEGER = r"^[+-]?[0-9]+$"
_LEADING_ZERO = r"^[+-]?0[0-9]"
_DECIMAL = (
    r"^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$|^[+-]?(?i:inf|infinity|nan)$"
)
_MOMENT = (
    r"^(\d{4}-\d{2}-\d{2})[ Tt](\d{2}:\d{2}(?::\d{2})?)(?:[.,](\d{1,9}))?"
    r" ?(?:(Z|z|UTC|GMT)|([+-])(\d{2}):?(\d{2})?)?$"
)
_PLAIN_MOMENT = r"^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?$"
_ISO = "%Y-%m-%d %H:%M:%S%.f"
_YES, _NO = ("true", "t", "yes", "y"), ("false", "f", "no", "n")


@dataclass
class Told:
    """What was converted, by kind: how many values, and the columns or times concerned."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, what: str, count: int) -> None:
        """Note that `count` values were converted so; none leaves no note."""
        if count:
            self.counts[what] += int(count)

    def lines(self) -> list[str]:
        """One line a kind."""
        return [f"{count:,} {what}" for what, count in sorted(self.counts.items())]


@dataclass
class Converter:
    """Converts one file's frames.

    `header_lines`: 0 where rows have no lines (Parquet). `propose` makes a mapping that may fit.
    """

    name: str
    columns: Sequence[str]
    mapping: Mapping
    told: Told
    header_lines: int = 0
    propose: Callable[[], str] = str
    _keys: RowKeys = field(default_factory=RowKeys)

    def __post_init__(self) -> None:
        """Settle which column is which.

        Raises:
            DataError: SCHEMA_COLUMN_MISSING or SCHEMA_COLUMN_UNKNOWN, with a mapping that may fit.
        """
        self.sources = self._sources()
        self._check_columns()

    def _sources(self) -> dict[str, str]:
        """Our column → the file's. Names count in any case, unless the mapping names another."""
        given = {name.upper(): name for name in reversed(self.columns)}
        found = {ours: given[ours] for ours in LANDING_SCHEMA if ours in given}
        return {
            ours: theirs
            for ours, theirs in {**found, **self.mapping.columns}.items()
            if ours not in self.mapping.constants
            and not (ours == "TRANSACTION_ID" and self.mapping.row_numbers)
        }

    def _check_columns(self) -> None:
        names, mapping = list(self.columns), self.mapping
        doubled = sorted({name for name in names if names.count(name) > 1})
        absent = [theirs for theirs in self.sources.values() if theirs not in names]
        supplied = {*self.sources, *mapping.constants, *(["TRANSACTION_ID"] * mapping.row_numbers)}
        missing = [name for name in REQUIRED if name not in supplied]
        used = {*self.sources.values(), *mapping.ignore, *mapping.constants}
        surplus = [] if "*" in mapping.ignore else [name for name in names if name not in used]
        if absent or missing:
            first = (absent or missing)[0]
            raise self._error(
                "SCHEMA_COLUMN_MISSING",
                f"missing {', '.join(absent or missing)}; found {_listed(names)}",
                remedy=self._wanted(names), column=first,
            )  # fmt: skip
        index = [name for name in surplus if is_pandas_index(name)]
        if index:
            raise self._error(
                "SCHEMA_COLUMN_UNKNOWN",
                "pandas wrote its index as a column of its own",
                remedy="write the file with index=False",
                column=index[0],
            )
        if doubled or surplus:
            raise self._error(
                "SCHEMA_COLUMN_UNKNOWN",
                f"found also {_quoted(doubled or surplus)}" + (" twice" if doubled else ""),
                remedy="leave the column out, or name it under `ignore` in landing.toml",
                column=(doubled or surplus)[0],
            )  # fmt: skip

    def _wanted(self, names: Sequence[str]) -> str:
        told = "wanted are the columns " + ", ".join(MEANINGS) + " (`import --help` explains them)"
        fitting = self.propose() if guess_columns(names) else ""
        if not fitting:
            return told
        return f"{told}. A landing.toml that may fit (see `import --propose`):\n{fitting}"

    # --- values ----------------------------------------------------------------------------------

    def convert(self, frame: pl.DataFrame, first_row: int) -> pl.DataFrame:
        """Rows x the columns of `LANDING_SCHEMA`; derived ones that are absent are null.

        Identifiers that the mapping calls text stay text, and rows without an id get a text.
        `first_row` counts from 1.

        Raises:
            DataError: SCHEMA_TYPE or NULL_RATE, with column, lines and count.
        """
        self._first_row = first_row
        columns: dict[str, pl.Series] = {}
        for ours, dtype in LANDING_SCHEMA.items():
            if ours == SCENARIO and ours not in {**self.sources, **self.mapping.constants}:
                columns[ours] = columns[LABEL].cast(dtype)
            else:
                columns[ours] = self._made(ours, dtype, frame)
        made = pl.DataFrame(columns)
        return self._keys.keyed(made) if self.mapping.row_numbers else made

    def _made(self, ours: str, dtype: PolarsType, frame: pl.DataFrame) -> pl.Series:
        if ours in self.sources:
            given = self._stripped(frame[self.sources[ours]].alias(ours))
            if ours == "TRANSACTION_ID":
                self._refuse_missing(given, "a transaction without an id cannot be merged", "ids")
            return self._column(ours, given, dtype).alias(ours)
        value = self.mapping.constants.get(ours)  # a derived column waits for the whole delivery
        return pl.repeat(value, frame.height, dtype=dtype, eager=True).alias(ours)

    def _column(self, ours: str, given: pl.Series, dtype: PolarsType) -> pl.Series:
        if ours == MOMENT:
            return self._moments(given)
        if ours == AMOUNT:
            return self._amounts(given)
        if ours == LABEL:
            given = self._labels(given)
        if ours in self.mapping.text_ids:
            return self._texts(given)
        return self._integers(given, dtype)

    def _stripped(self, given: pl.Series) -> pl.Series:
        if given.dtype != pl.String:
            return given
        bare = given.str.strip_chars()
        self.told.add("values had blanks around them", int((bare != given).sum()))
        return bare.set(bare == "", None)

    def _texts(self, given: pl.Series) -> pl.Series:
        return given.cast(pl.String)

    def _integers(self, given: pl.Series, dtype: PolarsType) -> pl.Series:
        if given.dtype == pl.String:
            zeros = given.str.contains(_LEADING_ZERO).fill_null(value=False)
            if given.name in IDENTIFIERS and zeros.any():
                self._refuse(
                    given, zeros, "leading zeros: written as numbers, several of them become one",
                    f'if they are text, write text_ids = ["{given.name}"] in landing.toml',
                )  # fmt: skip
            whole = given.str.contains(_INTEGER).fill_null(value=False)
            result = given.set(~whole, None).cast(dtype, strict=False)
        elif given.dtype.is_integer() or isinstance(given.dtype, pl.Null):
            what = f"values of {given.name} were {given.dtype} and became {dtype}"
            self.told.add(
                what, given.len() if given.dtype.is_integer() and given.dtype != dtype else 0
            )
            result = given.cast(dtype, strict=False)
        else:
            self._refuse_type(given, f"expected whole numbers, found {given.dtype}")
        self._refuse_lost(given, result, f"expected a whole number that fits {dtype}")
        return result

    def _labels(self, given: pl.Series) -> pl.Series:
        if given.dtype == pl.Boolean:
            self.told.add("labels true and false became 1 and 0", given.len())
            return given.cast(pl.Int8)
        if given.dtype != pl.String:
            return given
        small = given.str.to_lowercase()
        worded = small.is_in([*_YES, *_NO])
        self.told.add("labels true and false became 1 and 0", int(worded.sum()))
        return small.replace(dict.fromkeys(_YES, "1") | dict.fromkeys(_NO, "0"))

    def _amounts(self, given: pl.Series) -> pl.Series:
        rules = self.mapping.amount
        if given.dtype == pl.String and self.header_lines:
            if self.mapping.file.decimal == ",":
                self._refuse_where(
                    given, given.str.contains(r"\."), "a point beside decimal commas"
                )
                given = given.str.replace(",", ".", literal=True)
            known = given.str.contains(_DECIMAL).fill_null(value=False)
            result = given.set(~known, None).cast(pl.Float64, strict=False)
        elif given.dtype == pl.Float64 or (given.dtype.is_integer() and rules.unit == "minor"):
            result = given.cast(pl.Float64)
        elif isinstance(given.dtype, pl.Decimal):
            self.told.add("exact decimals became amounts", given.len())
            result = given.cast(pl.Float64)
        elif given.dtype == pl.Float32:
            self._refuse_type(given, "32-bit amounts have lost their cents")
        else:
            self._refuse_type(
                given, f"expected decimal numbers, found {given.dtype}",
                'if these are cents, write [amount] with unit = "minor" in landing.toml',
            )  # fmt: skip
        self._refuse_lost(given, result, "expected a decimal number with a point")
        return result / 10**rules.decimals if rules.unit == "minor" else result

    # --- times -----------------------------------------------------------------------------------

    def _moments(self, given: pl.Series) -> pl.Series:
        rules = self.mapping.time
        if isinstance(given.dtype, pl.Datetime):
            result = self._typed_moments(given)
        elif rules.format in EPOCHS or rules.elapsed_s:
            result = self._counted_moments(given)
        elif given.dtype != pl.String or (rules.format == "iso" and not self.header_lines):
            self._refuse_type(
                given, f"expected dates with a time of day, found {given.dtype}",
                "if these are seconds, say so under [time] in landing.toml (`import --help`)",
            )  # fmt: skip
        elif rules.format == "iso":
            result = self._iso_moments(given)
        else:
            parsed = given.str.to_datetime(rules.format, time_unit="us", strict=False)
            result = self._zoned(parsed, given)
        self._refuse_missing(given, "a transaction without a date belongs to no day", "dates")
        self._refuse_lost(given, result, "expected a date such as 2018-04-01 13:05:09")
        return result

    def _typed_moments(self, given: pl.Series) -> pl.Series:
        finer = given.dt.nanosecond() % 1000 != 0
        self._refuse_where(given, finer, "a time is finer than a microsecond")
        zone = getattr(given.dtype, "time_zone", None)
        if zone is None:
            return self._zoned(given.cast(pl.Datetime("us")), given)
        return given.dt.convert_time_zone("UTC").dt.replace_time_zone(None).cast(pl.Datetime("us"))

    def _counted_moments(self, given: pl.Series) -> pl.Series:
        """Seconds, milliseconds or hours since 1970 or since the feed's own first midnight."""
        rules = self.mapping.time
        unit_us = rules.elapsed_s * 1_000_000 or EPOCHS[rules.format]
        begin = rules.start if rules.elapsed_s else date(1970, 1, 1)
        counted = given.cast(pl.Float64, strict=False) * unit_us
        begun_us = pl.lit(begin).cast(pl.Datetime("us")).cast(pl.Int64)
        made = begun_us + pl.lit(counted).round().cast(pl.Int64, strict=False)
        return pl.select(made.cast(pl.Datetime("us"))).to_series()

    def _iso_moments(self, given: pl.Series) -> pl.Series:
        if given.str.contains(_PLAIN_MOMENT).all():  # most feeds, in a third of the time
            spaced = given.str.replace("T", " ", literal=True)
            return self._zoned(spaced.str.to_datetime(_ISO, time_unit="us", strict=False), given)
        parts = pl.col("text").str.extract_groups(_MOMENT).struct
        fraction = parts[2].fill_null("")
        clock = pl.when(parts[1].str.len_chars() == 5).then(parts[1] + ":00").otherwise(parts[1])
        text = parts[0] + " " + clock + "." + fraction.str.pad_end(6, "0").str.slice(0, 6)
        minutes = parts[6].cast(pl.Int64).fill_null(0)
        away = parts[5].cast(pl.Int64).fill_null(0) * 60 + minutes
        found = given.to_frame("text").select(
            local=text.str.to_datetime(_ISO, time_unit="us", strict=False),
            finer=fraction.str.slice(6).str.strip_chars("0") != "",
            has_offset=parts[4].is_not_null(),
            naive=parts[0].is_not_null() & parts[4].is_null() & parts[3].is_null(),
            away=away * pl.when(parts[4] == "-").then(-1).otherwise(1),
            strange=(away > 14 * 60) | (minutes > 59),
        )
        self._refuse_where(given, found["finer"], "a time is finer than a microsecond")
        self._refuse_where(given, found["strange"], "an offset from UTC that no place has")
        self.told.add("times with an offset became UTC", int(found["has_offset"].sum()))
        utc = found.select(pl.col("local") - pl.duration(minutes="away", time_unit="us"))["local"]
        if self.mapping.time.zone == "UTC" or not found["naive"].any():
            return utc
        naive = found["naive"]
        zoned = self._zoned(found["local"].set(~naive, None), given)
        return zoned.zip_with(naive, utc)

    def _zoned(self, local: pl.Series, given: pl.Series) -> pl.Series:
        """Local times of the feed's zone as UTC; those that the clock shows twice are refused."""
        zone = self.mapping.time.zone
        if zone == "UTC":
            return local
        zoned = local.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
        unclear = zoned.is_null() & local.is_not_null()
        self._refuse_where(
            given, unclear,
            f"a local time that the clocks of {zone} show twice or never, as they are changed",
            "deliver times with their offset from UTC",
        )  # fmt: skip
        self.told.add(f"local times of {zone} became UTC", local.len())
        return zoned.dt.convert_time_zone("UTC").dt.replace_time_zone(None)

    # --- refusing --------------------------------------------------------------------------------

    def _refuse_lost(self, given: pl.Series, result: pl.Series, expected: str) -> None:
        self._refuse_where(given, result.is_null() & given.is_not_null(), expected)

    def _refuse_missing(self, given: pl.Series, what: str, called: str) -> None:
        missing = given.is_null()
        if missing.any():
            raise self._error(
                "NULL_RATE", what, remedy=f"deliver the rows again with their {called}",
                column=given.name, mask=missing,
            )  # fmt: skip

    def _refuse_where(self, given: pl.Series, mask: pl.Series, what: str, remedy: str = "") -> None:
        mask = mask.fill_null(value=False)
        if mask.any():
            self._refuse(given, mask, what, remedy)

    def _refuse(self, given: pl.Series, mask: pl.Series, what: str, remedy: str) -> None:
        shape = _shape(str(given.filter(mask)[0])) if given.dtype == pl.String else ""
        raise self._error(
            "SCHEMA_TYPE", what + (f", found the form {shape!r}" if shape else ""),
            remedy=remedy or "deliver the column in its agreed form; nothing is guessed",
            column=given.name, mask=mask,
        )  # fmt: skip

    def _refuse_type(self, given: pl.Series, what: str, remedy: str = "") -> None:
        raise self._error(
            "SCHEMA_TYPE", what, column=given.name,
            remedy=remedy or "deliver the column in its agreed type; nothing is guessed",
        )  # fmt: skip

    def _error(
        self, code: str, message: str, *, remedy: str, column: str = "",
        mask: pl.Series | None = None,
    ) -> DataError:  # fmt: skip
        rows: list[int] = []
        if mask is not None:
            first = mask.arg_true().head(MAX_ROWS_NAMED).to_list()
            rows = [self._first_row + int(index) for index in first]
            if self.header_lines:
                message += f" (line {rows[0] + self.header_lines})"
        return DataError(
            code, message, file=self.name, column=column, rows=rows,
            row_count=int(mask.sum()) if mask is not None else 0, remedy=remedy,
        )  # fmt: skip


def _shape(text: str) -> str:
    """What a value looks like without saying what it is."""
    if text.isdigit():
        return f"{len(text)} digits"
    return re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", text))[:24]


def _listed(names: Sequence[str]) -> str:
    """Columns' names, unless none is one that feeds use: then a row may stand in their place."""
    if not guess_columns(names) and not {name.upper() for name in names} & {*LANDING_SCHEMA}:
        return f"{len(names)} columns, none of them known"
    return _quoted(names)


def _quoted(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:60]) for name in names[:12])
    return shown + (f" and {len(names) - 12} more" if len(names) > 12 else "")
