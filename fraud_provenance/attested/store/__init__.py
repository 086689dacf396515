"""Where evidence lies: bundles and manifests by digest, and an index that can be rebuilt.

In: bytes. Out: the same bytes, or a refusal. Not here: judgement; what the index says proves
nothing.
"""
