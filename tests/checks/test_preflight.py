"""Is this the server that the site file describes, and is it healthy?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from pathlib import PurePosixPath
from shlex import quote
from typing import TYPE_CHECKING, Any

from operations import named, rc
from operations.carried import Ask, is_in
from operations.facts import jails_of
from operations.jail import PROGRAMS
from operations.needs import Listener, Running
from rollout.engine.checks import Outside
from rollout.site import Listen, Site
from steps.carriers import FRESH
from tests.checks import filesystems, leading, outsiders
from tests.checks.needing import rc_variables

if TYPE_CHECKING:
    from operations.doors import Ways
    from tests.checks.conftest import HostFirewall


def test_host_runs_a_supported_freebsd(host: Any) -> None:
    """What Cellblock types was measured on FreeBSD 13 and later."""
    system, release = host.check_output("uname -sr").split()
    assert system == "FreeBSD", f"the host is {system}: expected FreeBSD"
    major = int(re.match(r"\d+", release).group())  # type: ignore[union-attr]
    assert major >= 13, f"the host is FreeBSD {release}: expected 13 or later"


def test_login_is_root(host: Any) -> None:
    """Jails, mounts and rules are root's, and so is most of what has to be read first."""
    user = host.check_output("id -u")
    assert user == "0", (
        f"logged in with uid {user}: expected root (0); see host.user and host.become"
    )


def test_host_has_the_wan_address(interfaces: dict[str, str], site: Site) -> None:
    """Traffic is led to the jails by this address and interface."""
    name, address = site.host.wan_interface, str(site.host.wan_address)
    assert name in interfaces, (
        f'host.wan_interface = "{name}": the host has no such interface; it has '
        f"{', '.join(each for each in interfaces if each)}"
    )
    has = re.findall(r"inet (\S+) ", interfaces[name])
    assert address in has, (
        f'host.wan_address = "{address}": interface {name} does not have it; it has '
        f"{', '.join(has) or 'no IPv4 address'}: if a router translates the public address (most "
        "clouds), wan_address is the one that the interface has, and host.seen_at names the other"
    )


def test_host_has_the_public_addresses_of_jails(interfaces: dict[str, str], site: Site) -> None:
    """A rule for an address that the host does not have leads nobody anywhere."""
    there = "".join(interfaces.values())
    missing = [
        f"jails.{name}.public_addresses: {address}"
        for name, jail in site.jails.items()
        for address in jail.public_addresses
        if f"inet {address} " not in there
    ]
    assert not missing, f"no interface of the host has these addresses: {'; '.join(missing)}"


def test_path_of_the_jails_has_no_links(host: Any, site: Site) -> None:
    """The kernel's table of mounts has paths without links; ours are compared with it."""
    jails = site.base.jails
    above = " ".join([jails, *map(str, PurePosixPath(jails).parents)])
    asked = (
        f'(for at in {above}; do [ ! -d "$at" ] || {{ echo "$at $(realpath "$at")"; exit; }}; done)'
    )
    at, real = host.check_output(asked).split()
    there = f"{real.rstrip('/')}/{PurePosixPath(jails).relative_to(at)}".removesuffix("/.")
    assert there == jails, (
        f'base.jails = "{jails}": there is a link on the way, which leads to {there}: expected a '
        f'path without links; write "{there}"'
    )


_ROUTES = (
    "netstat -rn -f inet | awk '$1 ~ /^[0-9.]+\\/[0-9]+$/ && $4 !~ /^lo0$/ {print $1, $4}'; "
    "jls name ip4.addr | sed -e 's/^/jail /'; "
    "ipfw nat show config 2>/dev/null | grep -Eo 'redirect_addr [0-9.]+' | sed -e 's/^/nat /'; :"
)
"""Networks with their interfaces, the jails with their addresses, and those to which nat leads.
What is led to lo0 is denied (a private network that has no business outside)."""
_WIDE = 8
"""Bits; a wider one, as of a tunnel for half of the internet, is a default route by its size."""


