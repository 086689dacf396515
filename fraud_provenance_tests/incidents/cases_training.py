"""Models and scores that are other than they were: relabelled days, parameters, code."""

import polars as pl

from fraud_provenance_tests.incidents.acts import (
    MODEL,
    RAW,
    SCORES,
    again,
    commit_file,
    default,
    edit,
    new_day,
    of_day,
    run,
    sha256_of,
    then,
)
from fraud_provenance_tests.incidents.changes import (
    Change,
    amounts,
    dear_are_frauds,
    labels,
    labels_of_terminals,
    no_labels,
    other_order,
    other_scenario,
    shuffled,
)
from fraud_provenance_tests.incidents.model import NONE, Incident, nothing
from fraud_provenance_tests.incidents.place import OFFICER, SAME_DAYS, Place, Plant, day, feed
from fraud_provenance_tests.product import PROJECT

SCORED = ("--score", day(45))
EVALUATION = "fraud_provenance/fraud/evaluation.py"
RECOMPUTE = "fraud_provenance/fraud/recompute.py"
WINDOWS = "dbt_project/models/intermediate/int_customer_windows.sql"
MART = "dbt_project/models/marts/fct_transaction_features.sql"
FEWER_TREES = default("n_estimators", "100", "1")
LAST = feed()[day(45)].sort("TRANSACTION_ID")
CARD, PAYMENT = next(
    (row["CUSTOMER_ID"], row["TRANSACTION_ID"])
    for row in LAST.iter_rows(named=True)
    if row["CUSTOMER_ID"] in set(feed()[day(44)]["CUSTOMER_ID"])
)
"""A customer who pays on both of the last two days, and the payment of the last one."""
SAME = run(*SAME_DAYS)


def parameter(*names: str) -> frozenset[str]:
    return frozenset(f"parameter {name}" for name in names)


def code(*paths: str) -> frozenset[str]:
    return frozenset(f"code {path}" for path in paths)


def learns_from_few() -> Plant:
    before = 'rows = frame.sort("transaction_id")\n    labels = rows[LABEL]'
    after = 'rows = frame.sort("transaction_id").head(1500)\n    labels = rows[LABEL]'
    return edit(MODEL, before, after, "train faster")


def other_night() -> Plant:
    """The night ends at noon, by both definitions of the features."""
    sql = ("stg_transactions.tx_datetime) <= 6", "stg_transactions.tx_datetime) <= 12")
    twin = ("dt.hour() <= 6)", "dt.hour() <= 12)")
    return then(edit(MART, *sql, "a longer night"), edit(RECOMPUTE, *twin, "a longer night"))


def shorter_window() -> Plant:
    """The widest window of the customers is half as wide, by both definitions."""
    sql = ("between 2591999 preceding", "between 1295999 preceding")
    twin = ("customer.sums(older_s=days * _DAY_S)",
            "customer.sums(older_s=(15 if days == 30 else days) * _DAY_S)")  # fmt: skip
    return then(edit(WINDOWS, *sql, "a shorter window"), edit(RECOMPUTE, *twin, "the same"))


def clean_up() -> Plant:
    """A large commit that changes no value."""
    text = "".join(f"# step {index} of the clean-up\n" for index in range(400))
    before = "CARDS_PER_DAY: Final = 100\n"
    return edit(EVALUATION, before, before + text, "tidy up the evaluation")


def rolled_back(place: Place) -> None:
    """Wrong labels come and are used; then a person brings the first delivery back."""
    digest = sha256_of(place.data(RAW, day(28)))
    again({28: labels(120)})(place)
    place.must("rollback", RAW, day(28), "--to", digest[:16])
    place.run(*SAME_DAYS)


def uncommitted(place: Place) -> None:
    """Somebody tries something."""
    file = place.project / MODEL
    file.write_text(file.read_text("utf-8") + "\n# to be tried\n", "utf-8")


