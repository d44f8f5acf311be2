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
from rollout.probe.outside import FromOutside
from rollout.probe.private import private_watches
from rollout.probe.watch import Watch
from rollout.probe.watches import watches
from rollout.rehearsal.box import Box
from rollout.site import Site

PROJECT = Path(__file__).parents[1]
BOOT_LIMIT = 600.0  # seconds
END_LIMIT = 300.0  # seconds for vagrant to stop, or to destroy its machine
SCRATCH = "vagrant-"  # prefix of its scratch directory, so that leftovers.sweep() ignores it
CUT = 5.0  # seconds without sshd, in which no connection is possible


class Vagrant:
    """The machine of the Vagrantfile, by python-vagrant, with its files in `scratch`."""

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
        self._call("up", self._vagrant.up)

    def reload(self) -> None:
        self._call("reload", self._vagrant.reload)

    def pull_plug(self) -> None:
        self._call("halt", lambda: self._vagrant.halt(force=True))

    def destroy(self) -> None:
        self._call("destroy", self._vagrant.destroy)

    def key(self) -> Path:
        """The ssh key of the machine."""
        found = self._call("ssh-config", self._vagrant.keyfile)
        if found is None:
            raise Refused("vagrant names no ssh key of its machine")
        return Path(found)

    @property
    def machines(self) -> list[Path]:
        """The id files of machines that vagrant created and did not destroy."""
        return list(self.scratch.glob("vagrant/machines/*/*/id"))

    def _call(self, word: str, command: Callable[[], Any]) -> Any:
        try:
            return command()
        except subprocess.CalledProcessError:
            raise Refused(
                f"vagrant {word} failed",
                evidence=self._output()[-2000:],
                todo="see Cellblock's docs/box.md; CELLBLOCK_VAGRANT_BOX names another box",
            ) from None

    def _output(self) -> str:
        """Its log without Ruby backtraces, which would hide the provider's message."""
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(line for line in lines if not line.lstrip().startswith("from /"))


def _library(environment: Mapping[str, str], log: Path) -> Any:
    """python-vagrant, except that ^C does not kill a running vagrant (see _interrupt)."""
    import vagrant  # noqa: PLC0415 - importing it without vagrant prints a warning on stderr

    class Finishing(vagrant.Vagrant):  # type: ignore[misc] # it ships no types
        def _call_vagrant_command(self, args: Sequence[str | None]) -> None:
            # Without --no-tty, progress bars would fill the end of the log.
            command = self._make_vagrant_command([*args, "--no-tty"])
            _finish(command, environment, log, END_LIMIT if args[0] == "destroy" else None)

    return Finishing(root=str(PROJECT), env=environment, err_cm=vagrant.make_file_cm(str(log), "a"))


def _finish(
    command: Sequence[str], environment: Mapping[str, str], log: Path, limit: float | None
) -> None:
    """Run it in a session of its own, since Cellblock handles ^C at the terminal."""
    with log.open("ab") as out:
        running = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,  # so it cannot prompt
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
    """Interrupt it as ^C does. If it were killed, vagrant would not have recorded the machine that
    it is creating, and could not destroy it.
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
    """Ignore a second ^C, which would leave half a machine behind."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Machine:
    """A running Vagrant machine: a Remote with the site's public address on a network of this
    machine, so that no port is forwarded.
    """

    sources: Sequence[str] = ()

    def __init__(self, vagrant: Vagrant, site: Site) -> None:
        self.scratch = vagrant.scratch
        self._vagrant = vagrant
        self._address = str(site.host.wan_address)
        known_hosts = self.scratch / "known_hosts"
        self.target = Ssh(self._address, key=vagrant.key(), known_hosts=known_hosts)
        self._scan_host_key(known_hosts)

    def _scan_host_key(self, known_hosts: Path) -> None:
        """Record its host key, made at its first boot. The network does not leave this machine."""
        scan = subprocess.run(
            ["ssh-keyscan", "-T", "30", self._address], capture_output=True, text=True, check=False
        )
        if not scan.stdout:
            raise Refused(
                f"the vagrant machine does not answer ssh at {self._address}",
                evidence=scan.stderr,
                todo="VirtualBox needs that network in /etc/vbox/networks.conf: "
                "see Cellblock's docs/box.md",
            )
        known_hosts.write_text(scan.stdout, encoding="utf-8")

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
        """End all ssh connections, ours too, and allow none for a moment."""
        ended = "service sshd onestop; pkill -f 'sshd: root'"
        line = f"{ended}; sleep {CUT:.0f}; service sshd onestart"
        with suppress(GuestError):
            self.sh(f"daemon -f sh -c {quote(line)}")
        time.sleep(2 * CUT)


@contextmanager
def vagrant_box(site: Site, say: Callable[[str], None]) -> Iterator[Box]:
    """A new machine in a scratch directory, destroyed when the context ends."""
    if not has("vagrant"):
        raise Missing(
            "not installed: vagrant, with VirtualBox or vagrant-libvirt",
            todo="install it, or rehearse --on qemu",
        )
    leftovers.sweep()
    sweep(site, say)
    vagrant = Vagrant(Path(tempfile.mkdtemp(prefix=f"{SCRATCH}{leftovers.prefix()}")), site)
    try:
        say("vagrant up: the first time it fetches the box, which takes a while")
        vagrant.up()
        vagrant.reload()  # so that the interface names of the Vagrantfile take effect
        machine = Machine(vagrant, site)
        machine.booted()
        provision.provision(machine, site, say)
        with (
            closing(FromOutside(machine.target)) as outside,
            private_watches(site, machine.target, say) as private,
        ):
            yield _box(machine, outside, site, (*watches(site, doors={}), *private))
    finally:
        remove(vagrant, say)


def sweep(site: Site, say: Callable[[str], None]) -> None:
    """Destroy the machines that killed rehearsals left behind."""
    for scratch in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*"):
        if leftovers.is_abandoned(scratch):
            remove(Vagrant(scratch, site), say)


def remove(vagrant: Vagrant, say: Callable[[str], None]) -> None:
    """Destroy the machine and its files. If vagrant cannot, the files stay for another try."""
    with _not_interrupted():
        try:
            vagrant.destroy()
        except (Refused, subprocess.TimeoutExpired) as error:
            if vagrant.machines:
                say(f"its machine still exists; the next rehearsal tries again: {error}")
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
        socket_owner=tuple(machine.target.sh()),
        reboot=machine.reboot,
        pull_plug=machine.pull_plug,
        cut=machine.cut,
        traffic=lambda say: traffic(machine, site, say),
        is_freebsd=True,
    )
