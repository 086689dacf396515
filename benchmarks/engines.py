"""The features of one data set by each engine: seconds, memory, and whether all values are equal.

    python -m benchmarks.engines                  # the Handbook's rows, or as many generated ones
    python -m benchmarks.engines --copies 8       # as many customers and terminals more

dbt builds and tests the project as a step does; what either engine leaves is read and written as a
step does it. Needs the extra `spark` (`make spark`).
"""

import argparse
import hashlib
import os
import subprocess
import sysconfig
import tempfile
import threading
import time
from pathlib import Path

import polars as pl
import psutil

from benchmarks.landed import landed
from fraud_provenance.fraud.engines import LIBRARIES, Engine
from fraud_provenance.fraud.mart import DBT_BUILD, MART, read_mart
from fraud_provenance.fraud.parquet import parquet_bytes
from fraud_provenance.fraud.transactions import to_raw

PROJECT = Path(__file__).resolve().parents[1] / "dbt_project"


def write_inputs(folder: Path, copies: int) -> int:
    """What a step gives to dbt; returns the number of rows."""
    (folder / "input").mkdir()
    (folder / "window").mkdir()
    total, days = 0, []
    for day, frame in landed(copies):
        rows = to_raw(frame)
        rows.write_parquet(folder / "input" / f"{day}.parquet")
        total += rows.height
        days.append(day)
    asked = pl.DataFrame({"day": days}).select(pl.col("day").str.to_date())
    asked.write_parquet(folder / "window" / "days.parquet")
    return total


def build(folder: Path, engine: Engine) -> tuple[float, float, float]:
    """Have dbt build and test the features; seconds, those of the processor, MiB held at most.

    Raises:
        SystemExit: it failed.
    """
    out = folder / engine.name
    out.mkdir()
    command = [
        str(Path(sysconfig.get_path("scripts")) / "dbt"), *DBT_BUILD, "--select", f"+{MART}",
        "--target", engine.name, "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT),
        "--target-path", str(out / "target"), "--log-path", str(out / "log"),
    ]  # fmt: skip
    told = {
        "FRAUD_PROVENANCE_DBT_INPUT": str(folder / "input"),
        "FRAUD_PROVENANCE_DBT_WINDOW": str(folder / "window"),
        "FRAUD_PROVENANCE_DBT_OUTPUT": str(out),
        **engine.environment(),
    }
    began = time.perf_counter()
    with (out / "said.log").open("wb") as said:
        process = subprocess.Popen(
            command, env={**os.environ, **told}, stdout=said, stderr=subprocess.STDOUT
        )
        most = [0.0, 0.0]
        watch = threading.Thread(target=_watch, args=(process.pid, most), daemon=True)
        watch.start()
        code = process.wait()
    seconds = time.perf_counter() - began
    watch.join()
    if code:
        raise SystemExit((out / "said.log").read_text("utf-8", "replace")[-4000:])
    return seconds, most[0], most[1]


def _watch(pid: int, most: list[float]) -> None:
    """Keep the most seconds, and MiB at one moment, of a process and all below it."""
    try:
        top = psutil.Process(pid)
        while top.is_running() and top.status() != psutil.STATUS_ZOMBIE:
            held = used = 0.0
            for process in (top, *top.children(recursive=True)):
                try:
                    held += process.memory_info().rss / 2**20
                    used += sum(process.cpu_times()[:2])
                except psutil.NoSuchProcess:
                    continue
            most[:] = max(most[0], used), max(most[1], held)
            time.sleep(0.2)
    except psutil.NoSuchProcess:
        return


def read(folder: Path, engine: Engine) -> tuple[float, dict[str, str]]:
    """Read the mart and write each day's file; seconds, and the digest of each."""
    began = time.perf_counter()
    found = {}
    for block in read_mart(folder / engine.name, engine):
        by_day = block.with_columns(day=pl.col("tx_datetime").dt.date().cast(pl.String))
        parts = by_day.partition_by("day", as_dict=True, include_key=False)
        for (day,), frame in parts.items():
            content = parquet_bytes(frame.sort("transaction_id"))
            found[str(day)] = hashlib.sha256(content).hexdigest()
    return time.perf_counter() - began, found


def main() -> None:
    """Measure both engines, one after the other.

    Raises:
        SystemExit: a file of one differs from the other's.
    """
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--copies", type=int, default=1, help="so many times the rows")
    options.add_argument("--memory-gib", type=int, default=2)
    options.add_argument("--engine", choices=[*LIBRARIES], action="append")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = write_inputs(folder, asked.copies)
        memory = psutil.virtual_memory().total / 2**30
        print(f"{rows:,} rows, {os.cpu_count()} cores, {memory:.0f} GiB")
        files = []
        for engine in asked.engine or [*LIBRARIES]:
            chosen = Engine(engine, asked.memory_gib)
            seconds, used, mib = build(folder, chosen)
            load = os.getloadavg()[0]
            reading, digests = read(folder, chosen)
            files.append(digests)
            print(
                f"{engine}: dbt {seconds:.0f} s ({used:.0f} s of processor), {mib:.0f} MiB at most;"
                f" files {reading:.0f} s; load {load:.1f}",
                flush=True,
            )
    if any(found != files[0] for found in files):
        raise SystemExit("the engines' files differ")
    print(f"{len(files[0])} day files, equal by their bytes" if len(files) > 1 else "")


if __name__ == "__main__":
    main()
