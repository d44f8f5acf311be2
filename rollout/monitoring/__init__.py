"""What `cellblock watch` asks after the move, and what of it is new, still so, or over."""
