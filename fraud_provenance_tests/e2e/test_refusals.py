"""Tampering and failing servers: refused every time, for the right reason, and mended by a run."""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import psutil
import pytest

from fraud_provenance.attested.local import tools_dir
from fraud_provenance.attested.statements.statements import MODEL_SIGNATURE
from fraud_provenance.due.trainings import newest_model
from fraud_provenance.home.settings import Settings
from fraud_provenance.home.workspace import Workspace
from fraud_provenance_tests.product import Product

pytestmark = pytest.mark.e2e


@contextlib.contextmanager
def one_byte_flipped(path: Path) -> Iterator[None]:
    """Flip one bit in the middle of a file; put the original back afterwards."""
    original = path.read_bytes()
    middle = len(original) // 2
    path.write_bytes(original[:middle] + bytes([original[middle] ^ 1]) + original[middle + 1 :])
    try:
        yield
    finally:
        path.write_bytes(original)


def workspace(product: Product) -> Workspace:
    return Workspace(Settings(home=product.home, project=product.project))


def model_file(product: Product) -> Path:
    store = workspace(product)
    heads = store.store.heads("fraud_model")[newest_model(store)]
    node = store.trust.lineage().node(heads[0].statement)
    assert node.provenance is not None
    return product.home / str(node.provenance.outputs["location"]) / "model.ubj"


def newest(folder: Path) -> Path:
    return max(folder.glob("*.parquet"))


def training_bundle(product: Product) -> Path:
    store = workspace(product).store
    return store.bundle_path(store.records(asset="training_set")[-1].bundle)


@pytest.mark.parametrize(
    ("target", "code", "artifact"),
    [
        ("raw day", "DIGEST_MISMATCH", "raw_transactions"),
        ("feature file", "DIGEST_MISMATCH", "transaction_features"),
        ("training set", "DIGEST_MISMATCH", "training_set"),
        ("model", "DIGEST_MISMATCH", "fraud_model"),
        ("bundle", "EVIDENCE_TAMPERED", "training_set"),
        ("policy", "POLICY_DIGEST_MISMATCH", "data_access.rego"),
    ],
)
def test_one_flipped_byte_is_refused_and_named(
    product: Product, target: str, code: str, artifact: str
) -> None:
    paths = {
        "raw day": newest(product.home / "data" / "raw_transactions"),
        "feature file": newest(product.home / "data" / "transaction_features"),
        "training set": product.home / "data" / "training_set" / "train.parquet",
        "model": model_file(product),
        "bundle": training_bundle(product),
        "policy": product.project / "policies" / "data_access" / "data_access.rego",
    }
    with one_byte_flipped(paths[target]):
        for command in (["verify", "model@champion"], ["run"]):
            done = product.run(*command)
            assert done.code == 1, done.text
            assert code in done.text
            assert artifact in done.text
    assert product.ok("verify", "model@champion", "--json").json()["trusted"]


def test_removed_bundle_is_refused_and_named(product: Product) -> None:
    path = training_bundle(product)
    content = path.read_bytes()
    path.unlink()
    try:
        for command in (["verify", "model@champion"], ["run"]):
            done = product.run(*command)
            assert done.code == 1, done.text
            assert "EVIDENCE_MISSING" in done.text
            assert "training_set" in done.text
    finally:
        path.write_bytes(content)
    assert product.ok("verify", "model@champion", "--json").json()["trusted"]


def test_model_whose_signature_is_gone_is_refused_under_its_own_name(product: Product) -> None:
    store = workspace(product).store
    path = store.bundle_path(store.records(predicate_type=MODEL_SIGNATURE)[-1].bundle)
    content = path.read_bytes()
    path.unlink()
    try:
        for subject in ("fraud_model", "all"):
            done = product.run("verify", subject)
            assert done.code == 1, done.text
            assert "EVIDENCE_MISSING" in done.text
    finally:
        path.write_bytes(content)
    names = product.ok("verify", "fraud_model", "--json").json()["links"]
    assert "model signature" in {link["kind"] for link in names}


def test_rebuilt_index_changes_no_verdict(product: Product) -> None:
    (product.home / "evidence" / "index.sqlite").unlink()
    assert product.ok("verify", "--json").json()["trusted"]


def test_alias_moved_by_hand_stops_scoring(product: Product) -> None:
    from mlflow import MlflowClient

    product.ok("run", "--train-days", "6")  # another candidate, never approved
    client = MlflowClient(f"sqlite:///{product.home / 'mlflow' / 'mlflow.db'}")
    decided = client.get_model_version_by_alias("fraud_model", "champion").version
    other = client.get_model_version_by_alias("fraud_model", "candidate").version
    assert other != decided
    client.set_registered_model_alias("fraud_model", "champion", other)
    try:
        for command in (["run", "--train-days", "6"], ["verify", "model@champion"]):
            done = product.run(*command)
            assert done.code == 1, done.text
            assert "ALIAS_WITHOUT_DECISION" in done.text
    finally:
        client.set_registered_model_alias("fraud_model", "champion", decided)
        client.set_registered_model_alias("fraud_model", "candidate", decided)
    product.ok("verify", "model@champion")


