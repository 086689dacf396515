"""Days of generated transactions."""

from fraud_provenance_tests.fraud.conftest import landing_days

__all__ = ["landing_days"]
