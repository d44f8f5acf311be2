"""What is done to the server: one module per subject, named in the site file's `order`.

A subject is a module with `REQUIRES`, the subjects that must come before it, and `steps(site)`.
"""
