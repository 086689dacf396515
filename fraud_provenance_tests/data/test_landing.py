"""Deliveries as people send them: nothing vanishes, nothing half lands, each refusal teaches."""

import gzip
import io
import json
import shutil
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraud_provenance.cli import application as cli
from fraud_provenance.data.importing import import_files
from fraud_provenance.data.landing import LandedDay, landed_days
from fraud_provenance.data.mapping import load
from fraud_provenance.data.proposing import propose
from fraud_provenance.fraud.columns import LANDING_SCHEMA
from fraud_provenance.fraud.errors import DataError
from fraud_provenance_tests.data.conftest import DAY

CASES = Path(__file__).parents[3] / "shared" / "cases"
handed = pytest.mark.skipif(not CASES.is_dir(), reason="these inputs are not part of the project")


def write(folder: Path, name: str, frame: pl.DataFrame) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    frame.write_csv(path)
    return path


def landed(landing: Path) -> pl.DataFrame:
    files = landed_days(landing).values()
    empty = pl.DataFrame(schema=dict(LANDING_SCHEMA))
    return pl.concat([empty, *map(pl.read_parquet, files)]).sort("TRANSACTION_ID")


def refused(call: Callable[[], object]) -> DataError:
    with pytest.raises(DataError) as caught:
        call()
    assert caught.value.remedy
    return caught.value


# --- merging -------------------------------------------------------------------------------------


