"""Hosts as people have them: each is moved the same, or refused with words. See `__main__`."""
