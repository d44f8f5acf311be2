"""A service that moved: who runs it, who answers, and what happens at the next boot."""

from __future__ import annotations

from typing import Any

from operations.facts import runs
from rollout.engine.checks import Outside
from rollout.site import Listen, Site


def test_runs_in_jail(host: Any, site: Site, service: str) -> None:
    jail, script = site.jail_of(service), site.services[service].rc
    assert host.run(runs(script, jail)).rc == 0, f"{script} does not run in jail {jail}"


def test_does_not_run_on_host(host: Any, site: Site, service: str) -> None:
    wanted = site.services[service]
    assert host.run(runs(wanted.rc)).rc != 0, f"{wanted.rc} still runs on the host"
    at_boot = host.check_output("sysrc -n %s", wanted.rcvar)
    assert at_boot.upper() == "NO", (
        f"{wanted.rcvar} is {at_boot}: it comes back on the host at boot"
    )


def test_returns_at_boot_in_jail(host: Any, site: Site, service: str) -> None:
    jail, rcvar = site.jail_of(service), site.services[service].rcvar
    at_boot = host.check_output("sysrc -j %s -n %s", jail, rcvar)
    assert at_boot.upper() == "YES", f"{rcvar} in jail {jail} is {at_boot}: it stays down at boot"


def test_answers_on_the_lan(host: Any, site: Site, service: str) -> None:
    jail = site.jail_of(service)
    address = site.jails[jail].address
    for listen in site.services[service].ports:
        # Not a connection: the host's wildcard socket would answer it just as well. In the jail
        # only its own sockets are seen; sockstat -j wants a kernel with VIMAGE.
        rows = host.check_output(
            "jexec %s sockstat -4l -P %s -p %s", jail, listen.proto, str(listen.port)
        )
        assert f"{address}:{listen.port}" in rows, f"jail {jail} does not listen on {listen.port}"


def test_host_leaves_the_jails_address(host: Any, site: Site, service: str) -> None:
    """A named that listens on any address takes each new one by sockets that FreeBSD finds before
    a jail's (SO_REUSEPORT_LB), so that the jail's would never be asked.
    """
    address = site.jails[site.jail_of(service)].address
    for listen in site.services[service].ports:
        rows = host.check_output("sockstat -4lq -j 0 -P %s -p %s", listen.proto, str(listen.port))
        assert f" {address}:{listen.port} " not in rows, (
            f"{site.services[service].rc} on the host listens on {address}:{listen.port}, the "
            "jail's own address, and would answer in its place: expected it to listen on its own "
            "addresses by name, as in listen-on { "
            f"{site.host.wan_address}; 127.0.0.1; }}"
        )


def test_answers_from_jail(host: Any, outside: Outside, site: Site, service: str) -> None:
    jail, wan = site.jail_of(service), str(site.host.wan_address)
    for listen in site.services[service].ports:
        port = f"{wan}:{listen.port}/{listen.proto}"
        if listen.public:
            who = outside.who(wan, listen.port, listen.proto)
            assert who == jail, f"{port} is answered by {who or 'nobody'}: expected jail {jail}"
        else:
            assert _redirected(host, site, service, listen), (
                f"{port}, asked by the host, is not answered by jail {jail}"
            )


def _redirected(host: Any, site: Site, service: str, listen: Listen) -> bool:
    """Whether our rule counts a question of the host's own that is answered, with nobody but the
    jail's daemon to answer it.
    """
    number, wan = site.places[service].number, site.host.wan_address
    asked = f"nc -z -w 5 {wan} {listen.port}"
    if listen.proto == "udp":
        asked = f"drill @{wan} {listen.name or '.'} SOA"
    counted = (
        f"count() {{ ipfw -a list | awk '$1 == {number} && / to {wan} {listen.port} in recv lo0/ "
        "{n += $2} END {print n + 0}'; }"
    )
    done = host.run(f'{counted}; n=$(count); {asked} >/dev/null 2>&1 && [ "$(count)" -gt "$n" ]')
    listening = host.run(
        f"jexec {site.jail_of(service)} sockstat -4l -P {listen.proto} -p {listen.port}"
    )
    return done.rc == 0 and f":{listen.port}" in listening.stdout


def test_socket_leads_into_jail(host: Any, site: Site, service: str) -> None:
    socket = site.services[service].socket
    target = f"{site.root(site.jail_of(service))}{socket}"
    assert host.file(socket).linked_to == target, f"{socket} does not lead to {target}"
    assert host.file(target).is_socket, f"{target} is no socket"
