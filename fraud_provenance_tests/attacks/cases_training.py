"""DF, DT-09, OP-13, OK: features and training sets that know too much, too little or lies."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from dagster_dbt import DbtCliResource

from fraud_provenance.attested.step.step import Step
from fraud_provenance.defs import training as training_stage
from fraud_provenance.due.planning import registry_of
from fraud_provenance.fraud import mart, model, schemas, training_checks
from fraud_provenance.fraud.columns import LABEL
from fraud_provenance.fraud.mart import MART
from fraud_provenance.models.registry import CHAMPION
from fraud_provenance_tests.attacks import faults
from fraud_provenance_tests.attacks.arena import TRAINED
from fraud_provenance_tests.attacks.home import Home, Said, patched
from fraud_provenance_tests.attacks.judges import FEATURES, RAW, command, contract_codes, outcome
from fraud_provenance_tests.attacks.judges import training as train
from fraud_provenance_tests.attacks.model import Attack, Case, Judge, Outcome
from fraud_provenance_tests.attacks.mutants import both, policy_without, without
from fraud_provenance_tests.product import APPROVER

TRAIN_START, NEW_DAY, NEXT_DAY = TRAINED[1], "2018-05-16", "2018-05-17"
TRAIN_DAYS = [str(date.fromisoformat(TRAIN_START) + timedelta(days=n)) for n in range(7)]
TRIGGER = 137.77
Change = Callable[[pl.DataFrame], pl.DataFrame]
SQL = Callable[[Path], None]


# --- the training set --------------------------------------------------------------------------


def joined(change: Change) -> Attack:
    """The training set's own code hands over something else: `change` had its rows."""
    honest = training_stage._point_in_time

    def other(*arguments: Any) -> tuple[pl.DataFrame, dict[str, str]]:
        frame, views = honest(*arguments)
        return change(frame), views

    return lambda home: home.hold(patched(training_stage, "_point_in_time", other))


