"""What a step refuses before it reads or signs anything."""

import pytest

from fraud_provenance.evidence.encoding import digest_bytes
from fraud_provenance.evidence.errors import ConfigError
from fraud_provenance.gates.step import Step
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
