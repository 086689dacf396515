"""Deciding: verified facts go to OPA, and its answers become signed decisions.

In: a policy and verified nodes. Out: answers, signed. Also the second verifier (cosign) and the
canaries that try every judge. Not here: what the facts of one product are.
"""
