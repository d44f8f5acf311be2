"""The machine under the guest: one qemu process, its disk, its monitor, its console."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab import wire
from tests.lab.qmp import Monitor, MonitorError

NIC = "nic0"
START_LIMIT = 10.0  # seconds from exec to a monitor that answers


class Machine:
    """A qemu that can be started, cut off from power, saved and restored."""

    def __init__(
        self, scratch: Path, on: wire.Wire, accelerator: tuple[str, ...], memory_mb: int, cpus: int
    ) -> None:
        self._scratch = scratch
        self._wire = on
        self._accelerator = accelerator
        self._memory_mb = memory_mb
        self._cpus = cpus
        self._qemu: subprocess.Popen[bytes] | None = None
        self._monitor: Monitor | None = None

    @property
    def runs(self) -> bool:
        return self._qemu is not None and self._qemu.poll() is None

    @property
    def monitor(self) -> Monitor:
        if self._monitor is None or not self.runs:
            raise MonitorError("the machine is off")
        return self._monitor

    def lay_disk(self, image: Path) -> None:
        """A disk of our own over the image, which stays as it is."""
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2"]
        subprocess.run([*command, "-b", str(image), str(self.disk)], check=True)

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
        # a pytest that is killed cannot take its guest down, so the kernel does (--pdeathsig)
        command = ["setpriv", "--pdeathsig", "KILL", *self._wire.argv("qemu-system-x86_64")]
        with (self._scratch / "qemu.log").open("ab") as log:
            self._qemu = subprocess.Popen(
                [*command, *self.arguments(), *(["-S"] if paused else [])],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._scratch,
            )
        try:
            self._monitor = Monitor(self._scratch / "monitor", START_LIMIT, lambda: self.runs)
        except MonitorError as error:
            self.cut_power()
            raise MonitorError(f"{error}; qemu said: {self.said()}") from error

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

    def arguments(self) -> list[str]:
        """qemu's options.

        cache=unsafe never waits for this machine's disk; write-cache=off hands every write of the
        guest to this machine's kernel before the guest hears that it is done. So a power cut (which
        kills qemu, not this machine) loses exactly what the guest had not written.
        """
        return [
            *self._accelerator,
            *("-m", str(self._memory_mb), "-smp", str(self._cpus), "-rtc", "base=utc"),
            *("-display", "none", "-vga", "std"),
            *("-drive", f"if=none,id=disk,format=qcow2,cache=unsafe,file={self.disk}"),
            *("-device", "virtio-blk-pci,drive=disk,write-cache=off"),
            *("-netdev", f"tap,id=wire,ifname={wire.TAP},script=no,downscript=no"),
            *("-device", f"virtio-net-pci,id={NIC},netdev=wire,mac=52:54:00:cb:00:02"),
            *("-device", "virtio-rng-pci"),
            *("-serial", f"file:{self._scratch / 'console'}"),
            *("-qmp", f"unix:{self._scratch / 'monitor'},server=on,wait=off"),
        ]

    def said(self) -> str:
        """All that qemu itself said."""
        log = self._scratch / "qemu.log"
        return log.read_text(errors="backslashreplace").strip() if log.exists() else ""

    def console(self) -> str:
        """The text on the serial console since the machine was last switched on."""
        console = self._scratch / "console"
        return console.read_text(errors="backslashreplace") if console.exists() else ""

    @property
    def disk(self) -> Path:
        return self._scratch / "disk.qcow2"
