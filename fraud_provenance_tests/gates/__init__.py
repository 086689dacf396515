"""Tests of the gates: `Step`, the policy engine, decisions and approvals."""
