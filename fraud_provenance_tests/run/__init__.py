"""Tests of `fraud_provenance.run`."""
