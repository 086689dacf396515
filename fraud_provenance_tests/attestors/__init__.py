"""Tests of `fraud_provenance.attested.attestors`."""