def test_network_of_jails_is_free(host: Any, interfaces: dict[str, str], site: Site) -> None:
    """Whoever has an address in it already would not be reached any more, or would be a jail."""
    rows = [row.split() for row in host.check_output(_ROUTES).splitlines()]
    own = site.lan.network
    taken = [
        f"the host reaches {row[0]} by {row[1]} (netstat -rn)"
        for row in rows
        if row[0] not in ("jail", "nat") and row[1] != site.lan.interface
        if (net := ip_network(row[0], strict=False)).prefixlen >= _WIDE and net.overlaps(own)
    ]
    jails = {
        row[1]: {each for end in row[2:] for each in end.split(",")}
        for row in rows
        if row[0] == "jail"
    }
    ours = {str(jail.address) for jail in site.jails.values()}
    ours |= {row[2] for row in rows if row[0] == "nat"}
    has = re.findall(r"inet ([\d.]+) ", interfaces.get(site.lan.interface, ""))
    taken += [
        f"{site.lan.interface} has {each}, which is no jail's of the site file (ifconfig)"
        for each in has
        if ip_address(each) in own and each not in ours
    ]
    for name in site.built:
        address = str(site.jails[name].address)
        others = [each for each, has in jails.items() if address in has and each != name]
        taken += [f"jail {each} has {address} already (jls)" for each in others]
        cards = [card for card, text in interfaces.items() if f"inet {address} " in text]
        taken += [
            f"{card} has {address} already, for jails.{name} (ifconfig)"
            for card in cards
            if card != site.lan.interface
        ]
    assert not taken, (
        f"lan.network = {own} is in use: {'; '.join(taken)}: give lan.network, and the address of "
        "each jail, a private network that nobody uses"
    )


def test_kernel_takes_changes(host: Any) -> None:
    """At a raised securelevel(7) no module can be loaded, and at 3 no rule of ipfw changed."""
    live, enabled, wanted = host.check_output(
        "sysctl -n kern.securelevel; sysrc -n kern_securelevel_enable kern_securelevel"
    ).split()
    at_boot = int(wanted) if enabled.upper() in ("YES", "TRUE", "ON", "1") else -1
    assert max(int(live), at_boot) < 1, (
        f"kern.securelevel is {live} now, and {at_boot} after a restart (kern_securelevel in "
        "rc.conf): the kernel loads no modules then, and at 3 takes no rules of ipfw: sysrc "
        "kern_securelevel_enable=NO and restart, until everything has moved"
    )


_KEEPING = "schg,uchg,sappnd,uappnd,sunlnk,uunlnk"
"""The flags of chflags(1) that keep a file from being changed or replaced, by root, too."""


def test_configuration_has_no_flags(host: Any, site: Site) -> None:
    """What Cellblock changes on the host, and what it copies into jails and adapts there: tar(1)
    and cp(1) keep flags, and rm(1) would not remove the jail any more.
    """
    names = [name for jail in site.built for name in site.jails[jail].services]
    places = [path for jail in site.built for path in site.configuration(jail)]
    places += [path for name in names for path in site.services[name].log_files]
    words = " ".join(map(quote, dict.fromkeys(["/etc", "/usr/local/etc", *places])))
    found = host.run(f"find -H -x {words} -flags +{_KEEPING} 2>/dev/null").stdout.splitlines()
    named = ", ".join(found[:5]) + f" and {len(found) - 5} more" * (len(found) > 5)
    assert not found, (
        f"these files have a flag that keeps even root from changing or copying them whole "
        f"({named}; ls -lo shows it): until everything has moved, take it off: chflags "
        f"no{_KEEPING.replace(',', ',no')} {' '.join(map(quote, found[:5]))}"
    )


def test_rules_of_the_host_let_ours_work(firewall: HostFirewall, ways: Ways) -> None:
    """What the host's own rules deny is denied after the move, and what they let in is let in."""
    found = firewall.obstacles(ways)
    assert not found, "; ".join(found)


