"""Tests of the trust kernel: honest evidence is trusted, each lie is refused with its code."""
