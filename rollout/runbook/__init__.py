"""The same steps for a person: printed pages, and steps typed during a run."""