_SWITCHES = """
echo "enabled $(sysctl -n net.inet.ip.fw.enable 2>/dev/null)"
echo "wanted $(sysrc -n firewall_enable)"
if kldstat -q -m ipfw; then echo loaded; fi
if kldstat -q -m pf && pfctl -s info 2>/dev/null | grep -q 'Status: Enabled'; then echo pf; fi
if kldstat -q -m ipfilter && ipf -V 2>/dev/null | grep -q 'Running: yes'; then echo ipfilter; fi
for each in pf ipfilter ipnat; do
if sysrc -qn ${each}_enable | grep -Eiqx 'yes|true|on|1'; then echo at boot $each; fi
done
"""


def test_firewall_of_the_host_is_in_force(host: Any) -> None:
    """The rules that are there now have to be those that decide, now and after a restart."""
    said = host.run(_SWITCHES).stdout.splitlines()
    wanted = next((line.partition(" ")[2] for line in said if line.startswith("wanted ")), "")
    assert "enabled 0" not in said, (
        "ipfw is loaded and switched off (sysctl net.inet.ip.fw.enable is 0), so no rule would "
        "lead to a jail: service ipfw start, or unload it"
    )
    assert wanted.upper() not in {"YES", "TRUE", "ON", "1"} or "loaded" in said, (
        f'firewall_enable="{wanted}" in rc.conf, but ipfw is not loaded: the host\'s own rules '
        "would come with the next restart, and Cellblock does not know them: service ipfw start"
    )
    others = [each for each in ("pf", "ipfilter") if each in said]
    later = [line.removeprefix("at boot ") for line in said if line.startswith("at boot ")]
    told = " and ".join(
        [
            *(f"{each} is enabled" for each in others),
            *(f"{each}_enable in rc.conf brings it with a restart" for each in later),
        ]
    )
    assert not told, (
        f"{told}: Cellblock understands ipfw alone, and does not know whom another firewall lets "
        "in to the jails: move its rules to ipfw, or disable it (in rc.conf, too)"
    )


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


def test_daemon_is_enabled(host: Any, site: Site, service: str) -> None:
    """In its jail it starts at boot. One that something else starts would come back here, too."""
    wanted = site.services[service]
    # sendmail's script has several variables, and tells of the first.
    said = host.run(
        f"service %s enabled || sysrc -n %s | grep -Eiqx '{'|'.join(rc.YES)}'",
        wanted.rc,
        wanted.rcvar,
    )
    assert said.rc == 0, (
        f"services.{service}: {wanted.rc} runs, and {wanted.rcvar} is not YES in rc.conf, so it "
        "was started by hand, or by something that Cellblock does not know (rc.local, cron): that "
        "would start it on the host again, beside the one in the jail. Take it out there, and "
        f"enable it: sysrc {wanted.rcvar}=YES"
    )


_OTHERS = {
    "apache24_profiles": r".+",
    "apache24_flags": r"(?<!\S)-(?!f ?/usr/local/etc/apache24/httpd.conf(?!\S))[fdCc]\s*\S+",
    "dovecot_config": r"(?!/usr/local/etc/dovecot/dovecot[.]conf$).+",
    "sendmail_flags": r"(?<!\S)-C\s*\S+",
    "php_fpm_flags": r"(?<!\S)(-[ycp]|--(fpm-config|php-ini|prefix))[\s=]*\S+",
}
"""rc variables by which a daemon reads another configuration than its package's, or several do:
the scripts of the ports (www/apache24, mail/dovecot, lang/php83), rc.sendmail(8)."""


def test_daemon_reads_the_usual_configuration(ask: Ask, site: Site, service: str) -> None:
    """Cellblock reads that one, and adapts it. named and MySQL have checks of their own."""
    told = [
        f"{each.place}: {each.name}={each.value}"
        for each in rc_variables(ask, site, service)
        if each.name in _OTHERS and re.search(_OTHERS[each.name], each.value)
    ]
    assert not told, (
        f"services.{service}: {'; '.join(told)}: its daemon reads another configuration than that "
        "of its package, or several daemons do, and Cellblock reads and adapts that one alone: "
        f"put it into the usual file, without this variable, or take {service} out of `order`"
    )


