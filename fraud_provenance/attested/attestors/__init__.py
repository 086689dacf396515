"""What ran: the project's own code as a commit and as bytes, and the installed packages.

In: a checkout, an installation. Out: digests and what differs from what it should be.
"""
