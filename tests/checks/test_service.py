"""A service and its daemon: where it runs, where it starts at boot, and who answers its clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from operations.facts import runs
from rollout.engine.checks import Outside
from rollout.site import Listen, Site
from tests.checks.asking import hears

if TYPE_CHECKING:
    from operations.doors import Ways
    from tests.checks.conftest import HostFirewall


def test_runs_on_host(host: Any, site: Site, service: str) -> None:
    """What does not run now cannot be compared with what runs in the jail."""
    script = site.services[service].rc
    assert host.run(runs(script)).rc == 0, (
        f'services.{service}.rc = "{script}": expected its daemon to run on the host; '
        f"service {script} onestatus says: {_status(host, script)}"
    )


def _status(host: Any, script: str) -> str:
    answer = host.run("service %s onestatus", script)
    return str(answer.stdout + answer.stderr).strip()


def test_runs_in_jail(host: Any, site: Site, service: str) -> None:
    jail, script = site.jail_of(service), site.services[service].rc
    assert host.run(runs(script, jail)).rc == 0, f"{script} does not run in jail {jail}"


def test_does_not_run_on_host(host: Any, site: Site, service: str) -> None:
    wanted = site.services[service]
    assert host.run(runs(wanted.rc)).rc != 0, f"{wanted.rc} still runs on the host"
    at_boot = host.run("sysrc -n %s", wanted.rcvar).stdout.strip()
    assert at_boot.upper() == "NO", (
        f"rc.conf of the host: expected {wanted.rcvar}=NO; found {at_boot or 'no such variable'}: "
        f"{wanted.rc} would start on the host at boot"
    )


def test_companions_run_on_host(host: Any, site: Site, service: str) -> None:
    """Those that the host enables: what does not start there would not start in the jail, either,
    and undo a step.
    """
    for each in site.companions(service):
        enabled = host.run("service %s enabled", each.rc).rc == 0
        assert not enabled or host.run(runs(each.rc)).rc == 0, (
            f"{each.rc}, which moves along with {service}, is enabled in rc.conf and does not run; "
            f"service {each.rc} onestatus says: {_status(host, each.rc)}. Start it, or set "
            f"{each.rcvar}=NO"
        )


def test_companions_run_in_jail(host: Any, site: Site, service: str) -> None:
    """Those that the host enables, or did until they moved."""
    jail = site.jail_of(service)
    for each in site.companions(service):
        there = host.run("sysrc -j %s -n %s", jail, each.rcvar).stdout.strip().upper() == "YES"
        if host.run("service %s enabled", each.rc).rc == 0:
            assert there, f"{each.rc} would stay down in jail {jail} after a reboot"
        if there:
            assert host.run(runs(each.rc, jail)).rc == 0, f"{each.rc} does not run in jail {jail}"


def test_companions_do_not_run_on_host(host: Any, site: Site, service: str) -> None:
    jail = site.jail_of(service)
    for each in site.companions(service):
        if host.run("sysrc -j %s -n %s", jail, each.rcvar).stdout.strip().upper() == "YES":
            assert host.run(runs(each.rc)).rc != 0, f"{each.rc} still runs on the host"
            assert host.run("service %s enabled", each.rc).rc != 0, (
                f"{each.rc} would start on the host at boot, and runs in jail {jail}"
            )


def test_starts_at_boot_in_jail(host: Any, site: Site, service: str) -> None:
    jail, rcvar = site.jail_of(service), site.services[service].rcvar
    at_boot = host.run("sysrc -j %s -n %s", jail, rcvar).stdout.strip()
    assert at_boot.upper() == "YES", (
        f"rc.conf of jail {jail}: expected {rcvar}=YES; found {at_boot or 'no such variable'}: "
        f"{service} would stay down after a reboot"
    )


def test_script_is_enabled(host: Any, script: str) -> None:
    answer = host.run("service %s enabled", script)
    assert answer.rc == 0, (
        f"rc script {script} is missing or not enabled in rc.conf: "
        f"{answer.stdout.strip() or 'service says nothing more'}"
    )


def test_listens_on_the_jails_address(
    host: Any, firewall: HostFirewall, site: Site, service: str, ways: Ways | None
) -> None:
    """At each, if it answers further addresses of the host over UDP."""
    jail = site.jail_of(service)
    address = site.jails[jail].address
    further = firewall.further(ways, address).values()
    several = len((*site.jails[jail].addresses, *further)) > 1
    for listen in site.services[service].ports:
        # Not a connection: the host's wildcard socket would answer it, too. Inside the jail only
        # its own sockets are seen; sockstat -j needs a kernel with VIMAGE.
        rows = host.check_output(
            "jexec %s sockstat -4l -P %s -p %s", jail, listen.proto, str(listen.port)
        )
        for each in (address, *(further if listen.proto == "udp" else ())):
            # With several addresses a socket for any is not one for the jail's only address.
            any_ = several and listen.proto == "tcp" and f" *:{listen.port} " in rows
            assert any_ or f"{each}:{listen.port}" in rows, (
                f"nothing in jail {jail} listens on {each}:{listen.port}/{listen.proto}"
            )


def test_leaves_the_jails_address_free(
    host: Any, firewall: HostFirewall, site: Site, service: str, ways: Ways | None
) -> None:
    """A named that listens on any address takes each new one with sockets that FreeBSD finds before
    a jail's (SO_REUSEPORT_LB), so no query would reach the jail's named.
    """
    own = site.jails[site.jail_of(service)].address
    further = firewall.further(ways, own).values()
    for listen in site.services[service].ports:
        rows = host.check_output("sockstat -4lq -j 0 -P %s -p %s", listen.proto, str(listen.port))
        taken = next((e for e in (own, *further) if f" {e}:{listen.port} " in rows), None)
        assert taken is None, (
            f"{site.services[service].rc} on the host listens on {taken}:{listen.port}, the "
            "jail's own address, and would answer in its place; expected it to listen only on "
            f"addresses that its configuration names, as in listen-on {{ {site.host.wan_address}; "
            "127.0.0.1; }"
        )


def test_answers_from_jail(host: Any, outside: Outside, site: Site, service: str) -> None:
    jail, wan = site.jail_of(service), str(site.host.wan_address)
    for listen in site.services[service].ports:
        port = f"{wan}:{listen.port}/{listen.proto}"
        if listen.public:
            found = _who(outside, wan, listen.port, listen.proto)
            assert found == f"jail {jail}", (
                f"{port}, asked from outside: expected an answer from jail {jail}; found {found}"
            )
        else:
            assert _redirected(host, site, service, listen), (
                f"{port}, asked from the host, and at 127.0.0.1: no answer from jail {jail}"
            )


def _who(outside: Outside, address: str, port: int, proto: str) -> str:
    try:
        who = outside.who(address, port, proto)
    except OSError as error:
        return f"no answer ({error.strerror or error})"
    except LookupError:
        return "no answer"
    if who is None:
        return "no answer"
    return "the host" if who == "host" else f"jail {who}"


def test_presents_the_same_certificate(outside: Outside, site: Site, service: str) -> None:
    """The one that it presented at the start of this run: between runs it may be renewed."""
    for listen in site.services[service].ports:
        if not listen.has_certificate:
            continue
        changed = outside.certificates.changed(site, service, listen)
        if changed is None and not listen.public:
            continue  # the host forbids ssh to forward this port; the run reported it at its start
        assert changed == "", (
            f"{site.host.wan_address}:{listen.port}/{listen.proto} {changed or 'is not watched'}"
        )


def _redirected(host: Any, site: Site, service: str, listen: Listen) -> bool:
    """Whether our rule counts a packet of the host's own query, the query is answered, and only the
    jail's daemon can have answered it.
    """
    jail, wan = site.jail_of(service), str(site.host.wan_address)
    into = f"fwd {site.jails[jail].address},{listen.port}"
    if listen.proto == "udp":
        into = f"nat {site.places[service].number}"
    # Where the host's daemon listened at 127.0.0.1 alone, nobody answers at the public address.
    asked = f"{{ {_asked(wan, listen)} || {_asked('127.0.0.1', listen)}; }} >/dev/null 2>&1"
    done = host.run(f'{_led(into, listen)}; n=$(led); {asked} && [ "$(led)" -gt "$n" ]')
    listening = host.run(f"jexec {jail} sockstat -4l -P {listen.proto} -p {listen.port}")
    return done.rc == 0 and f":{listen.port}" in listening.stdout


def _asked(address: str, listen: Listen) -> str:
    if listen.proto == "udp":
        return f"drill @{address} {listen.name or '.'} SOA"
    return f"nc -z -w 5 {address} {listen.port}"


def _led(into: str, listen: Listen) -> str:
    """A function of sh: how many packets our rules that begin so have led into the jail."""
    rule = f"/ {into} {listen.proto} from .* {listen.port}( |$)/"
    return f"led() {{ ipfw -a list | awk '{rule} {{n += $2}} END {{print n + 0}}'; }}"


def test_answers_wherever_it_did(
    host: Any, firewall: HostFirewall, site: Site, service: str, ways: Ways
) -> None:
    """Asked from the host, at each address at which its daemon listened there, 127.0.0.1 too."""
    table = site.services[service]
    for each in firewall.served(ways):
        listen = next(one for one in table.ports if (one.proto, one.port) == each[:2])
        ends = [*each.at, *(["127.0.0.1"] if each.local else [])]
        asks = "; ".join(
            f"n=$(led); {_asked(end, listen)} >/dev/null 2>&1 && "
            f'[ "$(led)" -gt "$n" ] || echo {end}'
            for end in ends
        )
        silent = host.check_output(f"{_led(each.led, listen)}; {asks}; :").split()
        assert not silent, (
            f"services.{service}: port {each.port}/{each.proto}, asked from the host at "
            f"{', '.join(silent)}: no answer from jail {site.jail_of(service)}, where the host's "
            "daemon answered before"
        )


def test_answers_from_the_address_asked(
    host: Any, firewall: HostFirewall, site: Site, service: str, ways: Ways
) -> None:
    """Over UDP, also when the client has just asked another address from the same port: nc(1) has
    its socket connected, so it hears only the address that it asked.
    """
    table = site.services[service]
    for each in firewall.served(ways):
        if each.proto == "tcp" or len(each.at) < 2:
            continue  # asked by answers_wherever_it_did
        listen = next(one for one in table.ports if (one.proto, one.port) == each[:2])
        first = each.at[0]
        ask = f"ask() {{ {hears(listen, first, '$1')} || echo $1; }}"
        asks = "; ".join(f"ask {end}" for end in (*each.at, *each.at))
        silent = host.check_output(f"{ask}; {asks}").split()
        assert not silent, (
            f"services.{service}: port {each.port}/udp, asked from one port of {first} at "
            f"{', '.join(each.at)} in turn: no answer from {', '.join(dict.fromkeys(silent))}, the "
            "address that was asked"
        )


def test_answers_jails_at_localhost(
    host: Any, firewall: HostFirewall, site: Site, service: str, ways: Ways
) -> None:
    """Programs that moved into other jails still ask 127.0.0.1, as they did on the host."""
    own = site.jail_of(service)
    others = " ".join(name for name in site.jails if name != own)
    ports = [each.port for each in firewall.served(ways) if each.local and each.proto == "tcp"]
    asks = [
        f"jexec $jail nc -z -w 5 127.0.0.1 {port} >/dev/null 2>&1 || echo $jail:{port}"
        for port in ports
    ]
    each = (
        f"for jail in {others}; do ! jls -j $jail jid >/dev/null 2>&1 || {{ {'; '.join(asks)}; }}"
    )
    silent = host.check_output(f"{each}; done").split() if ports and others else []
    assert not silent, (
        f"services.{service} answered at 127.0.0.1 before, and programs that moved into other "
        f"jails get no answer there: {', '.join(silent)} (jail and port)"
    )


def test_command_reaches_the_jail(host: Any, site: Site, service: str) -> None:
    """With plain words (status, reload), as a crontab or a hook uses them."""
    script, jail = site.services[service].rc, site.jail_of(service)
    here = host.run("service %s status", script)
    there = host.run("service -j %s %s status", jail, script)
    assert (here.rc, here.stdout) == (there.rc, there.stdout), (
        f"`service {script} status` on the host does not reach jail {jail}: the host prints "
        f'"{here.stdout.strip()}", the jail prints "{there.stdout.strip()}"'
    )


def test_socket_is_the_jails(host: Any, site: Site, service: str) -> None:
    """A link to it; in a directory that the jail mounts, the jail's daemon has made it there."""
    socket, shown = site.services[service].socket, site.shown_socket(service)
    found = host.run("readlink %s", socket).stdout.strip()
    assert found == (shown or ""), (
        f"{socket} on the host: expected {f'a link to {shown}' if shown else 'no link'}; found "
        f"{found or 'no link'}"
    )
    assert host.run("test -S %s", socket).rc == 0, (
        f"{socket} is not a socket: the daemon in the jail does not listen there; see "
        f"services.{service}.socket"
    )
