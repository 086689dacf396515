"""Tests of alerts: what they say, where they go, and that each goes there once."""
