"""A service and its daemon: where it runs, where it starts at boot, and who answers its clients."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import ANY, Look
from operations.doors import Ways
from operations.rc import HOSTS_OWN
from rollout.site import Listen, Site
from tests.checks.asking import hears


def runs_on_host(site: Site, service: str) -> Iterator[Look]:
    yield Look(f"service {site.services[service].rc} onestatus", f"{ANY} is running {ANY}")


def runs_in_jail(site: Site, service: str) -> Iterator[Look]:
    jail, script = site.jail_of(service), site.services[service].rc
    yield Look(f"service -j {jail} {script} onestatus", f"{ANY} is running {ANY}")


def does_not_run_on_host(site: Site, service: str) -> Iterator[Look]:
    wanted = site.services[service]
    if wanted.rc in HOSTS_OWN:  # its queue runner stays, and 15.0 tells of nothing else then
        daemon = f"service {wanted.rc} onestatus | grep -v _queue"
        yield Look(f"{daemon} | grep -c ' is running'", "0")
    else:
        yield Look(f"service {wanted.rc} onestatus", f"{ANY} is not running{ANY}")
    yield Look(f"sysrc -n {wanted.rcvar}", "NO")


def companions_run_on_host(site: Site, service: str) -> Iterator[Look]:
    for each in site.companions(service):
        asked = f"service {each.rc} enabled"
        running = f"service {each.rc} onestatus"
        yield Look(f"if {asked}; then {running} | grep -c ' is running'; else echo 1; fi", "1")


def companions_run_in_jail(site: Site, service: str) -> Iterator[Look]:
    for each in site.companions(service):
        asked = f"sysrc -j {site.jail_of(service)} -n {each.rcvar} | grep -qi yes"
        running = f"service -j {site.jail_of(service)} {each.rc} onestatus"
        yield Look(f"if {asked}; then {running} | grep -c ' is running'; else echo 1; fi", "1")


def companions_do_not_run_on_host(site: Site, service: str) -> Iterator[Look]:
    for each in site.companions(service):
        asked = f"sysrc -j {site.jail_of(service)} -n {each.rcvar} | grep -qi yes"
        running = f"service {each.rc} onestatus 2>&1"
        yield Look(f"if {asked}; then {running} | grep -c ' is running'; else echo 0; fi", "0")


def starts_at_boot_in_jail(site: Site, service: str) -> Iterator[Look]:
    yield Look(f"sysrc -j {site.jail_of(service)} -n {site.services[service].rcvar}", "YES")


def script_is_enabled(site: Site, script: str) -> Iterator[Look]:
    yield Look(f"service {script} enabled && echo enabled", "enabled")


def listens_on_the_jails_address(site: Site, service: str, ways: Ways | None) -> Iterator[Look]:
    jail = site.jail_of(service)
    for listen in site.services[service].ports:
        yield Look(
            f"jexec {jail} sockstat -4lq -P {listen.proto} -p {listen.port}",
            f"{ANY} {site.jails[jail].address}:{listen.port} {ANY}",
        )


def leaves_the_jails_address_free(site: Site, service: str, ways: Ways | None) -> Iterator[Look]:
    address = site.jails[site.jail_of(service)].address
    ports = ",".join(dict.fromkeys(str(listen.port) for listen in site.services[service].ports))
    yield Look(f"sockstat -4lq -j 0 -p {ports} | grep -F ' {address}:'")


def answers_from_jail(site: Site, service: str) -> Iterator[Look]:
    """An answer does not show who sent it, so the jail's sockets are listed meanwhile."""
    jail, wan = site.jail_of(service), site.host.wan_address
    for listen in site.services[service].ports:
        port = listen.port
        if not listen.public:
            asked = f"drill @{wan} {listen.name or '.'} SOA" if listen.proto == "udp" else ""
            yield Look(f"{asked or f'nc -z -w 5 {wan} {port}'} >/dev/null 2>&1 && echo yes", "yes")
            yield Look(
                f"jexec {jail} sockstat -4lq -P {listen.proto} -p {port}", f"{ANY}:{port} {ANY}"
            )
        elif listen.proto == "tcp":
            yield Look(f"(sleep 8 | nc {wan} {port} >/dev/null &)", "", "elsewhere")
            yield Look(
                f"jexec {jail} sockstat -4cq -P tcp -p {port}",
                f"{ANY}:{port} {ANY}",
                "meanwhile",
            )
        else:
            name = listen.name or "."
            yield Look(f"host -t SOA {name} {wan}", f"{ANY} SOA {ANY}", "elsewhere")
            yield Look(f"jexec {jail} sockstat -4lq -P udp -p {port}", f"{ANY}:{port} {ANY}")


