"""Data from outside: files as people deliver them, made into landed days, or refused with a reason.

In: paths, and a mapping where the columns are not ours. Out: `landing/<day>.parquet`. Nothing here
is trusted yet. Not here: what values may be (the contracts judge that), evidence, DVC.
"""
