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


def settings_mean_the_same_in_a_jail(site: Site) -> Iterator[Look]:
    """Lines of these lists that are for 127.0.0.1; the jails' addresses belong there, too."""
    mail = site.jails[site.jail_of("mail")]
    scripts = [site.services[each].rc for each in mail.services]
    lists = "InternalHosts|IgnoreHosts|_exceptions|check_client_access|access_list|milter_maps"
    said = f"{lists}|trusted_networks|remote (127|::1)|Client(Rate|Conn):127|GreetPause:127|= fs"
    yield Look(f"{{ {checks.settings_asked(scripts)}; }} 2>/dev/null | grep -E '{said}'", ANY)
