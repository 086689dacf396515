"""The incident game: something goes wrong in a real home, and `blame` has to say what it was.

What plants an incident works as people do: it lands files, edits and commits code, stops servers,
signs with the command line. It knows nothing of `blame`, and the true causes are written by hand.
"""
