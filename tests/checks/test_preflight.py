"""Is this the server that the site file describes, and is it well?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from operations.facts import runs
from rollout.site import Listen, Site

if TYPE_CHECKING:
    from tests.checks.conftest import Listening


def test_is_a_freebsd_that_we_know(host: Any) -> None:
    system, release = host.check_output("uname -sr").split()
    assert system == "FreeBSD", f"the host is {system}: expected FreeBSD"
    major = int(re.match(r"\d+", release).group())  # type: ignore[union-attr]
    assert major >= 13, f"the host is FreeBSD {release}: expected 13 or later"


def test_we_are_root(host: Any) -> None:
    user = host.check_output("id -u")
    assert user == "0", f"logged in with uid {user}: expected root (0); see [host] user"


def test_has_the_wan_address(interfaces: dict[str, str], site: Site) -> None:
    name, address = site.host.wan_interface, str(site.host.wan_address)
    assert name in interfaces, f"host.wan_interface = {name!r}: no such interface"
    assert f"inet {address} " in interfaces[name], f"host.wan_address = {address}: not on {name}"


def test_has_the_public_addresses_of_jails(interfaces: dict[str, str], site: Site) -> None:
    there = "".join(interfaces.values())
    missing = [
        f"jails.{name}.public_addresses: {address}"
        for name, jail in site.jails.items()
        for address in jail.public_addresses
        if f"inet {address} " not in there
    ]
    assert not missing, f"on no interface of the host: {'; '.join(missing)}"


def test_daemon_runs(host: Any, site: Site, service: str) -> None:
    script = site.services[service].rc
    if host.run(runs(script)).rc != 0:
        answer = host.run("service %s onestatus", script)
        pytest.fail(
            f"services.{service}.rc = {script!r}: expected its daemon to run on the host; "
            f"service {script} onestatus says: {(answer.stdout + answer.stderr).strip()}"
        )


def test_listens(listening: list[Listening], site: Site, service: str) -> None:
    for listen in site.services[service].ports:
        assert _at(listen, listening), (
            f"services.{service}.ports: nobody listens on {listen.port}/{listen.proto}"
        )


def test_no_port_is_left_behind(listening: list[Listening], site: Site, service: str) -> None:
    """What nobody named is not forwarded, and would go silent with the host's daemon."""
    asked = [one for listen in site.services[service].ports for one in _at(listen, listening)]
    daemon = {one.pid for one in asked}
    served = {
        int(one.port)
        for one in listening
        if one.pid in daemon and one.proto.startswith("tcp") and one.for_others
    }
    left = ", ".join(map(str, sorted(served.difference(site.tcp_ports))))
    assert not left, (
        f"services.{service}: its daemon also serves {left}/tcp, where nobody would answer after "
        f"the move: add it to services.{service}.ports, or close it"
    )


def test_no_ipv6_clients_are_left_behind(
    interfaces: dict[str, str], listening: list[Listening], site: Site, service: str
) -> None:
    """A forwarded IPv6 connection hangs in silence in a jail that lacks the public address."""
    there = interfaces.get(site.host.wan_interface, "").split()
    public = [there[n + 1] for n, word in enumerate(there) if word == "inet6"]
    public = [address for address in public if not address.startswith("fe80:")]
    for listen in site.services[service].ports:
        bound = {one.address for one in _at(listen, listening) if "6" in one.proto}
        served = [address for address in public if bound & {"*", address}]
        assert not (listen.public and served), (
            f"services.{service}: serves IPv6 clients at {', '.join(served)}, port "
            f"{listen.port}/{listen.proto}: only IPv4 is moved, and they would be cut off; let the "
            "daemon listen on IPv4 alone, or take the service out of the order"
        )


def _at(listen: Listen, listening: list[Listening]) -> list[Listening]:
    return [
        one
        for one in listening
        if one.proto.startswith(listen.proto) and one.port == str(listen.port)
    ]


def test_data_has_room(host: Any, site: Site, directory: str) -> None:
    answer = host.run("df -k %s", directory)
    assert answer.rc == 0, f"{directory}: expected a directory: {answer.stderr.strip()}"
    free = int(answer.stdout.splitlines()[-1].split()[3]) // 1024
    wanted = site.run.free_space_mib
    assert free >= wanted, f"{directory}: {free} MiB are free: expected {wanted} at least"


def test_configuration_is_right(host: Any, site: Site, service: str) -> None:
    command = site.services[service].configtest
    answer = host.run(command)
    said = (answer.stdout + answer.stderr).strip()
    assert answer.rc == 0, f"services.{service}.configtest = {command!r}: it refuses: {said}"


def test_configuration_is_there(host: Any, path: str) -> None:
    assert host.file(path).exists, f"configuration {path} is not on the host"
