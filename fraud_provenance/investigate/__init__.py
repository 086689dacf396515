"""Investigation: what a subject is, whether it holds, and where it came from.

In: a subject as a person names it, and evidence. Out: verdicts and traces.
Not here: Dagster's database, decisions, anything that writes evidence.
"""
