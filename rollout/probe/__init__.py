"""Asks the services from outside: the prober, its protocols, and the outages that it measured."""
