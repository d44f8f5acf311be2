"""A box under Vagrant, by the Vagrantfile at the project's root."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from shlex import quote
from typing import Any

from box import leftovers, provision, remote
from box.image import Missing, has
from box.remote import STILL_BOOTING, Answer, GuestError, answers
from box.traffic import traffic
from rollout.box import Box
from rollout.errors import Refused
from rollout.host import Session, Ssh
from rollout.site import Site
from rollout.watch import FromOutside, watches

PROJECT = Path(__file__).parents[1]
BOOT_LIMIT = 600.0  # seconds
CUT = 5.0  # seconds without sshd: every connection is ended, none is let in


class Machine:
    """A running Vagrant machine: a Remote that has the site's public address on this machine's own
    network, so no port is forwarded.
    """

    sources: Sequence[str] = ()

    def __init__(self, vagrant: Any, site: Site, scratch: Path) -> None:
        self.scratch = scratch
        self._vagrant = vagrant
        self._address = str(site.host.wan_address)
        known_hosts = scratch / "known_hosts"
        self.target = Ssh(
            self._address, key=Path(vagrant.keyfile()).resolve(), known_hosts=known_hosts
        )
        self._learn(known_hosts)

    def _learn(self, known_hosts: Path) -> None:
        """Its host key was made at its first boot, on a network that ends at this machine."""
        told = subprocess.run(
            ["ssh-keyscan", "-T", "30", self._address], capture_output=True, text=True, check=False
        )
        if not told.stdout:
            raise Refused(
                f"the vagrant machine does not answer ssh at {self._address}",
                evidence=told.stderr,
                todo="VirtualBox wants that network in /etc/vbox/networks.conf (docs/box.md)",
            )
        known_hosts.write_text(told.stdout, encoding="utf-8")

    def door(self, port: int, proto: str = "tcp") -> tuple[str, int]:
        return self._address, port

    def argv(self, *command: str) -> list[str]:
        return list(command)

    def sh(self, command: str, timeout: float = 120.0) -> Answer:
        return remote.sh(remote.ssh_argv(self.target, remote.RUN_IN_SH), command, timeout)

    def wait_until(self, question: Callable[[], bool], what: str, limit: float) -> None:
        deadline = time.monotonic() + limit
        while not question():
            if time.monotonic() > deadline:
                raise GuestError(f"the vagrant machine was not {what} after {limit:.0f} s")
            time.sleep(0.5)

    def booted(self) -> None:
        self.wait_until(lambda: answers(self, f"! {STILL_BOOTING}"), "booted", BOOT_LIMIT)

    def reboot(self) -> None:
        self._vagrant.reload()
        self.booted()

    def pull_plug(self) -> None:
        self._vagrant.halt(force=True)
        self._vagrant.up()
        self.booted()

    def cut(self) -> None:
        """Ends every ssh connection, ours too, and lets none in for a moment."""
        ended = "service sshd onestop; pkill -f 'sshd: root'"
        line = f"{ended}; sleep {CUT:.0f}; service sshd onestart"
        with suppress(GuestError):
            self.sh(f"daemon -f sh -c {quote(line)}")
        time.sleep(2 * CUT)


@contextmanager
def vagrant_box(site: Site, say: Callable[[str], None]) -> Iterator[Box]:
    """A machine of its own in a scratch directory; destroyed when the context ends."""
    if not has("vagrant"):
        raise Missing(
            "not installed: vagrant, with VirtualBox or vagrant-libvirt",
            todo="install it, or rehearse --on qemu",
        )
    leftovers.sweep()
    with tempfile.TemporaryDirectory(prefix=leftovers.prefix()) as name:
        scratch = Path(name)
        log = scratch / "vagrant.log"
        vagrant = opened(scratch, site, log)
        try:
            say("vagrant up: fetching the box the first time, this takes a while")
            _asked(vagrant.up, log)
            _asked(vagrant.reload, log)  # the Vagrantfile names the interfaces as the site does
            machine = Machine(vagrant, site, scratch)
            machine.booted()
            provision.provision(machine, site, say)
            with closing(FromOutside(machine.target)) as outside:
                yield _box(machine, outside, site)
        finally:
            with suppress(subprocess.CalledProcessError):
                vagrant.destroy()


def _box(machine: Machine, outside: FromOutside, site: Site) -> Box:
    with Session(machine.target) as session:
        system = session.output("uname -sr").strip()
    return Box(
        name=f"{system} under vagrant",
        target=machine.target,
        outside=outside,
        watches=watches(site),
        witness=tuple(machine.target.argv("/bin/sh")),
        reboot=machine.reboot,
        pull_plug=machine.pull_plug,
        cut=machine.cut,
        traffic=lambda say: traffic(machine, site, say),
        is_freebsd=True,
    )


def opened(scratch: Path, site: Site, log: Path, environ: Mapping[str, str] = os.environ) -> Any:
    """python-vagrant's hold on the Vagrantfile, with the machine's own files in `scratch`."""
    import vagrant  # noqa: PLC0415 - it says on stderr, when imported, that there is no vagrant

    environment = {
        **environ,
        "VAGRANT_CWD": str(PROJECT),
        "VAGRANT_DOTFILE_PATH": str(scratch / "vagrant"),
        "CELLBLOCK_VAGRANT_ADDRESS": str(site.host.wan_address),
        "CELLBLOCK_VAGRANT_INTERFACE": site.host.wan_interface,
    }
    words = vagrant.make_file_cm(str(log), "a")
    return vagrant.Vagrant(root=str(PROJECT), env=environment, out_cm=words, err_cm=words)


def _asked(command: Callable[[], object], log: Path) -> None:
    try:
        command()
    except subprocess.CalledProcessError:
        raise Refused(
            "vagrant could not bring the machine up",
            evidence=log.read_text(errors="replace")[-2000:],
            todo="`vagrant up` in the project's directory shows more",
        ) from None
