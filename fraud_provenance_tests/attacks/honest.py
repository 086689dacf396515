"""Acts of honest people that the product refuses: what cures begin with, beside the attacks."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import polars as pl

from fraud_provenance.attested.local import trust_root
from fraud_provenance.attested.local.processes import Processes
from fraud_provenance.attested.local.servers import all_servers
from fraud_provenance_tests.attacks import cases_effect, cases_governance, faults
from fraud_provenance_tests.attacks.cases_data import NEW_DAY, amounts, landed
from fraud_provenance_tests.attacks.cases_tampering import changed
from fraud_provenance_tests.attacks.cases_training import (
    CUSTOMERS,
    edited,
    modelled,
    two_more_days,
)
from fraud_provenance_tests.attacks.home import Home
from fraud_provenance_tests.attacks.judges import FEATURES, RAW, command, ingest
from fraud_provenance_tests.attacks.model import Attack, Outcome
from fraud_provenance_tests.attacks.network import HOST, free_port, lying_server

LAST = "2018-05-15"


def said(*arguments: str) -> Attack:
    """A command that a person types."""
    return lambda home: (home.command(*arguments), None)[1]


def a_day_is_missing(home: Home) -> None:
    """The day after the next one is delivered first."""
    two_more_days(home)
    (home.path / "landing" / f"{NEW_DAY}.parquet").unlink()


def an_empty_day(home: Home) -> None:
    faults.land_next_day(home)
    path = home.path / "landing" / f"{NEW_DAY}.parquet"
    pl.read_parquet(path).clear().write_parquet(path)


def another_model(home: Home) -> None:
    """A newer candidate, which nobody has approved."""
    assert home.command("run", "--train-start", "2018-04-24").code == 0


def policy_moved(home: Home) -> None:
    """Two authors release a policy after the candidate was registered and approved."""
    cases_governance.comment(home)
    cases_governance.sign(home, cases_governance.AUTHOR, cases_governance.REVIEWER)


def finished_late(home: Home) -> Outcome:
    """P4: what a kill left is too old when the next run looks at it, and is not there after."""
    found = cases_effect.finished(home)
    cases_effect.in_time(home)
    return found


def statement_revoked(home: Home) -> None:
    """Somebody withdraws the statement of the newest day, not its data."""
    statement = home.workspace().store.heads(RAW)[LAST][0].statement
    assert home.command("revoke", statement, "--reason", "signed by mistake").code == 0


def swapped(frame: pl.DataFrame) -> pl.DataFrame:
    """Customers and terminals were exchanged."""
    return frame.with_columns(CUSTOMER_ID="TERMINAL_ID", TERMINAL_ID="CUSTOMER_ID")


def all_fraud(frame: pl.DataFrame) -> pl.DataFrame:
    """Every third payment is called a fraud."""
    third = pl.int_range(pl.len()) % 3 == 0
    return frame.with_columns(
        pl.when(third).then(1).otherwise("TX_FRAUD").cast(frame["TX_FRAUD"].dtype).alias("TX_FRAUD"),
        pl.when(third).then(1).otherwise("TX_FRAUD_SCENARIO")
        .cast(frame["TX_FRAUD_SCENARIO"].dtype).alias("TX_FRAUD_SCENARIO"),
    )  # fmt: skip


def labels_scattered(frame: pl.DataFrame) -> pl.DataFrame:
    """The labels were joined to other transactions of the day."""
    labels = frame.select("TX_FRAUD", "TX_FRAUD_SCENARIO").sample(
        fraction=1.0, shuffle=True, seed=3
    )
    return frame.with_columns(labels)


def model_broken(home: Home) -> None:
    """The next day is there, and a model of the dbt project cannot be built any more."""
    modelled(edited(CUSTOMERS, "select", "selekt"))(home)


def refuses(command: list[str], **_named: object) -> subprocess.CompletedProcess[bytes]:
    """A cosign that accepts nothing."""
    return subprocess.CompletedProcess(command, 1, b"", b"Error: none of the signatures fits")


def other_media(document: dict[str, Any]) -> None:
    """A bundle that says that it is something else."""
    document["mediaType"] = "application/json"


def consumer_away(home: Home) -> None:
    """The consumer of lineage events does not run."""
    home.notes["consumer"] = free_port()


def consumer_started(home: Home, _backup: Path) -> None:
    """The hand: whoever looks at its address starts it."""
    home.ports[home.notes["consumer"]] = home.hold(lying_server(lambda _asked: (201, b"{}")))


def tell(home: Home) -> Outcome:
    """What is known of one day is sent to the consumer."""
    address = f"http://{HOST}:{home.notes['consumer']}"
    return command("", "openlineage", f"{RAW}/{LAST}", "--url", address)(home)


def bundle_rots(home: Home) -> None:
    """One bit of a stored bundle is another: a disk forgets."""
    store = home.workspace().store
    _rot(store.bundle_path(store.records(asset=FEATURES)[-1].bundle))


def _rot(path: Path) -> None:
    content = changed(path.read_bytes())
    path.unlink()
    path.write_bytes(content)


def log_rots(home: Home) -> None:
    """A file of the log forgets a bit."""
    tiles = [path for path in (home.path / "log").rglob("*") if path.is_file()
             and "entries" in path.parts]  # fmt: skip
    _rot(max(tiles, key=lambda path: path.stat().st_size))


def a_failed_day(home: Home) -> None:
    """The next day came with the sign of its amounts exchanged, and was judged."""
    landed(amounts(-pl.col("TX_AMOUNT")))(home)
    ingest(NEW_DAY)(home)


def a_higher_bar(home: Home) -> None:
    """Both authors ask more of a model than any of this home has."""

    def raised(text: str) -> str:
        document = json.loads(text)
        document["metrics"]["auc_roc"]["value"] = 0.9999
        return json.dumps(document, indent=2)

    cases_governance.edit(home, "data/thresholds.json", raised)
    cases_governance.sign(home, cases_governance.AUTHOR, cases_governance.REVIEWER)


def registry_gone(home: Home) -> None:
    """MLflow's database is no database any more."""
    (home.path / "mlflow" / "mlflow.db").write_bytes(b"not mounted")


def model_file_lost(home: Home) -> None:
    next((home.path / "mlflow").rglob("model.ubj")).unlink()


# --- homes of their own --------------------------------------------------------------------------


def no_home(home: Home) -> None:
    """Somebody begins elsewhere: a folder in which there is nothing. Its servers end with it."""
    home.path = home.path.with_name(f"{home.path.name}n")
    home.around.callback(_end, home, home.path)


def _end(home: Home, path: Path) -> None:
    if (path / "trust").exists():
        home.command("down", FRAUD_PROVENANCE_HOME=str(path))
    shutil.rmtree(path, ignore_errors=True)


def server_away(name: str) -> Attack:
    """A new home, of which one server does not run any more."""

    def attack(home: Home) -> None:
        no_home(home)
        assert home.command("up").code == 0
        settings = trust_root.load(home.path)
        server = next(item for item in all_servers(home.path, settings) if item.name == name)
        Processes(home.path / "run").end([server])

    return attack


def moved(home: Home) -> None:
    """The home's folder was moved to another place."""
    home.notes["was at"] = home.path
    home.path = home.path.rename(home.path.with_name(f"{home.path.name}m"))
    home.around.callback(shutil.rmtree, home.path, ignore_errors=True)


def remote_away(home: Home) -> None:
    """The place where DVC keeps versions is not there, and a day arrives."""
    faults.land_next_day(home)
    (home.path / "dvc-remote").rename(home.path / "dvc-remote.away")
    (home.path / "dvc-remote").write_text("not mounted")
