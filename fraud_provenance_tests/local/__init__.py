"""Tests of the local Sigstore."""
