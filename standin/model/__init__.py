"""The state of the host that a power cut deletes: network, firewall, mounts, jails, the running
daemons, the pending faults; and what follows from that alone, such as who answers a client.
`host.py` holds the state. The modules that change it import it, and it imports none of them.
"""