def test_daemon_is_set_by_variables_alone(host: Any, site: Site, service: str) -> None:
    """They come into the jail's rc.conf; what else these files do, as sh, does not."""
    wanted = site.services[service]
    more = host.run(rc.statements(wanted.rcvar)).stdout.splitlines()
    assert not more, (
        f"services.{service}: {'; '.join(more)}: rc.subr(8) runs this before {wanted.rc}, and in "
        "its jail nobody would: write it as a variable (_env, _umask, _limits of rc.subr(8)), in a "
        f"file of these alone, or take {service} out of `order`"
    )


def test_daemon_uses_the_first_routing_table(ask: Ask, site: Site, service: str) -> None:
    """Of the others the jails' addresses are no part."""
    tables = [
        f"{each.place}: {each.name}={each.value}"
        for each in rc_variables(ask, site, service)
        if each.name.endswith("_fib") and each.value.strip("0") and each.value != "NONE"
    ]
    assert not tables, (
        f"services.{service}: {'; '.join(tables)}: its daemon asks others by another routing table "
        "(setfib(1)) than the first, which alone has the jails' addresses, and by which Cellblock "
        f"judges the way out of jails: take the variable out, or take {service} out of `order`"
    )


_LACKING = {"nice": r"-[1-9]\d*", "oomprotect": r"(?i)yes|all"}
"""rc variables, by their ends, that ask for what prison_priv_check() of kern_jail.c denies:
PRIV_SCHED_SETPRIORITY and PRIV_VM_MADV_PROTECT."""


def test_daemon_needs_no_right_that_jails_lack(ask: Ask, site: Site, service: str) -> None:
    """It would run without it there."""
    rights = [
        f"{each.place}: {each.name}={each.value}"
        for each in rc_variables(ask, site, service)
        if re.fullmatch(_LACKING.get(each.name.rpartition("_")[2], "(?!)"), each.value)
    ]
    assert not rights, (
        f"services.{service}: {'; '.join(rights)}: nobody in a jail has the right to do this "
        "(nice(1) below 0, protect(1)), so its daemon would run without it: take the variable "
        f"out, or take {service} out of `order`"
    )


def test_daemon_runs_as_an_account_of_its_jail(
    host: Any, running: Running, site: Site, service: str
) -> None:
    """It would not start as one that the jail does not have: its own are those of the system."""
    jail = site.jail_of(service)
    ports = {f"{each.port}" for each in site.services[service].ports}
    rows = [row.split() for row in running.sockets]
    named = {
        row[0]: f"sockstat -46l ({row[1]} {row[-5]} listens at {row[-2]})"
        for row in rows
        if row[-2].rpartition(":")[2] in ports
    }
    lost = outsiders.lost(host, named, site.jails[jail].uids)
    assert not lost, (
        f"services.{service}: jail {jail} would not have the account as which its daemon runs: "
        f"{'; '.join(lost)}: give jails.{jail}.uids a range that has the uid"
    )


def test_daemon_is_in_no_service_jail(host: Any, site: Site, service: str) -> None:
    """rc(8) would start it in one inside the jail, too, and a jail may not make another."""
    wanted = site.services[service]
    name = wanted.rcvar.removesuffix("_enable")
    told = host.run(rc.service_jail(wanted.rcvar)).stdout
    lines = re.findall(r"(?m)^(.+?:\d+:\s*(\w+)=[\"']?(\w*).*)$", told)
    last = {variable: (line, value) for line, variable, value in lines if value}
    line, value = last.get(f"{name}_svcj") or last.get("svcj_all_enable") or ("", "")
    said = [line] if value.lower() in rc.YES else []
    jails = host.run("jls name").stdout.split()
    said += [f"jail {each} is there" for each in jails if each == f"svcj-{name}"]
    assert not said, (
        f"services.{service}: {wanted.rc} runs in a service jail of rc(8) ({'; '.join(said)}). "
        "There its sockets are not the host's, and a jail may not make one. Take it out of it "
        f"first: sysrc {name}_svcj=NO; service {wanted.rc} stop; service {wanted.rc} start"
    )


def test_socket_is_the_daemons(
    host: Any, running: Running, listening: list[Listener], site: Site, service: str
) -> None:
    """It is replaced by a link into the jail: programs look for it where the daemon has it now."""
    socket = site.services[service].socket
    asked = [one for listen in site.services[service].ports for one in _at(listen, listening)]
    assert host.run("test -S %s", socket).rc == 0, (
        f'services.{service}.socket = "{socket}": no socket is there; '
        f"expected {_sockets(running, {one.pid for one in asked})}"
    )


