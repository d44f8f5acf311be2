"""Do the tests notice? Puts faults into a copy of the tree, one at a time: `make mutants`."""
