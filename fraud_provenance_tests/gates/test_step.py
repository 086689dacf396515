"""What a step refuses before it reads or signs anything, and what a killed one leaves."""

import pytest

from fraud_provenance.evidence.encoding import digest_bytes
from fraud_provenance.evidence.errors import ConfigError, VerificationError
from fraud_provenance.gates.step import Step, recover
from fraud_provenance_tests.conftest import Chain, codes


@pytest.mark.parametrize("step", ["ingest", "features", "training_set", "train", "score"])
def test_step_beside_whose_parameters_a_variable_is_set_is_refused(chain: Chain, step: str) -> None:
    Step(chain.trust, step, "run")
    chain.trust.variables = {"DBT_SAMPLE": digest_bytes(b"1 day")}
    with pytest.raises(ConfigError, match="DBT_SAMPLE") as caught:
        Step(chain.trust, step, "run")
    assert codes(caught.value) == ["PARAM_UNEXPECTED"]


def test_step_with_a_parameter_that_the_layout_does_not_know_is_refused(chain: Chain) -> None:
    with pytest.raises(ConfigError, match="sample_frac"):
        Step(chain.trust, "train", "run", {"max_depth": 6, "sample_frac": 0.01})


@pytest.mark.parametrize("folder", ["evidence/bundles", "trust/checkpoints", "landing", "run"])
def test_recover_removes_what_a_killed_writer_left(chain: Chain, folder: str) -> None:
    left = chain.trust.home / folder / ".a.json.0123456789ab.tmp"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_bytes(b"half of a ")
    assert recover(chain.trust) == ["removed 1 unfinished files"]
    assert not left.exists()
    assert recover(chain.trust) == []


def test_step_neither_writes_nor_takes_over_a_secret(chain: Chain) -> None:
    key = (chain.trust.home / "trust" / "private" / "workloads.key").read_bytes()
    folder = chain.trust.home / "data" / "feature_store"
    folder.mkdir(parents=True)
    (folder / "online.parquet").write_bytes(b"PAR1" + key)
    with Step(chain.trust, "feature_store", "run") as step:
        with pytest.raises(VerificationError, match=r"SECRET_IN_TREE\(a/b.txt\)"):
            step.write("", "a/b.txt", b"x" * 100_000 + key, [])
        with pytest.raises(VerificationError, match=r"SECRET_IN_TREE\(online.parquet\)"):
            step.adopt("", [])
