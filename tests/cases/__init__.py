"""Varied hosts: each must behave the same after the move, or be refused. See `__main__`."""
