"""Verbs on a FreeBSD host: ordinary pyinfra operations whose commands know their way back.

They know nothing of steps or of the site file, and work in anybody's own pyinfra deploy.
"""
