"""SV-06, F7: what the scoring step signs against what it read, judged by the prediction audit."""

import io
from collections.abc import Callable

import polars as pl

from fraud_provenance.attested.step.step import Step
from fraud_provenance.defs.scoring import open_serving
from fraud_provenance.defs.training import model_files
from fraud_provenance.fraud import score_checks
from fraud_provenance.fraud.columns import SCORE_SCHEMA
from fraud_provenance.fraud.parquet import parquet_bytes
from fraud_provenance.investigate import trace
from fraud_provenance.predictions import audit as predictions
from fraud_provenance.predictions import log as prediction_log
from fraud_provenance.predictions import versions as score_versions
from fraud_provenance.predictions.batch import leaf_hashes, leaves
from fraud_provenance.predictions.rows import Comparison
from fraud_provenance_tests.attacks.home import Home
from fraud_provenance_tests.attacks.judges import command, contract_codes, outcome
from fraud_provenance_tests.attacks.model import Attack, Case, Outcome
from fraud_provenance_tests.attacks.mutants import both, without

SCORES, FEATURES = "transaction_scores", "transaction_features"
Change = Callable[[pl.DataFrame], pl.DataFrame]


def unscored_day(home: Home) -> str:
    """The newest day that has features and was never scored."""
    store = home.workspace().store
    return max(store.heads(FEATURES).keys() - store.heads(SCORES).keys())


def scored_day(home: Home) -> str:
    """The one day that is scored."""
    return max(home.workspace().store.heads(SCORES))


def sign_scores(home: Home, day: str, change: Change) -> None:
    """The scoring step scores a day with the champion, changes the rows, signs and logs them."""
    from fraud_provenance.fraud.model import predict

    with home.surroundings():
        workspace = home.workspace()
        trust, champion = workspace.trust, open_serving(workspace).champion()
        with Step(trust, "score", "attack", {"partitions": [day, day]}) as step:
            features = step.read(FEATURES, [day])
            model = step.read_statement(champion.evidence.model.statement)
            ubj, contract = model_files(workspace, step, model)
            frame = pl.read_parquet(io.BytesIO(features.files[0].content))
            score = pl.Series("score", predict(ubj, contract, frame))
            limit = float(contract["threshold"])
            scored = frame.with_columns(score, is_alert=score >= limit).select(list(SCORE_SCHEMA))
            scored = change(scored)
            sources = [features.files[0].sha256, *(part.sha256 for part in model.files)]
            step.write(day, f"{SCORES}/{day}.parquet", parquet_bytes(scored), sources)
            hashes = leaf_hashes(leaves(scored))
            step.write(day, f"{SCORES}/{day}.leaves", hashes, sources)
            outputs = {"rows": {day: scored.height}, "decision": champion.decision.statement}
            step.commit(outputs, finish=prediction_log.log_scores)


# --- what is changed -------------------------------------------------------------------------


def as_scored(scored: pl.DataFrame) -> pl.DataFrame:
    """A twin's: nothing."""
    return scored


def without_a_card(scored: pl.DataFrame) -> pl.DataFrame:
    return scored.filter(pl.col("customer_id") != scored["customer_id"][17])


def without_a_line(scored: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([scored[:17], scored[18:]])


def one_in_the_place_of_another(scored: pl.DataFrame) -> pl.DataFrame:
    """As many rows as before."""
    return pl.concat([scored[:17], scored[18:19], scored[18:]])


def without_alerts_of_a_card(scored: pl.DataFrame) -> pl.DataFrame:
    riskiest = scored.sort("score")["customer_id"][-1]
    lower = pl.when(pl.col("customer_id") == riskiest).then(0.0).otherwise(pl.col("score"))
    return scored.with_columns(lower.cast(pl.Float32).alias("score"))


# --- what is done ----------------------------------------------------------------------------


def first(change: Change) -> Attack:
    """A day is scored for the first time."""
    return lambda home: sign_scores(home, unscored_day(home), change)


def again(change: Change) -> Attack:
    """A scored day is signed again as the next version and the next batch."""
    return lambda home: sign_scores(home, scored_day(home), change)


def again_and_the_first_withdrawn(change: Change) -> Attack:
    """Only afterwards is the first version withdrawn: it was no reason to score again."""

    def attack(home: Home) -> None:
        before = home.workspace().store.heads(SCORES)[scored_day(home)][0].statement
        again(change)(home)
        revoke(home, before)

    return attack


def revoke(home: Home, statement: str) -> None:
    said = home.command("revoke", statement, "--reason", "scored in error")
    assert said.code == 0, said.err


def withdrawn_and_scored_again(home: Home) -> None:
    """A twin: people withdraw the scores, then the product's own job scores the day again."""
    day = scored_day(home)
    revoke(home, home.workspace().store.heads(SCORES)[day][0].statement)
    said = home.job("scoring", days=[day])
    assert said.code == 0, said


def delivered_again_and_scored_again(home: Home) -> None:
    """A twin: the day comes again with a row less; its features and scores are made anew."""
    day = scored_day(home)
    path = home.path / "landing" / f"{day}.parquet"
    pl.read_parquet(path)[:-1].write_parquet(path)
    before = home.workspace().store.heads(SCORES)[day][0].sha256
    for name in ("ingest", "features", "scoring"):
        said = home.job(name, days=[day])
        assert said.code == 0, (name, said)
    assert home.workspace().store.heads(SCORES)[day][0].sha256 != before


# --- who is asked ----------------------------------------------------------------------------


def contract(home: Home) -> Outcome:
    """The scores' contract, run for whatever nobody has judged yet, and what it signed."""
    day = unjudged(home)
    said = home.job("score_contracts")
    made = outcome(home, "P6", said)
    codes = tuple(contract_codes(home.workspace(), SCORES, day))
    return Outcome("P6", made.refused or bool(codes), codes, made.alerts, made.text)


def unjudged(home: Home) -> str:
    from fraud_provenance.due.planning import scores_to_judge

    with home.surroundings():
        return scores_to_judge(home.workspace())[-1]


def trace_another(home: Home) -> Outcome:
    """One score of the day that is not itself concerned."""
    newest = max((home.path / "data" / SCORES).glob("*.parquet"))
    transaction = pl.read_parquet(newest)["transaction_id"][0]
    return command("P6", "trace", str(transaction))(home)


audit = command("P6", "audit")
versions_unchecked = both(
    without(predictions, "version_problems", []), without(trace, "version_problems", [])
)
rows_unchecked = without(Comparison, "problems", [])
nothing_compared = both(versions_unchecked, rows_unchecked)

CASES = [
    Case("F7", first(without_a_card), audit, first(as_scored), nothing_compared,
         variant="by the audit"),
    Case("F7", first(one_in_the_place_of_another), command("P6", "verify", "predictions"),
         first(as_scored), rows_unchecked, variant="as many rows"),
    Case("F7", first(without_a_card), contract, first(as_scored),
         without(score_checks, "_rows", []), variant="by the contract"),
    Case("SV-06", again(without_a_line), audit, again(as_scored), nothing_compared,
         variant="a line is gone"),
    Case("SV-06", again(without_alerts_of_a_card), audit, delivered_again_and_scored_again,
         both(without(score_versions, "_fork", []), rows_unchecked), variant="other scores"),
    Case("SV-06", again_and_the_first_withdrawn(without_a_line), audit,
         withdrawn_and_scored_again, nothing_compared, variant="withdrawn afterwards"),
    Case("SV-06", again(without_a_line), trace_another, again(as_scored), versions_unchecked,
         variant="by trace"),
]  # fmt: skip
