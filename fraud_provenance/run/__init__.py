"""The whole graph, headless: the jobs that are due, one after the other, and what they said."""
