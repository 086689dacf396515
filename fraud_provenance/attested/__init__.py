"""The trust library: what evidence is, who may say what, and what follows from it.

In: bytes, files, identities, a layout, a policy. Out: signed statements, verdicts, decisions.
Not here: anything of the fraud product. Nothing in this package imports the rest of the project.
"""
