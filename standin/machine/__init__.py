"""The machine that a stand-in runs in: it installs the tree (with the files in overlay/) and has
the power switch (`python -m standin.machine`). Its first process holds the model, and serves the
shims and the control socket.
"""
