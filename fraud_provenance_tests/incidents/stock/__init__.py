"""The stock arm: the same feed and model with Dagster, MLflow and Great Expectations as is common.

A plain job with checks of fixed bounds, parameters and metrics in MLflow, partitions in Dagster's
event log; no evidence, no gates. The same incidents happen to it, and the same kind of script asks
what its records name.
"""
