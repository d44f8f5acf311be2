"""Finds out whether the guest can run on this machine's own CPU, by running something there."""

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from rollout.errors import Refused

KVM = ("-accel", "kvm", "-cpu", "host")
HVF = ("-accel", "hvf", "-cpu", "host")
# FreeBSD clears pages by `rep stosb` where the CPU has erms: a byte at a time, emulated.
TCG = ("-accel", "tcg,thread=multi", "-cpu", "max,-erms,-fsrm")
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
        raise Refused(f"CELLBLOCK_BOX_ACCEL is {named}; expected kvm, hvf or tcg")
    return KNOWN[named]


def kvm_works(device: Path = Path("/dev/kvm")) -> bool:
    """Whether KVM works. It is not enough that the device opens: under the nested KVM of some
    clouds qemu aborts when it sets a register, or each access to a port takes milliseconds.
    """
    return os.access(device, os.R_OK | os.W_OK) and _runs_firmware(KVM)


def hvf_works(system: str = sys.platform, cpu: str = platform.machine()) -> bool:
    """Whether HVF works: on a Mac with an amd64 CPU, as the guest's."""
    return system == "darwin" and cpu == "x86_64" and _runs_firmware(HVF)


def _runs_firmware(accelerator: tuple[str, ...]) -> bool:
    """Whether the firmware runs to its end with this accelerator."""
    no_disk_so_reset = ("-boot", "reboot-timeout=0", "-no-reboot")
    command = ["qemu-system-x86_64", *accelerator, "-m", "64", "-nodefaults", "-display", "none"]
    with tempfile.TemporaryDirectory() as directory:  # for a core file, if qemu aborts
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
