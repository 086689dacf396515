"""The transparency log as its readers see it: Merkle trees, signed notes, tiles, witnesses.

In: the log's files and signed heads. Out: proofs that lead to a head, or a refusal. Not here: what
an entry means.
"""