def test_model_files_moved_in_the_registry_are_refused(product: Product) -> None:
    import sqlite3

    database = sqlite3.connect(product.home / "mlflow" / "mlflow.db")
    with database:
        before = database.execute("select version, storage_location from model_versions").fetchall()
        database.execute("update model_versions set storage_location = 'file:///elsewhere'")
    try:
        done = product.run("verify", "model@champion")
        assert done.code == 1
        assert "SOURCE_MISMATCH" in done.text
    finally:
        with database:
            for version, location in before:
                database.execute(
                    "update model_versions set storage_location = ? where version = ?",
                    (location, version),
                )
        database.close()


TRAINED = ("--train-start", "2018-04-25")  # what the first run chose: a new day is no new model


def kill_during(product: Product, stage: str, *options: str) -> None:
    """Start a run, kill it while a stage is at work; nothing half-written may be visible.

    A stage is at work once it has journalled something that it is about to sign.
    """
    intents = workspace(product).store.intents
    process = product.start("run", *options)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(f"· {stage}"):
            while process.poll() is None and not intents():
                time.sleep(0.001)
            process.kill()
            break
    process.wait(timeout=60)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not list((product.home / "data").rglob("*.tmp"))


class TestLandedLater:
    """New days arrive while something is broken; each test lands one more day."""

    def land_next_day(self, product: Product) -> str:
        landed = sorted(path.stem for path in (product.home / "landing").glob("*.parquet"))
        count = len(landed) + 1
        product.ok("generate", "--days", str(count), "--rows-per-day", "1200", "--seed", "7")
        return max(path.stem for path in (product.home / "landing").glob("*.parquet"))

    def finished(self, product: Product, day: str) -> None:
        """A clean run completes everything up to the day's scores."""
        done = product.run("run", *TRAINED)
        assert done.code == 0, done.text
        assert (product.home / "data" / "transaction_scores" / f"{day}.parquet").exists()
        assert product.ok("verify", "--json").json()["trusted"]

    def test_missing_policy_engine_is_could_not_decide_and_another_one_is_refused(
        self, product: Product, tmp_path: Path
    ) -> None:
        shutil.copytree(tools_dir(), tmp_path / "bin")
        opa = tmp_path / "bin" / "opa"
        opa.unlink()
        day = self.land_next_day(product)
        done = product.run("run", *TRAINED, FRAUD_PROVENANCE_TOOLS=str(tmp_path / "bin"))
        assert done.code == 2, done.text
        assert "_UNAVAILABLE" in done.text
        opa.write_text("#!/bin/sh\nexit 0\n")
        opa.chmod(0o755)
        done = product.run("run", *TRAINED, FRAUD_PROVENANCE_TOOLS=str(tmp_path / "bin"))
        assert done.code == 1, done.text
        assert "TOOL_DIGEST_MISMATCH" in done.text
        assert not (product.home / "data" / "transaction_features" / f"{day}.parquet").exists()
        self.finished(product, day)

    @pytest.mark.parametrize(
        ("server", "code"), [("rekor", "LOG_UNAVAILABLE"), ("timestamp", "TIMESTAMP_UNAVAILABLE")]
    )
    def test_stopped_server_is_could_not_decide(
        self, product: Product, server: str, code: str
    ) -> None:
        servers = product.ok("status", "--json").json()["servers"]
        pid = next(item["pid"] for item in servers if item["name"] == server)
        day = self.land_next_day(product)
        os.kill(pid, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=5)
        try:
            assert product.run("status").code == 1
            done = product.run("run", *TRAINED)
        finally:
            product.ok("up")
        assert done.code == 2, done.text
        assert code in done.text
        assert not (product.home / "data" / "raw_transactions" / f"{day}.parquet").exists()
        self.finished(product, day)

    @pytest.mark.parametrize("stage", ["ingest", "features", "feature store", "scoring"])
    def test_killed_run_is_completed_by_the_next(self, product: Product, stage: str) -> None:
        day = self.land_next_day(product)
        kill_during(product, stage, *TRAINED)
        self.finished(product, day)

    def test_bad_day_is_marked_and_the_others_go_on(self, product: Product, tmp_path: Path) -> None:
        good = self.land_next_day(product)
        path = product.home / "landing" / f"{good}.parquet"
        frame = pl.read_parquet(path)
        csv = tmp_path / "cents.csv"
        cents = frame.with_columns(pl.col("TX_AMOUNT") * 100)
        cents.write_csv(csv)
        product.ok("import", str(csv))
        done = product.run("run", *TRAINED)
        assert done.code == 1, done.text
        assert "UNIT_SHIFT" in done.text
        assert good in done.text
        assert not (product.home / "data" / "transaction_features" / f"{good}.parquet").exists()
        again = product.run("run", *TRAINED)
        assert again.code == 0, again.text
        assert not (product.home / "data" / "transaction_features" / f"{good}.parquet").exists()
        assert product.run("verify", f"raw_transactions/{good}").code == 1
        cents.head(cents.height - 1).write_csv(csv)
        product.ok("import", str(csv), "--replace")
        wrong_again = product.run("run", *TRAINED)
        assert wrong_again.code == 1, wrong_again.text
        assert "UNIT_SHIFT" in wrong_again.text
        frame.write_csv(csv)
        product.ok("import", str(csv))
        self.finished(product, good)

    def test_rollback_restores_an_earlier_version(self, product: Product, tmp_path: Path) -> None:
        day = max(path.stem for path in (product.home / "landing").glob("*.parquet"))
        store = workspace(product).store
        before = store.heads("raw_transactions")[day][0].sha256
        frame = pl.read_parquet(product.home / "landing" / f"{day}.parquet")
        shorter = tmp_path / "late.parquet"
        frame.head(frame.height - 1).write_parquet(shorter)
        product.ok("import", str(shorter), "--replace")
        product.ok("run", *TRAINED)
        changed = workspace(product).store.heads("raw_transactions")[day][0].sha256
        assert changed != before
        product.ok("rollback", "raw_transactions", day, "--to", before[:12])
        assert workspace(product).store.heads("raw_transactions")[day][0].sha256 == before
        self.finished(product, day)

    def test_data_that_is_gone_or_changed_is_put_back(self, product: Product) -> None:
        data = product.home / "data"
        scored = max(path.stem for path in (data / "transaction_scores").glob("*.parquet"))
        places = {
            ("transaction_features", scored): data / "transaction_features" / f"{scored}.parquet",
            ("training_set", "train"): data / "training_set" / "train.parquet",
            ("transaction_scores", scored): data / "transaction_scores" / f"{scored}.leaves",
        }
        attested = {path: path.read_bytes() for path in places.values()}
        for path in attested:
            path.unlink()
        (data / "training_set" / "train.parquet").write_bytes(b"other")
        refused = product.run("run", *TRAINED)
        assert refused.code == 1, refused.text
        assert "ARTIFACT_MISSING" in refused.text
        assert "rollback ASSET PARTITION" in " ".join(refused.text.split())
        for asset, partition in places:
            product.ok("rollback", asset, partition)
        assert {path: path.read_bytes() for path in places.values()} == attested
        again = product.ok("rollback", "training_set", "train")
        assert "nothing" in again.text
        product.ok("run", *TRAINED)

    def test_what_follows_from_raw_days_has_no_earlier_version(self, product: Product) -> None:
        done = product.run("rollback", "training_set", "train", "--to", "000000")
        assert done.code == 2
        assert "attested:" in done.text
        for asset, partition in (("fraud_model", "1"), ("training_set", "other")):
            assert product.run("rollback", asset, partition).code == 2


