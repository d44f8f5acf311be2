"""For each check, the lines that a person types instead: one module per noun, as in tests/checks.

Each function has the name of its check and takes the site and the check's values.
"""
