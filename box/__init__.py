"""Boxes: real FreeBSD guests that may break, for rehearsals and for the tests of the laboratory.

`rehearse --on qemu` and `--on vagrant` use them (docs/box.md). A box is reached like a live host;
the engine in rollout/ knows it only as a rollout.rehearsal.box.Box.
"""
