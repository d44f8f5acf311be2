"""A package, so that nobody else's `tests` is found in its place."""
