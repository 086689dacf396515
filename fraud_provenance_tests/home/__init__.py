"""Tests of `fraud_provenance.home`."""
