"""The same steps for a person: printed pages, and steps that are typed during a run."""
