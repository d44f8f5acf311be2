"""What accounts may do with each other's files and processes: rules that the kernel enforces.

mac_bsdextended(4) has the rules of ugidfw(8), mac_seeotheruids(4) hides processes. Both act on the
whole kernel: on the host and in every jail, where a uid is the same number.

No command here is `live`: rc.d/ugidfw may bring all back at a boot before the undo runs there.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError

from operations.command import ANY, Commands, Reversible, quote
from operations.facts import SEES_ALL, AccessRules, Exempt, Module

FILES = "mac_bsdextended"
PROCESSES = "mac_seeotheruids"

_RULES = "ugidfw list 2>/dev/null"


def has(number: int) -> str:
    """sh that succeeds if there is a rule of this number. ugidfw itself always ends with 0.

    Its first line may begin with this number, too: "0 slots, 0 rules".
    """
    return f"{_RULES} | grep -q '^{number} subject '"


def at_boot(rules: Sequence[str], hidden: bool, watchers: str | None) -> list[str]:
    """The lines that rc.d/ugidfw reads at boot, after it has loaded mac_bsdextended."""
    lines = [f"ugidfw set {number} {rule}" for number, rule in enumerate(rules)]
    if hidden:
        lines.append(f"kldload -n {PROCESSES}")
        lines += [f"sysctl {_sees_all(watchers)} >/dev/null"] if watchers else []
    return lines


def _sees_all(group: str) -> str:
    gid = f"$(pw groupshow {quote(group)} | cut -d : -f 3)"
    return f'{SEES_ALL}="{gid}" {SEES_ALL}_enabled=1'


@operation()
def loaded(module: str) -> Commands:
    """Load a policy, if the kernel does not have it; the undo unloads it again.

    Both can be unloaded (MPC_LOADTIME_FLAG_UNLOADOK). While others have rules in it, it stays.
    """
    if host.get_fact(Module, module=module):
        host.noop(f"{module} is loaded")
        return
    unused = f' && [ -z "$({_RULES} | tail -n +2)" ]' if module == FILES else ""
    yield Reversible(
        f"kldload {module}",
        undo=f"if kldstat -q -m {module}{unused}; then kldunload {module}; fi",
        says=f"load {module}",
    )


@operation()
def ruled(rules: Sequence[str]) -> Commands:
    """Add rules of ugidfw(8), each at the number that is its place; the undo removes them by it.

    Refused while there are other rules: with security.mac.bsdextended.firstmatch_enabled one of
    them could decide before ours, and `ugidfw add` takes its numbers from those in use.
    """
    there = host.get_fact(AccessRules)
    if there:
        raise OperationError(
            f"ugidfw has the rule {there[0]} already: expected none, since the rules of "
            "mac_bsdextended(4) are one list, and this server's own stays as it is"
        )
    for number, rule in enumerate(rules):
        yield Reversible(
            f"ugidfw set {number} {rule} && {has(number)}",
            undo=f"if {has(number)}; then ugidfw remove {number} && ! {has(number)}; fi",
            says=f"add ugidfw rule {number}: {rule}",
        )


@operation()
def watched_by(group: str) -> Commands:
    """Let a group of the host see all processes, also with mac_seeotheruids(4)."""
    if host.get_fact(Exempt):
        raise OperationError(
            f"{SEES_ALL}_enabled is 1 already: expected 0, since there is room for one group, and "
            "this server's own stays as it is"
        )
    yield Reversible(
        f"sysctl {_sees_all(group)}",
        undo=f"if kldstat -q -m {PROCESSES}; then sysctl {SEES_ALL}_enabled=0 {SEES_ALL}=0; fi",
        says=f"let the group {group} see all processes",
        sees=ANY,
    )