def _sockets(running: Running, pids: set[str]) -> str:
    """The paths where processes listen."""
    paths = [path for pid, path in running.unix if pid in pids and path.startswith("/")]
    return " or ".join(dict.fromkeys(paths)) or "the path where the daemon listens"


def test_daemon_listens_on_its_ports(
    running: Running, listening: list[Listener], site: Site, service: str
) -> None:
    """Rules are made for the ports of the site file: one that is wrong would move nothing. Of two
    daemons of one kind, as for two addresses, the other's clients would be led to the jail, too.
    """
    first = dict(running.first)
    for listen in site.services[service].ports:
        there = _at(listen, listening)
        assert there, (
            f"services.{service}.ports: nothing on the host listens on {listen.port}/{listen.proto}"
        )
        # Without a child that is gone by now.
        there = [one for one in there if one.pid in first]
        kinds = {(first[one.pid], one.command): one for one in reversed(there)}
        each = [one for _, one in sorted(kinds.items()) if one.command == there[0].command]
        told = " and ".join(f"{one.command} {one.pid} at {one.address}" for one in each)
        assert len(each) < 2, (
            f"services.{service}: port {listen.port}/{listen.proto} has several daemons ({told}), "
            "and Cellblock moves one: clients of the others would be led to its jail, too. Let one "
            f"serve all these addresses, or take {service} out of `order`"
        )


def test_public_ports_answer_here(
    outside: Outside, listening: list[Listener], site: Site, service: str
) -> None:
    """Later each step asks them from here, so a firewall must not refuse this machine."""
    wan = str(site.host.wan_address)
    for listen in site.services[service].ports:
        if not listen.public or not _at(listen, listening):
            continue
        try:
            found = outside.who(wan, listen.port, listen.proto)
        except (OSError, LookupError):
            found = None
        assert found is not None, (
            f"services.{service}: port {listen.port}/{listen.proto} of {wan} does not answer this "
            "machine, though its daemon listens there: run Cellblock on a machine that the host's "
            "firewall lets in"
        )


def test_all_ports_are_in_the_site_file(
    listening: list[Listener], site: Site, service: str
) -> None:
    """A port that the site file does not name is not forwarded, and would stop answering."""
    asked = [one for listen in site.services[service].ports for one in _at(listen, listening)]
    daemon = {one.pid for one in asked}
    left = [
        one
        for one in listening
        if one.pid in daemon and one.proto.startswith("tcp") and one.port not in site.tcp_ports
    ]
    public = ", ".join(sorted({str(one.port) for one in left if one.for_others}))
    assert not public, (
        f"services.{service}: its daemon also listens on {public}/tcp, which would not answer "
        f"after the move: add it to services.{service}.ports, or close it"
    )
    local = sorted({one.port for one in left if one.at_loopback and one.port != _by_rndc(service)})
    assert not local, (
        f"services.{service}: its daemon also listens on {local[0]}/tcp at 127.0.0.1, where "
        f"programs of this host would not find it after the move: add "
        f"{{ port = {local[0]}, public = false }} to services.{service}.ports, or close it"
    )


def _by_rndc(service: str) -> int | None:
    """The port by which rndc(8) controls named. It is typed in the jail then (docs/services)."""
    return named.CONTROL if service == "bind" else None


