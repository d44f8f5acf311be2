"""Kernel modules, the kernel's environment and its sysctls. A power cut deletes all of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from standin.model.access import Access

RELEASE = "13.2-RELEASE"
OSRELDATE = "1302001"
# A module file, the modules in it, and the files that must be loaded before it.
MODULES: dict[str, tuple[str, ...]] = {
    "ipfw": (),
    "libalias": (),
    "ipfw_nat": ("ipfw", "libalias"),
    "dummynet": ("ipfw",),
    "nullfs": (),
    "tmpfs": (),
    "fdescfs": (),
    "if_bridge": (),
    "if_epair": (),
    "accf_http": (),
    "accf_data": (),
    "mac_bsdextended": (),
    "mac_seeotheruids": (),
    **dict.fromkeys(("carp", "coretemp", "cryptodev", "if_vlan", "aesni", "ng_ether"), ()),
}
POLICIES: dict[str, dict[str, str]] = {
    "mac_bsdextended": {
        "firstmatch_enabled": "0",
        "logging": "0",
        "rule_version": "2",
        "rule_slots": "0",
        "rule_count": "0",
        "enabled": "1",
    },
    "mac_seeotheruids": {
        "specificgid": "0",
        "specificgid_enabled": "0",
        "suser_privileged": "1",
        "primarygroup_enabled": "0",
        "enabled": "1",
    },
}
"""What sysctl has of a policy of mac(4) while it is loaded; recorded on 15.0."""
TUNABLE = ("kern.racct.enable",)
"""Sysctls that only the loader sets."""
READ_ONLY = (
    *("kern.ostype", "kern.osrelease", "kern.osreldate", "kern.boottime", "hw.ncpu"),
    *("security.mac.bsdextended.rule_count", "security.mac.bsdextended.rule_slots"),
)


@dataclass
class Kernel:
    environment: dict[str, str] = field(default_factory=dict)
    loaded: dict[str, int] = field(default_factory=dict)
    sysctls: dict[str, str] = field(default_factory=dict)
    booted: float = field(default_factory=time.monotonic)
    access: Access | None = None
    """The rules of mac_bsdextended(4); None while it is not loaded."""
    rules: list[str] = field(default_factory=list)
    """Those of rctl(8), the newest first."""
    clock_set_by: int = 0
    """Seconds by which somebody has set the clock, against that of this machine."""

    def __post_init__(self) -> None:
        self.sysctls = {
            "hw.ncpu": "2",
            "kern.boottime": "",
            "kern.hostname": "",
            "kern.ipc.somaxconn": "128",
            "kern.osreldate": OSRELDATE,
            "kern.osrelease": RELEASE,
            "kern.ostype": "FreeBSD",
            "kern.racct.enable": "0",
            "kern.securelevel": "-1",
            "net.inet.ip.forwarding": "0",
            "net.inet.tcp.tso": "1",
            "net.inet6.ip6.forwarding": "0",
            "security.jail.allow_raw_sockets": "0",
            "security.jail.enforce_statfs": "2",
            "security.jail.jailed": "0",
            "security.mac.labeled": "0",
        }
        self.set_clock(self.now())

    def now(self) -> int:
        """The wall clock, in seconds since the epoch."""
        return int(time.time()) + self.clock_set_by

    def uptime(self) -> int:
        """Seconds since the boot; setting the clock does not change them."""
        return int(time.monotonic() - self.booted)

    def set_clock(self, now: int) -> None:
        """As settimeofday(2): the time of the boot moves with the clock."""
        self.clock_set_by += now - self.now()
        booted = now - self.uptime()
        when = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(booted))
        self.sysctls["kern.boottime"] = f"{{ sec = {booted}, usec = 0 }} {when}"

    def has(self, module: str) -> bool:
        return module in self.loaded

    def load(self, name: str) -> None:
        """KeyError for a module that does not exist."""
        for needed in MODULES[name]:
            if not self.has(needed):
                self.load(needed)
        self.loaded[name] = len(self.loaded) + 2
        if name == "mac_bsdextended":
            self.access = Access({})
        self.sysctls |= {_oid(name, key): value for key, value in POLICIES.get(name, {}).items()}
        if name == "ipfw":
            accept = self.environment.get("net.inet.ip.fw.default_to_accept", "0")
            self.sysctls |= {
                "net.inet.ip.fw.enable": "1",
                "net.inet.ip.fw.one_pass": "1",
                "net.inet.ip.fw.verbose": "0",
                "net.inet.ip.fw.default_to_accept": accept,
            }

    def unload(self, name: str) -> bool:
        """False when another module needs it. KeyError when it is not loaded."""
        if any(name in MODULES[other] for other in self.loaded if other in MODULES):
            return False
        del self.loaded[name]
        if name == "mac_bsdextended":
            self.access = None
        for key in POLICIES.get(name, {}):
            del self.sysctls[_oid(name, key)]
        if name == "ipfw":
            for oid in [oid for oid in self.sysctls if oid.startswith("net.inet.ip.fw.")]:
                del self.sysctls[oid]
        return True


def _oid(policy: str, key: str) -> str:
    return f"security.mac.{policy.removeprefix('mac_')}.{key}"
