"""The clients of the site: each an own process that asks all the time and writes down every answer.

`python -m box.clients insert|verify|get|resolve|send|log-in|download --help`. Times are
time.monotonic(), which all processes of a machine share, whatever their network namespace.
"""
