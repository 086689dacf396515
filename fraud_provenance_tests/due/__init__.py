"""Tests of `fraud_provenance.due`."""
