"""An attacker in each jail: named attempts, and whether the host sees that one has succeeded.

`python -m tests.breakin [--on qemu|standin]` applies all steps while attempts that last are in the
jails, plays all others in the steady state and again before each undo, and rolls back.
Whether an attempt has succeeded is asked on the host, never of the attacker. Each question is also
asked after a success was planted by the host's root: one that does not see it proves nothing.
"""
