"""LE: evidence deleted, edited or told otherwise, judged where a model is promoted."""

import base64
import json
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from mlflow import MlflowClient

from fraud_provenance.attested.core import encoding
from fraud_provenance.attested.lineage.versions import Versions
from fraud_provenance.attested.rules.layout import StepRule
from fraud_provenance.attested.statements import materialisation, statements
from fraud_provenance.attested.statements.statements import Statement, Summary
from fraud_provenance.attested.store.store import EvidenceStore
from fraud_provenance.models import copies, facts
from fraud_provenance.models.facts import EVALUATION
from fraud_provenance_tests.attacks.bundles import (
    MODEL,
    as_of_now,
    changed_bundle,
    document_of,
    newest,
    payload_of,
    rewritten,
)
from fraud_provenance_tests.attacks.home import Home, patched
from fraud_provenance_tests.attacks.judges import promote
from fraud_provenance_tests.attacks.model import Attack, Case, Mutant
from fraud_provenance_tests.attacks.mutants import (
    both,
    nothing_verified,
    policy_without,
    unbound,
    without,
)

OFFICER = "risk.officer@example.com"
Predicate = dict[str, Any]


# --- bundles as files ----------------------------------------------------------------------------

_SEEN: dict[str, tuple[str, bytes]] = {}  # what a verifier that remembers bundles would remember


def delete_one_bundle(home: Home) -> None:
    """The training set's bundle is gone; the index still names it."""
    store, record = home.workspace().store, newest(home, "training_set")
    _SEEN[record.statement] = store.bundle(record.statement)
    store.bundle_path(record.bundle).unlink()


def believe_what_was_seen() -> AbstractContextManager[object]:
    """A mutant: what was stored once stands in for what is not there any more."""
    stored = EvidenceStore.bundle

    def bundle(store: EvidenceStore, statement: str) -> tuple[str, bytes]:
        return _SEEN.get(statement) or stored(store, statement)

    return patched(EvidenceStore, "bundle", bundle)


def edit_payload(document: dict[str, Any]) -> None:
    """The evaluation saw ten times the rows."""
    payload = json.loads(payload_of(document))
    outputs = payload["predicate"]["runDetails"]["byproducts"][0]["annotations"]
    outputs["metrics"]["rows"] *= 10
    envelope = document["dsseEnvelope"]
    envelope["payload"] = base64.b64encode(encoding.canonical_json(payload)).decode()


def presented(home: Home, content: bytes) -> None:
    """Other bytes in the place of the training statement's bundle, and an index that knows them."""
    store, record = home.workspace().store, newest(home)
    digest = encoding.digest_bytes(content)
    store.bundle_path(record.bundle).unlink()
    store.bundle_path(digest).write_bytes(content)
    with sqlite3.connect(home.path / "evidence" / "index.sqlite") as index:
        index.execute("update bundles set bundle = ? where bundle = ?", (digest, record.bundle))


def key_twice(home: Home) -> None:
    text = json.dumps(document_of(home, newest(home)))
    presented(home, text.replace("{", '{"mediaType": "nonsense", ', 1).encode())


def in_other_bytes(home: Home) -> None:
    presented(home, json.dumps(document_of(home, newest(home)), indent=2).encode())


# --- what the training step says ---------------------------------------------------------------


def told(change: Callable[[Predicate], None]) -> Attack:
    """An attack: the training step itself signs a next statement that says something else."""

    def attack(home: Home) -> None:
        record = newest(home)
        with home.surroundings():
            predicate = json.loads(payload_of(document_of(home, record)))["predicate"]
            sequence, previous = home.workspace().trust.lineage().versions.next(MODEL)
            internal = predicate["buildDefinition"]["internalParameters"]
            internal |= {"sequence": sequence, "previous": previous}
            change(as_of_now(predicate))
            home.forger().sign(
                statements.PROVENANCE, MODEL, record.subject_digest, predicate, "/steps/train"
            )

    return attack


def honestly(_predicate: Predicate) -> None:
    """Nothing is told otherwise."""


def approve(home: Home, subject: str = "model@candidate") -> None:
    """The risk officer looks at a model, the candidate, as it is now and approves it."""
    said = home.command(
        "approve", subject, "--environment", "local", "--as", OFFICER, "--reason", "new"
    )
    assert said.code == 0, said.err


