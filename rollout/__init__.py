"""The engine: it makes a plan of a site, rehearses it, runs it on a host, and undoes it."""

from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "site.example.toml"
"""The sample site file. It explains each key."""
