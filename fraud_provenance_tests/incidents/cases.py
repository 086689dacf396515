"""The incidents.

Days are numbered: 45 is the newest of the home, 25 … 31 are learnt from, 39 … 45 are tested on. The
champion learnt from them; nobody has approved another model.
"""

from collections.abc import Callable
from datetime import timedelta

import polars as pl

from fraud_provenance_tests.incidents.model import Incident
from fraud_provenance_tests.incidents.place import SAME_DAYS, Place, day

Change = Callable[[pl.DataFrame], pl.DataFrame]
MODEL = "fraud_provenance/fraud/model.py"


# --- what a source does to a day ---------------------------------------------------------------


def labels(count: int) -> Change:
    """So many ordinary payments are called frauds."""
    chosen = (pl.int_range(pl.len()) % 7 == 3) & (pl.col("TX_FRAUD") == 0)
    these = chosen & (chosen.cum_sum() <= count)
    return lambda frame: frame.with_columns(
        pl.when(these).then(1).otherwise(pl.col("TX_FRAUD")).cast(pl.Int8).alias("TX_FRAUD"),
        pl.when(these).then(1).otherwise(pl.col("TX_FRAUD_SCENARIO")).cast(pl.Int8)
        .alias("TX_FRAUD_SCENARIO"),
    )  # fmt: skip


def amounts(factor: float, where: pl.Expr | None = None) -> Change:
    """Another unit, everywhere or in one segment."""
    changed = (pl.col("TX_AMOUNT") * factor).round(2)
    chosen = pl.lit(True) if where is None else where
    return lambda frame: frame.with_columns(
        pl.when(chosen).then(changed).otherwise(pl.col("TX_AMOUNT")).alias("TX_AMOUNT")
    )


def holes(frame: pl.DataFrame) -> pl.DataFrame:
    """A third of the amounts is missing."""
    return frame.with_columns(
        pl.when(pl.int_range(pl.len()) % 3 == 0).then(None).otherwise(pl.col("TX_AMOUNT"))
        .alias("TX_AMOUNT")
    )  # fmt: skip


def late_clock(frame: pl.DataFrame) -> pl.DataFrame:
    """The clock of the source is three hours ahead."""
    return frame.with_columns(pl.col("TX_DATETIME") + timedelta(hours=3))


def twice(frame: pl.DataFrame) -> pl.DataFrame:
    """Every fifth payment comes twice."""
    return pl.concat([frame, frame.gather_every(5)])


# --- what happens --------------------------------------------------------------------------------


def again(changes: dict[int, Change], *run: str) -> Callable[[Place], None]:
    """Days are delivered again, looked at, accepted where they are held, and used."""

    def plant(place: Place) -> None:
        for number, how in changes.items():
            place.change(day(number), how)
        place.run(*(run or SAME_DAYS))
        place.accept(*map(day, changes))
        place.run(*(run or SAME_DAYS))

    return plant


def new_day(how: Change, *, used: bool = False) -> Callable[[Place], None]:
    """The next day comes, changed."""

    def plant(place: Place) -> None:
        named = place.deliver(46, how)
        place.run()
        if used:
            place.accept(named)
            place.run()

    return plant


def honest_day(place: Place) -> None:
    place.deliver(46)
    place.run()


def fewer_days(place: Place) -> None:
    place.run("--train-start", day(31), "--train-days", "1")


def small_trees(place: Place) -> None:
    place.edit(
        MODEL, "n_estimators: int = Field(default=100", "n_estimators: int = Field(default=1"
    )
    place.run(*SAME_DAYS)


def learns_from_few(place: Place) -> None:
    before = 'rows = frame.sort("transaction_id")\n    labels = rows[LABEL]'
    after = 'rows = frame.sort("transaction_id").head(1500)\n    labels = rows[LABEL]'
    place.edit(MODEL, before, after, "train faster")
    place.run(*SAME_DAYS)