def test_import_refuses_what_it_cannot_read(product: Product, tmp_path: Path) -> None:
    landed = {path.name: path.read_bytes() for path in (product.home / "landing").iterdir()}
    bad = tmp_path / "bad.csv"
    bad.write_text("TRANSACTION_ID,TX_DATETIME\n1,yesterday\n")
    done = product.run("import", str(bad))
    assert done.code == 1
    assert "SCHEMA_COLUMN_MISSING" in done.text
    assert "bad.csv" in done.text
    assert {path.name: path.read_bytes() for path in (product.home / "landing").iterdir()} == landed


def test_killed_training_is_completed_by_the_next_run(product: Product) -> None:
    other = ("--train-start", "2018-04-24", "--train-days", "6")
    kill_during(product, "training", *other)
    assert product.ok("verify", "model@champion", "--json").json()["trusted"]
    done = product.ok("run", *other)
    assert "fraud_model:" in done.text
    assert product.ok("verify", "model@candidate", "--json").json()["trusted"]
    assert product.ok("verify", "--json").json()["trusted"]


def test_what_a_changed_tree_made_is_made_anew_from_the_clean_one(product: Product) -> None:
    changed = product.project / "fraud_provenance" / "fraud" / "mart.py"
    honest = changed.read_bytes()
    changed.write_bytes(honest + b"# tried something\n")
    product.generate(len(list((product.home / "landing").glob("*.parquet"))) + 1)
    day = newest(product.home / "landing").stem
    refused = product.run("run")
    changed.write_bytes(honest)
    assert refused.code == 1
    assert "GIT_DIRTY(raw_transactions)" in refused.text
    assert dirty(product, day) == {"raw_transactions": True, "transaction_features": True}
    product.ok("run")
    assert dirty(product, day) == {"raw_transactions": False, "transaction_features": False}
    stages = {stage["name"] for stage in product.ok("run", "--json").json()["stages"]}
    assert not stages & {"ingest", "features"}  # and only once


def dirty(product: Product, day: str) -> dict[str, object]:
    opened = workspace(product)
    found: dict[str, object] = {}
    for asset in ("raw_transactions", "transaction_features"):
        node = opened.trust.lineage().node(opened.store.heads(asset)[day][0].statement)
        assert node.provenance is not None
        found[asset] = node.provenance.outputs["git_dirty"]
    return found
