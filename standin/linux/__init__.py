"""What the stand-in has of this Linux machine: its system calls, programs and processes, the files
below a root directory with their owners and flags, and the way from a shim to the model and back.
"""