def approved_again(home: Home) -> None:
    """The twin: a next statement that tells the same, looked at and approved anew."""
    told(honestly)(home)
    approve(home)


_SHA256_OF: dict[str, str] = {}  # what a verifier that looks a weak digest up would find


def weak_digest(predicate: Predicate) -> None:
    for material in predicate["buildDefinition"]["resolvedDependencies"]:
        if material["annotations"]["role"] == "input":
            weak = material["digest"]["sha256"][:32]
            _SHA256_OF[weak] = material["digest"]["sha256"]
            material["digest"] = {"md5": weak}


def unexpected_parameter(predicate: Predicate) -> None:
    external = predicate["buildDefinition"]["externalParameters"]
    external["parameters"] = external["parameters"] | {"sample_frac": 0.01}


def other_kind(predicate: Predicate) -> None:
    """The trainer's own earlier statement stands where the model signature belongs."""
    outputs = predicate["runDetails"]["byproducts"][0]["annotations"]
    outputs["model_signature"] = predicate["buildDefinition"]["internalParameters"]["previous"]


def look_weak_digests_up() -> AbstractContextManager[object]:
    """A mutant: a digest of any kind names a material."""
    original = materialisation.sha256_of

    def found(descriptor: Any, what: str) -> str:  # noqa: ANN401 - as the original
        weak = str(descriptor.get("digest", {}).get("md5", ""))
        return _SHA256_OF[weak] if weak in _SHA256_OF else original(descriptor, what)

    return patched(materialisation, "sha256_of", found)


def rests_on_nothing() -> AbstractContextManager[object]:
    """A mutant: nobody looks at what a registration rested on."""
    original = statements.read_summary

    def summary(statement: Statement) -> Summary:
        found = original(statement)
        return found.model_copy(update={"inputs": ()}) if found.gate == "release" else found

    return patched(statements, "read_summary", summary)


def any_signature() -> AbstractContextManager[object]:
    """A mutant: whatever statement the model names is taken for its signature."""

    def found(walker: Any, model: Any) -> Any:  # noqa: ANN401 - as the original
        return walker.node(str(model.provenance.outputs["model_signature"]))

    return patched(facts, "signature_of", found)


# --- unsigned copies -----------------------------------------------------------------------------


def tagged(place: str, name: str, value: str) -> Attack:
    """An attack: a tag of the candidate's run or version says something."""

    def attack(home: Home) -> None:
        client = MlflowClient(f"sqlite:///{home.path / 'mlflow' / 'mlflow.db'}")
        version = client.get_model_version_by_alias("fraud_model", "candidate")
        if place == "run":
            client.set_tag(version.run_id, name, value)
        else:
            client.set_model_version_tag("fraud_model", version.version, name, value)

    return attack


any_parameter = both(without(StepRule, "check_parameters"), policy_without("PARAM_UNEXPECTED"))
"""A mutant: steps, verifier and policy take any parameter."""
any_versions = without(Versions, "problems", [])
"""A mutant: nobody remembers which statement was an asset's newest."""


def case(name: str, attack: Attack, mutant: Mutant, twin: Attack, **more: Any) -> Case:
    return Case(name, attack, promote(), twin, mutant, state="approved", **more)


CASES = [
    case("LE-01", delete_one_bundle, both(believe_what_was_seen, any_versions),
         partial(rewritten, asset="training_set")),
    case("LE-02", changed_bundle(edit_payload, EVALUATION),
         both(nothing_verified, any_versions, unbound, rests_on_nothing),
         partial(rewritten, asset=EVALUATION)),
    case("LE-05", told(weak_digest), both(look_weak_digests_up, unbound), approved_again),
    case("LE-08", told(other_kind), both(any_signature, unbound), approved_again),
    case("LE-10", key_twice, nothing_verified, in_other_bytes, quick=True),
    *(
        case(
            "LE-11", tagged(place, name, "0" * 64), without(copies, "_differing", []),
            tagged(place, "note", "0" * 64), variant=f"{name} of the {place}",
        )
        for place, name in (
            ("run", "git_commit"), ("run", "training_sha256"), ("version", "manifest_sha256")
        )
    ),
    case("LE-20", told(unexpected_parameter), both(any_parameter, unbound), approved_again),
]  # fmt: skip
