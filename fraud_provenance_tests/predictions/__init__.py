"""Tests of `fraud_provenance.predictions`."""
