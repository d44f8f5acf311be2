"""The clients of the site: each is a process that sends requests and records every answer.

`python -m box.clients insert|verify|get|resolve|send|log-in|download --help`. Times are
time.monotonic(), which is the same in all processes of a machine, in any network namespace.
"""
