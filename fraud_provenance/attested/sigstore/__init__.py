"""Signing and verifying Sigstore bundles, and holding the log against the store.

In: statements and tokens; bytes of bundles. Out: bundles; verified statements with signer, time and
place in the log. Not here: whether that signer was allowed to say it.
"""
