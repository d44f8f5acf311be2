"""BIND: whether two nameds may have its zones open at a time, and who may ask it for any name."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network
from shlex import quote
from typing import TYPE_CHECKING, Any

from operations.carried import Ask, is_in
from operations.facts import Networks
from operations.needs import Listener, Variables
from rollout.site import Site
from tests.checks.named_access import Access, Means, differences
from tests.checks.named_conf import (
    Statement,
    paths,
    place,
    statements,
    working_directory,
)

if TYPE_CHECKING:
    from operations.doors import Ways
    from tests.checks.conftest import HostFirewall

_WRITTEN = ("secondary", "slave", "mirror", "stub")
_OFF = ("none", "no", "false", "0", "off", "insecure", "")


def test_zones_may_be_open_twice(host: Any, site: Site, service: str) -> None:
    """From bind.standby to bind.retire two nameds run, and both would write such zones' files."""
    printed = host.run("named-checkconf -px")
    # A wrong configuration is told by configuration_is_valid, in named's own words.
    assert printed.rc == 0 or site.services[service].configtest, (
        f"named-checkconf -px fails: {printed.stderr.strip() or printed.stdout.strip()}"
    )
    said = list(_written(printed.stdout))
    places = " ".join(site.services[service].configuration)
    rows = host.run(f"grep -rnE 'zone|{'|'.join(_EVERYWHERE)}' {places}").stdout.splitlines()
    told = [f"{place(rows, word)}: {what}" for word, what in said]
    assert not told, (
        f"{'; '.join(told[:10])}{f'; and {len(told) - 10} more' * (len(told) > 10)}: a named "
        f"writes such zones itself, and two must not do so: set services.{service}.overlap = "
        "false, and the host's named stops before the jail's starts"
    )


_ASKS = ("forwarders", "primaries", "masters", "also-notify", "parental-agents", "server-addresses")
_OWN = re.compile(r"127\.\d+\.\d+\.\d+|::1")


def test_servers_that_it_asks_are_not_at_localhost(host: Any, site: Site, service: str) -> None:
    """In a jail, 127.0.0.1 is the jail: its named would ask itself. Over UDP no rule leads out of
    there (docs/decisions/0026).
    """
    printed = host.run("named-checkconf -px")
    tree = statements(printed.stdout)
    found = list(dict.fromkeys(_at_localhost(tree)))
    places = " ".join(site.services[service].configuration)
    words = f"grep -rnE '127\\.|::1' {places}"
    rows = host.run(words).stdout.splitlines() if found else []
    told = [f"{place(rows, re.escape(end))}: {name} {end}" for name, end in found]
    jail = site.jail_of(service)
    assert not told, (
        f"services.{service}: {'; '.join(told)}: in jail {jail} that address is the jail itself, "
        "so its named would not reach that server: let it listen at another address of the host "
        f"and name that, or take {service} out of `order`"
    )


def _at_localhost(tree: list[list[Any]], inside: str = "") -> Iterator[tuple[str, str]]:
    """Of each such server: the statement that names it, and its address."""
    for one in tree:
        name = inside or (str(one[0]) if one[0] in _ASKS else "")
        if inside and _OWN.fullmatch(str(one[0])):
            yield name, str(one[0])
        for word in one:
            if isinstance(word, list):
                yield from _at_localhost(word, name)


def _tree(host: Any, inside: str = "") -> list[Statement]:
    return statements(host.run(f"{inside}named-checkconf -px").stdout)


def _said_at(host: Any, site: Site, service: str, words: Iterable[str]) -> list[str]:
    """The lines of its configuration with one of these words, by which `place` finds them."""
    places = " ".join(site.services[service].configuration)
    return list(host.run(f"grep -rnE '{'|'.join(words)}' {places}").stdout.splitlines())


_PORTS_CONF = "/usr/local/etc/namedb/named.conf"
_FLAG = re.compile(r"(?:^|\s)(-[ct])\s*(\S+)")


