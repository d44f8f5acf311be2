"""rc(8): the boot, the rc scripts in their order, and the output of `service NAME COMMAND`."""
