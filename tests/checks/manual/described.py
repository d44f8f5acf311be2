"""A service that only its site file knows: what its questions print."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from operations.command import ANY, Look
from rollout.site import Site


def questions_have_answers(site: Site, service: str) -> Iterator[Look]:
    """The same each time, as long as nobody writes."""
    for each in site.services[service].questions:
        yield Look(f"{each}; {each}", ANY)


def daemon_listens_where_its_jail_can(site: Site, service: str) -> Iterator[Look]:
    """At every address (*), or at 127.0.0.1."""
    ports = ",".join(str(each.port) for each in site.services[service].ports)
    at = "awk '{print $(NF - 1)}' | grep -vE '^([*]|127[.]0[.]0[.]1):'"
    yield Look(f"sockstat -46lq -j 0 -p {ports} | {at}")


def daemon_writes_nothing_that_two_would(site: Site, service: str) -> Iterator[Look]:
    """No file that it has open for writing (w in the sixth column) is one that the jail shares."""
    pids = f"$(sockstat -46lq -j 0 -p {site.services[service].ports[0].port} | awk '{{print $3}}')"
    shared = "|".join(site.services[service].data) or "/nowhere"
    yield Look(f"procstat -f {pids} | awk '$6 ~ /w/ && $NF ~ \"^({shared})\"'")


def jail_gives_the_same_answers(site: Site, service: str) -> Iterator[Look]:
    """In its jail as on the host."""
    jail = site.jail_of(service)
    for each in site.services[service].questions:
        yield Look(f"{each}; jexec {jail} sh -c {quote(each)}", ANY)
