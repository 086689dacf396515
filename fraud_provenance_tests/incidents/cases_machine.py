"""What disks, clocks, servers and interrupted runs do."""

import os
import shutil
import signal
import sqlite3
import time

from fraud_provenance_tests.incidents.acts import RAW, SCORES, new_day, then
from fraud_provenance_tests.incidents.model import Incident
from fraud_provenance_tests.incidents.place import Place, Plant, day

NEW_SCORES = f"{SCORES}/{day(46)}"


def infrastructure(*names: str) -> frozenset[str]:
    return frozenset(f"infrastructure {name}" for name in names)


def without_server(*names: str) -> Plant:
    """Servers die before a day comes."""

    def plant(place: Place) -> None:
        for name in names:
            place.kill_server(name)
        place.deliver(46)
        place.run()

    return plant


def lost_registry(place: Place) -> None:
    (place.home / "mlflow" / "mlflow.db").unlink()


def broken_registry(place: Place) -> None:
    """The registry's file is no database any more."""
    (place.home / "mlflow" / "mlflow.db").write_bytes(b"\0" * 4096)


def lost_git(place: Place) -> None:
    (place.project / ".git").rename(place.project / ".git-away")


def landed_only(place: Place) -> None:
    """A day landed, and nobody started a run."""
    place.deliver(46)


def killed_run(place: Place) -> None:
    """A run is killed when the new day has its raw rows, and nothing else."""
    place.up()
    place.deliver(46)
    process = place.product.start("run")
    raw = place.data(RAW, day(46))
    until = time.monotonic() + 300
    while not raw.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def half_a_file(place: Place) -> None:
    """The transfer of a day's file broke off."""
    named = place.deliver(46)
    path = place.landing(named)
    path.write_bytes(path.read_bytes()[:2000])
    place.run()


def moved_alias(place: Place) -> None:
    """The registry's alias names a version that nobody decided on."""
    known = sqlite3.connect(place.home / "mlflow" / "mlflow.db")
    known.execute("update registered_model_aliases set version = 2 where alias = 'champion'")
    known.commit()
    known.close()


def no_room(place: Place) -> None:
    """Where files are staged nothing can be written when a day comes."""
    place.up()
    shutil.rmtree(place.home / "staging")
    (place.home / "staging").write_text("lost and found\n", "utf-8")
    place.deliver(46)
    place.run()


def lost_keys(place: Place) -> None:
    """The keys of the authorities are gone when a day comes."""
    shutil.rmtree(place.home / "trust" / "private")
    place.deliver(46)
    place.product.run("up")
    place.is_up = True
    place.run()


def broken_dagster(place: Place) -> None:
    """Dagster's own databases are damaged when a day comes."""
    for path in (place.home / "dagster").rglob("*.db"):
        path.write_bytes(b"\0" * 4096)
    place.deliver(46)
    place.run()


def waived(place: Place) -> None:
    """A person declares a day empty that only came late."""
    place.must("waive", RAW, day(46), "--reason", "a holiday")
    place.run()


CASES = (
    Incident("log-down", "the log dies before the new day comes", without_server("rekor"),
             NEW_SCORES, infrastructure("log"), must_stop=True),
    Incident("authority-down", "the certificate authority dies before the new day comes",
             without_server("fulcio"), NEW_SCORES, infrastructure("authority"), must_stop=True),
    Incident("tsa-down", "the timestamp authority dies before the new day comes",
             without_server("timestamp"), "alert", infrastructure("timestamp authority"),
             must_stop=True),
    Incident("registry", "the registry is gone", lost_registry, "model@champion",
             infrastructure("registry")),
    Incident("registry-model", "the registry's file is damaged", broken_registry,
             "model@champion", infrastructure("registry")),
    Incident("registry-day", "the registry is gone when a day comes",
             then(lost_registry, new_day()), NEW_SCORES, infrastructure("registry"),
             must_stop=True),
    Incident("git", "the repository is gone when a day comes", then(lost_git, new_day()),
             "alert", infrastructure("git"), must_stop=True),
    Incident("no-run", "a day landed and nobody ran anything", landed_only, NEW_SCORES,
             infrastructure("run")),
    Incident("killed", "a run is killed when the new day has its raw rows alone", killed_run,
             NEW_SCORES, infrastructure("run")),
    Incident("half-file", "the transfer of a day's file broke off", half_a_file, "alert",
             frozenset((f"data landing/{day(46)}",)), must_stop=True),
    Incident("half-file-day", "the transfer of a day's file broke off", half_a_file, NEW_SCORES,
             frozenset((f"data landing/{day(46)}",)), must_stop=True),
    Incident("disk", "nothing can be staged when a day comes", no_room, NEW_SCORES,
             infrastructure("disk"), must_stop=True),
    Incident("keys", "the authorities' keys are gone when a day comes", lost_keys, NEW_SCORES,
             infrastructure("authority"), must_stop=True),
    Incident("dagster", "Dagster's databases are damaged when a day comes", broken_dagster,
             NEW_SCORES, infrastructure("disk"), must_stop=True),
    Incident("waived", "a day that came late was declared empty", waived, NEW_SCORES,
             frozenset((f"waiver {RAW}/{day(46)}",))),
    Incident("alias", "the registry names another champion than was decided", moved_alias,
             "model@champion", frozenset(("tampering champion",)), base="next-day"),
)  # fmt: skip