def _bump() -> tuple[str, str]:
    """(line of the lock, the same with another version)."""
    text = (PROJECT / "requirements.lock").read_text("utf-8")
    line = next(row for row in text.splitlines() if row.startswith("xgboost-cpu=="))
    version = line.split("==")[1].split()[0]
    return line, line.replace(version, "9.9.9")


def promoted(change: Plant) -> Plant:
    """Another model is approved, and the next day is scored by it."""

    def plant(place: Place) -> None:
        change(place)
        place.run(*SAME_DAYS)
        place.must("approve", "model@candidate", "--environment", "local", "--as", OFFICER,
                   "--reason", "reviewed")  # fmt: skip
        place.run(*SAME_DAYS)
        place.deliver(46)
        place.run()

    return plant


def relabelled(*numbers: int, count: int = 120) -> dict[int, Change]:
    return dict.fromkeys(numbers, labels(count))


CASES = (
    Incident("labels", "a relabelled day is accepted, the next model is worse", nothing,
             "model@candidate", of_day(28), must_stop=True, base="relabelled"),
    Incident("labels-two", "two relabelled days are accepted", again(relabelled(27, 30, count=80)),
             "model@candidate", of_day(27, 30), must_stop=True),
    Incident("labels-decoy", "a relabelled day; another day's amounts changed far more",
             again({28: labels(120), 34: amounts(1.3)}), "model@candidate", of_day(28), decoy=True,
             must_stop=True),
    Incident("labels-commit", "a relabelled day; a large commit that changes no value",
             then(clean_up(), again(relabelled(28))), "model@candidate", of_day(28), decoy=True,
             must_stop=True),
    Incident("labels-terminals", "all payments at a few terminals are called frauds",
             again({29: labels_of_terminals(12)}), "model@candidate", of_day(29), must_stop=True),
    Incident("labels-dear", "the dearest tenth of a day is called fraud",
             again({26: dear_are_frauds, 33: other_scenario}), "model@candidate", of_day(26),
             decoy=True, must_stop=True),
    Incident("labels-late", "the labels of three days are late",
             again(dict.fromkeys((29, 30, 31), no_labels)), "model@candidate", of_day(29, 30, 31),
             must_stop=True),
    Incident("labels-tested", "a day that is tested on was relabelled", again(relabelled(42)),
             "alert", of_day(42), must_stop=True),
    Incident("join-learnt", "the customers of a day are joined to other payments",
             again({31: shuffled("CUSTOMER_ID")}), "model@candidate", of_day(31),
             must_stop=True),
    Incident("parameter", "the model learns from one day instead of seven",
             run("--train-start", day(31), "--train-days", "1"), "model@candidate",
             parameter("training_set.train_days")),
    Incident("parameter-two", "a relabelled day, and a model that learns from two days",
             run("--train-start", day(28), "--train-days", "2"), "model@candidate",
             of_day(28) | parameter("training_set.train_days"), base="relabelled",
             against="model@champion"),
    Incident("default", "a commit changes a parameter's default", then(FEWER_TREES, SAME), "alert",
             parameter("fraud_model.n_estimators")),
    Incident("default-rate", "a commit lets the model learn a hundredth as fast: it is refused",
             then(default("learning_rate", "0.3", "0.003"), SAME), "alert/release_candidate",
             parameter("fraud_model.learning_rate"), must_stop=True),
    Incident("default-two", "one tree, and it learns a hundredth as fast; a seed that does nothing",
             then(default("max_depth", "6", "1"), default("reg_alpha", "0.0", "50.0"),
                  default("seed", "0", "7"), SAME), "alert",
             parameter("fraud_model.max_depth", "fraud_model.reg_alpha"), decoy=True,
             must_stop=True),
    Incident("default-labels", "a relabelled day, and a commit that makes one tree of a hundred",
             then(FEWER_TREES, again(relabelled(28))), "alert/release_candidate",
             of_day(28) | parameter("fraud_model.n_estimators"), must_stop=True),
    Incident("code", "a commit changes how the model learns", then(learns_from_few(), SAME),
             "model@candidate", code(MODEL)),
    Incident("code-measure", "a commit counts other cards when it measures",
             then(edit(EVALUATION, "CARDS_PER_DAY: Final = 100", "CARDS_PER_DAY: Final = 1000",
                       "more cards"), SAME), "alert", code(EVALUATION), must_stop=True),
    Incident("code-decoy", "a commit changes how the model learns; another one is far larger",
             then(clean_up(), learns_from_few(), SAME), "model@candidate", code(MODEL),
             decoy=True),
    Incident("twin", "both definitions of a feature say otherwise", then(other_night(), SAME),
             "alert", code(MART, RECOMPUTE)),
    Incident("promoted", "a model that learnt slowly was approved, and a day is scored by it",
             promoted(then(clean_up(), default("learning_rate", "0.3", "0.05"))),
             f"{SCORES}/{day(46)}", parameter("fraud_model.learning_rate"), decoy=True),
    Incident("one-score", "a customer's payments of the day before are in cents",
             again({44: amounts(100, pl.col("CUSTOMER_ID") == CARD), 43: other_scenario}, *SCORED),
             str(PAYMENT), of_day(44), decoy=True),
    Incident("twin-window", "both definitions of a window say otherwise, a day is scored again",
             then(shorter_window(), run(*SCORED)), "alert", code(WINDOWS, RECOMPUTE),
             must_stop=True),
    Incident("scores-day", "a day in the window is relabelled, a day is scored again",
             again(relabelled(37), *SCORED), f"{SCORES}/{day(45)}", of_day(37), must_stop=True),
    Incident("scores-two", "two days in the window are relabelled, a third is dearer",
             again({36: labels(120), 37: labels(120), 43: other_scenario}, *SCORED),
             f"{SCORES}/{day(45)}", of_day(36, 37), decoy=True, must_stop=True),
    Incident("scores-dearer", "all payments of two days are in cents", again(
        {44: amounts(100), 45: amounts(100)}, *SCORED), "alert", of_day(44, 45),
        must_stop=True),
    Incident("rolled-back", "a relabelled day comes back to its first delivery", rolled_back,
             "model@candidate", of_day(28), must_stop=True),
    Incident("window", "a commit changes a feature's definition",
             then(edit(WINDOWS, "between 86399 preceding", "between 89999 preceding",
                       "a wider window"), lambda place: (place.deliver(46), place.run())),
             f"transaction_features/{day(46)}", code(WINDOWS), must_stop=True),
    Incident("tree", "what ran was never committed", then(uncommitted, new_day()), "alert",
             code("work tree"), must_stop=True),
    Incident("tree-labels", "what ran was never committed; a commit before it is far larger",
             then(clean_up(), uncommitted, new_day()), "alert", code("work tree"), decoy=True,
             must_stop=True),
    Incident("none-lock", "the lock names another version than the one that computed",
             then(edit("requirements.lock", *_bump(), "upgrade xgboost"), new_day()),
             "model@candidate", NONE, decoy=True),
    Incident("none-order", "a day comes again, sorted otherwise", again({28: other_order}),
             f"{RAW}/{day(28)}", NONE, decoy=True),
    Incident("none-scenario", "a column that nothing is made of changed; the next model is worse",
             then(again({28: other_scenario, 30: other_scenario}), new_day()), "model@candidate",
             NONE, decoy=True),
    Incident("none-commit", "commits that change no value, and another model",
             then(clean_up(), commit_file("docs/notes.md", "notes\n"),
                  default("seed", "0", "7"), SAME), "model@candidate", NONE, decoy=True),
    Incident("none-model", "a day more, a model more, and nothing else", nothing,
             "model@candidate", NONE, base="next-day"),
    Incident("none-scores", "a day more is scored", nothing, f"{SCORES}/{day(46)}", NONE,
             base="next-day"),
)  # fmt: skip
