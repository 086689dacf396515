"""`landing.toml`: how another feed's columns become ours. Read strictly, and proposed for a file.

A mapping says what cannot be guessed: which column is which, in which zone times are, what amounts
are counted in, which identifiers are text. What it does not say is read as it stands.
"""

import re
import tomllib
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fraud_provenance.data.delimited import SEPARATORS, Dialect
from fraud_provenance.fraud.columns import LANDING_SCHEMA
from fraud_provenance.fraud.errors import DataError

NAME: Final = "landing.toml"
MAX_BYTES: Final = 2**18
IDENTIFIERS: Final = ("TRANSACTION_ID", "CUSTOMER_ID", "TERMINAL_ID")
DERIVED: Final = ("TX_TIME_SECONDS", "TX_TIME_DAYS")
OPTIONAL: Final = (*DERIVED, "TX_FRAUD_SCENARIO")
REQUIRED: Final = tuple(name for name in LANDING_SCHEMA if name not in OPTIONAL)
_ELAPSED = {"elapsed_s": 1, "elapsed_h": 3600}
EPOCHS: Final = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileRules(_Closed):
    """How CSV files are written."""

    separator: str = ","
    decimal: Literal[".", ","] = "."
    skip_lines: int = Field(0, ge=0, le=1000)

    @field_validator("separator")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in SEPARATORS:
            raise ValueError("must be one of , ; tab |")
        return value


class TimeRules(_Closed):
    """What a time is: its zone where it names none, its form, and the day that elapsed time is of.

    `format`: `iso`, `epoch_s`, `epoch_ms`, `epoch_us`, `elapsed_s` or `elapsed_h` (since the first
    midnight, `start`), or a pattern such as `%d/%m/%Y %H:%M`.
    """

    zone: str = "UTC"
    format: str = "iso"
    start: date | None = None

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"no time zone {value!r}; write e.g. Europe/Berlin") from error
        return value

    @property
    def elapsed_s(self) -> int:
        """Seconds that one unit of an elapsed time counts, 0 if times are no elapsed ones."""
        return _ELAPSED.get(self.format, 0)


class AmountRules(_Closed):
    """In what amounts are counted: the currency's main unit, or the smallest, `decimals` below."""

    unit: Literal["major", "minor"] = "major"
    decimals: int = Field(2, ge=0, le=4)


class Mapping(_Closed):
    """A feed's own form. The default is the form that needs no mapping.

    Attributes:
        columns: Our column → the feed's.
        constants: Our column → the one value that it has in every row.
        row_numbers: Whether no column is the transaction's id: each row is given a number by what
            it says (but for the label), and keeps it.
        text_ids: Our identifiers that are text in the feed; each text is given a number.
        ignore: The feed's columns that are left out; `["*"]`: all that are not mapped.
    """

    file: FileRules = FileRules()
    time: TimeRules = TimeRules()
    amount: AmountRules = AmountRules()
    columns: dict[str, str] = {}
    constants: dict[str, int | float] = {}
    row_numbers: bool = False
    text_ids: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    @property
    def numbered(self) -> tuple[str, ...]:
        """Our identifiers that come as texts."""
        return (*self.text_ids, *(["TRANSACTION_ID"] if self.row_numbers else []))

    @property
    def dialect(self) -> Dialect:
        """How its CSV files are written."""
        return Dialect(self.file.separator, self.file.skip_lines)


