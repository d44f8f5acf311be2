"""A real FreeBSD guest that may break, on a temporary disk and a network of its own."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

from box import leftovers, remote
from box.qemu import accelerator, seed, snapshots
from box.qemu.image import Image, format_of
from box.qemu.machine import NIC, Machine
from box.qemu.network import Network
from box.remote import STILL_BOOTING, AcceleratorFailed, Answer, GuestError, answers
from rollout.host.session import Ssh

BOOT_LIMIT = 600.0  # seconds; emulated, it takes 30 alone and 150 with two more guests
OFF_LIMIT = 240.0  # seconds from shutdown(8) to a machine that is off
CUT = 25.0  # seconds without a network: until ssh gives up (see rollout.host.session.Ssh)
SNAPSHOT = "booted"
SEEDED_SIZE = "24G"  # of the disk; an official image has no free space
# qemu keeps what it translated by address: with random ones it translates a program anew at each
# start, which takes five times as long (15.0: 32 and 6 ms for true(1)). Now, and from each boot on.
_AT_FIXED_ADDRESSES = (
    "for name in enable pie_enable stack shared_page; do"  # not every release has all of them
    " sysctl kern.elf64.aslr.$name=0 >/dev/null 2>&1"
    " && echo kern.elf64.aslr.$name=0 >>/boot/loader.conf; done; :"
)


def _as_it_is(guest: "Guest") -> None: ...


class Guest:
    """`with Guest(find_image(), network) as guest:` gives a guest that has just booted, and saves a
    snapshot of it.

    `prepare` is called with the guest after its first boot. `prepared` identifies what it does, so
    that only a matching snapshot is used later. A guest leaves nothing behind except a copy of that
    snapshot for the next one (see snapshots.py).
    """

    def __init__(
        self,
        image: Image,
        network: Network,
        memory_mb: int = 1024,
        cpus: int = 2,
        *,
        prepare: Callable[["Guest"], None] = _as_it_is,
        prepared: str = "",
    ) -> None:
        self.image = image
        self.network = network
        self._memory_mb = memory_mb
        self._cpus = cpus
        self._prepare = prepare
        self._prepared = prepared
        # its name in the image's known_hosts, independent of forwarded ports
        self._known_as = seed.KNOWN_AS if image.wants_seed else network.known_as
        self._undo = ExitStack()

    @property
    def address(self) -> str:
        """The address of its sshd."""
        return self.network.ssh[0]

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            leftovers.sweep()
            # resolved: a new image may replace a link while the guest runs
            disk = self.image.disk.resolve()
            self.image = replace(self.image, format=format_of(disk))
            scratch = tempfile.TemporaryDirectory(prefix=leftovers.prefix())
            self.scratch = Path(undo.enter_context(scratch))
            self.network = undo.enter_context(self.network)
            sown = seed.sown() if self.image.wants_seed else None
            if sown is not None:
                self.image = replace(self.image, key=sown.key, known_hosts=sown.known_hosts)
            self._machine = Machine(
                self.scratch,
                self.network,
                accelerator.choose(),
                memory_mb=self._memory_mb,
                cpus=self._cpus,
                seed=sown.disk if sown else None,
            )
            undo.callback(self._machine.cut_power)
            self._boot_or_go_on(disk, SEEDED_SIZE if sown else "")
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._undo.close()

    def _boot_or_go_on(self, image: Path, size: str) -> None:
        hardware = [part.replace(str(self.scratch), "") for part in self._machine.hardware()]
        kept = snapshots.place(image, [*hardware, self._prepared], self.network.kind)
        if kept.exists():
            shutil.copyfile(kept, self._machine.disk)
            self.restore()
            return
        self._machine.lay_disk(image, self.image.format, size)
        try:
            self.boot()
        except AcceleratorFailed:
            # The firmware had run (accelerator.py), and the loader does not: seen under nested KVM.
            self._machine.emulate()
            self._boot_or_go_on(image, size)
            return
        if self._machine.emulated:
            self.sh(_AT_FIXED_ADDRESSES)
        self._prepare(self)
        self.save()
        with self._machine.held():
            snapshots.keep(self._machine.disk, kept)

    def boot(self, limit: float = BOOT_LIMIT) -> float:
        """Switch it on and wait until it has booted. Returns the seconds that took."""
        began = time.monotonic()
        self._machine.start()
        self.wait_until(lambda: answers(self, f"! {STILL_BOOTING}"), "booted", limit)
        return time.monotonic() - began

    def reboot(self) -> None:
        """Shut it down by shutdown(8), and switch it on again."""
        self.sh("(sleep 1; shutdown -p now) >/dev/null 2>&1 &")
        deadline = time.monotonic() + OFF_LIMIT
        while self._machine.runs:
            if time.monotonic() > deadline:
                raise self._silent("off", OFF_LIMIT)
            time.sleep(0.2)
        self.boot()

    def power_off(self) -> None:
        """Cut the power: nothing is shut down or flushed."""
        self._machine.cut_power()

    def save(self, name: str = SNAPSHOT) -> None:
        """Save a snapshot of memory and disk under this name."""
        self._machine.monitor.human(f"savevm {name}")

    def restore(self, name: str = SNAPSHOT) -> None:
        """Restore memory and disk from a snapshot, with the link up and the clock set."""
        # in a new qemu: after loadvm in a running one, the network did not work for 40 seconds
        self._machine.start(paused=True)
        self._machine.monitor.human(f"loadvm {name}")
        self._machine.monitor.execute("cont")
        self.wait_until(lambda: answers(self, f"date -f %s {int(time.time())}"), "restored", 120.0)

    def cut_link(self) -> None:
        """Unplug the network; the guest sees its link go down."""
        self._machine.monitor.execute("set_link", name=NIC, up=False)

    def restore_link(self) -> None:
        self._machine.monitor.execute("set_link", name=NIC, up=True)

    def cut(self) -> None:
        """Cut the network for so long that all our connections end."""
        self.cut_link()
        time.sleep(CUT)
        self.restore_link()

    def pull_plug(self) -> None:
        self.power_off()
        self.boot()

    def console(self) -> str:
        """The text on the serial console since the machine was last switched on."""
        return self._machine.console()

    def argv(self, *command: str) -> list[str]:
        """The command line that runs this command where the guest can be reached."""
        return self.network.argv(*command)

    @property
    def sources(self) -> Sequence[str]:
        """Source addresses for clients."""
        return self.network.sources

    def door(self, port: int, proto: str = "tcp") -> tuple[str, int]:
        """The address and port by which this machine reaches the guest's port."""
        return self.network.door(port, proto)

    @property
    def target(self) -> Ssh:
        """The guest, as the engine reaches a host."""
        address, port = self.network.ssh
        return Ssh(
            address,
            port=port,
            key=self.image.key,
            known_hosts=self.image.known_hosts,
            known_as=self._known_as,
        )

    def ssh_argv(self, command: str) -> list[str]:
        """ssh to the guest's root, over a connection of its own."""
        return self.argv(*remote.ssh_argv(self.target, command))

    def ssh(self, command: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a line as if typed after `ssh root@guest`: root's csh reads it."""
        return subprocess.run(
            self.ssh_argv(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=timeout,
            check=False,
        )

    def sh(self, command: str, timeout: float = 120.0) -> Answer:
        """`/bin/sh -c COMMAND` in the guest, stdin empty. Raises GuestError if ssh fails."""
        return remote.sh(self.ssh_argv(remote.RUN_IN_SH), command, timeout)

    def wait_until(self, question: Callable[[], bool], what: str, limit: float) -> None:
        """Wait until it is true. After the limit, raises GuestError with the end of the console."""
        deadline = time.monotonic() + limit
        while not question():
            if not self._machine.runs:
                raise GuestError(
                    f"qemu ended before the guest was {what}", evidence=self._machine.output()
                )
            if self._machine.accelerator_failed:
                raise AcceleratorFailed(
                    f"this machine's CPU cannot run the guest, which was not {what}",
                    evidence=self._machine.output(),
                    todo="set CELLBLOCK_BOX_ACCEL=tcg to emulate a processor",
                )
            if time.monotonic() > deadline:
                raise self._silent(what, limit)
            time.sleep(0.2)

    def _silent(self, what: str, limit: float) -> GuestError:
        console = self.console()
        return GuestError(
            f"the guest was not {what} after {limit:.0f} s",
            evidence=f"the end of its console:\n{console[-2000:].strip() or '(it is empty)'}",
            todo="if it is only slow, try again when this machine is less busy; "
            "if the image does not boot, use another",
        )
