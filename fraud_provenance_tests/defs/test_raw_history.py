"""What is kept of accepted days is believed as it was signed, or made again from attested bytes."""

from types import SimpleNamespace

import polars as pl
import pytest

from fraud_provenance.attested.step.inputs import VerifiedInput
from fraud_provenance.attested.step.step import Step
from fraud_provenance.defs import raw_history
from fraud_provenance.fraud.summaries import from_bytes, summarise
from fraud_provenance.people.revoking import revoke_subject
from fraud_provenance_tests.conftest import DAYS, RAW, Chain

OTHER = "2018-03-31"


def rows(day: str, first: int) -> pl.DataFrame:
    """Three payments of a day."""
    moment = pl.lit(day).str.to_datetime("%Y-%m-%d", time_unit="us")
    return pl.select(
        transaction_id=pl.int_range(first, first + 3, dtype=pl.Int32),
        tx_datetime=moment + pl.duration(seconds=pl.int_range(3)),
        customer_id=pl.lit(1, pl.Int32),
        terminal_id=pl.int_range(3, dtype=pl.Int32),
        tx_amount=pl.lit(1.0),
    )


def sign(chain: Chain, history: str) -> str:
    """A result of the suite that names `history`; its statement."""
    with Step(chain.trust, "contracts", "run") as step:
        pending = step.attest_contract(
            step.read(RAW, DAYS).view, suite="raw_expectations",
            suite_digest=step.policy.layout.contract("raw_expectations").suite_digests[-1],
            checks=("x",), failures=[], rows=dict.fromkeys(DAYS, 3), history=history,
        )  # fmt: skip
        step.join_reads()
        return pending.result().statement.digest


def days_kept(chain: Chain, frames: dict[str, pl.DataFrame] | None = None) -> dict[str, str]:
    """Day to digest, of what the next judge compares with beside its own frames."""
    frames = frames or {day: rows(day, 9) for day in DAYS}
    with Step(chain.trust, "contracts", "run") as step:
        found = raw_history.summaries_of(chain.workspace, step, frames, {})
        step.join_reads()
    return dict(
        found.select("day", "sha256").filter(~pl.col("day").is_in(list(frames))).iter_rows()
    )


@pytest.fixture
def kept(chain: Chain) -> str:
    """An accepted day that no attested day names any more, signed for."""
    table = summarise({OTHER: rows(OTHER, 0), DAYS[0]: rows(DAYS[0], 3)}, {OTHER: "a" * 64})
    digest = raw_history.keep(chain.workspace, table, [OTHER])
    sign(chain, digest)
    return digest


def test_days_that_were_accepted_are_known_again(chain: Chain, kept: str) -> None:
    content = (chain.workspace.history / f"{kept}.parquet").read_bytes()
    assert from_bytes(content)["day"].to_list() == [OTHER]
    assert days_kept(chain) == {OTHER: "a" * 64}


def test_file_that_is_not_what_was_signed_says_nothing(chain: Chain, kept: str) -> None:
    path = chain.workspace.history / f"{kept}.parquet"
    forged = summarise({"2018-03-30": rows("2018-03-30", 0)})
    other = raw_history.keep(chain.workspace, forged, ["2018-03-30"])
    path.write_bytes((chain.workspace.history / f"{other}.parquet").read_bytes())
    assert days_kept(chain) == {}
    path.unlink()
    assert days_kept(chain) == {}


def test_result_that_was_revoked_says_nothing(chain: Chain) -> None:
    table = summarise({OTHER: rows(OTHER, 0)})
    statement = sign(chain, raw_history.keep(chain.workspace, table, [OTHER]))
    assert days_kept(chain) == {OTHER: ""}
    revoke_subject(chain.workspace, statement, "judged by a stranger")
    assert days_kept(chain) == {}


def test_day_that_was_delivered_anew_is_forgotten(chain: Chain) -> None:
    head = chain.trust.store.heads(RAW)[DAYS[0]][0].sha256
    for sha256, expected in (("b" * 64, {}), (head, {DAYS[0]: head})):
        table = summarise({DAYS[0]: rows(DAYS[0], 0)}, {DAYS[0]: sha256})
        sign(chain, raw_history.keep(chain.workspace, table, [DAYS[0]]))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(raw_history, "judged_days", lambda *_: set())
            assert days_kept(chain, {DAYS[1]: rows(DAYS[1], 9)}) == expected


def test_passed_day_of_which_nothing_is_kept_is_read_again(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def frames_of(read: VerifiedInput) -> dict[str, pl.DataFrame]:
        return {item.partition: rows(item.partition, 0) for item in read.files}

    monkeypatch.setattr(raw_history, "support", SimpleNamespace(frames_of=frames_of))
    head = chain.trust.store.heads(RAW)[DAYS[1]][0].sha256
    assert days_kept(chain, {DAYS[0]: rows(DAYS[0], 9)}) == {DAYS[1]: head}


def test_few_files_are_kept(chain: Chain) -> None:
    for first in range(12):
        raw_history.keep(chain.workspace, summarise({OTHER: rows(OTHER, first)}), [OTHER])
    assert len(list(chain.workspace.history.iterdir())) == 8
