"""The guest as a Target: this process connects to it over ssh on the guest's network."""

from __future__ import annotations

import subprocess
from contextlib import suppress

from box.qemu.guest import Guest


def close_pipes(shell: subprocess.Popen[bytes]) -> None:
    """Close the pipes of a killed shell, which may hold unread output."""
    for pipe in (shell.stdin, shell.stdout, shell.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


class OnWire:
    """root's /bin/sh there is FreeBSD's own."""

    name = "the guest"

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.shells: list[subprocess.Popen[bytes]] = []

    def shell(self) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        argv = self.guest.ssh_argv("/bin/sh")
        self.shells.append(
            subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
        )
        return self.shells[-1]

    def cut(self) -> None:
        """End every connection, as when the operator's machine dies."""
        for shell in self.shells:
            shell.kill()
            shell.wait()
            close_pipes(shell)
