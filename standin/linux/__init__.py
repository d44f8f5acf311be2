"""The parts of this Linux machine that the stand-in uses: system calls, programs and processes, the
files below a root directory with their owners and flags, and the calls from a shim to the model.
"""
