"""What is said: in-toto statements with their predicates, and the manifests that they name.

In: facts. Out: canonical bytes to sign, or the facts of bytes that were signed. Not here: who
signed, and whether that counts.
"""