def decoy_edit(place: Place) -> None:
    """A large commit that changes no value, and a day with other labels."""
    path = "fraud_provenance/fraud/evaluation.py"
    text = "".join(f"# step {index} of the clean-up\n" for index in range(400))
    before = "CARDS_PER_DAY: Final = 100\n"
    place.edit(path, before, before + text, "tidy up the evaluation")
    again({28: labels(120)})(place)


def revoked(place: Place) -> None:
    place.say("revoke", f"raw_transactions/{day(40)}", "--reason", "the source takes it back")


def swapped_model(place: Place) -> None:
    (model,) = (place.home / "mlflow" / "artifacts").rglob("model.ubj")
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.chmod(0o644)
    model.write_bytes(bytes(content))


def deleted_file(place: Place) -> None:
    (place.home / "data" / "raw_transactions" / f"{day(33)}.parquet").unlink()


def stopped_log(place: Place) -> None:
    place.kill_server("rekor")
    place.deliver(46)
    place.run()


def hole_in_the_feed(place: Place) -> None:
    """Day 46 never comes; day 47 does."""
    place.deliver(47)
    place.run()


def higher_bar(place: Place) -> None:
    """A release asks for more, and the next candidate is refused."""
    path = "policies/data/thresholds.json"
    place.edit(path, '"average_precision": {\n      "value": 0.2,',
               '"average_precision": {\n      "value": 0.9,')  # fmt: skip
    for author in ("policy.author@example.com", "policy.reviewer@example.com"):
        place.product.ok(
            "approve",
            "policies",
            "--environment",
            "local",
            "--as",
            author,
            "--reason",
            "ask for more",
        )
    place.deliver(46)
    place.run()


def wider_window(place: Place) -> None:
    """A commit widens the shortest window of the customers' features by an hour."""
    path = "dbt_project/models/intermediate/int_customer_windows.sql"
    place.edit(path, "between 86399 preceding", "between 89999 preceding", "a wider window")
    place.deliver(46)
    place.run()


def changed_tree(place: Place) -> None:
    """Somebody runs what was never committed."""
    file = place.project / MODEL
    file.write_text(file.read_text("utf-8") + "\n# to be tried\n", "utf-8")
    place.deliver(46)
    place.run()


def lost_registry(place: Place) -> None:
    (place.home / "mlflow" / "mlflow.db").unlink()


def edited_policy(place: Place) -> None:
    """A threshold is edited, and nobody released it."""
    path = "policies/data/thresholds.json"
    place.edit(path, '"average_precision": {\n      "value": 0.2,',
               '"average_precision": {\n      "value": 0.1,')  # fmt: skip


def edited_scores(place: Place) -> None:
    path = place.home / "data" / "transaction_scores" / f"{day(45)}.parquet"
    frame = pl.read_parquet(path).with_columns(pl.lit(False).alias("is_alert"))
    path.chmod(0o644)
    frame.write_parquet(path)


def rolled_back(place: Place) -> None:
    """Wrong labels come and are used; then a person brings the first delivery back."""
    import hashlib

    right = place.home / "data" / "raw_transactions" / f"{day(28)}.parquet"
    digest = hashlib.sha256(right.read_bytes()).hexdigest()
    again({28: labels(120)})(place)
    place.product.ok("rollback", "raw_transactions", day(28), "--to", digest[:16])
    place.run(*SAME_DAYS)


def of_day(*numbers: int) -> frozenset[str]:
    return frozenset(f"data raw_transactions/{day(number)}" for number in numbers)


