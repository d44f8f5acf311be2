"""A box under Vagrant, by the Vagrantfile at the project's root."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from shlex import quote
from typing import Any

from box import leftovers, provision, remote
from box.remote import STILL_BOOTING, Answer, GuestError, answers
from box.requirements import Missing, has
from box.traffic import traffic
from rollout.errors import Refused
from rollout.host.session import Session, Ssh
from rollout.probe.outside import FromOutside, watches
from rollout.probe.private import private_watches
from rollout.probe.protocols import Watch
from rollout.rehearsal.box import Box
from rollout.site import Site

PROJECT = Path(__file__).parents[1]
BOOT_LIMIT = 600.0  # seconds
END_LIMIT = 300.0  # seconds; for vagrant to take down what it has begun, or all of it
SCRATCH = "vagrant-"  # how its scratch's name begins: leftovers.sweep() has no vagrant to ask
CUT = 5.0  # seconds without sshd: every connection is ended, none is let in


class Vagrant:
    """The Vagrantfile's machine by python-vagrant, with the machine's own files in `scratch`."""

    def __init__(self, scratch: Path, site: Site) -> None:
        self.scratch = scratch
        self._log = scratch / "vagrant.log"
        environment = {
            **os.environ,
            "VAGRANT_CWD": str(PROJECT),
            "VAGRANT_DOTFILE_PATH": str(scratch / "vagrant"),
            "CELLBLOCK_VAGRANT_ADDRESS": str(site.host.wan_address),
            "CELLBLOCK_VAGRANT_INTERFACE": site.host.wan_interface,
        }
        self._vagrant = _library(environment, self._log)

    def up(self) -> None:
        self._ask("up", self._vagrant.up)

    def reload(self) -> None:
        self._ask("reload", self._vagrant.reload)

    def pull_plug(self) -> None:
        self._ask("halt", lambda: self._vagrant.halt(force=True))

    def destroy(self) -> None:
        self._ask("destroy", self._vagrant.destroy)

    def key(self) -> Path:
        """The ssh key that the machine was made with."""
        found = self._ask("ssh-config", self._vagrant.keyfile)
        if found is None:
            raise Refused("vagrant names no ssh key of its machine")
        return Path(found)

    @property
    def machines(self) -> list[Path]:
        """Where vagrant has noted a machine that it made and did not destroy."""
        return list(self.scratch.glob("vagrant/machines/*/*/id"))

    def _ask(self, word: str, command: Callable[[], Any]) -> Any:
        try:
            return command()
        except subprocess.CalledProcessError:
            raise Refused(
                f"vagrant {word} failed",
                evidence=self._said()[-2000:],
                todo="see Cellblock's docs/box.md; CELLBLOCK_VAGRANT_BOX names another box",
            ) from None

    def _said(self) -> str:
        """Its log, without the places in its own source: they hide what a provider complains of."""
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(line for line in lines if not line.lstrip().startswith("from /"))


def _library(environment: Mapping[str, str], log: Path) -> Any:
    """python-vagrant, but that ^C does not kill a vagrant which is at work (see _interrupt)."""
    import vagrant  # noqa: PLC0415 - it says on stderr, when imported, that there is no vagrant

    class Finishing(vagrant.Vagrant):  # type: ignore[misc] # it ships no types
        def _call_vagrant_command(self, args: Sequence[str | None]) -> None:
            # Its bars would be all that the log's end shows.
            command = self._make_vagrant_command([*args, "--no-tty"])
            _finish(command, environment, log, END_LIMIT if args[0] == "destroy" else None)

    return Finishing(root=str(PROJECT), env=environment, err_cm=vagrant.make_file_cm(str(log), "a"))


def _finish(
    command: Sequence[str], environment: Mapping[str, str], log: Path, limit: float | None
) -> None:
    """In a session of its own: ^C at the terminal is ours to deal with."""
    with log.open("ab") as out:
        running = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,  # it asks nothing that way
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = running.wait(limit)
        except BaseException:
            _interrupt(running)
            raise
    if code:
        raise subprocess.CalledProcessError(code, command)


def _interrupt(running: subprocess.Popen[bytes]) -> None:
    """As ^C does. Killed instead, vagrant would not have noted a machine that it is just making,
    and could not destroy it.
    """
    with _not_interrupted(), suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGINT)
        try:
            running.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()


@contextmanager
def _not_interrupted() -> Iterator[None]:
    """Somebody who presses ^C again is not left with half a machine."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Machine:
    """A running Vagrant machine: a Remote that has the site's public address on this machine's own
    network, so no port is forwarded.
    """

    sources: Sequence[str] = ()

    def __init__(self, vagrant: Vagrant, site: Site) -> None:
        self.scratch = vagrant.scratch
        self._vagrant = vagrant
        self._address = str(site.host.wan_address)
        known_hosts = self.scratch / "known_hosts"
        self.target = Ssh(self._address, key=vagrant.key(), known_hosts=known_hosts)
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
                todo="VirtualBox wants that network in /etc/vbox/networks.conf: "
                "see Cellblock's docs/box.md",
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
        self._vagrant.pull_plug()
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
    sweep(site, say)
    vagrant = Vagrant(Path(tempfile.mkdtemp(prefix=f"{SCRATCH}{leftovers.prefix()}")), site)
    try:
        say("vagrant up: fetching the box the first time, this takes a while")
        vagrant.up()
        vagrant.reload()  # the Vagrantfile names the interfaces as the site does
        machine = Machine(vagrant, site)
        machine.booted()
        provision.provision(machine, site, say)
        with (
            closing(FromOutside(machine.target)) as outside,
            private_watches(site, machine.target, say) as private,
        ):
            yield _box(machine, outside, site, (*watches(site), *private))
    finally:
        remove(vagrant, say)


def sweep(site: Site, say: Callable[[str], None]) -> None:
    """Destroys what rehearsals left behind that were killed."""
    for scratch in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*"):
        if leftovers.is_abandoned(scratch):
            remove(Vagrant(scratch, site), say)


def remove(vagrant: Vagrant, say: Callable[[str], None]) -> None:
    """The machine and its files. Those of one that vagrant cannot destroy stay, for another try."""
    with _not_interrupted():
        try:
            vagrant.destroy()
        except (Refused, subprocess.TimeoutExpired) as error:
            if vagrant.machines:
                say(f"its machine is there still, and the next rehearsal tries again: {error}")
                return
        shutil.rmtree(vagrant.scratch, ignore_errors=True)


def _box(machine: Machine, outside: FromOutside, site: Site, watched: tuple[Watch, ...]) -> Box:
    with Session(machine.target) as session:
        system = session.output("uname -sr").strip()
    return Box(
        name=f"{system} under vagrant",
        target=machine.target,
        outside=outside,
        watches=watched,
        socket_owner=tuple(machine.target.argv("/bin/sh")),
        reboot=machine.reboot,
        pull_plug=machine.pull_plug,
        cut=machine.cut,
        traffic=lambda say: traffic(machine, site, say),
        is_freebsd=True,
    )
