"""The whole graph, headless: the jobs that are due, one after the other, and what they said.

Beside it the demo, and the servers of `make production` that it can be played on.
"""
