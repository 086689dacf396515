"""What provenance costs: the whole graph with evidence, gates and verification, and without.

In: a file of transactions, or none (then they are generated). Out: seconds, CPU, memory and their
ratios. The wiring that leaves evidence out is in `plain` and nowhere else: the product has no
switch for it.
"""
