"""DT-15, DT-16, DF-30: Feast's online store and registry, judged where they are served."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from fraud_provenance.gates import champion as champions
from fraud_provenance.gates.features import FEATURE_STORE
from fraud_provenance.investigate import subjects
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import champion, command
from fraud_provenance_tests.attacks.model import Attack, Case
from fraud_provenance_tests.attacks.mutants import without
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


def repoint_source(home: Home) -> None:
    """The same view, fed from another file."""
    path = home.path / "feast" / "registry.db"
    content = path.read_bytes()
    assert b"/terminal_features.parquet" in content
    path.write_bytes(content.replace(b"/terminal_features.parquet", b"/terminal_featuresX.parque"))


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
         any_definitions),
    Case("DF-30", filled_from({"terminal_features": "0" * 64}), champion("P5"), filled_from({}),
         without(champions, "skew_problems", [])),
]  # fmt: skip
