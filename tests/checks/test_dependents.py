"""What else on the host refers to a daemon: crontabs, newsyslog, hooks, scripts, other daemons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollout.site import Site
from tests.checks import naming

if TYPE_CHECKING:
    from operations.doors import Ways
    from tests.checks.conftest import HostFirewall


def test_all_keep_working(host: Any, site: Site, service: str) -> None:
    """What names a daemon by its old place does not find it in the jail."""
    found = [each for each in naming.found(host, site, service) if each.stops]
    assert not found, "\n".join(map(str, found))


def test_none_are_found(host: Any, site: Site, service: str) -> None:
    """For a plan, which lists all that names the daemon: what keeps working, and what will not."""
    found = naming.found(host, site, service)
    assert not found, "\n".join(map(str, found))


def test_nobody_is_shut_out(firewall: HostFirewall, service: str, ways: Ways) -> None:
    """A port with `public = false` answers the host and its jails alone after the move. Who else is
    let in today, by the address at which the daemon listens and by the host's rules, is not then.
    """
    told = [
        f"services.{service}: other machines reach port {port}/{proto} at {', '.join(at)} now, and "
        "will not: the site file says public = false"
        for (proto, port), at in firewall.open_at(ways).items()
    ]
    assert not told, "\n".join(told)
