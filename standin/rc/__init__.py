"""rc(8): the boot, the rc scripts in their order, and what `service NAME COMMAND` says and does."""