def load(path: Path) -> Mapping:
    """The mapping in a file.

    Raises:
        DataError: MAPPING_INVALID, with the place in the file.
    """
    try:
        content = path.read_bytes()[: MAX_BYTES + 1]
        if len(content) > MAX_BYTES:
            raise _invalid(path, f"it has more than {MAX_BYTES} bytes")
        mapping = Mapping.model_validate(tomllib.loads(content.decode("utf-8")))
    except OSError as error:
        raise _invalid(path, f"it cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _invalid(path, str(error)) from error
    except ValidationError as error:
        told = error.errors()[0]
        place = ".".join(str(part) for part in told["loc"])
        raise _invalid(path, f"{place}: {told['msg']}") from error
    ours = [*mapping.columns, *mapping.constants, *mapping.text_ids]
    unknown = sorted({name for name in ours if name not in LANDING_SCHEMA})
    if unknown:
        raise _invalid(path, f"it maps {', '.join(unknown)}, which no landing file has")
    single = [name for name in mapping.constants if name in ("TRANSACTION_ID", "TX_DATETIME")]
    if single:
        raise _invalid(path, f"constants: {', '.join(single)} is another one in each row")
    no_ids = [name for name in mapping.text_ids if name not in IDENTIFIERS]
    if no_ids:
        raise _invalid(path, f"text_ids: {', '.join(no_ids)} is no identifier")
    if mapping.row_numbers and "TRANSACTION_ID" in ours:
        raise _invalid(path, "row_numbers: the transaction's id is mapped as well")
    if mapping.time.elapsed_s and mapping.time.start is None:
        raise _invalid(path, "time.start: elapsed times need the day on which they begin")
    return mapping


def _invalid(path: Path, message: str) -> DataError:
    return DataError(
        "MAPPING_INVALID", message, file=path.name,
        remedy="mend it; `fraud-provenance import --propose FILE` prints one to start from",
    )  # fmt: skip


# --- proposing ---------------------------------------------------------------------------------

# Names that well-known feeds use, in small letters without marks.
_SYNONYMS: Final[MappingOf[str, tuple[str, ...]]] = {
    "TRANSACTION_ID": (
        "transactionid", "txid", "txnid", "transid", "transnum", "paymentid", "id", "reference",
        "uuid",
    ),
    "TX_DATETIME": (
        "txdatetime", "datetime", "timestamp", "transdatetranstime", "transactiondate",
        "transactiondt", "transactiontime", "eventtime", "createdat", "time", "date", "step",
        "unixtime",
    ),
    "CUSTOMER_ID": (
        "customerid", "customer", "cardid", "card", "card1", "ccnum", "cardnumber", "nameorig",
        "accountid", "account", "userid", "clientid", "payerid",
    ),
    "TERMINAL_ID": (
        "terminalid", "terminal", "merchantid", "merchant", "namedest", "deviceid", "shopid",
        "posid", "payeeid",
    ),
    "TX_AMOUNT": ("txamount", "amount", "transactionamt", "amt", "value", "price", "total"),
    "TX_TIME_SECONDS": ("txtimeseconds",),
    "TX_TIME_DAYS": ("txtimedays",),
    "TX_FRAUD": ("txfraud", "isfraud", "fraud", "class", "label", "fraudlabel", "fraudulent"),
    "TX_FRAUD_SCENARIO": ("txfraudscenario", "scenario"),
}  # fmt: skip
_PANDAS_INDEX = re.compile(r"|__index_level_\d+__|Unnamed: 0")


def is_pandas_index(name: str) -> bool:
    """Whether pandas wrote its row labels as this column."""
    return _PANDAS_INDEX.fullmatch(name) is not None


def guess_columns(names: Sequence[str]) -> dict[str, str]:
    """Our column → the one of `names` that most likely is it, by its name alone."""
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in reversed(names)}
    found: dict[str, str] = {}
    for ours, synonyms in _SYNONYMS.items():
        given = next((plain[item] for item in synonyms if item in plain), None)
        if given is not None and given not in found.values():
            found[ours] = given
    return found


def proposal(
    names: Sequence[str],
    *,
    dialect: Dialect | None = None,
    decimal: str = ".",
    time_format: str = "iso",
    text_ids: Sequence[str] = (),
) -> str:
    """A mapping for a file with these columns, as TOML with what is left for a person to decide."""
    guessed = guess_columns(names)
    dialect = dialect or Dialect()
    missing = [name for name in REQUIRED if name not in guessed]
    spare = [name for name in names if name not in guessed.values()]
    top, file, time = [], [], []
    if "TRANSACTION_ID" in missing:
        top.append("row_numbers = true  # no column looks like a transaction's id")
    if text_ids:
        top.append(f"text_ids = [{', '.join(_quoted(name) for name in text_ids)}]")
    if spare:
        top.append(f'ignore = ["*"]  # leaves out {len(spare)} columns')
    if dialect != Dialect() or decimal != ".":
        file = ["[file]", f"separator = {_quoted(dialect.separator)}"]
        file += [f"decimal = {_quoted(decimal)}", f"skip_lines = {dialect.skip_lines}"]
    if time_format != "iso":
        time = ["[time]", f"format = {_quoted(time_format)}"]
    if time_format in _ELAPSED:
        time.append("start = 2018-04-01  # the day on which the feed's time begins: the real one")
    renamed = {ours: theirs for ours, theirs in guessed.items() if ours != theirs}
    columns = [f"{ours} = {_quoted(theirs)}" for ours, theirs in renamed.items()]
    absent = [name for name in missing if name != "TRANSACTION_ID"]
    columns += [f'# {name} = "…"  # no column looks like it: which one is it?' for name in absent]
    parts = [
        ["# Proposed by names and first rows: read each line before you use it.", *top],
        file, time,
        ["[columns]", *columns] if columns else [],
    ]  # fmt: skip
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{escaped}"'
