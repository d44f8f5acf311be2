"""What is done to the server: one module a subject, named in the site file's `order`.

A subject is a module with `REQUIRES`, the subjects that must stand before it, and `steps(site)`.
"""
