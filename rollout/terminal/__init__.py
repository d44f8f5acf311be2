"""How a run is shown: on a terminal, in lines, as events, to the user's hook."""
