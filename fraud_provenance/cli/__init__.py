"""The command line: a file a group of commands, each with `register(app)`.

In: what a person types. Out: text, or one JSON document; exit 0: trusted or done, 1: not trusted or
refused, 2: could not decide. `application` puts the groups together, `terminal` is how all of them
speak, `answers` prints what an investigation found. Heavy libraries are imported by the commands
that need them. Nothing here decides, verifies or signs.
"""