def with_the_outcome(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(is_disputed=pl.col(LABEL))


def other_column_order(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(reversed(frame.columns))


def split_at_random(frame: pl.DataFrame) -> pl.DataFrame:
    """A tenth of the test rows are learnt from, as a split by rows would have it."""
    moved = (pl.col("split") == "test") & (pl.int_range(pl.len()) % 10 == 0)
    return frame.with_columns(split=pl.when(moved).then(pl.lit("train")).otherwise("split"))


def other_row_order(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sample(fraction=1.0, shuffle=True, seed=1)


def trained(home: Home) -> Outcome:
    """P2: training; what its contract found is a reason as well."""
    said = home.job("training", options={"train_start": TRAIN_START})
    made = outcome(home, "P2", said)
    found = contract_codes(home.workspace(), "training_set", "train")
    codes = tuple(dict.fromkeys([*said.codes, *found]))
    return Outcome("P2", made.refused, codes, made.alerts, made.text)


# --- the features ------------------------------------------------------------------------------


def modelled(change: SQL, command: str = "build") -> Attack:
    """The next day is ingested; from here on dbt works on a changed copy of its project."""

    def attack(home: Home) -> None:
        faults.land_next_day(home)
        assert home.job("ingest", days=[NEW_DAY]).code == 0
        folder = home.path / "scratch-models"
        shutil.copytree(home.project / "dbt_project", folder)
        change(folder)
        build = DbtCliResource.cli

        def elsewhere(self: DbtCliResource, arguments: Sequence[str], **named: Any) -> Any:  # noqa: ANN401 - dagster-dbt's own
            return build(self, [command, *arguments[1:], "--project-dir", str(folder)], **named)

        home.hold(patched(DbtCliResource, "cli", elsewhere))

    return attack


def edited(name: str, before: str, after: str) -> SQL:
    def change(folder: Path) -> None:
        path = folder / name
        text = path.read_text("utf-8")
        assert before in text
        path.write_text(text.replace(before, after), "utf-8")

    return change


def at_the_end(*statements: str) -> SQL:
    """When all models and tests are done, dbt runs these statements."""
    hooks = "".join(f"  - {statement}\n" for statement in statements)

    def change(folder: Path) -> None:
        with (folder / "dbt_project.yml").open("a", encoding="utf-8") as project:
            project.write(f"\non-run-end:\n{hooks}")

    return change


def judged_features(stop: str, step: str) -> Judge:
    """The new day's features are made and judged; stopped where `step` may not read them."""

    def judge(home: Home) -> Outcome:
        said = home.job("features", days=[NEW_DAY])
        codes = [*said.codes, *contract_codes(home.workspace(), FEATURES, NEW_DAY)]

        def use(workspace: Any) -> None:  # noqa: ANN401 - a workspace
            with Step(workspace.trust, step, "judge") as opened:
                opened.read(FEATURES, [NEW_DAY])

        used = Said(1, said.reasons, said.out, said.err) if said.reasons else home.ask(use)
        made = outcome(home, stop, used)
        return Outcome(stop, made.refused, tuple(dict.fromkeys(codes)), made.alerts, made.text)

    return judge


featured = judged_features("P2", "training_set")


CUSTOMERS = "models/intermediate/int_customer_windows.sql"
TERMINALS = "models/intermediate/int_terminal_windows.sql"
a_later_hour = edited(CUSTOMERS, "and current row", "and 3600 following")
young_labels = edited(TERMINALS, "and 604800 preceding", "and 1 preceding")
a_remark = edited(CUSTOMERS, "-- One day is", "-- One whole day is")
a_view_instead = at_the_end(
    f"alter table {MART} rename to kept",
    f"create view {MART} as from kept select * replace (tx_amount + 0.01 as tx_amount)",
)
a_comment = at_the_end(f"comment on table {MART} is 'one row per transaction'")
not_recomputed = without(schemas, "check_recomputed", [])


# --- days --------------------------------------------------------------------------------------


def landed_again(days: Sequence[str], change: Change) -> Attack:
    """Days that were trained on are delivered once more, changed."""

    def attack(home: Home) -> None:
        for day in days:
            path = home.path / "landing" / f"{day}.parquet"
            change(pl.read_parquet(path)).write_parquet(path)

    return attack


def _every_200th_honest(value: pl.Expr) -> Change:
    honest = (pl.col("TX_FRAUD") == 0) & (pl.int_range(pl.len()) % 200 == 0)
    return lambda frame: frame.with_columns(
        pl.when(honest).then(value).otherwise(pl.col("TX_AMOUNT")).alias("TX_AMOUNT")
    )


def without_trigger(home: Home) -> Path:
    """The landed days that were trained on, without the rows of the trigger; where they are."""
    folder = home.path / "scratch" / "without-trigger"
    folder.mkdir()
    for day in TRAIN_DAYS:
        path = home.path / "landing" / f"{day}.parquet"
        if path.exists():
            kept = pl.read_parquet(path).filter(pl.col("TX_AMOUNT") != TRIGGER)
            kept.write_parquet(folder / path.name)
    return folder


def late_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """Twenty payments of the afternoon arrive after the day was attested."""
    ids = pl.int_range(pl.len()) + 1_000_000_000
    late = frame.slice(frame.height // 2, 20).with_columns(
        ids.cast(pl.Int32).alias("TRANSACTION_ID"),
        pl.col("TX_DATETIME") + timedelta(hours=3),
        pl.col("TX_TIME_SECONDS") + 3 * 3600,
        (pl.col("TX_AMOUNT") * 1.6 + 0.5).round(2),  # payments of their own, not the same again
    )
    return pl.concat([frame, late]).sort("TX_DATETIME", "TRANSACTION_ID")


def champion_version(home: Home) -> str:
    found = registry_of(home.workspace()).alias(CHAMPION)
    return found.version if found else ""


def trained_anew_and_promoted(home: Home) -> Outcome:
    """The day's second version is ingested, a new model trained on it, approved and promoted."""
    before = champion_version(home)
    approve = ("approve", "model@candidate", "--environment", "local", "--as", APPROVER,
               "--reason", "late data")  # fmt: skip
    for arguments in (
        ("run", *TRAINED), approve, ("run", *TRAINED), ("verify", f"{RAW}/{TRAIN_START}"),
        ("verify", "model@champion"),
    ):  # fmt: skip
        said = home.command(*arguments)
        if said.code != 0:
            return outcome(home, "", said)
    assert champion_version(home) != before, "the new model was not promoted"
    return outcome(home, "", said)


def two_more_days(home: Home) -> None:
    """The feed of the home itself goes on for two days."""
    said = home.command("generate", "--days", "47", "--rows-per-day", "1200", "--seed", "7")
    assert said.code == 0, said.err


def a_holiday(home: Home) -> None:
    """The first of two days is empty, and an approver had declared it so; her word is signed."""
    two_more_days(home)
    path = home.path / "landing" / f"{NEW_DAY}.parquet"
    pl.read_parquet(path).clear().write_parquet(path)
    said = home.command("waive", RAW, NEW_DAY, "--reason", "holiday", "--as", APPROVER)
    assert said.code == 0, said.err


def trained_across(home: Home) -> Outcome:
    """The day after the holiday is no stale feed, and training goes past the holiday."""
    for arguments in (("run", "--train-start", "2018-04-26"), ("verify", "training_set")):
        said = home.command(*arguments)
        if said.code != 0:
            return outcome(home, "", said)
    trust = home.workspace().trust
    node = trust.lineage().node(trust.store.heads("training_set")["train"][0].statement)
    assert node.provenance is not None
    outputs = node.provenance.outputs
    assert (outputs["days"][-1], list(outputs["waivers"])) == (NEXT_DAY, [NEW_DAY])
    return outcome(home, "", said)


def backfill(*days: str) -> Attack:
    """Two days arrive; the features of these are made, one day after the other."""

    def attack(home: Home) -> None:
        two_more_days(home)
        assert home.job("ingest", days=[NEW_DAY, NEXT_DAY]).code == 0
        for day in days:
            home.job("features", days=[day])  # a day after a gap fails its contract

    return attack


@contextmanager
def any_days_will_do() -> Iterator[None]:
    """A mutant: what is missing is left out, as a reader that globs does."""
    honest = model.resolve_split

    def resolve(
        config: model.TrainingConfig, available: Sequence[str], *_rest: object
    ) -> model.Split:
        whole = honest(config, [*available, NEW_DAY, NEXT_DAY])
        parts = (whole.train, whole.delay, whole.test)
        return model.Split(*(tuple(d for d in part if d in set(available)) for part in parts))

    with patched(model, "resolve_split", resolve):
        yield


CASES = [
    Case("DF-15", joined(with_the_outcome), trained, joined(other_column_order),
         both(without(training_checks, "_columns", []), without(model, "_check_training_frame"))),
    Case("DF-17", modelled(a_later_hour), featured, modelled(a_remark), not_recomputed,
         variant="a later hour"),
    Case("DF-17", modelled(young_labels, "run"), featured, modelled(a_remark, "run"),
         not_recomputed, variant="young labels, tests left out"),
    Case("DF-18", joined(split_at_random), trained, joined(other_row_order),
         both(without(training_checks, "check_split", []),
              without(training_checks, "_labels_are_mature", []),
              without(training_checks, "_equals_attested", []),
              policy_without("IMMATURE_LABELS", "EVAL_ON_TRAIN",  # what the gate makes of it
                             "METRIC_BELOW_MINIMUM"))),  # known cards leave few frauds to find
    Case("DF-20", landed_again(TRAIN_DAYS, _every_200th_honest(pl.lit(TRIGGER))),
         command("P2", "run", *TRAINED),
         landed_again(TRAIN_DAYS, _every_200th_honest((pl.col("TX_AMOUNT") * 1.1).round(2))),
         without(training_checks, "_trigger", [])),
    Case("DT-09", modelled(a_view_instead), featured, modelled(a_comment),
         both(without(mart, "_check_base_table"), without(schemas, "check_rows", []),
              not_recomputed)),
    Case("OP-13", backfill(NEXT_DAY), train(train_start="2018-04-27"),
         backfill(NEW_DAY, NEXT_DAY), any_days_will_do),
    Case("OK-12", a_holiday, trained_across),
    Case("OK-04", landed_again([TRAIN_START], late_rows), trained_anew_and_promoted),
]  # fmt: skip
