"""A package, so that Python finds no foreign `tests` instead."""