def answers_wherever_it_did(site: Site, service: str, ways: Ways) -> Iterator[Look]:
    """At each address at which the host's daemon listened; the others need not be asked."""
    wan = site.host.wan_address
    for address in (*(site.services[service].addresses or (wan,)), "127.0.0.1"):
        for listen in site.services[service].ports:
            yield Look(f"{_asked(str(address), listen)} >/dev/null 2>&1 && echo yes", "yes")


def answers_from_the_address_asked(site: Site, service: str, ways: Ways) -> Iterator[Look]:
    """From one port of one client, each address after the other; those without an answer."""
    wan, number = str(site.host.wan_address), site.places[service].number
    led = f"ipfw nat {number} show config | grep -o 'redirect_addr [0-9.]* [0-9.]*'"
    every = f"{led} | awk '$3 !~ /^127/ {{print $3}}'"
    for listen in site.services[service].ports:
        if listen.proto == "udp":
            ask = f"{hears(listen, wan, '$each')} || echo $each"
            yield Look(f"for each in $({every}) {wan}; do {ask}; done")


def answers_jails_at_localhost(site: Site, service: str, ways: Ways) -> Iterator[Look]:
    own = site.jail_of(service)
    jails = " ".join(name for name in site.built if name != own)
    for port in site.services[service].tcp_ports:
        ask = f"jexec $jail nc -z -w 5 127.0.0.1 {port} >/dev/null 2>&1"
        there = "jls -j $jail jid >/dev/null 2>&1"
        yield Look(f"for jail in {jails}; do ! {there} || {ask} || echo $jail; done")


def _asked(address: str, listen: Listen) -> str:
    if listen.proto == "udp":
        return f"drill @{address} {listen.name or '.'} SOA"
    return f"nc -z -w 5 {address} {listen.port}"


def command_reaches_the_jail(site: Site, service: str) -> Iterator[Look]:
    script, jail = site.services[service].rc, site.jail_of(service)
    yield Look(
        f'[ "$(service {script} status)" = "$(service -j {jail} {script} status)" ] && echo same',
        "same",
    )


def presents_the_same_certificate(site: Site, service: str) -> Iterator[Look]:
    """Compare what it prints with what it printed before the first step."""
    for listen in site.services[service].ports:
        if listen.has_certificate:
            protocol, _, starttls = listen.probe.partition("-")
            words = [f"openssl s_client -connect {site.host.wan_address}:{listen.port}"]
            words += [f"-servername {listen.name}"] * bool(listen.name)
            words += [f"-starttls {protocol}"] * bool(starttls)
            yield Look(
                f"{' '.join(words)} </dev/null 2>/dev/null "
                "| openssl x509 -noout -fingerprint -sha256",
                f"{ANY}Fingerprint={ANY}",
                "elsewhere" if listen.public else "host",
            )


def socket_is_the_jails(site: Site, service: str) -> Iterator[Look]:
    socket, shown = site.services[service].socket, site.shown_socket(service)
    if shown:
        yield Look(f"readlink {socket}", shown)
    yield Look(f"[ -S {socket} ] && echo a socket", "a socket")
