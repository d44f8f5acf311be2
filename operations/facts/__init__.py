"""Questions about a FreeBSD host: one line of sh each, whose answer changes only if the host does.

No pids, counters or times: the same lines run again on the host just before a step's first command,
and a difference means that the host was changed after the plan was made.

`default` is what a plan without a host assumes; `assumed`, if there is one, is the line with which
a person checks that.
"""

from __future__ import annotations

from operations.facts.firewall import HostRules, Kenv, Module, Nats, OnePass, Rule, Rules
from operations.facts.jails import (
    JAIL_CONF,
    SEES_ALL,
    AccessRules,
    Exempt,
    JailConf,
    JailRules,
    Jails,
    jails_of,
)
from operations.facts.mounts import IsEmptyFileSystem, MountedBelow, Restricted, mounts_below
from operations.facts.network import (
    Bound,
    Capabilities,
    FoundNames,
    Interfaces,
    JailListeners,
    Listeners,
    Networks,
    OwnAddresses,
    Routes,
    UsedAddresses,
    way,
)
from operations.facts.paths import (
    HasLine,
    HasOurLine,
    IsDirectory,
    LeadsTo,
    Path,
    Replaceable,
    State,
)
from operations.facts.services import (
    NEWSYSLOG,
    RcConf,
    Rotated,
    ServiceRuns,
    comes_up,
    of_logs,
    runs,
    within,
)

__all__ = [
    "JAIL_CONF",
    "NEWSYSLOG",
    "SEES_ALL",
    "AccessRules",
    "Bound",
    "Capabilities",
    "Exempt",
    "FoundNames",
    "HasLine",
    "HasOurLine",
    "HostRules",
    "Interfaces",
    "IsDirectory",
    "IsEmptyFileSystem",
    "JailConf",
    "JailListeners",
    "JailRules",
    "Jails",
    "Kenv",
    "LeadsTo",
    "Listeners",
    "Module",
    "MountedBelow",
    "Nats",
    "Networks",
    "OnePass",
    "OwnAddresses",
    "Path",
    "RcConf",
    "Replaceable",
    "Restricted",
    "Rotated",
    "Routes",
    "Rule",
    "Rules",
    "ServiceRuns",
    "State",
    "UsedAddresses",
    "comes_up",
    "jails_of",
    "mounts_below",
    "of_logs",
    "runs",
    "way",
    "within",
]
