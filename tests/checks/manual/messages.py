"""Messages that are sent, and looked for in the mailboxes of the host."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from rollout.site import Site
from tests.checks import test_messages

_SUBJECT = "cellblock, by hand"


def from_the_host_arrive(site: Site) -> Iterator[Look]:
    """The last line prints a file of the mailbox, unless root's mail goes to another machine."""
    yield from _arrives(site, "")


def from_jails_arrive(site: Site, senders: str) -> Iterator[Look]:
    for name in senders.split():
        yield from _arrives(site, f"jexec {name} ")


def to_a_virtual_mailbox_arrive(site: Site) -> Iterator[Look]:
    """The last line prints a file of that mailbox, if Postfix has virtual mailboxes in tables."""
    first = f"{{ {test_messages.VIRTUAL}; }} | head -n 1 | while read -r address path"
    sends = f'jexec {site.jail_of("mail")} /usr/sbin/sendmail "$address"'
    yield Look(f"{first}; do echo 'Subject: {_SUBJECT}' | {sends}; done")
    finds = f"find -x \"$path\" -type f -mmin -5 -exec grep -lF '{_SUBJECT}' {{}} +"
    yield Look(f"sleep 5; {first}; do {finds}; done", ANY)


def _arrives(site: Site, where: str) -> Iterator[Look]:
    yield Look(f"echo 'Subject: {_SUBJECT}' | {where}/usr/sbin/sendmail root")
    log = "/var/log/maillog"
    yield Look(f"sleep 5; jexec {site.jail_of('mail')} tail -n 5 {log}", f"{ANY}root{ANY}")
    places = " ".join(site.services["mail"].data)
    yield Look(f"find -x {places} /root -type f -mmin -5 -exec grep -lF '{_SUBJECT}' {{}} +", ANY)
