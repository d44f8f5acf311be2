"""Runs steps on the host and undoes them."""
