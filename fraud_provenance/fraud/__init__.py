"""Fraud knowledge: transactions, contracts, features, model and evaluation.

Dataframe in, dataframe out (Polars at the borders; pandas, Feast, XGBoost and Great Expectations
only inside the functions that need them). What comes in are paths or frames and plain values; what
goes out are frames, bytes and frozen reports. This package knows nothing of evidence, signatures,
Dagster or MLflow, and imports nothing of `fraud_provenance` but itself.
"""
