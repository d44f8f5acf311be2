"""Mail servers: the address from which they send, and their chroots."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from rollout.site import Site
from tests.checks import test_mail_server as checks


def sends_from_an_address_that_it_will_have(site: Site) -> Iterator[Look]:
    """Each must be the public address of the way out of the mail jail."""
    yield Look(checks.sent_from(site.services["mail"].rc), ANY)


def needs_no_chroot(site: Site) -> Iterator[Look]:
    """Services with chroot = y; if there are any, the second line must print nothing."""
    yield Look(checks.CHROOTED, ANY)
    yield Look(checks.IN_CHROOT, ANY)
