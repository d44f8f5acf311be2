"""Tests of the laboratory itself; most need no guest."""
