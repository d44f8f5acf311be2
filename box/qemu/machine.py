"""The machine under the guest: one qemu process, its disk, its monitor, its console."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from box.qemu.accelerator import TCG
from box.qemu.network import ID, Network
from box.qemu.qmp import Monitor, MonitorError

NIC = "nic0"
KVM_GAVE_UP = "KVM internal error"  # in qemu's words; the guest stands still then, and says nothing
START_LIMIT = 10.0  # seconds from exec to a monitor that answers


class Machine:
    """A qemu that can be started, cut off from power, saved and restored."""

    def __init__(
        self,
        scratch: Path,
        network: Network,
        accelerator: tuple[str, ...],
        *,
        memory_mb: int,
        cpus: int,
        seed: Path | None = None,
    ) -> None:
        self._scratch = scratch
        self._network = network
        self._accelerator = accelerator
        self._memory_mb = memory_mb
        self._cpus = cpus
        self._seed = seed
        self._qemu: subprocess.Popen[bytes] | None = None
        self._monitor: Monitor | None = None

    def emulate(self) -> None:
        """Run the guest on an emulated processor from the next start on."""
        self._accelerator = TCG

    @property
    def accelerator_failed(self) -> bool:
        """Whether the guest stands still since this machine's CPU cannot run its code."""
        return KVM_GAVE_UP in self.said()

    @property
    def runs(self) -> bool:
        return self._qemu is not None and self._qemu.poll() is None

    @property
    def monitor(self) -> Monitor:
        if self._monitor is None or not self.runs:
            raise MonitorError("the machine is off")
        return self._monitor

    def lay_disk(self, image: Path, kind: str = "qcow2", size: str = "") -> None:
        """A disk of our own over the image, which stays as it is."""
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", kind]
        sized = [size] if size else []
        subprocess.run([*command, "-b", str(image), str(self.disk), *sized], check=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds the machine between two instructions, with all it wrote in its disk's file."""
        self.monitor.execute("stop")
        try:
            yield
        finally:
            self.monitor.execute("cont")

    def start(self, *, paused: bool = False) -> None:
        """Switches it on, off first if it was on; paused, it waits for a snapshot to be loaded."""
        self.cut_power()
        with (self._scratch / "qemu.log").open("wb") as log:
            self._qemu = subprocess.Popen(
                [
                    *dying_with_us(),
                    *self._network.argv("qemu-system-x86_64"),
                    *self.hardware(),
                    *("-netdev", self._network.netdev()),
                    *(["-S"] if paused else []),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._scratch,
                start_new_session=True,  # ^C at the terminal is ours to deal with
            )
        try:
            self._monitor = Monitor(self._scratch / "monitor", START_LIMIT, lambda: self.runs)
        except MonitorError as error:
            self.cut_power()
            raise MonitorError(
                "qemu did not start",
                evidence=f"{self.said()}\n{error.what}",
                todo="if it says that a port cannot be forwarded, somebody else took it: try again",
            ) from error

    def cut_power(self) -> None:
        """Ends it between two instructions. What the guest wrote to its disk is there, no more."""
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None
        if self._qemu is not None:
            self._qemu.kill()
            self._qemu.wait()
            self._qemu = None
        (self._scratch / "monitor").unlink(missing_ok=True)

    def hardware(self) -> list[str]:
        """qemu's options but for the network, whose ports are others each time.

        cache=unsafe never waits for this machine's disk; write-cache=off hands every write of the
        guest to this machine's kernel before the guest hears that it is done. So a power cut (which
        kills qemu, not this machine) loses exactly what the guest had not written.
        """
        seed = ["-drive", f"media=cdrom,readonly=on,format=raw,file={self._seed}"]
        return [
            *self._accelerator,
            *("-m", str(self._memory_mb), "-smp", str(self._cpus), "-rtc", "base=utc"),
            *("-display", "none", "-vga", "std"),
            *("-drive", f"if=none,id=disk,format=qcow2,cache=unsafe,file={self.disk}"),
            *("-device", "virtio-blk-pci,drive=disk,write-cache=off"),
            *(seed if self._seed else ()),
            *("-device", f"virtio-net-pci,id={NIC},netdev={ID},mac=52:54:00:cb:00:02"),
            *("-device", "virtio-rng-pci"),
            *("-serial", f"file:{self._scratch / 'console'}"),
            *("-qmp", f"unix:{self._scratch / 'monitor'},server=on,wait=off"),
        ]

    def said(self) -> str:
        """All that qemu itself said since it was last switched on."""
        log = self._scratch / "qemu.log"
        return log.read_text(errors="backslashreplace").strip() if log.exists() else ""

    def console(self) -> str:
        """The text on the serial console since the machine was last switched on."""
        console = self._scratch / "console"
        return console.read_text(errors="backslashreplace") if console.exists() else ""

    @property
    def disk(self) -> Path:
        return self._scratch / "disk.qcow2"


def dying_with_us() -> list[str]:
    """Who is killed cannot take its guest down, so the kernel does, where it can (Linux)."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
