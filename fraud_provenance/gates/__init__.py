"""Gates: verified facts in, signed decisions out; and `Step`, the only way to data.

In: the trust kernel's verified nodes. Out: OPA's answers as signed verification summaries,
approvals, promotions. Not here: Dagster, dataframes, how a server is started.
"""
