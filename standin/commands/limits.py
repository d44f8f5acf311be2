"""rctl(8) and cpuset(1), after usr.bin/rctl/rctl.c, sys/kern/kern_rctl.c and bin/cpuset/cpuset.c.

The rules are kept and printed; nothing is limited by them. Of what a jail uses, only its memory and
its processes are counted; the rest is 0.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from standin.commands import command
from standin.commands.ps import resident
from standin.linux.processes import all_pids, root_of
from standin.linux.shim import Call, Failed, Reply, Unknown, getopt
from standin.model.host import Host
from standin.model.jail import Jail

USAGE = "usage: rctl [ -h ] [-a rule | -l filter | -r filter | -u filter | filter]"
DISABLED = "rctl: RACCT/RCTL present, but disabled; enable using kern.racct.enable=1 tunable\n"
SUBJECTS = ("process", "user", "loginclass", "jail")
SHORT = {"u": "user", "p": "process", "l": "loginclass", "c": "loginclass", "j": "jail"}
DECAYING = ("readbps", "writebps", "readiops", "writeiops")
RESOURCES = (
    *("cputime", "datasize", "stacksize", "coredumpsize", "memoryuse", "memorylocked", "maxproc"),
    *("openfiles", "vmemoryuse", "pseudoterminals", "swapuse", "nthr", "msgqqueued", "msgqsize"),
    *("nmsgq", "nsem", "nsemop", "nshm", "shmsize", "wallclock", "pcpu", *DECAYING),
)
ACTIONS = ("deny", "log", "devctl", "throttle", "sigterm", "sigkill", "sighup", "sigxcpu")
VERBS = {
    "a": "add rule",
    "r": "remove rule",
    "u": "show resource consumption for",
    "": "show rules for",
}
UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50, "e": 60}


class Rule(NamedTuple):
    """A rule, or a filter for some: what is empty in it fits all."""

    subject: str
    id: str
    resource: str
    action: str
    amount: str
    per: str

    def fits(self, other: Rule) -> bool:
        return all(mine in ("", theirs) for mine, theirs in zip(self, other, strict=True))

    def __str__(self) -> str:
        text = f"{self.subject}:{self.id}:{self.resource}:{self.action}={self.amount}"
        return text if self.per == self.subject else f"{text}/{self.per}"


def _parsed(word: str) -> Rule:
    """Raises Failed for what rctl(8) does not take, ValueError for what the kernel does not."""
    found = re.fullmatch(r"([^:]*):([^:]*)(?::([^:]*)(?::([^=/]*)(?:=([^/]*))?(?:/(.*))?)?)?", word)
    if found is None:
        raise Failed(f"rctl: malformed rule '{word}': missing subject\n")
    subject, id_, resource, action, amount, per = (part or "" for part in found.groups())
    subject = SHORT.get(subject, subject)
    number = re.fullmatch(r"(\d+)([kmgtpe]?)b?", amount.lower())
    if amount and number is None:
        raise Failed(f"rctl: malformed rule '{word}': invalid numeric value '{amount}'\n")
    if number is not None:
        amount = str(int(number[1]) << UNITS[number[2]])
    known = (
        (subject, SUBJECTS),
        (resource, RESOURCES),
        (action, ACTIONS),
        (per, SUBJECTS),
    )
    if any(part and part not in allowed for part, allowed in known):
        raise ValueError("Invalid argument")
    return Rule(subject, id_, resource, action, amount, per)


def _added(host: Host, word: str) -> None:
    rule = _parsed(word)
    rule = rule._replace(per=rule.per or rule.subject)
    if "" in rule:
        raise ValueError("Invalid argument")
    denies = rule.action == "deny" and rule.resource in (*DECAYING, "cputime", "wallclock")
    throttles = rule.action == "throttle" and rule.resource not in DECAYING
    if denies or throttles:
        raise ValueError("Operation not supported")
    same = rule._replace(amount="") if rule.action == "deny" else rule
    kept = [each for each in host.kernel.rules if not same.fits(_parsed_listed(each))]
    # LIST_INSERT_HEAD: the kernel prints the newest first.
    host.kernel.rules = [str(rule), *kept]


def _parsed_listed(text: str) -> Rule:
    rule = _parsed(text)
    return rule._replace(per=rule.per or rule.subject)


def _matching(host: Host, word: str) -> list[str]:
    wanted = _parsed(word)
    return [each for each in host.kernel.rules if wanted.fits(_parsed_listed(each))]


def _removed(host: Host, word: str) -> None:
    gone = _matching(host, word)
    if not gone:
        raise ValueError("No such process")
    host.kernel.rules = [each for each in host.kernel.rules if each not in gone]


def _used(host: Host, word: str) -> str:
    rule = _parsed(word)
    if rule.subject != "jail":
        raise Unknown("rctl: -u is known to the stand-in for jails alone\n", 1)
    if not rule.id:
        raise ValueError("Invalid argument")
    used = dict.fromkeys(RESOURCES, 0)
    if (jail := host.jails.get(rule.id)) is not None:
        pids = [pid for pid in all_pids() if pid != 1 and root_of(pid) == jail.rootdir.root]
        used["maxproc"] = used["nthr"] = len(pids)
        used["memoryuse"] = sum(map(resident, pids)) * 1024
    return "".join(f"{name}={amount}\n" for name, amount in used.items())


@command("/usr/bin/rctl")
def rctl(host: Host, call: Call) -> Reply:
    found, words = getopt(call, "ahlnru", USAGE, 1)
    if unknown := {"h", "l"} & found.keys():
        raise Unknown(f"rctl: -{sorted(unknown)[0]} is not known to the stand-in\n", 1)
    if {"a", "r", "u"} & found.keys() and not words:
        raise Unknown(f"{USAGE}\n", 1)
    if host.kernel.sysctls["kern.racct.enable"] != "1":
        raise Failed(DISABLED)
    out, err, wrong = "", "", 0
    how = next((each for each in "aru" if each in found), "")
    for word in words or ["::"]:
        try:
            if how == "a":
                _added(host, word)
            elif how == "r":
                _removed(host, word)
            elif how == "u":
                out += _used(host, word)
            else:
                out += "".join(f"{each}\n" for each in _matching(host, word))
        except Failed as failed:
            err += failed.reply.err
            wrong += 1
        except ValueError as error:
            err += f"rctl: failed to {VERBS[how]} '{word}': {error}\n"
            wrong += 1
    return Reply(out, err, wrong)


@command("/usr/bin/cpuset")
def cpuset(host: Host, call: Call) -> Reply:
    usage = "usage: cpuset [-l cpu-list] [-j jailid | -p pid | -t tid | -s setid | -x irq]"
    found, rest = getopt(call, "cgj:l:", usage, 1)
    if rest or "j" not in found or ("g" in found) == ("l" in found) or "c" in found:
        raise Unknown(f"{usage}\ncpuset: known to the stand-in are -g -j and -l ... -j\n", 1)
    jail = host.jail(found["j"])
    if jail is None:
        raise Failed(f'cpuset: jail "{found["j"]}" not found\n')
    every = tuple(range(int(host.kernel.sysctls["hw.ncpu"])))
    if "l" in found:
        _bind(jail, found["l"], every)
        return Reply()
    mask = ", ".join(map(str, jail.cpus or every))
    return Reply(
        f"jail {jail.jid} mask: {mask}\njail {jail.jid} domain policy: first-touch mask: 0\n"
    )


def _bind(jail: Jail, listed: str, every: tuple[int, ...]) -> None:
    if not re.search(r"\d", listed):  # no list is refused, but no CPU of it is left
        raise Failed("cpuset: setaffinity: Resource deadlock avoided\n")
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", listed):
        raise Unknown(f"cpuset: the list {listed} is not known to the stand-in\n", 1)
    cpus: set[int] = set()
    for part in listed.split(","):
        first, _, last = part.partition("-")
        cpus |= set(range(int(first), int(last or first) + 1))
    if not cpus <= set(every):
        raise Failed("cpuset: setaffinity: Invalid argument\n")
    jail.cpus = tuple(sorted(cpus))
