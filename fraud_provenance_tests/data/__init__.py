"""Tests of `fraud_provenance.data`."""
