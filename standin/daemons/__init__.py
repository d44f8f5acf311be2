"""The daemons of the model: which there are, what their configuration says, why one does not start,
and what a client gets of one that runs: zones, rows, mail, PHP.
"""
