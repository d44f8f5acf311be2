"""[jails.NAME.limits]: what a jail may take at most; by rctl(8), cpuset(1) and md(4)."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_MOST = 2**63 - 1
"""The kernel keeps an amount in 64 bits with a sign."""


def _bytes(amount: Any) -> Any:
    if not isinstance(amount, str):
        return amount
    found = re.fullmatch(r"(\d{1,19})([KMGT]?)", amount)
    if found is None:
        raise ValueError('expected a number of bytes, as "512M" or "2G" (K, M, G and T: by 1024)')
    return int(found[1]) << _UNITS[found[2]]


_MIB = 1 << 20
_LEAST_DISK = 64 * _MIB


def _of_a_disk(size: int) -> int:
    if size < _LEAST_DISK or size % _MIB:
        raise ValueError('expected whole mebibytes, 64 or more, as "10G"')
    return size


Amount = Annotated[int, Field(strict=True, ge=1, le=_MOST)]
Bytes = Annotated[Amount, BeforeValidator(_bytes)]
Disk = Annotated[Bytes, AfterValidator(_of_a_disk)]
Percent = Annotated[int, Field(strict=True, ge=1, le=100_000)]

_RESOURCES = (
    ("memory", "memoryuse:deny"),
    ("swap", "swapuse:deny"),
    ("processes", "maxproc:deny"),
    ("cpu", "pcpu:deny"),
    ("open_files", "openfiles:deny"),
    ("read_bytes", "readbps:throttle"),
    ("write_bytes", "writebps:throttle"),
    ("read_operations", "readiops:throttle"),
    ("write_operations", "writeiops:throttle"),
)
"""Key -> resource and action. The kernel refuses deny for what it only counts by the second, and
throttle for all else (rctl_rule_add in sys/kern/kern_rctl.c)."""


class Limits(BaseModel):
    """[jails.NAME.limits]. Memory and disk are in bytes, cpu in percent of one core; what is read
    and written, a second.

    None is no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    memory: Bytes | None = None
    swap: Bytes | None = None
    processes: Amount | None = None
    cpu: Percent | None = None
    open_files: Amount | None = None
    read_bytes: Bytes | None = None
    write_bytes: Bytes | None = None
    read_operations: Amount | None = None
    write_operations: Amount | None = None
    disk: Disk | None = None
    cpus: Annotated[str, Field(pattern=r"^\d{1,3}(-\d{1,3})?(,\d{1,3}(-\d{1,3})?)*$")] | None = None

    @field_validator("cpus")
    @classmethod
    def _in_order(cls, cpus: str | None) -> str | None:
        for part in (cpus or "").split(","):
            first, dash, last = part.partition("-")
            if dash and int(first) > int(last):
                raise ValueError(f"{part}: expected the smallest first: {last}-{first}")
        return cpus

    @property
    def of_processes(self) -> bool:
        """Whether there are any that jail(8) has to set when the jail starts."""
        return any(value is not None for key, value in self if key != "disk")

    @property
    def disk_mib(self) -> int | None:
        """The size of the jail's own file system, in MiB."""
        return self.disk // _MIB if self.disk else None

    @property
    def numbers(self) -> tuple[int, ...]:
        """The CPUs that it may use, in order; none for all."""
        found: set[int] = set()
        for part in self.cpus.split(",") if self.cpus else ():
            first, _, last = part.partition("-")
            found |= set(range(int(first), int(last or first) + 1))
        return tuple(sorted(found))

    def rules(self, jail: str) -> tuple[str, ...]:
        """The rules of rctl(8), as it prints them: numbers without units."""
        amounts = ((what, getattr(self, key)) for key, what in _RESOURCES)
        return tuple(f"jail:{jail}:{what}={amount}" for what, amount in amounts if amount)
