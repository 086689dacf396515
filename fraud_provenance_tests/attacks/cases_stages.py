"""DT-08, DF-16, MA-15: what a stage hands on, held by another signer against what it was given."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from fraud_provenance.defs import training as training_stage
from fraud_provenance.defs import transform
from fraud_provenance.fraud import schemas, training_checks
from fraud_provenance.fraud.engines import Engine
from fraud_provenance.fraud.mart import DATABASE, MART
from fraud_provenance_tests.attacks import faults
from fraud_provenance_tests.attacks.cases_feature_store import SOURCE
from fraud_provenance_tests.attacks.cases_other_models import second_model
from fraud_provenance_tests.attacks.cases_training import NEW_DAY, judged_features, trained
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import (
    job,
    registration,
)
from fraud_provenance_tests.attacks.model import Attack, Case
from fraud_provenance_tests.attacks.mutants import both, policy_without, without
from fraud_provenance_tests.attacks.serving import FilesChange, unchanged

# --- the mart, between dbt and the read ----------------------------------------------------------


def in_the_mart(*statements: str) -> Attack:
    """The next day is ingested; when dbt is done with its features, these statements run."""

    def attack(home: Home) -> None:
        faults.land_next_day(home)
        assert home.job("ingest", days=[NEW_DAY]).code == 0
        read = transform.read_mart

        def read_later(folder: Path, engine: Engine) -> Iterator[pl.DataFrame]:
            with duckdb.connect(str(folder / DATABASE)) as connection:
                for statement in statements:
                    connection.execute(statement)
            return read(folder, engine)

        home.hold(patched(transform, "read_mart", read_later))

    return attack


read_by_scoring = judged_features("P1", "score")


_IN_THE_MART = {
    "customer": "update mart set customer_id = customer_id + 1 where transaction_id % 50 = 0",
    "terminal": "update mart set terminal_id = terminal_id + 1 where transaction_id % 50 = 0",
    "time": "update mart set tx_datetime = tx_datetime + interval 1 second"
    " where transaction_id % 50 = 0 and extract(minute from tx_datetime) < 59",
    "label": "update mart set tx_fraud = 0"
    " where transaction_id = (select max(transaction_id) from mart where tx_fraud = 1)",
    "row": "delete from mart where transaction_id = (select max(transaction_id) from mart)",
}
_ANOTHER_ORDER = "create or replace table mart as from mart order by hash(transaction_id)"
IN_THE_MART = {name: in_the_mart(sql.replace("mart", MART)) for name, sql in _IN_THE_MART.items()}
another_order = in_the_mart(_ANOTHER_ORDER.replace("mart", MART))


# --- Feast's offline table, between apply and join -----------------------------------------------

_AHEAD = """
    select terminal_id, tx_datetime as event_timestamp, coalesce(avg(tx_fraud) over (
        partition by terminal_id order by epoch(tx_datetime)
        range between 1 following and 604800 following), 0.0) as ahead
    from read_parquet($days)
"""


def offline_exchanged(change: Callable[[Home, pl.DataFrame], pl.DataFrame]) -> Attack:
    """As soon as training has applied its views, the terminals' table is another one."""

    def attack(home: Home) -> None:
        from fraud_provenance.fraud import feature_definitions

        feature_definitions.load_feast()  # as the product does
        from feast import FeatureStore

        register = FeatureStore.apply

        def apply(store: FeatureStore, *arguments: Any) -> None:
            register(store, *arguments)
            path = Path(store.config.repo_path) / SOURCE
            change(home, pl.read_parquet(path)).write_parquet(path)

        home.hold(patched(FeatureStore, "apply", apply))

    return attack


def risk_ahead(home: Home, table: pl.DataFrame) -> pl.DataFrame:
    """The risk of the seven days that follow each transaction, at its own event time."""
    days = [str(path) for path in sorted((home.path / "data/raw_transactions").glob("*.parquet"))]
    with duckdb.connect() as connection:
        ahead = connection.sql(_AHEAD, params={"days": days}).pl()
    keys = ["terminal_id", "event_timestamp"]
    joined = table.join(ahead.unique(keys), on=keys, how="left", maintain_order="left")
    risk = pl.col("ahead").cast(pl.Float64).alias("terminal_id_risk_7day_window")
    return joined.with_columns(risk).select(table.columns)


def other_order(_home: Home, table: pl.DataFrame) -> pl.DataFrame:
    return table.sort("terminal_id", "event_timestamp", descending=True)


# --- the model's names ---------------------------------------------------------------------------

ONE, OTHER = "customer_id_nb_tx_1day_window", "customer_id_nb_tx_7day_window"


def exchange_names(files: dict[str, bytes]) -> None:
    """Two names of the same length, exchanged in booster, feature contract and MLflow's file."""
    first, second, between = (name.encode() for name in (ONE, OTHER, "#" * len(ONE)))
    for name in ("model.ubj", "feature_contract.json", "MLmodel"):
        content = files[name].replace(first, between).replace(second, first)
        files[name] = content.replace(between, second)
    names = json.loads(files["feature_contract.json"])["names"]
    assert names.index(OTHER) < names.index(ONE)


def exchange_signed(predicate: dict[str, Any]) -> None:
    told = predicate["runDetails"]["byproducts"][0]["annotations"]
    other = {ONE: OTHER, OTHER: ONE}
    told["features"] = [other.get(name, name) for name in told["features"]]


def model_with(change: FilesChange, **lies: Any) -> Attack:
    """The trainer signs a model with these changes."""
    return lambda home: second_model(home, change, **lies)


def evaluated_unseen(change: FilesChange, **lies: Any) -> Attack:
    """The same, and nobody but the policy looks at its names."""

    def attack(home: Home) -> None:
        second_model(home, change, **lies)
        home.hold(inputs_unseen())
        said = home.job("training", assets=["model_evaluation"])
        assert said.code == 0, said

    return attack


inputs_unseen = without(training_stage, "check_inputs")
ALIKE: dict[str, Any] = {"lie": exchange_signed}
LATER: Sequence[str] = ("model_evaluation", "release_candidate")

CASES = [
    *(
        Case("DT-08", attack, read_by_scoring, another_order,
             without(schemas, "check_rows", []), variant=variant)
        for variant, attack in IN_THE_MART.items()
    ),
    Case("DF-16", offline_exchanged(risk_ahead), trained, offline_exchanged(other_order),
         without(training_checks, "_equals_attested", [])),
    Case("MA-15", model_with(exchange_names, **ALIKE), job("P2", "training", assets=LATER),
         model_with(unchanged), both(inputs_unseen, policy_without("FEATURE_DEF_MISMATCH")),
         variant="alike everywhere"),
    Case("MA-15", model_with(exchange_names), job("P2", "training", assets=LATER),
         model_with(unchanged), inputs_unseen, variant="not in the statement"),
    Case("MA-15", evaluated_unseen(exchange_names, **ALIKE), registration(),
         evaluated_unseen(unchanged), policy_without("FEATURE_DEF_MISMATCH"),
         variant="registration"),
]  # fmt: skip
