"""Forward, back and forward again on a box that may break."""