def test_new_ids_of_a_landed_day_are_merged_into_it(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    import_files(landing, [write(tmp_path, "a.csv", frame[::2])])
    done = import_files(landing, [write(tmp_path, "b.csv", frame[1::2])])
    assert done.days == [LandedDay(DAY, 60, "changed", added=30)]
    assert landed(landing).equals(frame.sort("TRANSACTION_ID"))


def test_delivery_that_leaves_landed_rows_out_is_refused_unless_it_replaces(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    import_files(landing, [write(tmp_path, "a.csv", frame)])
    fewer = write(tmp_path, "b.csv", frame.filter(pl.int_range(pl.len()) % 10 != 5))
    error = refused(lambda: import_files(landing, [fewer]))
    assert (error.code, error.row_count) == ("ROWS_WOULD_BE_LOST", 6)
    assert "6 of 60" in error.message
    assert "--replace" in error.remedy
    assert landed(landing).height == 60
    done = import_files(landing, [fewer], replace=True)
    assert done.days == [LandedDay(DAY, 54, "changed", dropped=6)]


def test_later_hours_delivered_twice_are_merged(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    import_files(landing, [write(tmp_path, "a.csv", frame.head(40))])
    done = import_files(landing, [write(tmp_path, "b.csv", frame.tail(30))])
    assert done.days == [LandedDay(DAY, 60, "changed", added=20)]


def test_corrected_rows_take_the_place_of_the_landed_ones(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    import_files(landing, [write(tmp_path, "a.csv", frame)])
    right = frame.with_columns(
        TX_AMOUNT=pl.when(pl.int_range(pl.len()) == 3).then(1.5).otherwise("TX_AMOUNT")
    )
    done = import_files(landing, [write(tmp_path, "b.csv", right)])
    assert done.days == [LandedDay(DAY, 60, "changed", corrected=1)]


def test_file_of_corrected_rows_alone_leaves_the_others_as_they_are(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    import_files(landing, [write(tmp_path, "a.csv", frame)])
    frauds = frame.gather_every(25).with_columns(
        TX_FRAUD=pl.lit(1, pl.Int8), TX_FRAUD_SCENARIO=pl.lit(2, pl.Int8)
    )
    done = import_files(landing, [write(tmp_path, "labels.csv", frauds)])
    assert done.days == [LandedDay(DAY, 60, "changed", corrected=3)]
    assert landed(landing)["TX_FRAUD_SCENARIO"].sum() == 6


def test_same_file_again_changes_nothing(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    path = write(tmp_path, "a.csv", frame)
    import_files(landing, [path])
    before = (landing / f"{DAY}.parquet").read_bytes()
    assert import_files(landing, [path]).days == [LandedDay(DAY, 60, "unchanged")]
    assert (landing / f"{DAY}.parquet").read_bytes() == before


def test_one_id_for_two_transactions_is_refused(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    other = frame.head(1).with_columns(TX_AMOUNT=pl.lit(9.99))
    path = write(tmp_path, "a.csv", pl.concat([frame, other]))
    assert refused(lambda: import_files(landing, [path])).code == "DUPLICATE_KEY"
    assert not landed_days(landing)


def test_id_that_landed_on_another_day_is_refused_naming_that_day(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    import_files(landing, [write(tmp_path, "a.csv", frame)])
    moved = frame.head(2).with_columns(
        pl.col("TX_DATETIME") + timedelta(days=3), pl.col("TX_TIME_SECONDS") + 3 * 86_400,
        pl.col("TX_TIME_DAYS") + 3,
    )  # fmt: skip
    error = refused(lambda: import_files(landing, [write(tmp_path, "b.csv", moved)]))
    assert (error.code, error.row_count) == ("DUPLICATE_KEY", 2)
    assert DAY in error.message


def test_rows_that_came_twice_count_once_and_are_told(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    parts = [write(tmp_path, "a.csv", frame), write(tmp_path, "b.csv", frame.head(5))]
    done = import_files(landing, parts)
    assert done.told == ["5 rows came twice and count once"]
    assert landed(landing).height == 60


def test_check_says_what_would_happen_and_lands_nothing(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    done = import_files(landing, [write(tmp_path, "a.csv", frame)], check=True)
    assert done.days == [LandedDay(DAY, 60, "new", added=60)]
    assert not landed_days(landing)


def test_what_a_killed_import_left_goes_with_the_next(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    (landing / ".incoming-killed").mkdir(parents=True)
    import_files(landing, [write(tmp_path, "a.csv", frame)])
    assert sorted(path.name for path in landing.iterdir()) == [f"{DAY}.parquet"]


# --- which files ---------------------------------------------------------------------------------


def test_folder_of_many_forms_lands_whole(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "feed"
    (folder / "dt=2018-04-02").mkdir(parents=True)
    write(folder, "a.CSV", frame[:10])
    (folder / "b.csv.GZ").write_bytes(gzip.compress(frame[10:20].write_csv().encode()))
    frame[20:30].write_parquet(folder / "c.PQ")
    frame[30:40].write_parquet(folder / "dt=2018-04-02" / "part-0.parquet")
    packed = pa.compress(frame[40:50].write_csv().encode(), codec="zstd", asbytes=True)
    (folder / "d.csv.zst").write_bytes(packed)
    write(tmp_path, "elsewhere.csv", frame[50:])
    (folder / "link.csv").symlink_to(tmp_path / "elsewhere.csv")
    (folder / "empty.csv").write_text("")
    for name in ("_SUCCESS", ".hidden.json", "a.CSV.crc", "README.md"):
        (folder / name).touch()
    done = import_files(landing, [folder])
    assert (done.files, landed(landing).height) == (7, 60)


@pytest.mark.parametrize("name", ["more.json", "part-00001", "sheet.XLSX"])
def test_what_may_be_data_and_is_not_read_refuses_the_folder_by_name(
    frame: pl.DataFrame, landing: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "feed"
    write(folder, "a.csv", frame)
    (folder / name).write_bytes(b"something")
    error = refused(lambda: import_files(landing, [folder]))
    assert error.code == "FILE_FORMAT"
    assert name in error.message


def test_packed_file_that_was_cut_is_refused(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(frame.write_csv().encode())[:-20])
    assert refused(lambda: import_files(landing, [path])).code == "FILE_FORMAT"


# --- values --------------------------------------------------------------------------------------


def table_of(frame: pl.DataFrame, **columns: Any) -> pa.Table:
    made = frame.to_arrow()
    for name, column in columns.items():
        made = made.set_column(made.column_names.index(name), name, column)
    return made


@pytest.mark.parametrize("zone", ["+05:30", "Z", "-03:30", "Asia/Kolkata", "UTC"])
def test_parquet_times_of_any_zone_become_utc(
    frame: pl.DataFrame, landing: Path, tmp_path: Path, zone: str
) -> None:
    moments = pa.array(frame["TX_DATETIME"].to_list(), pa.timestamp("us"))
    zoned = moments.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", zone))
    pq.write_table(table_of(frame, TX_DATETIME=zoned), tmp_path / "a.parquet")
    import_files(landing, [tmp_path / "a.parquet"])
    assert landed(landing)["TX_DATETIME"].equals(frame.sort("TRANSACTION_ID")["TX_DATETIME"])


def test_exact_decimals_wide_integers_and_bool_labels_are_converted(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    cents = frame.with_columns(pl.col("TX_AMOUNT").round(2))
    table = table_of(
        cents,
        TX_AMOUNT=pa.array(cents["TX_AMOUNT"].to_list()).cast(pa.decimal128(12, 2)),
        TX_FRAUD=pa.array(cents["TX_FRAUD"].cast(pl.Boolean).to_list()),
        CUSTOMER_ID=pa.array(cents["CUSTOMER_ID"].to_list(), pa.int64()),
    )
    pq.write_table(table, tmp_path / "a.parquet")
    done = import_files(landing, [tmp_path / "a.parquet"])
    assert landed(landing).equals(cents.sort("TRANSACTION_ID"))
    assert done.told == [
        "60 exact decimals became amounts",
        "60 labels true and false became 1 and 0",
        "60 values of CUSTOMER_ID were Int64 and became Int32",
    ]


def test_blanks_around_values_and_lower_case_names_are_understood(
    frame: pl.DataFrame, landing: Path, tmp_path: Path
) -> None:
    text = frame.write_csv().replace(",", ", ").lower()
    (tmp_path / "a.csv").write_text(text)
    done = import_files(landing, [tmp_path / "a.csv"])
    assert landed(landing).height == 60
    assert any("blanks" in line for line in done.told)


def test_no_message_shows_a_row(
    frame: pl.DataFrame, landing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, errors: io.StringIO,
) -> None:  # fmt: skip
    rows = frame.with_columns(TX_AMOUNT=pl.lit(77712.35)).write_csv().splitlines()
    rows[7] = rows[7].replace(",77712.35", ',"77712.35')
    (tmp_path / "a.csv").write_text("\n".join(rows))
    monkeypatch.setenv("FRAUD_PROVENANCE_HOME", str(tmp_path / "home"))
    assert cli.execute(["import", "--json", str(tmp_path / "a.csv")]) == 1
    said = capsys.readouterr()
    assert "row 7 (line 8): a quote is not closed" in said.out
    assert "77712" not in errors.getvalue() + said.out
    json.loads(said.out)


# --- mappings ------------------------------------------------------------------------------------

CARD = """trans_date_trans_time;cc_num;merchant;amt;trans_num;is_fraud
01/02/2019 00:00:18;0042;shop_a;4,97;ab12;0
01/02/2019 13:05:00;42;shop_b;10,00;ab13;1
"""
FEED = """
text_ids = ["TRANSACTION_ID", "CUSTOMER_ID", "TERMINAL_ID"]
[file]
separator = ";"
decimal = ","
[time]
format = "%d/%m/%Y %H:%M:%S"
zone = "Europe/Berlin"
[columns]
TX_DATETIME = "trans_date_trans_time"
CUSTOMER_ID = "cc_num"
TERMINAL_ID = "merchant"
TX_AMOUNT = "amt"
TRANSACTION_ID = "trans_num"
TX_FRAUD = "is_fraud"
"""


def test_mapping_reads_another_feed(landing: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CARD)
    (tmp_path / "landing.toml").write_text(FEED)
    mapping = load(tmp_path / "landing.toml")
    import_files(landing, [tmp_path / "a.csv"], mapping=mapping)
    rows = landed(landing)
    assert rows["TX_DATETIME"].to_list() == [
        datetime(2019, 1, 31, 23, 0, 18), datetime(2019, 2, 1, 12, 5),
    ]  # fmt: skip
    assert rows["CUSTOMER_ID"].to_list() == [1, 2]  # 0042 and 42 are two customers
    assert rows["TX_AMOUNT"].to_list() == [4.97, 10.0]
    assert rows["TX_TIME_DAYS"].to_list() == [0, 1]
    assert rows["TX_FRAUD_SCENARIO"].to_list() == [0, 1]
    (tmp_path / "b.csv").write_text(CARD.replace("ab1", "ab2"))
    import_files(landing, [tmp_path / "b.csv"], mapping=mapping)
    assert sorted(landed(landing)["CUSTOMER_ID"].to_list()) == [1, 1, 2, 2]
    assert landed(landing)["TRANSACTION_ID"].to_list() == [1, 2, 3, 4]


def test_local_time_that_occurs_twice_is_refused_with_its_line(
    landing: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(CARD.replace("01/02/2019 13:05:00", "28/10/2018 02:30:00"))
    (tmp_path / "landing.toml").write_text(FEED)
    mapping = load(tmp_path / "landing.toml")
    error = refused(lambda: import_files(landing, [tmp_path / "a.csv"], mapping=mapping))
    assert (error.code, error.column, error.rows) == ("SCHEMA_TYPE", "TX_DATETIME", (2,))
    assert "line 3" in error.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("columns = 3", "columns"),
        ("[columns]\nAMOUNT = 'x'", "AMOUNT"),
        ("[time]\nzone = 'X/Y'", "zone"),
        ("[time]\nformat = 'elapsed_s'", "start"),
        ("[", "document"),
        ("[ti]\nx = 1", "ti"),
        ("[constants]\nTX_DATETIME = 0", "TX_DATETIME"),
        ("[constants]\nTRANSACTION_ID = 1", "TRANSACTION_ID"),
    ],
)
def test_mapping_with_a_mistake_names_the_place(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "landing.toml").write_text(text)
    error = refused(lambda: load(tmp_path / "landing.toml"))
    assert error.code == "MAPPING_INVALID"
    assert told in error.message


def test_proposed_mapping_reads_the_file_that_it_was_proposed_for(
    landing: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(CARD.replace("01/02/2019", "2019-02-01"))
    (tmp_path / "landing.toml").write_text(propose(path))
    import_files(landing, [path], mapping=load(tmp_path / "landing.toml"))
    assert landed(landing)["TX_AMOUNT"].to_list() == [4.97, 10.0]


def test_proposed_mapping_invents_nothing_for_columns_that_it_did_not_find(
    landing: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Id;Moment;Card;Place;Sum;Fraud\n1;2018-06-02 10:00:00;7;8;12.50;0\n")
    (tmp_path / "landing.toml").write_text(propose(path))
    error = refused(lambda: import_files(landing, [path], mapping=load(tmp_path / "landing.toml")))
    assert error.code == "SCHEMA_COLUMN_MISSING"
    assert "missing TX_DATETIME, TERMINAL_ID, TX_AMOUNT" in error.message
    assert not landed_days(landing)


# --- inputs that people delivered ----------------------------------------------------------------


def case(name: str, target: Path) -> list[Path]:
    shutil.copytree(CASES / name, target / name)
    return sorted((target / name).iterdir())


@handed
def test_handed_days_cut_by_local_midnight_land_whole(landing: Path, tmp_path: Path) -> None:
    for path in case("local_days", tmp_path):
        import_files(landing, [path])
    assert landed(landing).height == 144


@handed
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("blank_lines/middle.csv", "line 12"), ("pandas_index/index.csv", "index=False"),
        ("pandas_index/index.parquet", "index=False"), ("dialects/comment.csv", "skip_lines = 1"),
        ("dialects/semicolon.csv", 'decimal = ","'), ("dialects/tab.csv", "tabs"),
        ("quote/unclosed.csv", "row 5 (line 6): a quote is not closed"),
        ("cut/cut.csv", "row 20 (line 21): it has 5 of 9 fields"),
        ("leading_zeros/ids.csv", 'text_ids = ["CUSTOMER_ID"]'),
        ("other_columns/card_pca.csv", 'TX_DATETIME = "Time"'),
        ("other_columns/mobile_money.csv", 'CUSTOMER_ID = "nameOrig"'),
        ("other_columns/simulated_card.csv", 'TX_FRAUD = "is_fraud"'),
    ],
)  # fmt: skip
def test_handed_file_is_refused_with_what_would_help(
    landing: Path, tmp_path: Path, name: str, told: str
) -> None:
    path = Path(shutil.copy(CASES / name, tmp_path))
    assert told in str(refused(lambda: import_files(landing, [path])))
    assert not landed_days(landing)


@handed
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("folder", 120), ("blank_lines/end.csv", 20), ("blank_lines/end_crlf.csv", 20),
        ("parquet_zone", 20), ("cut/control_whole.csv", 20),
    ],
)  # fmt: skip
def test_handed_file_lands_whole(landing: Path, name: str, rows: int) -> None:
    import_files(landing, [CASES / name])
    assert landed(landing).height == rows
    assert min(landed_days(landing)) == str(date(2018, 4, 1))
