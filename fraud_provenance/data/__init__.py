"""Data from outside: files as people deliver them, made into landed days; DVC's versions of days.

In: paths, and a mapping where the columns are not ours. Out: `landing/<day>.parquet`, or a refusal
with file, line and column. Nothing here is trusted yet. Not here: what values may be (the contracts
judge that), evidence.
"""