def test_configuration_is_the_one_that_is_read(
    host: Any, ask: Ask, site: Site, service: str
) -> None:
    """named-checkconf reads that of the port, and so do all questions and what is copied."""
    told = []
    for each in ask(Variables, rcvars=[site.services[service].rcvar]):
        at, flag = f"{each.place}: {each.name}={each.value}", _FLAG.search(each.value)
        file = each.value if each.name == "named_conf" else flag[2] if flag else ""
        if file and host.run("test %s -ef %s", file, _PORTS_CONF).rc:
            told.append(f"{at}: Cellblock reads and adapts {_PORTS_CONF} alone")
        if each.name == "named_auto_forward" and each.value.upper() in _YES:
            told.append(f"{at}: its forwarders would be those of the jail's resolv.conf")
    for found in filter(None, map(_INCLUDE.match, _said_at(host, site, service, ["include"]))):
        if not found[2].startswith("/usr/local/etc/"):
            told.append(f'{found[1]}: include "{found[2]}": not an absolute path in /usr/local/etc')
    assert not told, (
        f"services.{service}: {'; '.join(told)}: let {_PORTS_CONF}, and files of /usr/local/etc "
        f"that it includes, say all, and restart named; or take {service} out of `order`"
    )


_INCLUDE = re.compile(r'([^:]+:\d+):\s*include\s+"([^"]+)"')


_YES = ("YES", "TRUE", "ON", "1")


def test_zone_files_are_the_hosts(host: Any, site: Site, service: str) -> None:
    """People who edit a zone on the host would edit a file that the jail has a copy of."""
    jail, there = site.jail_of(service), site.services[service]
    shared = (*there.data, *there.logs, *(each.point for each in site.mounts(jail)))
    tree = _tree(host)
    files = {each.path: each.zone for each in paths(tree) if each.zone}
    words = " ".join(map(quote, files))
    asked = f'for each in {words}; do [ -f "$each" ] && echo "$each"; done; '
    asked += f"grep -Ein '^[$]INCLUDE[[:space:]]' {words} /dev/null"
    rows = host.run(asked).stdout.splitlines() if files else []
    lost = {row: "" for row in rows if row in files and not is_in(row, shared)}
    for found in filter(None, map(_INCLUDED.match, rows)):
        # Relative to named's working directory, as its zones are.
        path = posixpath.join(working_directory(tree), found[2])
        if not is_in(path, shared):
            lost[path] = f"{found[1]}: $INCLUDE {path}"
    lines = _said_at(host, site, service, ["file"]) if lost else []
    told = [
        said or f"{place(lines, re.escape(posixpath.basename(path)))}: file {path}"
        for path, said in lost.items()
    ]
    more = f"; and {len(told) - 5} more" * (len(told) > 5)
    folders = ", ".join(dict.fromkeys(f'"{posixpath.dirname(path)}"' for path in lost))
    assert not told, (
        f"services.{service}: {'; '.join(told[:5])}{more}: jail {jail} would have a copy, or "
        "nothing, and would not see what is edited on the host: add the directory to "
        f"services.{service}.data ({folders})"
    )


_INCLUDED = re.compile(r'([^:]+:\d+):\S+\s+"?([^\s";]+)')


def test_programs_ask_it_over_ipv4(
    host: Any, listening: list[Listener], site: Site, service: str
) -> None:
    """Jails have no IPv6, so programs that ask ::1 would find nobody there."""
    asked = host.run("grep -n '^nameserver[[:space:]]*::1' /etc/resolv.conf").stdout.split(":")
    ports = [each.port for each in site.services[service].ports]
    there = [each for each in listening if each.port in ports and each.address in ("*", "::1")]
    six = any("6" in each.proto for each in there)
    assert not (six and asked[0]), (
        f"/etc/resolv.conf:{asked[0]}: nameserver ::1: {service} listens there, and its jail has "
        "no IPv6: write nameserver 127.0.0.1"
    )


