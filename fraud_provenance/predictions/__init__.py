"""What was predicted: batches of scores with a Merkle root, their chain, contract and audit.

In: verified scores. Out: signed batches; every gap, fork and row that is not what was said.
"""
