"""A running jail, as jls(8) shows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from standin.etc.jail_conf import Params
from standin.linux.rootdir import RootDir
from standin.model.mounts import Mount


@dataclass
class Jail:
    jid: int
    name: str
    rootdir: RootDir
    path: str
    params: Params
    mounted: list[Mount] = field(default_factory=list)
    added: list[tuple[str, str]] = field(default_factory=list)
    cpus: tuple[int, ...] = ()
    """Those of its cpuset(2); none for all."""

    @property
    def addresses(self) -> list[str]:
        return [split_address(word)[1] for word in addresses(self.params)]

    @property
    def hostname(self) -> str:
        return self.params.get("host.hostname")


def addresses(params: Params) -> list[str]:
    words = ",".join(params.all("ip4.addr")).split(",")
    return [word.strip() for word in words if word.strip()]


def split_address(word: str) -> tuple[str, str]:
    """Interface and bare address of `lo1|10.0.0.2/32`."""
    interface, _, address = word.rpartition("|")
    return interface, address.partition("/")[0].split()[0]