SCORED = ("--score", day(45))
CASES = (
    Incident("labels", "a relabelled day is accepted, the next model is worse",
             again({28: labels(120)}), "model@candidate", of_day(28), must_stop=True),
    Incident("labels-two", "two relabelled days are accepted",
             again({27: labels(80), 30: labels(80)}), "model@candidate", of_day(27, 30),
             must_stop=True),
    Incident("labels-decoy", "a relabelled day; another day's amounts changed far more",
             again({28: labels(120), 34: amounts(1.3)}), "model@candidate", of_day(28), decoy=True,
             must_stop=True),
    Incident("labels-commit", "a relabelled day; a large commit that changes no value",
             decoy_edit, "model@candidate", of_day(28), decoy=True, must_stop=True),
    Incident("parameter", "the model learns from one day instead of seven",
             fewer_days, "model@candidate", frozenset(("parameter training_set.train_days",))),
    Incident("default", "a commit changes a parameter's default",
             small_trees, "alert", frozenset(("parameter fraud_model.n_estimators",))),
    Incident("code", "a commit changes how the model learns",
             learns_from_few, "model@candidate", frozenset((f"code {MODEL}",))),
    Incident("scores-day", "a day in the window is relabelled, a day is scored again",
             again({37: labels(120)}, *SCORED), f"transaction_scores/{day(45)}", of_day(37),
             must_stop=True),
    Incident("unit", "one segment of the new day is in cents",
             new_day(amounts(100, pl.col("TERMINAL_ID") % 5 == 0)), f"raw_transactions/{day(46)}",
             of_day(46), must_stop=True),
    Incident("holes", "a third of the amounts of the new day is missing",
             new_day(holes), f"raw_transactions/{day(46)}", of_day(46), must_stop=True),
    Incident("clock", "the clock of the source is three hours ahead",
             new_day(late_clock), f"raw_transactions/{day(46)}", of_day(46), must_stop=True),
    Incident("twice", "every fifth payment of the new day comes twice",
             new_day(twice), f"raw_transactions/{day(46)}", of_day(46), must_stop=True),
    Incident("revoked", "a day is withdrawn", revoked, f"transaction_scores/{day(45)}",
             frozenset((f"revocation raw_transactions/{day(40)}",))),
    Incident("swapped", "somebody changes one bit of the champion", swapped_model,
             "model@champion", frozenset(("tampering fraud_model",))),
    Incident("deleted", "a raw day's file is gone", deleted_file, f"transaction_scores/{day(45)}",
             frozenset((f"missing raw_transactions/{day(33)}",))),
    Incident("log-down", "the log dies before the new day comes", stopped_log,
             f"transaction_scores/{day(46)}", frozenset(("infrastructure log",)), must_stop=True),
    Incident("hole", "a day never comes, the one after it does", hole_in_the_feed,
             f"transaction_scores/{day(46)}", frozenset((f"missing landing/{day(46)}",))),
    Incident("bar", "a release asks for more than any model has", higher_bar,
             "alert", frozenset(("policy thresholds.json: metrics.average_precision.value",)),
             must_stop=True),
    Incident("rolled-back", "a relabelled day comes back to its first delivery", rolled_back,
             "model@candidate", of_day(28), must_stop=True),
    Incident("window", "a commit changes a feature's definition", wider_window,
             f"transaction_features/{day(46)}",
             frozenset(("code dbt_project/models/intermediate/int_customer_windows.sql",)),
             must_stop=True),
    Incident("tree", "what ran was never committed", changed_tree, "alert",
             frozenset(("code work tree",)), must_stop=True),
    Incident("registry", "the registry is gone", lost_registry, "model@champion",
             frozenset(("infrastructure registry",))),
    Incident("policy", "a threshold was edited and not released", edited_policy, "model@champion",
             frozenset(("tampering policies/data/thresholds.json",))),
    Incident("scores-file", "somebody edits a file of scores", edited_scores,
             f"transaction_scores/{day(45)}",
             frozenset((f"tampering transaction_scores/{day(45)}",))),
    Incident("none-model", "a day more, a model more, and nothing else", honest_day,
             "model@candidate", frozenset()),
    Incident("none-scores", "a day more is scored", honest_day, f"transaction_scores/{day(46)}",
             frozenset()),
)  # fmt: skip
