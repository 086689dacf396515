"""What cures begin with: statements that honest keys signed, and the log that holds them."""

import json
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.statements import statements
from fraud_provenance.attested.statements.manifest import Manifest
from fraud_provenance.predictions import log as prediction_log
from fraud_provenance_tests.attacks.bundles import (
    as_of_now,
    document_of,
    forget_index,
    newest,
    payload_of,
)
from fraud_provenance_tests.attacks.cases_data import DAY
from fraud_provenance_tests.attacks.cases_log import NEWEST_LOG, rewritten_log
from fraud_provenance_tests.attacks.cases_scores import unscored_day
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import RAW
from fraud_provenance_tests.attacks.model import Attack

# --- raw days ------------------------------------------------------------------------------------


def raw_day(home: Home, **lies: Any) -> None:
    """The ingest step signs another version of a day."""
    with home.surroundings():
        forger = home.forger()
        material, digest = forger.source()
        entry = forger.forged_entry([lies.pop("made_from", digest)], DAY)
        forger.provenance(RAW, "ingest", **({"entries": [entry], "materials": [material]} | lies))


def made_of_nothing(home: Home) -> None:
    """A version of bytes that its landing file does not hold."""
    raw_day(home, made_from=encoding.digest_bytes(b"rows of somebody"))


def signed_twice(home: Home) -> None:
    """Two processes sign a day's next version at once: both claim the same number."""
    record = newest(home, RAW)
    with home.surroundings():
        sequence, previous = home.workspace().trust.lineage().versions.next(RAW)
        for run in ("run-one", "run-other"):
            said = as_of_now(json.loads(payload_of(document_of(home, record)))["predicate"])
            said["buildDefinition"]["internalParameters"] |= {
                "sequence": sequence, "previous": previous
            }  # fmt: skip
            said["runDetails"]["metadata"]["invocationId"] = run
            home.forger().sign(
                statements.PROVENANCE, RAW, record.subject_digest, said, "/steps/ingest"
            )


def of_another_environment(home: Home) -> None:
    """A version that was made, and signed, for staging."""
    raw_day(home, environment="staging")


def another_material(home: Home) -> None:
    """The ingest step says that it read what its layout does not list."""
    with home.surroundings():
        material, digest = home.forger().source(name="elsewhere")
    raw_day(home, materials=[material], made_from=digest)


class _Loose:
    """A manifest that is not written as manifests are, under the digest of these bytes."""

    def __init__(self, made: Manifest) -> None:
        self._made = made
        self.content = json.dumps(json.loads(made.content), indent=1).encode()
        self.digest = encoding.digest_bytes(self.content)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the manifest has
        return getattr(self._made, name)


def manifest_in_other_bytes(home: Home) -> None:
    """Features that were made of a view whose manifest has another form."""
    with home.surroundings():
        forger = home.forger()
        view: Any = _Loose(_view(home))
        decision = forger.decision(view, _inputs(home, judged=True))
        entry = forger.forged_entry([view.entries[0].sha256], DAY)
        forger.features(view, decision, entries=[entry])


def read_before_allowed(home: Home) -> None:
    """Features whose statement is older than the decision that let them read."""
    with home.surroundings():
        forger = home.forger()
        view = _view(home)
        signing = forger.trust.signing
        later: list[tuple[Any, ...]] = []

        def not_yet(statement: Any, identity: Any) -> Any:  # noqa: ANN401 - a bundle's statement
            later.append((statement, identity))
            return SimpleNamespace(statement=statement)

        with patched(signing, "sign", not_yet):
            decision = forger.decision(view, _inputs(home, judged=True))
        forger.features(
            view, decision, entries=[forger.forged_entry([view.entries[0].sha256], DAY)]
        )
        time.sleep(2.1)  # timestamps know whole seconds
        signing.sign(*later[0])


def _view(home: Home) -> Manifest:
    """The day's file as the features step reads it."""
    store = home.workspace().store
    head = store.heads(RAW)[DAY][0]
    record = next(item for item in store.records(asset=RAW) if item.statement == head.statement)
    entries = store.manifest(record.subject_digest).entries
    return Manifest.of(RAW, [entry for entry in entries if entry.partition == DAY])


def _inputs(home: Home, *, judged: bool) -> list[Any]:
    """What a decision about the day rests on: its statement, and its contracts' results."""
    store = home.workspace().store
    head = store.heads(RAW)[DAY][0]
    results = store.contract_results(RAW)[(DAY, head.sha256)].values() if judged else ()
    named = [head.statement, *(item.statement for item in results)]
    return [SimpleNamespace(statement=SimpleNamespace(digest=name)) for name in named]


def contract_of(**lies: Any) -> Attack:
    """The contracts' step signs a result of the day once more."""

    def attack(home: Home) -> None:
        with home.surroundings():
            made = home.forger().contract(
                _view(home), "raw_schema", _inputs(home, judged=False), **lies
            )
        home.notes["statement"] = made.statement.digest

    return attack


# --- the prediction log --------------------------------------------------------------------------


def batch_lost(home: Home) -> None:
    """One more day is scored; the batch before it is gone from the store."""
    assert home.job("scoring", days=[unscored_day(home)]).code == 0
    store = home.workspace().store
    store.bundle_path(store.records(predicate_type=statements.PREDICTION_BATCH)[0].bundle).unlink()
    forget_index(home)


def batch_out_of_line(home: Home) -> None:
    """The scoring step logs a batch that follows none."""
    with home.surroundings():
        trust = home.workspace().trust
        last = prediction_log.last_batch(trust)
        assert last is not None
        bundle, batch = last
        said = bundle.statement.predicate | {"sequence": batch.sequence + 1, "previous": "0" * 64}
        home.forger().sign(
            statements.PREDICTION_BATCH, bundle.statement.subject_name,
            bundle.statement.subject_digest, said, "/steps/score",
        )  # fmt: skip


# --- the log -------------------------------------------------------------------------------------


def other_history(bodies: list[bytes]) -> None:
    bodies[0], bodies[1] = bodies[1], bodies[0]


rewritten_history = rewritten_log(other_history)


def log_itself(home: Home, _backup: Path) -> None:
    """The hand: what served the old head is taken away."""
    shutil.rmtree(home.path / "log")
    (home.path / NEWEST_LOG).rename(home.path / "log")
