"""Forms that people deliver: what is told, what is refused, and that no message shows a row."""

import io
import os
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraud_provenance.cli import application as cli
from fraud_provenance.data.importing import import_files
from fraud_provenance.data.landing import LandedDay, landed_days
from fraud_provenance.data.mapping import load
from fraud_provenance.data.proposing import propose
from fraud_provenance.fraud.errors import DataError
from fraud_provenance_tests.data.conftest import DAY
from fraud_provenance_tests.data.test_landing import landed, refused, write


def refused_text(landing: Path, folder: Path, text: str) -> DataError:
    folder.mkdir(exist_ok=True)
    (folder / "a.csv").write_text(text)
    error = refused(lambda: import_files(landing, [folder / "a.csv"]))
    assert error.file == "a.csv"
    assert not landed_days(landing)
    return error


# --- lines ---------------------------------------------------------------------------------------


def test_lines_of_blanks_at_the_end_are_no_rows(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(frame.write_csv() + "  \n\t\n\n")
    assert import_files(landing, [tmp_path / "a.csv"]).days == [LandedDay(DAY, 60, "new", 60)]


def test_line_of_blanks_between_rows_is_refused_with_its_number(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    lines = frame.write_csv().splitlines(keepends=True)
    error = refused_text(landing, tmp_path, "".join([*lines[:9], "  \n", *lines[9:]]))
    assert (error.code, error.message) == ("FILE_FORMAT", "line 10 is blank, and rows follow it")


@pytest.mark.parametrize("separator", [",", ";", " "])
def test_file_without_names_shows_none_of_its_first_row(
    frame: pl.DataFrame, landing: Path, tmp_path: Path, separator: str
) -> None:
    rows = frame.with_columns(CUSTOMER_ID=pl.lit(77123, pl.Int32))
    text = rows.write_csv(include_header=False, separator=separator)
    error = refused_text(landing, tmp_path, text)
    assert "77123" not in str(error)
    if separator == ",":
        assert "line 1 holds values" in error.message


def test_quotes_that_can_be_read_in_two_ways_are_refused(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    lines = frame.write_csv().splitlines()
    lines[4] = lines[4].replace(",", '"x,x"', 1) + ",7"
    error = refused_text(landing, tmp_path, "\n".join(lines))
    assert error.code == "FILE_FORMAT"
    assert "quotes" in error.message


# --- values --------------------------------------------------------------------------------------


def test_transaction_without_an_id_is_refused_with_its_lines(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    lines = frame.write_csv().splitlines()
    for number in (7, 9):
        lines[number] = lines[number].partition(",")[1] + lines[number].partition(",")[2]
    error = refused_text(landing, tmp_path, "\n".join(lines))
    assert (error.code, error.column, error.rows) == ("NULL_RATE", "TRANSACTION_ID", (7, 9))
    assert "(line 8)" in error.message


def test_times_of_another_zone_in_parquet_are_told(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    zoned = frame["TX_DATETIME"].dt.replace_time_zone("Asia/Kolkata").alias("TX_DATETIME")
    pq.write_table(frame.with_columns(zoned).to_arrow(), tmp_path / "a.parquet")
    done = import_files(landing, [tmp_path / "a.parquet"])
    assert done.told == ["60 times of the zone Asia/Kolkata became UTC"]


def test_refusal_of_other_columns_holds_a_mapping_that_reads_the_file(
    landing: Path, tmp_path: Path
) -> None:
    text = "step,amount,nameOrig,nameDest,isFraud,more\n1,9.64,C1,M1,0,x\n26,1.5,C2,M1,1,x\n"
    error = refused_text(landing, tmp_path, text)
    fitting = error.remedy[error.remedy.index("# Proposed") :]
    (tmp_path / "landing.toml").write_text(fitting)
    mapping = load(tmp_path / "landing.toml")
    import_files(landing, [tmp_path / "a.csv"], mapping=mapping)
    assert list(landed_days(landing)) == ["2018-04-01", "2018-04-02"]


# --- rows without an id --------------------------------------------------------------------------


def test_rows_without_an_id_keep_their_numbers(landing: Path, tmp_path: Path) -> None:
    """Two files of one feed, the second sent twice: each row is there once, equal ones both."""
    (tmp_path / "landing.toml").write_text("row_numbers = true\n")
    mapping = load(tmp_path / "landing.toml")
    head = "TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_FRAUD\n"
    first, second = "2018-04-01 10:00:00,1,2,3.5,0\n" * 2, "2018-04-01 11:00:00,1,2,3.5,0\n"
    (tmp_path / "a.csv").write_text(head + first)
    (tmp_path / "b.csv").write_text(head + second + first)
    for name in ("a.csv", "b.csv", "b.csv", "a.csv"):
        import_files(landing, [tmp_path / name], mapping=mapping)
    rows = landed(landing)
    assert rows["TX_DATETIME"].dt.hour().to_list() == [10, 10, 11]
    assert rows["TRANSACTION_ID"].to_list() == [1, 2, 3]
    (tmp_path / "a.csv").write_text(head + first.replace(",0\n", ",1\n"))
    import_files(landing, [tmp_path / "a.csv"], mapping=mapping)
    assert landed(landing)["TX_FRAUD"].to_list() == [1, 1, 0]


# --- what lies there -----------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"PAR1", None])
def test_landed_day_that_cannot_be_merged_is_replaced_only_when_that_is_said(
    frame: pl.DataFrame, landing: Path, tmp_path: Path, content: bytes | None
) -> None:
    path = landing / f"{DAY}.parquet"
    landing.mkdir()
    path.write_bytes(content or b"")
    if content is None:
        frame.rename({"TX_AMOUNT": "AMOUNT"}).write_parquet(path)
    before = path.read_bytes()
    source = write(tmp_path, "a.csv", frame)
    assert refused(lambda: import_files(landing, [source])).code == "ROWS_WOULD_BE_LOST"
    assert path.read_bytes() == before
    import_files(landing, [source], replace=True)
    assert landed(landing).height == 60


@pytest.mark.parametrize("place", ["file", "folder"])
def test_what_cannot_be_opened_refuses_the_import(
    frame: pl.DataFrame, landing: Path, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "feed", "a.csv", frame)
    (tmp_path / "feed" / "sub").mkdir()
    name = "a.csv" if place == "file" else "sub"
    closed = PermissionError(13, "Permission denied", str(tmp_path / "feed" / name))

    def deny(original):  # type: ignore[no-untyped-def]  # noqa: ANN001,ANN202 - open or scandir
        def call(path, *arguments, **named):  # type: ignore[no-untyped-def]  # noqa: ANN001,ANN002,ANN003,ANN202 - as above
            if Path(path).name == name:
                raise closed
            return original(path, *arguments, **named)

        return call

    if place == "file":
        monkeypatch.setattr(Path, "open", deny(Path.open))
    else:
        monkeypatch.setattr(os, "scandir", deny(os.scandir))
    error = refused(lambda: import_files(landing, [tmp_path / "feed"]))
    assert (error.file, error.message) == (name, "it cannot be opened: Permission denied")


# --- the command ---------------------------------------------------------------------------------


def test_square_brackets_are_printed_as_they_are(
    frame: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errors: io.StringIO,
) -> None:  # fmt: skip
    path = tmp_path / "x [red]y[].csv"
    path.write_text(frame.write_csv(separator=";"))
    monkeypatch.setenv("FRAUD_PROVENANCE_HOME", str(tmp_path / "home"))
    assert cli.execute(["import", str(path)]) == 1
    said = errors.getvalue()
    assert "x [red]y[].csv" in said
    assert '[file]\nseparator = ";"' in said


def test_help_shows_the_columns_and_one_line_of_csv(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["import", "--help"]) == 0
    said = capsys.readouterr().out
    assert "TERMINAL_ID        whole number: the terminal or merchant" in said
    assert "1,2018-04-01 00:00:31,596,3156,57.16,31,0,0,0" in said


def test_packed_file_cut_short_is_refused(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    packed = pa.compress(frame.write_csv().encode(), codec="zstd", asbytes=True)
    (tmp_path / "a.csv.zst").write_bytes(packed[:-20])
    error = refused(lambda: import_files(landing, [tmp_path / "a.csv.zst"]))
    assert error.message == "the packed file is cut short or damaged"


# --- times and amounts that are counted ----------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "times", "hours"),
    [
        ('format = "epoch_s"', [1522573200, 1522580400], [9, 11]),
        ('format = "epoch_ms"', [1522573200000, 1522580400000], [9, 11]),
        ('format = "elapsed_h"\nstart = 2018-04-01', [9, 11], [9, 11]),
        ('zone = "Europe/Berlin"', ["2018-04-01 11:00:00", "2018-04-01T11:00:00Z"], [9, 11]),
    ],
    ids=["seconds", "milliseconds", "hours", "a zone beside an offset"],
)
def test_times_of_any_form_become_utc(
    landing: Path, tmp_path: Path, rules: str, times: list[object], hours: list[int]
) -> None:
    (tmp_path / "landing.toml").write_text(f'[time]\n{rules}\n[amount]\nunit = "minor"\n')
    rows = "".join(f"{number},{time},1,2,350,0\n" for number, time in enumerate(times, 1))
    head = "TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_FRAUD\n"
    (tmp_path / "a.csv").write_text(head + rows)
    import_files(landing, [tmp_path / "a.csv"], mapping=load(tmp_path / "landing.toml"))
    found = landed(landing)
    assert found["TX_DATETIME"].dt.hour().to_list() == hours
    assert found["TX_AMOUNT"].to_list() == [3.5, 3.5]
    assert found["TX_TIME_SECONDS"].to_list() == [hour * 3600 for hour in hours]


def test_parquet_file_gets_a_mapping_that_reads_it(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    other = frame.select(
        trans_num=pl.format("t{}", "TRANSACTION_ID"), timestamp="TX_DATETIME", card="CUSTOMER_ID",
        merchant="TERMINAL_ID", amount="TX_AMOUNT", is_fraud=pl.col("TX_FRAUD") == 1,
    )  # fmt: skip
    other.write_parquet(tmp_path / "a.parquet")
    (tmp_path / "landing.toml").write_text(propose(tmp_path / "a.parquet"))
    mapping = load(tmp_path / "landing.toml")
    assert mapping.text_ids == ("TRANSACTION_ID",)
    import_files(landing, [tmp_path / "a.parquet"], mapping=mapping)
    assert landed(landing)["TX_AMOUNT"].sum() == pytest.approx(frame["TX_AMOUNT"].sum())


def test_delivery_without_rows_names_its_files(landing: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("")
    error = refused(lambda: import_files(landing, [tmp_path / "a.csv"]))
    assert (error.code, error.file) == ("EMPTY_PARTITION", "a.csv")
