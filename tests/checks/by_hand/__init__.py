"""For each check, what a person types in its place: a module a noun, a function a check.

Each function has the check's name and takes the site and the check's values.
"""