def test_answers_by_who_asks(host: Any, site: Site, service: str) -> None:
    """Not by the address that is asked: in the jail that is always the jail's own."""
    found = list(dict.fromkeys(_by_destination(_tree(host))))
    lines = _said_at(host, site, service, _DESTINATIONS) if found else []
    told = [f"{place(lines, name)}: {name}" for name in found]
    assert not told, (
        f"services.{service}: {'; '.join(told)}: what clients get depends on the address that they "
        f"ask, and all that is forwarded arrives at {site.jails[site.jail_of(service)].address}: "
        f"tell clients apart by their own addresses, or take {service} out of `order`"
    )


_DESTINATIONS = (
    *("match-destinations", "allow-query-on", "allow-recursion-on", "allow-query-cache-on"),
)


def _by_destination(tree: Sequence[Statement]) -> Iterator[str]:
    for one in tree:
        if one[0] in _DESTINATIONS and _value(one) != "any":
            yield str(one[0])
        for word in one:
            if isinstance(word, list):
                yield from _by_destination(word)


def test_addresses_are_the_jails(host: Any, ask: Ask, site: Site, service: str) -> None:
    """Those at which it listens and from which it asks: an address of the host that it does not
    have in its jail stops a named, or leaves it without that socket.
    """
    jail, wan = site.jails[site.jail_of(service)].address, site.host.wan_address
    tree = _tree(host)
    found = [(one, f"asks from {at}") for one in _all(tree) if (at := _source(one, str(wan)))]
    here = Access(tree, _here(ask))
    there = Access(tree, _there(ask, site))
    for one in (each for each in _all(tree) if each[0] == "listen-on"):
        written = [_plain(each) for each in one[-1]]
        fits = {str(wan), "127.0.0.1"} & {*written} or there.has(one[-1], jail, "listen-on")
        if here.has(one[-1], wan, "listen-on") and not fits:
            found.append((one, f"has {wan} by a network or a list"))
    lines = _said_at(host, site, service, ["listen-on", "-source"]) if found else []
    told = [f"{place(lines, str(one[0]))}: {one[0]} {what}" for one, what in found]
    assert not told, (
        f"services.{service}: {'; '.join(told)}: in its jail named has {jail} alone, which takes "
        f"the place of {wan} where that is written: write {wan} there, or take {service} out of "
        "`order`"
    )


def _all(tree: Sequence[Statement]) -> Iterator[Statement]:
    for one in tree:
        yield one
        for word in one:
            if isinstance(word, list):
                yield from _all(word)


def _source(one: Statement, wan: str) -> str:
    """An address other than the public one from which it is told to ask."""
    if not re.fullmatch(r"[a-z]+-source", str(one[0])):
        return ""
    words = [_plain(word) for word in one[1:] if not isinstance(word, list)]
    own = (wan, "127.0.0.1", "0.0.0.0")  # noqa: S104 # any
    return next((each for each in words if "." in each and each not in own), "")


def _plain(word: Any) -> str:
    """An address, as named-checkconf prints it in a list, or alone."""
    text = word[0] if isinstance(word, list) and word else word
    return str(text).strip('"').removesuffix("/32")


def _here(ask: Ask) -> Means:
    has = ask(Networks)
    return Means(
        tuple(IPv4Network(f"{each.ip}/32") for each in has), tuple(each.network for each in has)
    )


def _there(ask: Ask, site: Site) -> Means:
    """As operations/named.awk writes it out for the jail."""
    lan, wan = site.lan.network, site.host.wan_address
    here = _here(ask)
    own = (*here.own, IPv4Network(f"{wan}/32"), lan)
    return Means(own, (*here.networks, lan), lan, wan)


def test_lets_in_the_same_clients(host: Any, ask: Ask, site: Site, service: str) -> None:
    """By named.conf as it will be in the jail: who gets which view, recursion, transfers."""
    tree = _tree(host)
    here = Access(tree, _here(ask))
    told = _placed(host, site, differences(here, Access(tree, _there(ask, site)), site), service)
    assert not told, (
        f"services.{service}: {told}: programs of jails ask from {site.lan.network}, and those of "
        f"the host from there or from {site.host.wan_address}: let named.conf mean these, too, or "
        f"take {service} out of `order`"
    )


