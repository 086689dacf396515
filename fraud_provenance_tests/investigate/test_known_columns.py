"""Where columns come from is told of the code that a statement names, and of no other."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fraud_provenance.attested.core.errors import BackendError
from fraud_provenance.attested.lineage.nodes import Materialisation
from fraud_provenance.attested.statements.statements import Provenance
from fraud_provenance.fraud.columns import FEATURE_SCHEMA, FEATURES, RAW_SCHEMA
from fraud_provenance.investigate.known_columns import KnownColumns, compiled_models
from fraud_provenance_tests.conftest import PROJECT

CODE, SOURCES = "c" * 64, "d" * 64


def made(asset: str, step: str, **outputs: Any) -> Materialisation:
    provenance = Provenance(
        environment="local", asset=asset, step=step, parameters={}, sequence=1, previous="",
        run_id="run", materials=(), outputs=outputs, started_at="", finished_at="",
    )  # fmt: skip
    return cast("Materialisation", SimpleNamespace(provenance=provenance, entries=()))


@pytest.fixture(scope="module")
def known() -> KnownColumns:
    asked = SimpleNamespace(step_code=lambda step: CODE if step != "evaluate" else "")
    trust: Any = SimpleNamespace(attestor=asked)
    return KnownColumns(trust, PROJECT, lambda: SOURCES)


def test_mart_leads_to_raw_columns_where_the_sql_is_the_signed_one(known: KnownColumns) -> None:
    node = made("transaction_features", "features", step_code=CODE, dbt_sources=SOURCES)
    found = known.sources(node)
    assert found.keys() == FEATURE_SCHEMA.keys()
    assert {asset for of in found.values() for asset, _ in of} == {"raw_transactions"}
    assert {column for of in found.values() for _, column in of} <= RAW_SCHEMA.keys()
    assert found["customer_id_avg_amount_7day_window"] == [
        ("raw_transactions", name) for name in ("customer_id", "tx_amount", "tx_datetime")
    ]


@pytest.mark.parametrize(
    "outputs",
    [{}, {"step_code": ""}, {"step_code": "e" * 64, "dbt_sources": SOURCES},
     {"step_code": CODE}, {"step_code": CODE, "dbt_sources": "e" * 64}],
    ids=["unsaid", "unknown", "other code", "no sql", "other sql"],
)  # fmt: skip
def test_other_code_tells_nothing(known: KnownColumns, outputs: dict[str, str]) -> None:
    assert known.sources(made("transaction_features", "features", **outputs)) == {}


def test_model_and_scores_lead_to_what_was_read(known: KnownColumns) -> None:
    model = known.sources(made("fraud_model", "train", step_code=CODE))
    assert model == {name: [("training_set", name)] for name in FEATURES}
    scores = known.sources(made("transaction_scores", "score", step_code=CODE))
    assert {asset for asset, _ in scores["score"]} == {"fraud_model", "transaction_features"}
    assert known.sources(made("model_evaluation", "evaluate", step_code=CODE)) == {}


def test_models_inputs_are_the_signed_ones(known: KnownColumns) -> None:
    node = made("fraud_model", "train", features=["tx_amount"])
    assert known.schema(node) == {"tx_amount": ""}


def test_a_project_that_dbt_cannot_read_is_could_not_decide(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="TOOL_UNAVAILABLE") as caught:
        compiled_models(tmp_path)
    assert "make setup" in caught.value.reasons[0].remedy
