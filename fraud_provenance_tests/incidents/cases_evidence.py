"""What somebody did to files, statements and the log of a home that was in order."""

import sqlite3

from fraud_provenance_tests.incidents.acts import (
    FEATURES,
    RAW,
    SCORES,
    bundle_kind,
    bundle_of,
    commit_file,
    file_of,
    model_file,
    removed,
    rewritten,
    then,
    turned,
)
from fraud_provenance_tests.incidents.model import NONE, Incident
from fraud_provenance_tests.incidents.place import Place, day

SCORED = f"{SCORES}/{day(45)}"


def raw(number: int) -> str:
    return f"{RAW}/{day(number)}"


def hand_made_day(place: Place) -> None:
    """Somebody puts a file where attested days lie."""
    target = place.data(RAW, day(46))
    target.write_bytes(place.data(RAW, day(45)).read_bytes())


def lost_index(place: Place) -> None:
    (place.home / "evidence" / "index.sqlite").unlink()


def emptied_landing(place: Place) -> None:
    """Somebody tidies the landing zone up."""
    for path in (place.home / "landing").glob("*.parquet"):
        path.unlink()


def lost_results(place: Place) -> None:
    """What the contracts said of the raw days is gone."""
    known = sqlite3.connect(place.home / "evidence" / "index.sqlite")
    names = [row[0] for row in known.execute(
        "select bundle from bundles where suite = 'raw_expectations'")]  # fmt: skip
    known.close()
    for name in names:
        (place.home / "evidence" / "bundles" / f"{name}.sigstore.json").unlink()


def tampered(*names: str) -> frozenset[str]:
    return frozenset(f"tampering {name}" for name in names)


def missing(*names: str) -> frozenset[str]:
    return frozenset(f"missing {name}" for name in names)


CASES = (
    Incident("swapped", "somebody changes one bit of the champion",
             turned(model_file("model.ubj")), "model@champion", tampered("fraud_model")),
    Incident("deleted", "a raw day's file is gone", removed(file_of(RAW, day(33))), SCORED,
             missing(raw(33))),
    Incident("scores-file", "somebody edits a file of scores",
             rewritten(file_of(SCORES, day(45)), lambda frame: frame.with_columns(is_alert=False)),
             SCORED, tampered(SCORED)),
    Incident("raw-file", "somebody edits a raw day below the scores",
             rewritten(file_of(RAW, day(40)), lambda frame: frame.reverse()), SCORED,
             tampered(raw(40))),
    Incident("raw-file-model", "somebody edits a raw day that was learnt from",
             turned(file_of(RAW, day(27))), "model@champion", tampered(raw(27))),
    Incident("features-file", "somebody edits the features of the scored day",
             turned(file_of(FEATURES, day(45))), SCORED, tampered(f"{FEATURES}/{day(45)}")),
    Incident("features-gone", "the features of a day that was learnt from are gone",
             removed(file_of(FEATURES, day(28))), "model@champion",
             missing(f"{FEATURES}/{day(28)}")),
    Incident("training-file", "somebody edits the training set",
             turned(file_of("training_set", "train")), "model@champion",
             tampered("training_set")),
    Incident("evaluation-file", "somebody edits the metrics",
             turned(lambda place: next((place.home / "data" / "model_evaluation").glob("*.json"))),
             "model@champion", tampered("model_evaluation")),
    Incident("leaves", "somebody edits the leaves of the scores",
             turned(file_of(SCORES, day(45), "leaves")), SCORED, tampered(SCORED)),
    Incident("model-contract", "somebody edits the model's threshold",
             turned(model_file("feature_contract.json")), SCORED, tampered("fraud_model")),
    Incident("model-gone", "the model's trees are gone", removed(model_file("model.ubj")),
             "model@champion", missing("fraud_model")),
    Incident("online", "somebody edits the stored rows of the online store",
             turned(file_of("feature_store", "online")), "feature_store",
             tampered("feature_store")),
    Incident("hand-made", "a day is put where attested days lie", hand_made_day, raw(46),
             tampered(raw(46))),
    Incident("two-raw", "one raw day is edited, another is gone",
             then(turned(file_of(RAW, day(33))), removed(file_of(RAW, day(34)))), SCORED,
             tampered(raw(33)) | missing(raw(34))),
    Incident("two-levels", "a raw day and the scores made from it are edited",
             then(turned(file_of(RAW, day(40))), turned(file_of(SCORES, day(45)))), SCORED,
             tampered(raw(40), SCORED)),
    Incident("two-branches", "the model is edited, and the features of the scored day",
             then(turned(model_file("model.ubj")), turned(file_of(FEATURES, day(45)))), SCORED,
             tampered("fraud_model", f"{FEATURES}/{day(45)}")),
    Incident("tidied", "the landing zone was tidied up, and a raw day is gone",
             then(emptied_landing, removed(file_of(RAW, day(33)))), SCORED, missing(raw(33)),
             decoy=True),
    Incident("swapped-decoy", "one bit of the model; a large commit says nothing about it",
             then(commit_file("docs/notes.md", "\n".join(f"note {n}" for n in range(900))),
                  turned(model_file("model.ubj"))), SCORED, tampered("fraud_model"), decoy=True),
    Incident("bundle", "the statement about the training set is edited",
             turned(bundle_of("training_set", "train")), "model@champion",
             tampered("training_set")),
    Incident("bundle-gone", "the statement about the scores is gone",
             removed(bundle_of(SCORES, day(45))), SCORED, missing(SCORES)),
    Incident("results-gone", "what a contract said of the raw days is gone", lost_results,
             SCORED, missing("raw_expectations")),
    Incident("approval-gone", "the approval of the champion is gone",
             removed(bundle_kind("approval:")), "model@champion", missing("approval")),
    Incident("release-edited", "a statement of the policy's release is edited",
             turned(bundle_kind("policy-release")), "model@champion", tampered("policies")),
    Incident("none-index", "the index is gone, which proves nothing", lost_index,
             f"{SCORES}/{day(46)}", NONE, base="next-day"),
    Incident("none-landing", "the landing zone was tidied up", emptied_landing, raw(45), NONE,
             decoy=True),
)  # fmt: skip
