"""The host as its kernel has it, gone with the power: network, firewall, mounts, jails, the daemons
that run, the faults that wait; and what follows from that alone, such as who answers a client.
`host.py` is the state. What acts on it imports it, and it imports none of that.
"""
