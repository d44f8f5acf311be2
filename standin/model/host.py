"""The model of the host: all state that a power cut deletes, and access to the files on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, TextIO

from standin.linux import owners, power_loss
from standin.linux.layout import HIDDEN, LIGHT
from standin.linux.processes import Processes, ancestors
from standin.linux.rootdir import RootDir
from standin.model.daemon import Daemon
from standin.model.faults import Faults
from standin.model.firewall import Firewall, Verdict
from standin.model.hardware import Hardware
from standin.model.jail import Jail
from standin.model.kernel import Kernel
from standin.model.memory_disks import MemoryDisks
from standin.model.mounts import Mounts
from standin.model.network import CAPABILITIES, Network
from standin.model.rules import Packet

ONE_PASS = "net.inet.ip.fw.one_pass"  # noqa: S105 - a sysctl, no password


class Host:
    def __init__(self, where: Path, processes: Processes) -> None:
        self.where = where
        self.rootdir = RootDir("", where / "root")
        light = (where / LIGHT).exists()
        self.processes = processes
        self.kernel = Kernel()
        self.hardware = Hardware.read(where)
        self.network = Network(self.hardware.nics)
        self.firewall = Firewall()
        self.mounts = Mounts(self.rootdir, where / "dev", light=light)
        self.memory_disks = MemoryDisks(self.rootdir, where / "disks")
        self.jails: dict[str, Jail] = {}
        self.daemons: list[Daemon] = []
        self.faults = Faults(self.rootdir.root, light=light)
        self.reapers: set[int] = set()
        # Process -> the user that chroot -u started it as: some machines have only one user.
        self.acting: dict[int, int] = {}
        # What nc -l would send at an address and port, in bytes, and its pid.
        self.offers: dict[tuple[str, int], tuple[int, int]] = {}
        # What nc sent to a port outside, in bytes.
        self.sent: dict[int, int] = {}
        self._logs: dict[str, TextIO] = {}
        self._last_jid = 0
        self._tasks: set[asyncio.Task[None]] = set()
        # Seconds that a daemon takes to start or stop; 0 during the boot, which nobody watches.
        self.delay = 0.0

    def rootdir_at(self, root: Path) -> RootDir:
        """A service jail has the host's own tree: who is there is on the host, as far as we see."""
        places = (self.rootdir, *(jail.rootdir for jail in self.jails.values()))
        found = next((each for each in places if each.root == root), None)
        return found or RootDir("chroot", root)

    def jail_of(self, rootdir: RootDir) -> Jail | None:
        return self.jails.get(rootdir.name)

    def jail(self, word: str) -> Jail | None:
        """The jail with this name or jid."""
        for jail in self.jails.values():
            if word in (jail.name, str(jail.jid)):
                return jail
        return None

    def next_jid(self, *, taken: bool = False) -> int:
        self._last_jid += taken
        return self._last_jid + (not taken)

    def addresses_of(self, rootdir: RootDir) -> list[str]:
        jail = self.jail_of(rootdir)
        if jail is None or jail.params.get("ip4") == "inherit":
            return self.network.addresses()
        return jail.addresses

    def judge(self, packet: Packet) -> Verdict:
        if self.kernel.sysctls.get("net.inet.ip.fw.enable") != "1":
            return Verdict("pass", packet)
        return self.firewall.judge(
            packet,
            self._is_member,
            ends_at_nat=self.kernel.sysctls[ONE_PASS] == "1",
        )

    def _is_member(self, word: str, address: str) -> bool:
        """Of a table of ipfw, or of "me": the addresses of the host."""
        if not word.startswith("table("):
            return self.network.owner(address) is not None
        networks = self.firewall.tables.get(word.removeprefix("table(").rstrip(")"), {})
        return any(ip_address(address) in ip_network(each) for each in networks)

    def load_module(self, name: str) -> None:
        self.kernel.load(name)
        if name == "ipfw" or (name == "ipfw_nat" and not self.firewall.rules):
            accepts = self.kernel.sysctls["net.inet.ip.fw.default_to_accept"] == "1"
            self.firewall = Firewall(accepts_by_default=accepts)

    def set_capability(self, interface: str, word: str) -> bool:
        """False for a word that is no capability of an interface."""
        bits = CAPABILITIES.get(word.removeprefix("-"))
        if bits is None:
            return False
        options = self.network.interfaces[interface].options
        off = word.startswith("-")
        self.network.interfaces[interface].options = options & ~bits if off else options | bits
        return True

    def owner(self, place: Path) -> tuple[int, int]:
        return owners.of(self.rootdir.root, place)

    def told(self, what: str, pid: int) -> str:
        """The file of the tree that tells the shim with this pid something while it runs."""
        return f"{HIDDEN}/answers/{what}.{pid}"

    def reaper_of(self, pid: int) -> int:
        """The pid of the timeout(1) below which this process runs, if any."""
        return next((one for one in ancestors(pid) if one in self.reapers), 0)

    def watch(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def note_call(self, line: str) -> None:
        self._note("calls.log", line)

    def note_strange(self, text: str) -> None:
        self._note("strange.log", text.rstrip("\n"))

    def note_synced(self, place: Path) -> None:
        """Record that a power cut cannot lose this any more."""
        self._note(power_loss.LOG, power_loss.mark(place))

    def note_console(self, text: str) -> None:
        if text:
            self._note("console.log", text.rstrip("\n"))

    def _note(self, name: str, text: str) -> None:
        if name not in self._logs:
            place = self.where / name
            self._logs[name] = place.open("a", buffering=1, errors="surrogateescape")
        self._logs[name].write(text + "\n")
