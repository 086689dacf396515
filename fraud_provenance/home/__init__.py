"""One home: its settings, what may surround it, what runs in it, and the only place of composition.

`settings` says where everything lies, `workspace` chooses what stands behind each port, `session`
lets the jobs of one run share that.
"""