def test_jail_lets_in_the_same_clients(host: Any, ask: Ask, site: Site, service: str) -> None:
    """By its configuration as it is in the jail, before its named ever runs."""
    jail = site.jail_of(service)
    there = _tree(host, f"jexec {quote(jail)} ")
    assert there, f"jail {jail}: named-checkconf -px prints nothing"
    own = IPv4Network(f"{site.jails[jail].address}/32")
    means = Means((own, IPv4Network("127.0.0.1/32")), (own,))
    here = Access(_tree(host), _here(ask))
    told = _placed(host, site, differences(here, Access(there, means), site), service)
    assert not told, f"named.conf of jail {jail} does not let in whom the host's does: {told}"


def _placed(host: Any, site: Site, found: Mapping[str, str], service: str) -> str:
    lines = _said_at(host, site, service, [by.split()[0] for by in found]) if found else []
    told = [f"{place(lines, by.split()[0])}: {by}: {what}" for by, what in sorted(found.items())]
    return "; ".join(told[:5]) + f"; and {len(told) - 5} more" * (len(told) > 5)


_HEARD = (
    '/HEADER/ {rcode = $6; sub(/,/, "", rcode)} /^;; flags:/ {ra = / ra /; found = !/ANSWER: 0/} '
    'END {print (rcode == "" ? "none" : rcode), (ra ? "yes" : "no"), (found ? "found" : "nothing")}'
)
_DOWN = "down"


def test_resolves_as_on_the_host(
    host: Any, firewall: HostFirewall, site: Site, service: str, ways: Ways
) -> None:
    """Any name, for programs of the host and of jails: they asked 127.0.0.1 until now, or the
    public address.
    """
    jail, wan = site.jail_of(service), site.host.wan_address
    lan = site.jails[jail].address
    local = any(each.local for each in firewall.served(ways) if each.proto == "udp")
    here = f"drill @{'127.0.0.1' if local else wan}"
    asks = {"host": here, "the host": f"drill @{lan}" if local else _from(wan, lan)}
    asks |= {f"jail {name}": f"jexec {name} drill @{lan}" for name in site.jails if name != jail}
    for again in (False, True):
        said = _asked(host, asks, again=again)
        wanted = said.pop("host")
        wrong = {who: found for who, found in said.items() if found not in (wanted, _DOWN)}
        if not wrong:
            break
    told = "; ".join(f"{who} gets {_words(found)}" for who, found in wrong.items())
    assert wanted.partition(" ")[0] != "none", f"the host's named does not answer: {here} . NS"
    assert not wrong, (
        f"the named of jail {jail} does not resolve names as the host's, which answers "
        f"{_words(wanted)}: {told}; see allow-recursion, and jails.{jail}.outbound"
    )


def test_programs_resolve_through_the_jail(
    host: Any, firewall: HostFirewall, site: Site, service: str, ways: Ways
) -> None:
    """At the addresses that programs of the host ask, they get what the jail's named answers them
    directly. Programs in jails ask it directly.
    """
    jail, wan = site.jail_of(service), site.host.wan_address
    lan = site.jails[jail].address
    pairs = {f"the host at {wan}": (f"drill @{wan}", _from(wan, lan))}
    if any(each.local for each in firewall.served(ways) if each.proto == "udp"):
        pairs["the host at 127.0.0.1"] = ("drill @127.0.0.1", f"drill @{lan}")
    asks = {f"{who} {n}": ask for who, pair in pairs.items() for n, ask in enumerate(pair)}
    for again in (False, True):
        said = _asked(host, asks, again=again)
        wrong = [
            f"{who} gets {_words(said[f'{who} 0'])}, and directly {_words(said[f'{who} 1'])}"
            for who in pairs
            if said[f"{who} 0"] != said[f"{who} 1"]
        ]
        if not wrong:
            break
    assert not wrong, f"names do not resolve through jail {jail} as they should: {'; '.join(wrong)}"


