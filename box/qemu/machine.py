"""The guest's machine: one qemu process, with its disk, monitor and console."""

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
    """A qemu process that can be started, killed like a power cut, saved and restored."""

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
    def emulated(self) -> bool:
        """Whether qemu translates the guest's code, and this machine's CPU does not run it."""
        return self._accelerator == TCG

    @property
    def accelerator_failed(self) -> bool:
        """Whether the guest stands still since this machine's CPU cannot run its code."""
        return KVM_GAVE_UP in self.output()

    @property
    def runs(self) -> bool:
        return self._qemu is not None and self._qemu.poll() is None

    @property
    def monitor(self) -> Monitor:
        if self._monitor is None or not self.runs:
            raise MonitorError("the machine is off")
        return self._monitor

    def lay_disk(self, image: Path, kind: str = "qcow2", size: str = "") -> None:
        """Create a disk on top of the image, which is not changed."""
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", kind]
        sized = [size] if size else []
        subprocess.run([*command, "-b", str(image), str(self.disk), *sized], check=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Pause the machine, with everything that it wrote in its disk's file."""
        self.monitor.execute("stop")
        try:
            yield
        finally:
            self.monitor.execute("cont")

    def start(self, *, paused: bool = False) -> None:
        """Switch it on (and off before, if needed). If paused, it waits for a snapshot."""
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
                start_new_session=True,  # Cellblock handles ^C at the terminal
            )
        try:
            self._monitor = Monitor(self._scratch / "monitor", START_LIMIT, lambda: self.runs)
        except MonitorError as error:
            self.cut_power()
            raise MonitorError(
                "qemu did not start",
                evidence=f"{self.output()}\n{error.what}",
                todo="if it could not forward a port, another program took that port: try again",
            ) from error

    def cut_power(self) -> None:
        """Kill it. Only what the guest has written to its disk is kept."""
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None
        if self._qemu is not None:
            self._qemu.kill()
            self._qemu.wait()
            self._qemu = None
        (self._scratch / "monitor").unlink(missing_ok=True)

    def hardware(self) -> list[str]:
        """qemu's options, except for the network, whose ports differ each time.

        cache=unsafe never waits for this machine's disk. write-cache=off passes each write of the
        guest to this machine's kernel before it is acknowledged. So a power cut, which kills qemu
        and not this machine, loses exactly what the guest had not written.

        An emulated guest has one processor: programs start in three quarters of the time that they
        take with two, which wait for each other whenever memory is unmapped.
        """
        cpus = 1 if self.emulated else self._cpus
        seed = ["-drive", f"media=cdrom,readonly=on,format=raw,file={self._seed}"]
        return [
            *self._accelerator,
            *("-m", str(self._memory_mb), "-smp", str(cpus), "-rtc", "base=utc"),
            *("-display", "none", "-vga", "std"),
            *("-drive", f"if=none,id=disk,format=qcow2,cache=unsafe,file={self.disk}"),
            *("-device", "virtio-blk-pci,drive=disk,write-cache=off"),
            *(seed if self._seed else ()),
            *("-device", f"virtio-net-pci,id={NIC},netdev={ID},mac=52:54:00:cb:00:02"),
            *("-device", "virtio-rng-pci"),
            *("-serial", f"file:{self._scratch / 'console'}"),
            *("-qmp", f"unix:{self._scratch / 'monitor'},server=on,wait=off"),
        ]

    def output(self) -> str:
        """The output of qemu itself since it was last started."""
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
    """The command by which the kernel kills qemu if Cellblock is killed (Linux only)."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
