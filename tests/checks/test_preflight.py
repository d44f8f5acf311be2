"""Is this the server that the site file describes, and is it healthy?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from operations.facts import JAIL_CONF, jails_of
from rollout.site import Listen, Site
from steps.carriers import Carriers
from tests.checks.asking import asking
from tests.checks.needing import needs

if TYPE_CHECKING:
    from tests.checks.conftest import Listening


def test_host_runs_a_supported_freebsd(host: Any) -> None:
    system, release = host.check_output("uname -sr").split()
    assert system == "FreeBSD", f"the host is {system}: expected FreeBSD"
    major = int(re.match(r"\d+", release).group())  # type: ignore[union-attr]
    assert major >= 13, f"the host is FreeBSD {release}: expected 13 or later"


def test_login_is_root(host: Any) -> None:
    user = host.check_output("id -u")
    assert user == "0", f"logged in with uid {user}: expected root (0); see host.user"


def test_host_has_the_wan_address(interfaces: dict[str, str], site: Site) -> None:
    name, address = site.host.wan_interface, str(site.host.wan_address)
    assert name in interfaces, (
        f'host.wan_interface = "{name}": the host has no such interface; it has '
        f"{', '.join(each for each in interfaces if each)}"
    )
    has = re.findall(r"inet (\S+) ", interfaces[name])
    assert address in has, (
        f'host.wan_address = "{address}": interface {name} does not have it; it has '
        f"{', '.join(has) or 'no IPv4 address'}"
    )


def test_host_has_the_public_addresses_of_jails(interfaces: dict[str, str], site: Site) -> None:
    there = "".join(interfaces.values())
    missing = [
        f"jails.{name}.public_addresses: {address}"
        for name, jail in site.jails.items()
        for address in jail.public_addresses
        if f"inet {address} " not in there
    ]
    assert not missing, f"no interface of the host has these addresses: {'; '.join(missing)}"


def test_rcvar_is_what_the_script_reads(host: Any, site: Site, service: str) -> None:
    """With another one the host's daemon would come back at boot, and the jail's would not start.

    sendmail's script reads several, and prints those of what is switched on.
    """
    wanted = site.services[service]
    answer = host.run("service %s rcvar", wanted.rc)
    reads = re.findall(r'(?m)^(\w+)="', answer.stdout)
    said = (answer.stdout + answer.stderr).strip()
    assert reads, f"service {wanted.rc} rcvar: expected the name of an rc variable; found: {said}"
    assert wanted.rcvar in reads, (
        f'services.{service}.rcvar = "{wanted.rcvar}" is not a variable that {wanted.rc} reads: '
        f"expected {' or '.join(dict.fromkeys(reads))}"
    )


def test_needs_are_met(host: Any, carriers: Carriers, site: Site, service: str) -> None:
    """Whatever the daemon has open, and its rc variables: carried into the jail, or reachable."""
    found, unread = needs(host, site, service)
    answers = [(need, carriers.answer(service, need, asking(host))) for need in found]
    unmet = [f"{need.said}: {answer.by}" for need, answer in answers if answer.outcome == "refused"]
    told = list(dict.fromkeys([*unmet, *unread]))
    assert not told, f"services.{service}: {'; '.join(told)}"


def test_socket_is_the_daemons(
    host: Any, listening: list[Listening], site: Site, service: str
) -> None:
    """It is replaced by a link into the jail: programs look for it where the daemon has it now."""
    socket = site.services[service].socket
    asked = [one for listen in site.services[service].ports for one in _at(listen, listening)]
    assert host.run("test -S %s", socket).rc == 0, (
        f'services.{service}.socket = "{socket}": no socket is there; '
        f"expected {_sockets(host, {one.pid for one in asked})}"
    )


def _sockets(host: Any, pids: set[str]) -> str:
    """The paths where processes listen: USER COMMAND PID FD PROTO PATH, as sockstat has them."""
    rows = [row.split() for row in host.check_output("sockstat -ulq -j 0").splitlines()]
    paths = [row[5] for row in rows if len(row) > 5 and row[2] in pids and row[5].startswith("/")]
    return " or ".join(dict.fromkeys(paths)) or "the path where the daemon listens"


def test_daemon_listens_on_its_ports(listening: list[Listening], site: Site, service: str) -> None:
    for listen in site.services[service].ports:
        assert _at(listen, listening), (
            f"services.{service}.ports: nothing on the host listens on {listen.port}/{listen.proto}"
        )


def test_all_ports_are_in_the_site_file(
    listening: list[Listening], site: Site, service: str
) -> None:
    """A port that the site file does not name is not forwarded, and would stop answering."""
    asked = [one for listen in site.services[service].ports for one in _at(listen, listening)]
    daemon = {one.pid for one in asked}
    served = {
        int(one.port)
        for one in listening
        if one.pid in daemon and one.proto.startswith("tcp") and one.for_others
    }
    left = ", ".join(map(str, sorted(served.difference(site.tcp_ports))))
    assert not left, (
        f"services.{service}: its daemon also listens on {left}/tcp, which would not answer after "
        f"the move: add it to services.{service}.ports, or close it"
    )


def test_daemon_serves_no_ipv6_clients(
    interfaces: dict[str, str], listening: list[Listening], site: Site, service: str
) -> None:
    """A forwarded IPv6 connection hangs in a jail that does not have the public address."""
    there = interfaces.get(site.host.wan_interface, "").split()
    public = [there[n + 1] for n, word in enumerate(there) if word == "inet6"]
    public = [address for address in public if not address.startswith("fe80:")]
    for listen in site.services[service].ports:
        bound = {one.address for one in _at(listen, listening) if "6" in one.proto}
        served = [address for address in public if bound & {"*", address}]
        assert not (listen.public and served), (
            f"services.{service}: serves IPv6 clients at {', '.join(served)}, port "
            f"{listen.port}/{listen.proto}: only IPv4 is moved, so they would be cut off; let the "
            "daemon listen on IPv4 only, or take the service out of `order`"
        )


def _at(listen: Listen, listening: list[Listening]) -> list[Listening]:
    return [
        one
        for one in listening
        if one.proto.startswith(listen.proto) and one.port == str(listen.port)
    ]


def test_file_system_has_room(host: Any, site: Site, directory: str) -> None:
    answer = host.run("df -k %s", directory)
    assert answer.rc == 0, f"{directory}: expected a directory; df says: {answer.stderr.strip()}"
    free = int(answer.stdout.splitlines()[-1].split()[3]) // 1024
    wanted = site.run.free_space_mib
    assert free >= wanted, f"{directory}: {free} MiB are free; expected at least {wanted} MiB"


def test_configuration_is_valid(host: Any, site: Site, service: str) -> None:
    command = site.services[service].configtest
    answer = host.run(command)
    said = (answer.stdout + answer.stderr).strip()
    assert answer.rc == 0, f'services.{service}.configtest = "{command}" fails: {said}'


def test_configuration_exists(host: Any, path: str) -> None:
    assert host.file(path).exists, (
        f"{path}: the site file names it as configuration, but the host does not have it"
    )


def test_mount_source_exists(host: Any, jail: str, path: str) -> None:
    """Without it the jail would not start."""
    assert host.file(path).is_directory, (
        f"jails.{jail}.mounts: {path} is not a directory of the host: create it, or remove the "
        "mount"
    )


def test_name_of_jail_is_free(host: Any, rc_conf: str, site: Site, jail: str) -> None:
    """Ours would be taken for it: jail(8), jexec and rc.conf know a jail by its name."""
    own = f"/etc/jail.{jail}.conf /etc/jail.conf.d/{jail}.conf {site.base.jails}/{jail}"
    answer = host.check_output(
        f"jls -j {jail} path 2>/dev/null | sed 's/^/jls: a jail of that name runs in /'; "
        f"ls -d {own} 2>/dev/null; "
        f"{JAIL_CONF} | while read -r file; do "
        'awk \'{print FILENAME ":" FNR ":\\t" $0}\' "$file"; done'
    )
    rows = [row.partition("\t") for row in answer.splitlines()]
    said = [place.rstrip(":") for place, _, text in rows if not text or jail in jails_of(text)]
    said += re.findall(rf"(?m)^\s*(jail_{re.escape(jail)}_\w+)=", rc_conf)
    assert not said, (
        f"[jails.{jail}]: the host has something of that name already ({'; '.join(said)}): give "
        "the jail of the site file another name, or remove what is there"
    )
