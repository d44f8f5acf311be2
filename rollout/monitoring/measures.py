"""What is nearly full, nearly at its limit, or about to end. Pure functions of what was read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from shlex import quote

from rollout.monitoring.finding import Finding
from rollout.probe.tls import Certificate
from rollout.probe.watch import Watch
from rollout.site import HOST, Site
from rollout.usage import amounts

_REFUSED = ("memoryuse", "swapuse", "maxproc", "openfiles")
"""Of these nothing is left at the limit. At the others a jail is only slowed down, as was meant."""
_DAY = 86400.0  # seconds


def full(site: Site, listed: str) -> Iterator[Finding]:
    """Of what `df -k` prints. A jail's file systems are the host's."""
    for line in listed.splitlines():
        row = re.search(r"(-?[0-9]{1,18}) +([0-9]{1,9})% +(/.*)", line)
        if row and int(row[2]) >= site.watch.disk_percent:
            yield Finding(
                f"disk{row[3]}",
                f"the file system {row[3]} is nearly full",
                f"{row[2]} % are taken, {int(row[1]) // 1024} MiB are free",
                f"make room on the host: du -xh -d 2 {quote(row[3])} | sort -h says what "
                "takes it; a step or an undo that cannot write fails",
            )


def limits(site: Site, jail: str) -> dict[str, int]:
    """What the jail may take at most, by the kernel's names, of all that it is refused above."""
    rules = (rule.split(":")[2:] for rule in site.jails[jail].limits.rules(jail))
    amounts_of = {what: action.partition("=")[2] for what, action in rules}
    return {what: int(amounts_of[what]) for what in _REFUSED if what in amounts_of}


def limited(site: Site, jail: str, used: str) -> Iterator[Finding]:
    """Of what `rctl -u` prints: nothing, if the jail does not run."""
    taken = amounts(used)
    for what, most in limits(site, jail).items():
        has = taken.get(what, 0)
        if has * 100 >= most * site.watch.limit_percent:
            yield Finding(
                f"limit/{jail}/{what}",
                f"the jail {jail} has nearly all that it may take of {what}",
                f"{has} of {most}, {has * 100 // most} %",
                f"see what takes it (ps -J {jail} -axu on the host), or give it more in "
                f"jails.{jail}.limits",
            )


def waiting(site: Site, counted: str) -> Iterator[Finding]:
    """Of lines WHOSE COUNT, one for each queue."""
    counts: Counter[str] = Counter()
    for line in counted.splitlines():
        whose, _, listed = line.partition(" ")
        if re.fullmatch(r" *[0-9]{1,15}", listed):
            counts[whose] += int(listed)
    for whose, count in counts.items():
        if count >= site.watch.queue:
            where = "the host" if whose == HOST else f"the jail {whose}"
            asks = "mailq" if whose == HOST else f"jexec {whose} mailq"
            yield Finding(
                f"queue/{whose}",
                f"mail waits in the queue of {where}",
                f"{count} messages",
                f"{asks} on the host says why: a server that does not answer, or somebody who "
                "sends too much (mailq -Ac for what programs sent)",
            )


def certificates(
    site: Site, presented: Iterable[tuple[Watch, Certificate | str]], now: datetime | None = None
) -> Iterator[Finding]:
    """Of each TLS port, with what it presents."""
    now = now or datetime.now(UTC)
    renew = "renew it, and see that the daemon reads the new one"
    for watch, found in presented:
        port = watch.behind or watch.port
        where = f"certificate/{port}", f"port {port} ({watch.name})"
        if isinstance(found, str):
            yield Finding(where[0], f"{where[1]} presents no certificate", found, renew)
        elif found.ends is None:
            says = f"the certificate at {where[1]} cannot be read"
            yield Finding(where[0], says, str(found), renew)
        else:
            left = (datetime.fromisoformat(found.ends) - now).total_seconds() / _DAY
            if left < 0:
                says = f"the certificate at {where[1]} has ended"
                yield Finding(where[0], says, str(found), renew, "ended")
            elif left < site.watch.certificate_days:
                days = f"{int(left) + 1} day{'s' * (left >= 1)}"
                says = f"the certificate at {where[1]} ends in less than {days}"
                yield Finding(where[0], says, str(found), renew)
