"""The modelled daemons: their kinds, their configuration, the reasons why one does not start, and
what a client gets from a running one: zones, rows, mail, PHP.
"""
