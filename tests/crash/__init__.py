"""Every failure at every command: each kind of fault hits each command of every step and undo.

`make crash` runs all cases on the stand-in; see docs/recovery.md.
"""
