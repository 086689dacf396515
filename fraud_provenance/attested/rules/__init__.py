"""What is expected: the layout of steps and people, and the releases that put it into force.

In: policy files, signed releases. Out: who may sign what, from what, with which parameters.
"""
