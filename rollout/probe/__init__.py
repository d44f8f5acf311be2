"""Who answers, asked from outside: the prober, its protocols, and the outages that it saw."""
