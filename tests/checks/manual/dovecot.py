"""Dovecot: users and mailboxes, and a login with the test account."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from rollout.site import HOST, Site
from tests.checks import test_dovecot

_USERS = "/root/cellblock-users"


def has_the_same_mailboxes(site: Site) -> Iterator[Look]:
    """Users that the jail's Dovecot does not know; then look at some mailboxes of one user."""
    asked = "doveadm user '*' | sort -u"
    yield Look(f"jexec {site.jail_of('mail')} {asked} > {_USERS}")
    yield Look(f"{asked} | comm -23 - {_USERS}; rm {_USERS}")
    for where in ("", f"jexec {site.jail_of('mail')} "):
        first = "$(doveadm user '*' | head -n 1)"
        yield Look(f"{where}doveadm mailbox status -u {first} messages '*'", ANY)


def test_account_can_log_in(site: Site, service: str, where: str) -> Iterator[Look]:
    """It may log in for one of the protocols at least."""
    asked = test_dovecot.login_question(site, service, "" if where == HOST else where)
    yield Look(f"({asked}) | grep -m 1 succeeded", f"{ANY}: auth succeeded")


def logins_are_the_same(site: Site, service: str) -> Iterator[Look]:
    """Both lines print the same."""
    for jail in ("", site.jail_of(service)):
        yield Look(test_dovecot.login_question(site, service, jail), ANY)
