"""What no file of a host says: its network cards and file systems, and what DHCP gives it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

NIC_OPTIONS = 0x4C07BB
_FILE = "machine.json"
_DISKS = "disks"


@dataclass(frozen=True)
class Disk:
    """A file system that is there before fstab(5) is read, as those of zfs(8) are."""

    source: str
    target: str
    kind: str
    read_only: bool = False


@dataclass(frozen=True)
class Hardware:
    """`nics` are the options of each network card by its name; clients outside reach the first.

    `lease` is, by network card, what DHCP gives, as a line of rc.conf. `disks` are mounted in their
    order; one at / is the root file system.
    """

    nics: Mapping[str, int] = field(default_factory=lambda: {"vtnet0": NIC_OPTIONS})
    lease: Mapping[str, str] = field(default_factory=dict)
    disks: tuple[Disk, ...] = ()

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Hardware:
        disks = tuple(Disk(**each) for each in data["disks"])
        return cls(data["nics"], data["lease"], disks)

    @classmethod
    def read(cls, where: Path) -> Hardware:
        file = where / _FILE
        return cls.of(json.loads(file.read_text())) if file.exists() else cls()

    def write(self, where: Path) -> None:
        (where / _FILE).write_text(json.dumps(asdict(self)))

    def place(self, where: Path, disk: Disk) -> Path:
        """Where the files of a disk are kept while it is not mounted."""
        return where / _DISKS / str(self.disks.index(disk))


FILES_MADE = (_FILE,)
FOLDERS_MADE = (_DISKS,)
