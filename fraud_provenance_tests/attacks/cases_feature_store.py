"""DT-15, DT-16, DF-30: Feast's online store and registry, judged where they are served."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from fraud_provenance.fraud import training_checks
from fraud_provenance.investigate import subjects
from fraud_provenance.models import champion as champions
from fraud_provenance.models import promotion
from fraud_provenance.models.view_skew import FEATURE_STORE
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import alias_move, champion, command, job
from fraud_provenance_tests.attacks.model import Attack, Case
from fraud_provenance_tests.attacks.mutants import both, without
from fraud_provenance_tests.attacks.serving import load, resign, rewritten


def online(*statements: str) -> Attack:
    """SQL on the online store."""

    def attack(home: Home) -> None:
        connection = sqlite3.connect(home.path / "feast" / "online.db", isolation_level=None)
        for statement in statements:
            connection.execute(statement)
        connection.close()

    return attack


RISKLESS = (
    "update fraud_terminal_features set value = (select value from fraud_terminal_features"
    " where feature_name = 'terminal_feature_ts' limit 1) where rowid in (select rowid from"
    " fraud_terminal_features where feature_name like 'terminal_id_risk%' limit 3)"
)


SOURCE, OTHER_SOURCE = "terminal_features.parquet", "terminal_featurez.parquet"


def repoint(registry: Path) -> None:
    """The same view, fed from another file."""
    content = registry.read_bytes()
    assert SOURCE.encode() in content
    registry.write_bytes(content.replace(SOURCE.encode(), OTHER_SOURCE.encode()))


def repoint_source(home: Home) -> None:
    repoint(home.path / "feast" / "registry.db")


def write_again(registry: Path) -> None:
    """The same bytes in a new file."""
    content = registry.read_bytes()
    registry.unlink()
    registry.write_bytes(content)


def while_training(change: Callable[[Path], None]) -> Attack:
    """As soon as training has registered its views, somebody is at its registry.

    Beside the view's source lies a file in which no terminal was ever at risk.
    """

    def attack(home: Home) -> None:
        from fraud_provenance.fraud import feature_definitions

        feature_definitions.load_feast()  # as the product does
        from feast import FeatureStore

        register = FeatureStore.apply

        def apply(store: FeatureStore, *arguments: Any) -> None:
            register(store, *arguments)
            offline = Path(store.config.repo_path)
            frame = pl.read_parquet(offline / SOURCE)
            risk = pl.col("^terminal_id_risk_.*$")
            frame.with_columns(risk * 0.0).write_parquet(offline / OTHER_SOURCE)
            change(Path(store.config.registry.path))

        home.hold(patched(FeatureStore, "apply", apply))

    return attack


def registry_unread() -> AbstractContextManager[object]:
    """A mutant: training takes it that the registry holds what it registered."""
    from fraud_provenance.fraud import feature_definitions

    def declared(_store: object) -> dict[str, Any]:
        return feature_definitions.declared_definitions()

    return patched(feature_definitions, "describe_definitions", declared)


def filled_from(views: dict[str, str]) -> Attack:
    """The online store is filled from these definitions (as digests), the rest as before."""

    def attack(home: Home) -> None:
        trust = home.workspace().trust
        heads = trust.store.heads(FEATURE_STORE)["definitions"]
        node = trust.lineage().node(heads[0].statement)
        assert node.provenance is not None
        resign(home, FEATURE_STORE, {"views": node.provenance.outputs["views"] | views})

    return attack


@contextmanager
def any_definitions() -> Iterator[None]:
    from fraud_provenance.defs import scoring

    with patched(scoring, "definition_problems", lambda _trust: []):
        yield


CASES = [
    Case("DT-15", online(RISKLESS), command("P6", "verify", FEATURE_STORE), online("vacuum"),
         without(subjects, "online_problems", []), variant="edited"),
    Case("DT-15", online("delete from fraud_customer_features where rowid < 9"),
         command("P6", "verify", FEATURE_STORE), online("vacuum"),
         without(subjects, "online_problems", []), variant="deleted"),
    Case("DT-16", repoint_source, load, rewritten(lambda home: home.path / "feast" / "registry.db"),
         any_definitions, variant="load"),
    Case("DT-16", while_training(repoint),
         job("P2", "training", assets=["training_set"], options={"train_days": 6}),
         while_training(write_again),
         both(registry_unread, without(training_checks, "_equals_attested", [])),
         variant="training"),
    *(
        Case("DF-30", filled_from({"terminal_features": "0" * 64}), judge, filled_from({}),
             without(owner, "skew_problems", []), state, variant)
        for variant, judge, owner, state in (
            ("champion", champion("P5"), champions, "scored"),
            ("alias move", alias_move(), promotion, "approved"),
        )
    ),
]  # fmt: skip
