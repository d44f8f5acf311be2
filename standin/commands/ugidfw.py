"""ugidfw(8), as recorded on 15.0: only `list` without the module fails, all else ends with 0."""

from __future__ import annotations

from functools import partial

from standin.commands import command
from standin.etc.passwd import Names, gid_of, uid_of
from standin.linux.shim import Call, Failed, Reply, Unknown
from standin.model.access import MOST, parsed
from standin.model.host import Host

USAGE = (
    "usage: ugidfw add [subject [not] [uid uid] [gid gid]] [object [not] [uid uid] \\\n"
    "    [gid gid]] mode arswxn\n"
    "       ugidfw list\n"
    "       ugidfw set rulenum [subject [not] [uid uid] [gid gid]] [object [not] \\\n"
    "    [uid uid] [gid gid]] mode arswxn\n"
    "       ugidfw remove rulenum\n"
)
MIB = "security.mac.bsdextended"
NOT_LOADED = (
    "ugidfw: unable to get rule slots; mac_bsdextended.ko may not be loaded\n"
    "ugidfw: bsde_get_rule_slots: No such file or directory\n"
)


@command("/usr/sbin/ugidfw")
def ugidfw(host: Host, call: Call) -> Reply:
    if call.rootdir.name:
        raise Unknown("ugidfw: only the host's is known to the stand-in\n", 70)
    match call.args:
        case ("list",):
            return _list(host, call)
        case ("set", number, *words) if number.isdigit():
            return _set(host, call, int(number), words)
        case ("remove", number) if number.isdigit():
            access = host.kernel.access
            if access is None:
                return Reply(err="ugidfw: version check failed: No such file or directory\n")
            if access.rules.pop(int(number), None) is None:
                return Reply(err=f"ugidfw: {MIB}.rules.{number}: No such file or directory\n")
            return Reply()
        case _:
            raise Unknown(USAGE, 1)


def _list(host: Host, call: Call) -> Reply:
    access = host.kernel.access
    if access is None:
        raise Failed(NOT_LOADED)
    names = Names(call.rootdir)
    lines = [f"{access.slots} slots, {len(access.rules)} rules"]
    lines += [
        f"{number} {rule.text(names.user, names.group)}"
        for number, rule in sorted(access.rules.items())
    ]
    return Reply("".join(f"{line}\n" for line in lines))


def _set(host: Host, call: Call, number: int, words: list[str]) -> Reply:
    try:
        rule = parsed(words, partial(uid_of, call.rootdir), partial(gid_of, call.rootdir))
    except ValueError as error:
        return Reply(err=f"ugidfw: {error}\n")
    if host.kernel.access is None:
        return Reply(err="ugidfw: version check failed: No such file or directory\n")
    if number >= MOST:
        return Reply(err=f"ugidfw: {MIB}.rules.{number}: No such file or directory\n")
    host.kernel.access.set(number, rule)
    return Reply()
