"""Something looks worse than the cause and did nothing: unread deliveries, commits nobody ran."""

import shutil
import sqlite3

from fraud_provenance_tests.incidents.acts import (
    CONTRACTS,
    FEATURES,
    RAW,
    SCORES,
    THRESHOLDS,
    bar,
    bundle_kind,
    default,
    edit,
    file_of,
    model_file,
    removed,
    said,
    then,
    turned,
    unsigned_limit,
)
from fraud_provenance_tests.incidents.cases_evidence import missing, raw, tampered
from fraud_provenance_tests.incidents.cases_machine import infrastructure, lost_registry
from fraud_provenance_tests.incidents.cases_people import WHY, median_at_most, revocation
from fraud_provenance_tests.incidents.cases_training import EVALUATION, WINDOWS
from fraud_provenance_tests.incidents.changes import Change, amounts, inverted, labels, no_labels
from fraud_provenance_tests.incidents.model import NONE, Incident, nothing
from fraud_provenance_tests.incidents.place import Place, Plant, day, feed

SCORED, NEW = f"{SCORES}/{day(45)}", f"{SCORES}/{day(46)}"
IN_CENTS = amounts(100)


def lies_there(number: int, how: Change) -> Plant:
    """A day was delivered again, and nothing has read it yet."""
    return lambda place: place.change(day(number), how)


def landed(number: int, how: Change = lambda frame: frame) -> Plant:
    """A day was delivered, and nothing has read it yet."""

    def plant(place: Place) -> None:
        place.deliver(number, how)

    return plant


def cut_off(place: Place) -> None:
    """The transfer of the new day broke off, and nobody ran anything."""
    path = place.landing(place.deliver(46))
    path.write_bytes(path.read_bytes()[:3000])


def forgotten(place: Place) -> None:
    """What verification remembers is gone."""
    (place.home / "run" / "verified.lines").unlink()


def edited_metric(place: Place) -> None:
    """Somebody makes a metric in MLflow look better; no gate reads it there."""
    known = sqlite3.connect(place.home / "mlflow" / "mlflow.db")
    known.execute("update metrics set value = 0.99")
    known.execute("update latest_metrics set value = 0.99")
    known.commit()
    known.close()


def no_reports(place: Place) -> None:
    """Data Docs and what steps left in their scratch folders are gone."""
    for name in ("reports", "scratch"):
        shutil.rmtree(place.home / name)


PAYMENT = int(feed()[day(46)]["TRANSACTION_ID"][100])
RULES = ("policies/data_access/data_access.rego",
         "policies/model_registration/model_registration.rego")  # fmt: skip
ONE_TREE = default("n_estimators", "100", "1")
WIDER = edit(WINDOWS, "between 86399 preceding", "between 89999 preceding", "a wider window")
MORE_CARDS = edit(EVALUATION, "CARDS_PER_DAY: Final = 100", "CARDS_PER_DAY: Final = 1000", "cards")
METRICS = turned(lambda place: next((place.home / "data" / "model_evaluation").glob("*.json")))

