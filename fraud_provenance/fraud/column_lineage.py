"""Which raw columns each column of the mart is made of, read from the SQL that dbt sent."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from fraud_provenance.fraud.engines import DUCKDB

if TYPE_CHECKING:
    from sqlglot import exp


def raw_columns(
    models: Mapping[str, str], mart: str, raw: str, dialect: str = DUCKDB
) -> dict[str, list[str]]:
    """Follow each column of the mart through every model before it.

    What decides which rows a window holds counts too: its keys and its order.

    Args:
        models: Name as the statements spell it → the model's statement.
        mart: Name of the mart among them.
        raw: Alias of the raw table in the statements.
        dialect: The engine that they are written for.

    Returns:
        Column of the mart → raw columns, sorted.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    parsed: dict[str, exp.Select] = {}
    for name, sql in models.items():
        statement = sqlglot.parse_one(sql, dialect=dialect, into=exp.Select)
        for select in statement.find_all(exp.Select):
            _write_windows_out(select)
        parsed[name] = statement
    expanded = exp.expand(parsed[mart], {**parsed}, dialect=dialect)
    whole = cast("exp.Select", qualify(expanded, dialect=dialect))
    scope = build_scope(whole)

    def sources(column: str) -> list[str]:
        found = lineage(column, whole, scope=scope, dialect=dialect, trim_selects=False, copy=False)
        tables = (node for node in found.walk() if node.expression.alias_or_name == raw)
        return sorted({exp.to_column(node.name).name for node in tables})

    return {column: sources(column) for column in whole.named_selects}


def _write_windows_out(select: "exp.Select") -> None:
    """Put what a named window says into each place that names it."""
    from sqlglot import exp

    named = {window.name: window for window in select.args.get("windows") or ()}
    for window in select.find_all(exp.Window):
        told = named.get(window.alias)
        if told is not None and told is not window:
            for part in ("partition_by", "order", "spec"):
                window.set(part, told.args.get(part))
            window.set("alias", None)
    select.set("windows", None)