def test_daemon_serves_no_ipv6_clients(
    interfaces: dict[str, str], listening: list[Listener], site: Site, service: str
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


def test_ports_are_forwarded_where_the_daemon_listens(
    firewall: HostFirewall, site: Site, service: str, ways: Ways
) -> None:
    """Not at more addresses than today, nor at fewer."""
    wan = str(site.host.wan_address)
    wanted = sorted(map(str, site.services[service].addresses))
    for each in firewall.served(ways):
        if not each.public:
            continue
        port = f"services.{service}: port {each.port}/{each.proto}"
        where = ", ".join(each.at)
        assert wan in each.at, (
            f"{port}: its daemon does not answer at host.wan_address = {wan}, where it is watched: "
            + (f"it answers at {where}" if where else "set public = false")
        )
        named = ", ".join(f'"{one}"' for one in each.at)
        assert not wanted or wanted == each.at, (
            f"{port}: its daemon answers at {where}, and Cellblock would forward "
            f"{', '.join(wanted)}: in [services.{service}], remove addresses, or set addresses = "
            f"[{named}]"
        )


def _at(listen: Listen, listening: list[Listener]) -> list[Listener]:
    return [
        one for one in listening if one.proto.startswith(listen.proto) and one.port == listen.port
    ]


def test_file_system_has_room(host: Any, site: Site, directory: str) -> None:
    """A step that cannot write is rolled back, and the journal has to be written in any case."""
    answer = host.run("df -k %s", directory)
    assert answer.rc == 0, f"{directory}: expected a directory; df says: {answer.stderr.strip()}"
    free = int(answer.stdout.splitlines()[-1].split()[3]) // 1024
    wanted = site.run.free_space_mib
    assert free >= wanted, (
        f"{directory}: {free} MiB are free; expected at least {wanted} MiB: `cellblock usage` "
        "shows what each jail holds"
    )


def test_configuration_is_valid(host: Any, site: Site, service: str) -> None:
    """A daemon that runs may have a configuration with which it would not start again."""
    command = site.services[service].configtest
    answer = host.run(command)
    said = (answer.stdout + answer.stderr).strip()
    assert answer.rc == 0, f'services.{service}.configtest = "{command}" fails: {said}'


def test_configuration_exists(host: Any, path: str) -> None:
    """It is copied into the jail."""
    assert host.file(path).exists, (
        f"{path}: the site file names it as configuration, but the host does not have it"
    )


def _leading_away(
    host: Any, links: Sequence[str], site: Site, jail: str, places: Sequence[str]
) -> list[str]:
    """The links in these places that lead to what a jail will not have."""
    has = (*PROGRAMS, *FRESH, *site.paths(jail))
    within = [each for each in links if is_in(each.partition("\t")[0], places)]
    return leading.lost(host, within, has)


def test_links_in_data_lead_into_the_jail(
    host: Any, links: list[str], site: Site, service: str
) -> None:
    """The data is mounted as it is: a link in it that leads elsewhere would lead nowhere there."""
    jail = site.jail_of(service)
    lost = _leading_away(host, links, site, jail, site.services[service].data)
    assert not lost, (
        f"services.{service}.data: links in it lead to what jail {jail} will not have "
        f"({leading.told(lost)}): add the directories to jails.{jail}.mounts, or put the files in "
        "the place of the links"
    )


def test_links_in_configuration_lead_into_the_jail(
    host: Any, links: list[str], site: Site, service: str
) -> None:
    """The configuration is copied with its links, as they are."""
    jail = site.jail_of(service)
    lost = _leading_away(host, links, site, jail, site.services[service].configuration)
    assert not lost, (
        f"services.{service}.configuration: links in it lead to what jail {jail} will not have "
        f"({leading.told(lost)}): add what they lead to to services.{service}.configuration, or "
        "put the files in the place of the links"
    )


# Of an encrypted file system the one at the root of its encryption has the place of the key.
_ZFS = (
    "zfs get -H -o name,value canmount {sets}; "
    "zfs get -H -o value encryptionroot {sets} | grep -vx -- - | sort -u | "
    "xargs zfs get -H -o name,value keylocation"
)
_LATER = {"noauto": "canmount=noauto", "prompt": "its key is typed, keylocation=prompt"}


def test_file_systems_come_at_boot(host: Any, site: Site) -> None:
    """A jail that starts before them has the empty directories below, also once they are there."""
    later = [each for each, needed in _mounted_later(host, site) if needed]
    assert not later, (
        f"these file systems, which jails mount, do not come at boot by /etc/fstab: "
        f"{'; '.join(later)}: after a restart jails would start with empty directories in their "
        "place, and would not see what is mounted there later: write a line for each to /etc/fstab "
        "(of zfs: keep its key in a file), or leave out of `order` the services that use them"
    )


def test_file_systems_below_come_at_boot(host: Any, site: Site) -> None:
    """Those of single homes and sites: without them the daemons start, as they do on the host."""
    later = [each for each, needed in _mounted_later(host, site) if not needed]
    assert not later, (
        f"these file systems below what jails mount do not come at boot by /etc/fstab: "
        f"{'; '.join(later)}"
    )


def _mounted_later(host: Any, site: Site) -> list[tuple[str, bool]]:
    """File systems that somebody mounts once the host is up, and whether a service needs them."""
    own = [
        place
        for jail in site.built
        for name in site.jails[jail].services
        for place in (*site.services[name].data, *site.services[name].logs)
    ]
    places = [each.source for jail in site.built for each in site.mounts(jail)]
    named = list(dict.fromkeys([*places, *own]))
    words = " ".join(map(quote, named))
    said = host.check_output(
        f'for each in {words}; do realpath "$each" 2>/dev/null || echo; done; echo ==; mount -p; '
        "echo ==; jls path; echo ==; cat /etc/fstab 2>/dev/null || :"
    )
    real, there, jails, table = (part.splitlines() for part in f"{said}\n".split("==\n"))
    mounted, lines = filesystems.lines(there), filesystems.lines(table)
    at_boot = {at.rstrip("/") for at, row in lines.items() if "noauto" not in row[3]}
    used = {name: path for name, path in zip(named, real, strict=True) if path}
    below = {at: name for at in mounted for name, path in used.items() if is_in(at, [path])}
    holding = {filesystems.holding(path, mounted) for path in used.values()}
    needed = {*holding, *(at for at, name in below.items() if name in own)}
    of_jails = [site.base.jails, *(each for each in jails if each != "/")]
    points = [each for each in (*sorted(needed), *sorted(below.keys() - needed)) if each != "/"]
    points = [each for each in points if not is_in(each, of_jails)]
    later = [
        (f"{each} ({mounted[each][2]} from {mounted[each][0]})", each in needed)
        for each in points
        if each not in at_boot and mounted[each][2] not in ("zfs", "devfs")
    ]
    sets = {mounted[each][0]: each for each in points if mounted[each][2] == "zfs"}
    asked = _ZFS.format(sets=" ".join(map(quote, sets)))
    told = host.run(asked).stdout.splitlines() if sets else []
    spared = {name for name, at in sets.items() if at not in needed}
    return later + [
        (f"{row.split()[0]} (zfs: {_LATER[row.split()[1]]})", row.split()[0] not in spared)
        for row in told
        if row.split()[1:] and row.split()[1] in _LATER
    ]


def test_mount_source_exists(host: Any, jail: str, path: str) -> None:
    """Without it the jail would not start."""
    assert host.file(path).is_directory, (
        f"jails.{jail}.mounts: {path} is not a directory of the host: create it, or remove the "
        "mount"
    )


def test_no_program_loses_its_rights(host: Any, site: Site, jail: str, path: str) -> None:
    """suexec and suphp are such programs: where they lie, `nosuid` would end PHP."""
    some = host.check_output(
        "find -x %s -type f \\( -perm -4000 -o -perm -2000 \\) | head -n 4", path
    ).splitlines()
    assert not some, (
        f"{path} has set-uid or set-gid programs ({', '.join(some[:3])}"
        f"{', and more' * (len(some) > 3)}), which would run as whoever calls them in jail {jail}, "
        "by nosuid = true in the site file: take away these bits (chmod ug-s), or that key"
    )


def test_name_of_jail_is_free(
    jails_there: list[tuple[str, str, str]], rc_conf: str, site: Site, jail: str
) -> None:
    """Ours would be taken for it: jail(8), jexec and rc.conf know a jail by its name."""
    said = [place for place, name, text in jails_there if name == jail or jail in jails_of(text)]
    said += re.findall(rf"(?m)^\s*(jail_{re.escape(jail)}_\w+)=", rc_conf)
    assert not said, (
        f"[jails.{jail}]: the host has something of that name already ({'; '.join(said)}): give "
        "the jail of the site file another name, or remove what is there"
    )
