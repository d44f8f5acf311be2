"""Rehearsals: apply, roll back and apply again on a box that may break."""
