"""Tests of `fraud_provenance`; the folders mirror the package."""
