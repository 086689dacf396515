"""What `import` refuses ends when its printed remedy is done, by the same command."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from fraud_provenance.cli import application as cli
from fraud_provenance_tests.data.conftest import frame
from fraud_provenance_tests.fraud.conftest import landing_days

__all__ = ["frame", "landing_days"]
pytestmark = pytest.mark.usefixtures("errors")
File = Callable[[pl.DataFrame], bytes]


@dataclass(frozen=True)
class Delivery:
    """A file that is refused, and what its remedy tells to do.

    Attributes:
        code: Of the refusal.
        wrong: The file as it is delivered.
        told: Words of the printed remedy.
        right: The file as the remedy wants it; the same one where only `options` or `home` differ.
        options: What the remedy tells to type besides.
        landed: What was delivered before.
        mapping: The home's landing.toml when the wrong file comes.
        mended: The landing.toml that the remedy tells of; "propose" where it is the printed one.
    """

    code: str
    wrong: File
    told: str
    right: File | None = None
    options: tuple[str, ...] = ()
    landed: File | None = None
    mapping: str = ""
    mended: str = ""


def csv(given: pl.DataFrame) -> bytes:
    return given.write_csv().encode()


def renamed(given: pl.DataFrame) -> bytes:
    return csv(given.rename({"TX_AMOUNT": "amount"}))


def with_note(given: pl.DataFrame) -> bytes:
    return csv(given.with_columns(NOTE=pl.lit("x")))


def with_index(given: pl.DataFrame) -> bytes:
    return csv(given.with_row_index("")).replace(b'""', b"", 1)


def in_words(given: pl.DataFrame) -> bytes:
    return csv(given.with_columns(TX_AMOUNT=pl.lit("twelve")))


def marked(given: pl.DataFrame) -> bytes:
    return b"\xef\xbb\xbf" + csv(given)


def without_a_date(given: pl.DataFrame) -> bytes:
    third = pl.int_range(pl.len()) == 2
    return csv(given.with_columns(TX_DATETIME=pl.when(~third).then("TX_DATETIME")))


def two_amounts(given: pl.DataFrame) -> bytes:
    """One id for two transactions."""
    other = given.head(1).with_columns(pl.col("TX_AMOUNT") + 1)
    return csv(pl.concat([given, other]))


def header(given: pl.DataFrame) -> bytes:
    return csv(given.clear())


def with_a_hole(given: pl.DataFrame) -> bytes:
    return csv(pl.concat([given.head(20), given.tail(20)]))


def semicolons(given: pl.DataFrame) -> bytes:
    return given.write_csv(separator=";").encode()


def cut(given: pl.DataFrame) -> bytes:
    return csv(given).rstrip()[:-12]


def blank_line(given: pl.DataFrame) -> bytes:
    return csv(given).replace(b"\n", b"\n\n", 5).replace(b"\n\n", b"\n", 4)


DELIVERIES = {
    "a column's name": Delivery("SCHEMA_COLUMN_MISSING", renamed, "TX_AMOUNT", csv),
    "a column's name, mapped": Delivery(
        "SCHEMA_COLUMN_MISSING", renamed, "landing.toml", mended="propose"
    ),
    "a column more": Delivery("SCHEMA_COLUMN_UNKNOWN", with_note, "leave the column out", csv),
    "a column more, ignored": Delivery(
        "SCHEMA_COLUMN_UNKNOWN", with_note, "`ignore` in landing.toml", mended='ignore = ["NOTE"]\n'
    ),
    "an index": Delivery("SCHEMA_COLUMN_UNKNOWN", with_index, "index=False", csv),
    "words": Delivery("SCHEMA_TYPE", in_words, "deliver the column in its agreed", csv),
    "a mark": Delivery("ENCODING", marked, "save as UTF-8 without byte order mark", csv),
    "no date": Delivery("NULL_RATE", without_a_date, "deliver the rows again with", csv),
    "an id twice": Delivery("DUPLICATE_KEY", two_amounts, "deliver it once", csv),
    "no rows": Delivery("EMPTY_PARTITION", header, "deliver the data again", csv),
    "a hole": Delivery("ROWS_WOULD_BE_LOST", with_a_hole, "deliver the whole day again", csv,
                       landed=csv),
    "a hole that is meant": Delivery("ROWS_WOULD_BE_LOST", with_a_hole, "--replace",
                                     options=("--replace",), landed=csv),
    "a mapping": Delivery("MAPPING_INVALID", renamed, "import --propose FILE",
                          mapping="columns = 7\n", mended="propose"),
    "semicolons": Delivery("FILE_FORMAT", semicolons, "deliver it with commas", csv),
    "semicolons, mapped": Delivery("FILE_FORMAT", semicolons, "landing.toml", mended="propose"),
    "a cut row": Delivery("FILE_FORMAT", cut, "deliver the file again", csv),
    "a blank line": Delivery("FILE_FORMAT", blank_line, "take the blank line out", csv),
}  # fmt: skip
CODES = frozenset({item.code for item in DELIVERIES.values()} | {"USAGE"})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRAUD_PROVENANCE_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.mark.parametrize("item", DELIVERIES.values(), ids=DELIVERIES)
def test_delivery_is_refused_until_its_remedy_is_done(
    item: Delivery,
    home: Path,
    frame: pl.DataFrame,
    errors: io.StringIO,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file, mapping = home.parent / "day.csv", home / "landing.toml"

    def deliver(content: bytes, *options: str) -> int:
        file.write_bytes(content)
        errors.truncate(0)
        return cli.execute(["import", str(file), *options])

    if item.landed:
        assert deliver(item.landed(frame)) == 0
    if item.mapping:
        mapping.write_text(item.mapping)
    assert deliver(item.wrong(frame)) == 1
    assert f"{item.code}:" in errors.getvalue()
    assert item.told in errors.getvalue().split("remedy:")[1]

    if item.mended:
        capsys.readouterr()
        text = item.mended
        if text == "propose":
            assert cli.execute(["import", "--propose", str(file)]) == 0
            text = capsys.readouterr().out
        mapping.write_text(text)
    right = (item.right or item.wrong)(frame)
    assert deliver(right, *item.options) == 0, errors.getvalue()
    landed = pl.read_parquet(next((home / "landing").glob("*.parquet")))
    assert landed.height == (40 if item.options else frame.height)


def test_file_that_is_not_there_is_named_and_then_taken(
    home: Path, frame: pl.DataFrame, errors: io.StringIO
) -> None:
    file = home.parent / "day.csv"
    assert cli.execute(["import", str(file)]) == 1
    assert "FILE_NOT_FOUND" in errors.getvalue()
    assert "check the path" in errors.getvalue()
    file.write_bytes(csv(frame))
    assert cli.execute(["import", str(file)]) == 0


def test_command_that_is_not_understood_is_found_by_the_help_that_is_told(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(["aprove", "--json"]) == 2
    (why,) = json.loads(capsys.readouterr().out)["reasons"]
    assert why["code"] == "USAGE"
    assert "`fraud-provenance --help`" in why["remedy"]
    cli.execute(["--help"])
    assert "approve" in capsys.readouterr().out
    cli.execute(["approve", "--help"])
    assert "--environment" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["SKIP_VERIFY", "FRAUD_PROVENANCE_VERFIY", "OPA_ADDR"])
def test_variable_that_is_refused_is_named_and_unset(
    home: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "1")
    assert cli.execute(["status", "--json"]) == 1
    (why,) = json.loads(capsys.readouterr().out)["reasons"]
    assert (why["code"], f"unset {name}" in why["remedy"]) == ("CONFIG_OVERRIDE", True)
    monkeypatch.delenv(name)
    cli.execute(["status", "--json"])
    assert "CONFIG_OVERRIDE" not in capsys.readouterr().out
