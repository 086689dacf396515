"""Tests of the asset graph: its keys, its checks, its alerts."""
