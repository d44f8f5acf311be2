"""Whether the guest can run on this machine's own CPU, found out by running something there."""

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from rollout.errors import Refused

KVM = ("-accel", "kvm", "-cpu", "host")
HVF = ("-accel", "hvf", "-cpu", "host")
TCG = ("-accel", "tcg,thread=multi", "-cpu", "max")
KNOWN = {"kvm": KVM, "hvf": HVF, "tcg": TCG}
FIRMWARE_LIMIT = 3.0  # seconds; a CPU that really runs the firmware needs a tenth of that


def choose() -> tuple[str, ...]:
    """The qemu options for the fastest accelerator that works; $CELLBLOCK_BOX_ACCEL overrides."""
    named = os.environ.get("CELLBLOCK_BOX_ACCEL")
    if named is None:
        if kvm_works():
            return KVM
        return HVF if hvf_works() else TCG
    if named not in KNOWN:
        raise Refused(f"CELLBLOCK_BOX_ACCEL is {named}, and kvm, hvf or tcg is expected")
    return KNOWN[named]


def kvm_works(device: Path = Path("/dev/kvm")) -> bool:
    """A device node that opens proves nothing: under some clouds' nested KVM qemu aborts at the
    first register it sets, or every access to a port takes milliseconds.
    """
    return os.access(device, os.R_OK | os.W_OK) and _runs_firmware(KVM)


def hvf_works(system: str = sys.platform, cpu: str = platform.machine()) -> bool:
    """On a Mac whose CPU is the guest's kind; the guest is amd64."""
    return system == "darwin" and cpu == "x86_64" and _runs_firmware(HVF)


def _runs_firmware(accelerator: tuple[str, ...]) -> bool:
    """True when the firmware runs to its end there."""
    no_disk_so_reset = ("-boot", "reboot-timeout=0", "-no-reboot")
    command = ["qemu-system-x86_64", *accelerator, "-m", "64", "-nodefaults", "-display", "none"]
    with tempfile.TemporaryDirectory() as directory:  # an abort would leave its core here
        try:
            done = subprocess.run(
                [*command, *no_disk_so_reset],
                cwd=directory,
                capture_output=True,
                timeout=FIRMWARE_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0
