"""The life of a model: registry, evidence, registration, approval, promotion, champion, serving.

In: verified nodes and MLflow's registry. Out: facts for the gates, signed decisions, the champion.
Not here: Dagster, dataframes, how a model is trained.
"""
