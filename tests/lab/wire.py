"""A private network: the guest at one end, all its clients at the other, nothing else on it."""

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from box import leftovers
from box.qemu.image import TOOLS
from box.qemu.network import ID, SSH
from box.requirements import Missing, require_tools

GUEST = "203.0.113.2"
OPERATOR = "203.0.113.1"  # also the guest's gateway, and the default source address of programs
CLIENTS = ("203.0.113.10", "203.0.113.11", "203.0.113.12")
TAP = "tap0"
BRIDGE, FAR, NEAR = "br0", "far0", "near0"
MAC = "02:00:cb:00:71:01"  # the same on every wire, since a restored guest remembers it
NAMESPACES = Path("/run/netns")

_numbers = itertools.count(1)


class Wire:
    """A network namespace: a tap and, beyond a bridge, the addresses of operator and clients.

    It has no route out, so nothing that is sent in it can leave this machine.
    """

    kind = "bridged"
    ssh = (GUEST, SSH)
    known_as = GUEST
    sources = CLIENTS

    def __init__(self) -> None:
        self.name = f"{leftovers.prefix()}{next(_numbers)}"
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        sweep()
        _ip("netns", "add", self.name)
        self._undo.callback(_ip, "netns", "del", self.name)  # its tap goes with it
        try:
            _ip("-n", self.name, "link", "set", "lo", "up")
            _ip("-n", self.name, "tuntap", "add", TAP, "mode", "tap")
            _ip("-n", self.name, "link", "add", BRIDGE, "type", "bridge")
            _ip("-n", self.name, "link", "add", FAR, "type", "veth", "peer", "name", NEAR)
            _ip("-n", self.name, "link", "set", NEAR, "address", MAC)
            for address in (OPERATOR, *CLIENTS):
                _ip("-n", self.name, "address", "add", f"{address}/24", "dev", NEAR)
            for port in (TAP, FAR):
                _ip("-n", self.name, "link", "set", port, "master", BRIDGE)
            for interface in (BRIDGE, TAP, FAR, NEAR):
                _ip("-n", self.name, "link", "set", interface, "up")
        except BaseException:
            self._undo.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._undo.close()

    def argv(self, *command: str) -> list[str]:
        """The argv that runs that command on this wire (`ip netns exec` execs it)."""
        return ["ip", "netns", "exec", self.name, *command]

    def door(self, port: int, proto: str = "tcp") -> tuple[str, int]:
        return GUEST, port

    @contextmanager
    def narrow(self, rate: str) -> Iterator[None]:
        """Limit what the guest sends to `rate`, in tc(8)'s notation: "100mbit"."""
        queue = ("qdisc", "add", "dev", FAR, "root", "tbf", "rate", rate)
        _run(*self.argv("tc", *queue, "burst", "64k", "latency", "400ms"))
        try:
            yield
        finally:
            _run(*self.argv("tc", "qdisc", "del", "dev", FAR, "root"))

    def netdev(self) -> str:
        """qemu's end of the wire."""
        return f"tap,id={ID},ifname={TAP},script=no,downscript=no"


def require_rights_and_tools() -> None:
    """Raises Missing unless this machine can provide a namespace, a tap and a guest."""
    require_tools({**TOOLS, "ip": "iproute2", "setpriv": "util-linux"})
    if os.geteuid() != 0:
        raise Missing("a network namespace with a tap is required, and only root can make one here")
    if not Path("/dev/net/tun").exists():
        raise Missing("/dev/net/tun does not exist, so the guest cannot be connected")


def sweep() -> None:
    """Remove the wires of processes that have ended."""
    for namespace in filter(leftovers.is_abandoned, NAMESPACES.glob("cellblock-box-*")):
        subprocess.run(["ip", "netns", "del", namespace.name], check=False)


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(argv)}: {done.stderr.strip()}")