CASES = (
    Incident("beside-scores", "scores are edited; a day in cents waits to be read",
             then(lies_there(44, IN_CENTS), turned(file_of(SCORES, day(45)))), SCORED,
             tampered(SCORED), decoy=True),
    Incident("beside-gone", "a raw day is gone; another waits without its labels",
             then(lies_there(40, no_labels), removed(file_of(RAW, day(33)))), SCORED,
             missing(raw(33)), decoy=True),
    Incident("beside-model", "the model is edited; a commit that nobody ran makes one tree",
             then(ONE_TREE, turned(model_file("model.ubj"))), "model@champion",
             tampered("fraud_model"), decoy=True),
    Incident("beside-features", "features are edited; a commit that nobody ran widens a window",
             then(WIDER, turned(file_of(FEATURES, day(45)))), SCORED,
             tampered(f"{FEATURES}/{day(45)}"), decoy=True),
    Incident("beside-metrics", "metrics are edited; a commit that nobody ran measures otherwise",
             then(MORE_CARDS, METRICS), "model@champion", tampered("model_evaluation"),
             decoy=True),
    Incident("beside-leaves", "leaves are edited; the next day lies there with good called bad",
             then(landed(46, inverted), turned(file_of(SCORES, day(45), "leaves"))), SCORED,
             tampered(SCORED), decoy=True),
    Incident("beside-two", "two raw days are edited; a third waits in cents",
             then(lies_there(45, IN_CENTS), turned(file_of(RAW, day(33))),
                  turned(file_of(RAW, day(44)))), SCORED, tampered(raw(33), raw(44)), decoy=True),
    Incident("beside-revoked", "a day is withdrawn; another waits with good called bad",
             then(lies_there(41, inverted), said("revoke", raw(40), *WHY)), SCORED,
             revocation(raw(40)), decoy=True),
    Incident("beside-policy", "a bar is lowered unsigned; a commit that nobody ran makes one tree",
             then(ONE_TREE, unsigned_limit(*bar("average_precision", "0.2", "0.1"))),
             "model@champion", tampered(THRESHOLDS), decoy=True),
    Incident("beside-registry", "the registry is gone; a commit that nobody ran makes one tree",
             then(ONE_TREE, lost_registry), "model@champion", infrastructure("registry"),
             decoy=True),
    Incident("beside-no-run", "nobody ran the new day; an older one waits in cents",
             then(lies_there(44, IN_CENTS), landed(46)), NEW, infrastructure("run"), decoy=True),
    Incident("beside-cut", "the new day's file is cut off; an older one waits in cents",
             then(lies_there(44, IN_CENTS), cut_off), NEW, frozenset((f"data landing/{day(46)}",)),
             decoy=True),
    Incident("beside-never", "a day never came; the one after it lies there in cents",
             landed(47, IN_CENTS), f"{SCORES}/{day(46)}", missing(f"landing/{day(46)}"),
             decoy=True),
    Incident("beside-approval", "the approval is gone; a commit that nobody ran makes one tree",
             then(ONE_TREE, removed(bundle_kind("approval:"))), "model@champion",
             missing("approval"), decoy=True),
    Incident("beside-training", "the training set is edited; a day of it waits relabelled",
             then(lies_there(28, labels(120)), turned(file_of("training_set", "train"))),
             "model@champion", tampered("training_set"), decoy=True),
    Incident("both-model", "a raw day and the metrics are edited; a commit waits to be run",
             then(ONE_TREE, turned(file_of(RAW, day(33))), METRICS), "model@champion",
             tampered(raw(33), "model_evaluation"), decoy=True),
    Incident("both-gone", "features are gone, the threshold is edited; a day waits in cents",
             then(lies_there(44, IN_CENTS), removed(file_of(FEATURES, day(45))),
                  turned(model_file("feature_contract.json"))), SCORED,
             missing(f"{FEATURES}/{day(45)}") | tampered("fraud_model"), decoy=True),
    Incident("both-people", "a day that was learnt from is withdrawn, the training set edited",
             then(said("revoke", raw(27), *WHY), turned(file_of("training_set", "train"))),
             "model@champion", revocation(raw(27)) | tampered("training_set")),
    Incident("both-approval", "the approval is gone, the model is edited; a metric shines",
             then(edited_metric, removed(bundle_kind("approval:")),
                  turned(model_file("model.ubj"))), "model@champion",
             missing("approval") | tampered("fraud_model"), decoy=True),
    Incident("all-three", "a raw day, features and scores are edited",
             then(turned(file_of(RAW, day(33))), turned(file_of(FEATURES, day(45))),
                  turned(file_of(SCORES, day(45)))), SCORED,
             tampered(raw(33), f"{FEATURES}/{day(45)}", SCORED), decoy=True),
    Incident("metric", "a raw day is edited; a metric in MLflow shines",
             then(edited_metric, turned(file_of(RAW, day(27)))), "model@champion",
             tampered(raw(27)), decoy=True),
    Incident("reports", "leaves are gone; so are all reports",
             then(no_reports, removed(file_of(SCORES, day(45), "leaves"))), SCORED,
             missing(SCORED), decoy=True),
    Incident("week-model", "the model is edited; a whole week of the feed is held",
             turned(model_file("model.ubj")), "model@champion", tampered("fraud_model"),
             decoy=True, must_stop=True, base="bad-week"),
    Incident("week-edited", "scores are edited; a whole week of the feed is held",
             turned(file_of(SCORES, day(45))), SCORED, tampered(SCORED), decoy=True,
             must_stop=True, base="bad-week"),
    Incident("week-both", "features and the metrics are edited; a whole week of the feed is held",
             then(turned(file_of(FEATURES, day(28))), METRICS), "model@champion",
             tampered(f"{FEATURES}/{day(28)}", "model_evaluation"), decoy=True, must_stop=True,
             base="bad-week"),
    Incident("week-registry", "the registry is gone; a whole week of the feed is held",
             lost_registry, "model@champion", infrastructure("registry"), decoy=True,
             must_stop=True, base="bad-week"),
    Incident("week-policy", "a bar and a contract are edited unsigned; a week of the feed is held",
             then(unsigned_limit(*bar("auc_roc", "0.7", "0.6")),
                  unsigned_limit(CONTRACTS, *median_at_most(9000))), "model@champion",
             tampered(THRESHOLDS, CONTRACTS), decoy=True, must_stop=True, base="bad-week"),
    Incident("relabelled-edited", "scores are edited; a relabelled day was accepted",
             turned(file_of(SCORES, day(45))), SCORED, tampered(SCORED), decoy=True,
             must_stop=True, base="relabelled"),
    Incident("relabelled-gone", "raw days are gone; a relabelled day was accepted",
             then(removed(file_of(RAW, day(43))), removed(file_of(RAW, day(44)))), SCORED,
             missing(raw(43), raw(44)), decoy=True, must_stop=True, base="relabelled"),
    Incident("next-both", "the newest raw day and its features are edited",
             then(turned(file_of(RAW, day(46))), turned(file_of(FEATURES, day(46)))), NEW,
             tampered(raw(46), f"{FEATURES}/{day(46)}"), base="next-day"),
    Incident("next-gone", "features are gone, leaves are edited, a commit waits to be run",
             then(WIDER, removed(file_of(FEATURES, day(46))),
                  turned(file_of(SCORES, day(46), "leaves"))), NEW,
             missing(f"{FEATURES}/{day(46)}") | tampered(NEW), decoy=True, base="next-day"),
    Incident("next-raw", "a raw day is gone; the candidate is worse than the champion",
             removed(file_of(RAW, day(46))), NEW, missing(raw(46)), decoy=True, base="next-day"),
    Incident("decision", "the decision that made the champion is gone",
             removed(bundle_kind("verification_summary", "deployments")), "model@champion",
             missing("deploy decision")),
    Incident("signature", "the model's signature and its evaluation's statement are gone",
             then(removed(bundle_kind("model_signing")),
                  removed(bundle_kind("provenance", "model_evaluation"))), "model@champion",
             missing("model signature", "model_evaluation")),
    Incident("learnt-both", "features that were learnt from are edited, others are gone",
             then(turned(file_of(FEATURES, day(28))), removed(file_of(FEATURES, day(29)))),
             "model@champion",
             tampered(f"{FEATURES}/{day(28)}") | missing(f"{FEATURES}/{day(29)}")),
    Incident("week-two", "a raw day is edited, one is gone; a whole week of the feed is held",
             then(turned(file_of(RAW, day(20))), removed(file_of(RAW, day(21)))), SCORED,
             tampered(raw(20)) | missing(raw(21)), decoy=True, must_stop=True, base="bad-week"),
    Incident("relabelled-two", "features and leaves are edited; a relabelled day was accepted",
             then(turned(file_of(FEATURES, day(45))),
                  turned(file_of(SCORES, day(45), "leaves"))), SCORED,
             tampered(f"{FEATURES}/{day(45)}", SCORED), decoy=True, must_stop=True,
             base="relabelled"),
    Incident("rules", "two rules are edited unsigned; a commit that nobody ran makes one tree",
             then(ONE_TREE, *(edit(name, "default allow := false", "default allow := true")
                              for name in RULES)), "model@champion", tampered(*RULES),
             decoy=True),
    Incident("metric-two", "features are gone, the training set is edited; a metric shines",
             then(edited_metric, removed(file_of(FEATURES, day(28))),
                  turned(file_of("training_set", "train"))), "model@champion",
             missing(f"{FEATURES}/{day(28)}") | tampered("training_set"), decoy=True),
    Incident("beside-signature", "the model's signature is gone; a commit waits to be run",
             then(MORE_CARDS, removed(bundle_kind("model_signing"))), "model@champion",
             missing("model signature"), decoy=True),
    Incident("beside-decision", "the champion's decision is gone; a commit waits to be run",
             then(WIDER, removed(bundle_kind("verification_summary", "deployments"))),
             "model@champion", missing("deploy decision"), decoy=True),
    Incident("beside-release", "the policy's release is edited; a day in cents waits to be read",
             then(lies_there(44, IN_CENTS), turned(bundle_kind("policy-release"))), SCORED,
             tampered("policies"), decoy=True),
    Incident("beside-online", "the online store's rows are edited; a commit waits to be run",
             then(WIDER, turned(file_of("feature_store", "online"))), "feature_store",
             tampered("feature_store"), decoy=True),
    Incident("none-features", "features of the newest day, and a wider window that nobody ran",
             WIDER, f"{FEATURES}/{day(46)}", NONE, decoy=True, base="next-day"),
    Incident("none-raw", "the newest day is as days are; the one before waits in cents",
             lies_there(45, IN_CENTS), raw(46), NONE, decoy=True, base="next-day"),
    Incident("none-one", "one payment of the newest day", nothing, str(PAYMENT), NONE,
             base="next-day"),
    Incident("none-commits", "commits that nobody ran, and a candidate as good as the champion",
             then(ONE_TREE, MORE_CARDS), "model@candidate", NONE, decoy=True, base="next-day"),
    Incident("none-waiting", "days wait in the landing zone; the newest scores are as ever",
             then(lies_there(44, IN_CENTS), lies_there(45, inverted)), NEW, NONE, decoy=True,
             base="next-day"),
    Incident("none-memory", "what verification remembers is gone", forgotten, NEW, NONE,
             base="next-day"),
)  # fmt: skip
