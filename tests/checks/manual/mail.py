"""Mail: maps and queue before the move; names, accounts and delivery after it."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from operations import mail
from operations.command import ANY, Look
from rollout.site import Site
from tests.checks import test_mail

_NAMES = "/root/cellblock-names"


def maps_can_be_rebuilt(site: Site) -> Iterator[Look]:
    yield Look(f"({test_mail.map_question(site)}) | grep -v ^WARNING")


def queue_can_be_moved(site: Site) -> Iterator[Look]:
    at = test_mail.queue_of(site).directory
    yield Look(f"[ -d {at} ] && [ ! -L {at} ] && echo a directory", "a directory")
    yield Look(f"stat -f %d {at} {at}/.. | uniq | wc -l", "1")


def is_accepted_for_every_host_name(site: Site) -> Iterator[Look]:
    yield from _missing(site, test_mail.names_question(site), "| grep -v -e ' ' -e IPv6 -e '^>$'")


def calls_itself_the_same(site: Site) -> Iterator[Look]:
    """Both lines print the same."""
    asked = mail.OWN_NAME[site.services["mail"].rc]
    yield Look(asked, ANY)
    yield Look(f"jexec {site.jail_of('mail')} sh -c {quote(asked)}", ANY)


def accounts_are_in_the_jail(site: Site) -> Iterator[Look]:
    yield from _missing(site, test_mail.PEOPLE, "")


def _missing(site: Site, question: str, among: str) -> Iterator[Look]:
    """What the host prints and the jail does not."""
    jail = site.jail_of("mail")
    yield Look(f"jexec {jail} sh -c {quote(question)} | sort -u > {_NAMES}")
    yield Look(f"({question}) {among} | sort -u | comm -23 - {_NAMES}; rm {_NAMES}")


def ports_are_closed_on_host(site: Site, service: str) -> Iterator[Look]:
    for listen in site.services[service].ports:
        yield Look(f"sockstat -46lq -j 0 -P {listen.proto} -p {listen.port}")


def host_queue_is_empty(site: Site) -> Iterator[Look]:
    queue = test_mail.queue_of(site)
    yield Look(f"(cd {queue.directory} && {queue.control})")


def from_the_host_arrives(site: Site) -> Iterator[Look]:
    jail = site.jail_of("mail")
    yield Look("echo 'Subject: cellblock, by hand' | /usr/sbin/sendmail root")
    yield Look(f"sleep 5; jexec {jail} tail -n 5 /var/log/maillog", f"{ANY}root{ANY}")
