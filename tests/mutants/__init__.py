"""Do the tests see it? Faults are put into a copy of the tree, one by one: `make mutants`."""
