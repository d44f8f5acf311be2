"""Tests of the laboratory itself, for which no guest is wanted."""
