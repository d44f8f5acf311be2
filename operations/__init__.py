"""Verbs on a FreeBSD host: ordinary pyinfra operations whose commands come with their undo.

They know nothing of steps or of the site file, and work in any other pyinfra deploy.
"""
