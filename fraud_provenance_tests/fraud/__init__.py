"""Tests of `fraud_provenance.fraud`."""
