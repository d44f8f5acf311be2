"""Ports that are not public, watched from the host.

ssh forwards a port of this machine to each of them. So the host itself is the client, and the
prober asks them like any other port. These probes cannot tell who answers, since sshd makes the
connection (docs/decisions/0025).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rollout.host.session import Session, Ssh
from rollout.probe.watch import Watch
from rollout.probe.watches import watched
from rollout.site import Listen, Site

_OPENS_WITHIN = 30.0  # seconds: ssh's own limit for a connection


def ports(site: Site) -> list[tuple[str, Listen]]:
    """The ports that are not public, each with the name of its service."""
    return [
        (name, listen)
        for name, service in site.services.items()
        for listen in service.ports
        if not listen.public
    ]


@contextmanager
def private_watches(site: Site, target: Ssh, say: Callable[[str], None]) -> Iterator[list[Watch]]:
    """A watch for each private TCP port, as long as the context lasts.

    ssh does not forward UDP, and a host may forbid forwarding. Ports that are not watched are
    reported to `say`.
    """
    wanted = [(name, listen) for name, listen in ports(site) if listen.proto == "tcp"]
    for name, listen in ports(site):
        if listen.proto == "udp":
            say(f"{name} {listen.port}/udp is not public: not watched, since ssh forwards no UDP")
    if not wanted:
        yield []
        return
    ends = [(_free_port(), address) for address in _addresses(site, target, wanted)]
    forwards = [
        word
        for (here, address), (_, listen) in zip(ends, wanted, strict=True)
        for word in ("-L", f"127.0.0.1:{here}:{address}:{listen.port}")
    ]
    ssh = ["ssh", "-N", "-o", "ExitOnForwardFailure=yes", *forwards, *target.argv()[1:]]
    # A restart of the host ends the connection, but not the run, so ssh is started again.
    again = subprocess.Popen(
        ["/bin/sh", "-c", 'while :; do "$@"; sleep 1; done', "sh", *ssh],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        found = []
        for (here, _), (name, listen) in zip(ends, wanted, strict=True):
            if _is_open(here):
                found.append(watched(site, name, listen, "127.0.0.1", here))
            else:
                say(f"{name} {listen.port}/tcp is not public: not watched, ssh does not forward it")
        yield found
    finally:
        os.killpg(again.pid, signal.SIGKILL)
        again.wait()


def _addresses(site: Site, target: Ssh, wanted: list[tuple[str, Listen]]) -> list[str]:
    """The address at which each port answers on the host: the public one, or only 127.0.0.1."""
    wan = str(site.host.wan_address)
    lines = [
        f"if nc -z -w 3 {wan} {listen.port} >/dev/null 2>&1; then echo {wan}; "
        "else echo 127.0.0.1; fi"
        for _, listen in wanted
    ]
    with Session(target) as session:
        return session.output("; ".join(lines)).split()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _is_open(port: int) -> bool:
    """Whether the forwarded port reaches the host. If forwarding is forbidden, sshd closes the
    connection at once.
    """
    deadline = time.monotonic() + _OPENS_WITHIN
    while time.monotonic() < deadline:
        with (
            suppress(ConnectionRefusedError),
            socket.create_connection(("127.0.0.1", port), timeout=5) as connection,
        ):
            connection.settimeout(2.0)
            try:
                return connection.recv(1) != b""
            except TimeoutError:
                return True  # in this protocol the client speaks first
            except OSError:
                return False
        time.sleep(0.1)
    return False
