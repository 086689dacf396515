"""The one verifier: from a statement down to what it rests on, all of it.

In: a store, a layout. Out: verified nodes and verdicts; versions, waivers and revocations; the
files on disk against what is attested of them. Not here: decisions.
"""
