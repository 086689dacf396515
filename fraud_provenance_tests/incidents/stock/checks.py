"""Great Expectations with fixed bounds, set by hand around what the feed was when they were set."""

from pathlib import Path

import great_expectations as gx
import pandas as pd
from great_expectations import expectations as gxe

_COLUMNS = (
    "TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_TIME_SECONDS",
    "TX_TIME_DAYS", "TX_FRAUD", "TX_FRAUD_SCENARIO",
)  # fmt: skip


def failures_of(path: Path, day: str) -> list[str]:
    """The expectations that a landed day breaks; a file that cannot be read breaks one."""
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        return [f"cannot be read: {type(error).__name__}"]
    context = gx.get_context(mode="ephemeral")
    source = context.data_sources.add_pandas("landing").add_dataframe_asset("day")
    batch = source.add_batch_definition_whole_dataframe("day").get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite("day", expectations=_expectations(day))
    result = batch.validate(suite)
    return [
        f"{item.expectation_config.type} {item.expectation_config.kwargs.get('column', '')}".strip()
        for item in result.results
        if not item.success
    ]


def _expectations(day: str) -> list[gxe.Expectation]:
    start = pd.Timestamp(day)
    return [
        gxe.ExpectTableColumnsToMatchSet(column_set=list(_COLUMNS)),
        gxe.ExpectTableRowCountToBeBetween(min_value=600, max_value=2_400),
        *(gxe.ExpectColumnValuesToNotBeNull(column=name) for name in _COLUMNS),
        gxe.ExpectColumnValuesToBeUnique(column="TRANSACTION_ID"),
        gxe.ExpectColumnValuesToBeBetween(column="TX_AMOUNT", min_value=0, max_value=10_000),
        gxe.ExpectColumnMeanToBeBetween(column="TX_AMOUNT", min_value=30, max_value=100),
        gxe.ExpectColumnMeanToBeBetween(column="TX_FRAUD", min_value=0, max_value=0.1),
        gxe.ExpectColumnValuesToBeInSet(column="TX_FRAUD", value_set=[0, 1]),
        gxe.ExpectColumnValuesToBeBetween(
            column="TX_DATETIME", min_value=start, max_value=start + pd.Timedelta(days=1)
        ),
    ]
