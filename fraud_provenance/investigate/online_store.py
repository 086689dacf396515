"""Feast's registry and online store, compared with what the feature store's step attested.

Both files lie outside the attested folders, for Feast owns them. The step attests their digests,
the definitions and a copy of the online rows; here the files are held against these. A file whose
bytes changed while it says the same (SQLite vacuumed, definitions applied again) still passes.
"""

import io
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.core.codes import RootCause
from fraud_provenance.attested.core.errors import (
    EvidenceError,
    ProvenanceError,
    Reason,
    VerificationError,
    reason,
)
from fraud_provenance.attested.gates.context import Trust
from fraud_provenance.attested.lineage.nodes import Materialisation, Node, Refused
from fraud_provenance.causes.product import ProductCause
from fraud_provenance.models.online_files import (
    loaded_here,
    offline_folder,
    online_digest,
    registry_digest,
)
from fraud_provenance.models.view_skew import FEATURE_STORE

if TYPE_CHECKING:
    import polars as pl

DEFINITIONS, ONLINE = f"{FEATURE_STORE}/definitions.json", f"{FEATURE_STORE}/online.parquet"
_MOST_NAMED = 5


def online_rows(home: Path) -> "pl.DataFrame":
    """Every value in the online store.

    Returns:
        rows x (view str, entity_key binary, feature str, value binary, event_ts i64), sorted.

    Raises:
        EvidenceError: EVIDENCE_MALFORMED where the file cannot be read.
    """
    import polars as pl

    schema = {
        "view": pl.String, "entity_key": pl.Binary, "feature": pl.String,
        "value": pl.Binary, "event_ts": pl.Int64,
    }  # fmt: skip
    path = home / "feast" / "online.db"
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
        try:
            tables = [
                str(name)
                for (name,) in connection.execute(
                    "select name from sqlite_master where type='table'"
                )
            ]
            rows = [
                (table, *row)
                for table in sorted(tables)
                for row in connection.execute(
                    f'select entity_key, feature_name, value, event_ts from "{table}" order by 1, 2'  # noqa: S608 - names of its own tables
                )
            ]
        finally:
            connection.close()
        return pl.DataFrame(rows, schema=schema, orient="row")
    except (sqlite3.Error, TypeError, pl.exceptions.PolarsError) as error:
        raise EvidenceError(
            reason(
                ProductCause.FEATURE_TAMPER,
                f"the online store cannot be read: {error}",
                artifact=FEATURE_STORE,
            )
        ) from error


def definition_problems(trust: Trust) -> list[Reason]:
    """Whether Feast's registry still holds the attested definitions."""
    node = loaded_here(trust)
    if node is None:
        return []
    return _found(node, lambda: _check_registry(trust, node))


def online_problems(trust: Trust) -> list[Reason]:
    """Whether the online store still holds the attested rows; names the entities that changed."""
    node = loaded_here(trust)
    if node is None:
        return []
    return _found(node, lambda: _check_online(trust, node))


def _found(node: Node, check: Callable[[], None]) -> list[Reason]:
    if isinstance(node, Refused):
        return list(node.reasons)
    try:
        check()
    except ProvenanceError as error:
        return list(error.reasons)
    return []


def _check_registry(trust: Trust, node: Node) -> None:
    attested = node.expect(Materialisation).provenance.outputs.get("registry_sha256")
    try:
        if registry_digest(trust.home) == attested:
            return
        same = _described(trust.home) == encoding.strict_json(_attested(trust, node, DEFINITIONS))
    except ProvenanceError:
        raise
    except Exception as error:  # Feast's own, of any kind, on a file it cannot read
        raise VerificationError(
            _other_definitions(f"it cannot be read: {error!r}"[:300])
        ) from error
    if not same:
        raise VerificationError(_other_definitions("it differs from the attested definitions"))


def _other_definitions(message: str) -> Reason:
    return reason(
        ProductCause.FEATURE_DEF_MISMATCH, f"Feast's registry: {message}", artifact=FEATURE_STORE
    )


def _described(home: Path) -> object:
    """What the registry says; only where its bytes changed, for Feast takes seconds to import."""
    from fraud_provenance.fraud import feature_definitions
    from fraud_provenance.fraud import feature_store as feast

    return feature_definitions.describe_definitions(
        feast.open_store(home / "feast", offline_folder(home))
    )


def _check_online(trust: Trust, node: Node) -> None:
    attested = node.expect(Materialisation).provenance.outputs.get("online_sha256")
    if online_digest(trust.home) == attested:
        return
    import polars as pl

    before = pl.read_parquet(io.BytesIO(_attested(trust, node, ONLINE)))
    now = online_rows(trust.home)
    keys = before.columns
    changed = pl.concat(
        [now.join(before, on=keys, how="anti", nulls_equal=True),
         before.join(now, on=keys, how="anti", nulls_equal=True)]
    )  # fmt: skip
    entities = changed.select("view", "entity_key").unique(maintain_order=True)
    if entities.height:
        raise VerificationError(
            *[
                reason(
                    ProductCause.FEATURE_TAMPER,
                    f"the online store's {view} are not the attested ones"
                    f" ({entities.height} entities differ)",
                    artifact=FEATURE_STORE,
                    partition=f"entity {int.from_bytes(key[-4:], 'little', signed=True)}",
                )
                for view, key in entities.head(_MOST_NAMED).iter_rows()
            ]
        )


def _attested(trust: Trust, node: Node, path: str) -> bytes:
    for entry in node.entries:
        if entry.path == path:
            return trust.lineage().artifacts.read(node, entry)
    raise EvidenceError(
        reason(RootCause.EVIDENCE_MISSING, f"{path} was not attested", artifact=FEATURE_STORE)
    )
