"""All failures, enumerated: every command of every step and of every undo is hit by each kind.

`make crash` runs them all on the stand-in; see docs/recovery.md.
"""
