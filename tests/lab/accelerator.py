"""Whether the guest can run on this machine's own CPU, found out by running something there."""

import os
import subprocess
import tempfile
from pathlib import Path

KVM = ("-accel", "kvm", "-cpu", "host")
TCG = ("-accel", "tcg,thread=multi", "-cpu", "max")
FIRMWARE_LIMIT = 3.0  # seconds; a CPU that really runs the firmware needs a tenth of that


def choose() -> tuple[str, ...]:
    """The qemu options for the fastest accelerator that works; $CELLBLOCK_BOX_ACCEL overrides."""
    named = os.environ.get("CELLBLOCK_BOX_ACCEL")
    if named is None:
        return KVM if kvm_works() else TCG
    known = {"kvm": KVM, "tcg": TCG}
    if named not in known:
        raise ValueError(f"CELLBLOCK_BOX_ACCEL is {named}, and kvm or tcg is expected")
    return known[named]


def kvm_works(device: Path = Path("/dev/kvm")) -> bool:
    """True when the firmware runs to its end under KVM.

    A device node that opens proves nothing: under some clouds' nested KVM qemu aborts at the first
    register it sets, or every access to a port takes milliseconds.
    """
    if not os.access(device, os.R_OK | os.W_OK):
        return False
    no_disk_so_reset = ("-boot", "reboot-timeout=0", "-no-reboot")
    command = ["qemu-system-x86_64", *KVM, "-m", "64", "-nodefaults", "-display", "none"]
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
