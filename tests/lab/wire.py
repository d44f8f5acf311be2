"""A wire with nothing else on it: the guest at one end, all its clients at the other."""

import itertools
import subprocess
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tests.lab import leftovers

GUEST = "203.0.113.2"
OPERATOR = "203.0.113.1"  # also the guest's gateway, and what a program speaks from by default
CLIENTS = ("203.0.113.10", "203.0.113.11", "203.0.113.12")
TAP = "tap0"

_numbers = itertools.count(1)


class Wire:
    """A network namespace that holds a tap and the addresses of operator and clients.

    It has no other interface but lo, so nothing that is sent in it can leave this machine.
    """

    def __init__(self) -> None:
        self.name = f"{leftovers.prefix()}{next(_numbers)}"
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        _ip("netns", "add", self.name)
        self._undo.callback(_ip, "netns", "del", self.name)  # its tap goes with it
        try:
            _ip("-n", self.name, "link", "set", "lo", "up")
            _ip("-n", self.name, "tuntap", "add", TAP, "mode", "tap")
            for address in (OPERATOR, *CLIENTS):
                _ip("-n", self.name, "address", "add", f"{address}/24", "dev", TAP)
            _ip("-n", self.name, "link", "set", TAP, "up")
        except BaseException:
            self._undo.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._undo.close()

    def argv(self, *command: str) -> list[str]:
        """That command as it must be started to run on this wire (`ip netns exec` execs it)."""
        return ["ip", "netns", "exec", self.name, *command]


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
