"""What leaves the process on the trust library's behalf: small protocols, and where they lead here.

In: names and bytes. Out: bytes as they were put, or an error with its root cause. Nothing here
knows what the bytes mean, and nothing is trusted for coming through a port: whoever reads compares
digests and verifies. Each port has a form for this machine and one in memory, held to the same
tests; `workspace` alone chooses. What reads a log's files is a port of `tlog` (`LogSource`).
"""
