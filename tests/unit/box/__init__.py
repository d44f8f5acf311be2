"""Tests of the boxes and their clients, which need no guest."""
