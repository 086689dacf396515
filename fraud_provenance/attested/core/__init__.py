"""What everything else is written in: root causes, errors, verdicts, strict JSON, files.

In: plain values and bytes. Out: canonical bytes, digests, reasons. Also what may leave at all:
no card number and no secret. Not here: statements, signatures, anything that knows a network.
"""
