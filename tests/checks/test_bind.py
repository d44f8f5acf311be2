"""named.conf: whether a named would do in its jail what it does on the host."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network
from shlex import quote
from typing import TYPE_CHECKING, Any

from operations import rc
from operations.carried import Ask, is_in
from operations.facts import Networks, Routes, way
from operations.needs import Listener
from rollout.site import HOST, Site, allowing
from tests.checks.asking import NAME_SERVERS, asking
from tests.checks.named_access import Access, Means, differences
from tests.checks.named_conf import (
    CONF,
    Statement,
    included,
    paths,
    place,
    statements,
    value,
    working_directory,
)
from tests.checks.needing import rc_variables

if TYPE_CHECKING:
    from operations.doors import Ways
    from tests.checks.conftest import HostFirewall

_ASKS = ("forwarders", "primaries", "masters", "also-notify", "parental-agents", "server-addresses")
_OWN = re.compile(r"127\.\d+\.\d+\.\d+|::1")


def test_servers_that_it_asks_are_not_at_localhost(host: Any, site: Site, service: str) -> None:
    """In a jail, 127.0.0.1 is the jail: its named would ask itself. Over UDP no rule leads out of
    there (docs/decisions/0026).
    """
    printed = host.run("named-checkconf -px")
    tree = statements(printed.stdout)
    found = list(dict.fromkeys((name, words[0]) for name, words in _asked_at(tree, _OWN)))
    places = " ".join(site.services[service].configuration)
    words = f"grep -D skip -rnE '127\\.|::1' {places}"
    rows = host.run(words).stdout.splitlines() if found else []
    told = [f"{place(rows, re.escape(end))}: {name} {end}" for name, end in found]
    jail = site.jail_of(service)
    assert not told, (
        f"services.{service}: {'; '.join(told)}: in jail {jail} that address is the jail itself, "
        "so its named would not reach that server: let it listen at another address of the host "
        f"and name that, or take {service} out of `order`"
    )


def test_servers_that_it_asks_are_reached(
    host: Any, ask: Ask, interfaces: dict[str, str], site: Site, service: str
) -> None:
    """nat leads a jail out by the interface of the public address, and by no other; to daemons of
    the host the policy lets it.
    """
    wan, lan = site.host.wan_interface, site.lan.interface
    routes = ask(Routes)
    own = re.findall(r"inet (\S+)", "".join(interfaces.values()))
    jail, told = site.jail_of(service), {}
    for name, words in _asked_at(_tree(host), _FOUR):
        at, port = words[0], words[2] if words[1:2] == ["port"] else "53"
        card = way(at, routes) or wan
        if at in own:
            if port != "53" and not site.lets(jail, HOST, int(port), "udp"):
                line = allowing(jail, HOST, f"{port}/udp", f"{port}/tcp")
                told[f"{name} {at}"] = f"is denied by [policy]: add {line} to `allow` there"
        elif card not in (wan, lan) and not card.startswith("lo"):
            told[f"{name} {at}"] = f"is reached by {card}: jail {jail} gets out by {wan} alone"
    for name, ends in _lists(_tree(host)):
        if not any(map(_FOUR.fullmatch, ends)):
            told[f"{name} {' '.join(ends)}"] = f"is of IPv6 alone, which jail {jail} does not have"
    lines = _said_at(host, site, service, _ASKS) if told else []
    words = [f"{place(lines, said.split()[0])}: {said} {why}" for said, why in told.items()]
    assert not told, (
        f"services.{service}: {'; '.join(words)}; or let named ask servers that its jail reaches, "
        f"or take {service} out of `order`"
    )


_FOUR = re.compile(r"\d+\.\d+\.\d+\.\d+")
_SIX = re.compile(r"[0-9a-f]*:[0-9a-f:.]+(%\w+)?")


def _lists(tree: list[Statement]) -> Iterator[tuple[str, list[str]]]:
    """Each list of servers that it is told to ask: the statement, and their addresses. Not one that
    has other lists. Of one that has both kinds of addresses, named takes those that it reaches.
    """
    for one in tree:
        blocks = [word for word in one if isinstance(word, list)]
        if one[0] in _ASKS:
            ends = [str(each[0]) for block in blocks for each in block]
            if ends and all(_FOUR.fullmatch(each) or _SIX.fullmatch(each) for each in ends):
                yield str(one[0]), ends
        else:
            yield from (each for block in blocks for each in _lists(block))


def _asked_at(
    tree: list[Statement], wanted: re.Pattern[str], inside: str = ""
) -> Iterator[tuple[str, list[str]]]:
    """Of each server that it is told to ask: the statement that names it, its address and more."""
    for one in tree:
        name = inside or (str(one[0]) if one[0] in _ASKS else "")
        if inside and wanted.fullmatch(str(one[0])):
            yield name, [str(word) for word in one]
        for word in one:
            if isinstance(word, list):
                yield from _asked_at(word, wanted, name)


def _tree(host: Any, inside: str = "") -> list[Statement]:
    return statements(host.run(f"{inside}named-checkconf -px").stdout)


def _said_at(host: Any, site: Site, service: str, words: Iterable[str]) -> list[str]:
    """The lines of its configuration with one of these words, by which `place` finds them."""
    places = " ".join(site.services[service].configuration)
    return list(host.run(f"grep -D skip -rnE '{'|'.join(words)}' {places}").stdout.splitlines())


_FLAG = re.compile(r"(?:^|\s)(-[ct])\s*(\S+)")


def test_configuration_is_the_one_that_is_read(
    host: Any, ask: Ask, site: Site, service: str
) -> None:
    """named-checkconf reads that of the port, and so do all questions and what is copied."""
    told = []
    for each in rc_variables(ask, site, service):
        at, flag = f"{each.place}: {each.name}={each.value}", _FLAG.search(each.value)
        file = each.value if each.name == "named_conf" else flag[2] if flag else ""
        if file and host.run("test %s -ef %s", file, CONF).rc:
            told.append(f"{at}: Cellblock reads and adapts {CONF} alone")
        if each.name == "named_auto_forward" and each.value.lower() in rc.YES:
            told.append(f"{at}: its forwarders would be those of the jail's resolv.conf")
    told += [
        f'{at}: include "{path}": not an absolute path in /usr/local/etc'
        for at, path in included(_said_at(host, site, service, ["include"]))
        if not path.startswith("/usr/local/etc/")
    ]
    assert not told, (
        f"services.{service}: {'; '.join(told)}: let {CONF}, and files of /usr/local/etc "
        f"that it includes, say all, and restart named; or take {service} out of `order`"
    )


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
        if one[0] in _DESTINATIONS and value(one) != "any":
            yield str(one[0])
        for word in one:
            if isinstance(word, list):
                yield from _by_destination(word)


def test_addresses_are_the_jails(
    host: Any, firewall: HostFirewall, site: Site, service: str, ways: Ways | None
) -> None:
    """Those at which it listens and from which it asks: an address of the host that it does not
    have in its jail stops a named, or leaves it without that socket.
    """
    jail, wan = site.jails[site.jail_of(service)].address, site.host.wan_address
    tree, ask = _tree(host), asking(host)
    found = [(one, f"asks from {at}") for one in _all(tree) if (at := _source(one, str(wan)))]
    here = Access(tree, _here(ask))
    there = Access(tree, _there(ask, site))
    for one in (each for each in _all(tree) if each[0] == "listen-on"):
        written = [_plain(each) for each in one[-1]]
        fits = bool({str(wan), "127.0.0.1"} & {*written})
        fits = fits or there.has(one[-1], jail, "listen-on")
        if here.has(one[-1], wan, "listen-on") and not fits:
            found.append((one, f"has {wan} by a network or a list"))
        for public, end in firewall.further(ways, jail).items():
            fits = str(public) in written or there.has(one[-1], end, "listen-on")
            if here.has(one[-1], public, "listen-on") and not fits:
                found.append((one, f"has {public} by a network or a list"))
    lines = _said_at(host, site, service, ["listen-on", "-source"]) if found else []
    told = [f"{place(lines, str(one[0]))}: {one[0]} {what}" for one, what in found]
    assert not told, (
        f"services.{service}: {'; '.join(told)}: in its jail named has {jail} alone, which takes "
        f"the place of {wan} where that is written (and another address for each other at which it "
        "answers over UDP): write the address there, or take "
        f"{service} out of `order`"
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
    there = Access(tree, _there(ask, site))
    found = differences(here, there, site, host.run(NAME_SERVERS).stdout)
    told = _placed(host, site, found, service)
    local = [one for one in _all(tree) if one[0] == "update-policy" and one[1:2] == ["local"]]
    lines = _said_at(host, site, service, ["update-policy"]) if local else []
    assert not local, (
        f"services.{service}: {place(lines, 'update-policy')}: update-policy local: only a program "
        "of named's own addresses may change such a zone, with the key in /var/run/named/"
        "session.key (nsupdate -l): in its jail named has others, and programs of the host would "
        "find no such key: write `update-policy { grant KEY zonesub any; }` with a key of its own, "
        f"and give that to nsupdate -k, or take {service} out of `order`"
    )
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
    found = differences(here, Access(there, means), site, host.run(NAME_SERVERS).stdout)
    told = _placed(host, site, found, service)
    assert not told, f"named.conf of jail {jail} does not let in whom the host's does: {told}"


def _placed(host: Any, site: Site, found: Mapping[str, str], service: str) -> str:
    lines = _said_at(host, site, service, [by.split()[0] for by in found]) if found else []
    told = [f"{place(lines, by.split()[0])}: {by}: {what}" for by, what in sorted(found.items())]
    return "; ".join(told[:5]) + f"; and {len(told) - 5} more" * (len(told) > 5)
