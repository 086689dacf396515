"""The trust kernel: what evidence is, and the only code that may call something trusted.

In: bytes (manifests, Sigstore bundles, files), the layout, the trusted root and the time.
Out: manifests, signed statements, verdicts.
Not here: Dagster, dataframes, policy decisions, processes, environment variables.
"""