def _from(source: object, server: object) -> str:
    """Over TCP: an answer over UDP to an address outside of the LAN leaves through nat."""
    return f"drill -t -I {source} @{server}"


def _asked(host: Any, asks: Mapping[str, str], *, again: bool) -> dict[str, str]:
    """What each named says of the root, at once: rcode, whether it recurses, and whether it found.

    A second time after a moment: a named that has just started knows nothing yet.
    """
    runs = "".join(
        f"{{ {_if_up(ask)}{ask} . NS </dev/null 2>/dev/null | awk {quote(_HEARD)}; }} > $d/{n} & "
        for n, ask in enumerate(asks.values())
    )
    files = " ".join(f"$d/{n}" for n in range(len(asks)))
    wait = "sleep 3; " if again else ""
    said = host.check_output(
        f"{wait}d=$(mktemp -d /var/run/names.XXXXXX) && {{ {runs}wait; cat {files}; rm -r $d; }}"
    )
    return dict(zip(asks, said.splitlines(), strict=True))


def _if_up(ask: str) -> str:
    """Of a jail that does not run: it prints that, in place of an answer."""
    words = ask.split()
    return f"! jls -j {words[1]} jid >/dev/null 2>&1 && echo {_DOWN} || " * (words[0] == "jexec")


def _words(said: str) -> str:
    rcode, recurses, found = [*said.split(), "", ""][:3]
    if rcode in ("none", _DOWN):
        return "no answer"
    return f"{rcode}, {'with' if recurses == 'yes' else 'without'} recursion, {found or 'nothing'}"


_EVERYWHERE = ("allow-new-zones", "catalog-zones", "dnssec-policy", "allow-update", "update-policy")


def _written(text: str) -> Iterator[tuple[str, str]]:
    """What a named writes itself: a pattern of the line that says it, and words for it.

    `text` is what named-checkconf -p prints: statements end with a semicolon, strings are quoted.
    """
    tree = statements(text)
    views = [(one[1:], one) for one in tree if one[0] in ("view", "options")]
    inherited = [each for _, one in views for each in _in(one)]
    for name in ("allow-new-zones", "catalog-zones"):
        for one in inherited:
            if one[0] == name and _value(one) not in _OFF:
                yield name, f"{name}: named keeps a list of zones of its own"
    zones = [one for one in tree if one[0] == "zone"]
    zones += [each for one in tree if one[0] == "view" for each in _in(one) if each[0] == "zone"]
    for zone in zones:
        why = _why(list(_in(zone)), inherited)
        if why:
            name = str(zone[1]).strip('"')
            yield rf'zone\s+"?{re.escape(name)}[".\s]', f'zone "{name}" {why}'


def _why(own: list[list[Any]], inherited: list[list[Any]]) -> str:
    has = {one[0]: one for one in inherited if one[0] in _EVERYWHERE} | {one[0]: one for one in own}
    kind = _value(has.get("type", []))
    if kind in _WRITTEN:
        return f"is {kind}"
    if kind not in ("primary", "master"):
        return ""
    for name in ("update-policy", "allow-update"):
        if name in has and _value(has[name]) not in _OFF:
            return f"takes dynamic updates ({name})"
    for name in ("dnssec-policy", "inline-signing", "auto-dnssec"):
        if name in has and _value(has[name]) not in _OFF:
            return f"is signed by named ({name})"
    return ""


def _value(statement: list[Any]) -> str:
    """Its first word, or that of its list."""
    word = statement[1] if len(statement) > 1 else ""
    if isinstance(word, list):
        word = word[0][0] if word else ""
    return str(word).strip('"')


def _in(statement: list[Any]) -> list[list[Any]]:
    return next((word for word in statement if isinstance(word, list)), [])
