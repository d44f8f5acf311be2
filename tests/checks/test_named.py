"""BIND: whether two nameds may have its zones open at a time, and who may ask it for any name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from shlex import quote
from typing import TYPE_CHECKING, Any

from rollout.site import Site
from tests.checks.named_conf import place, statements, value

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
    rows = host.run(
        f"grep -D skip -rnE 'zone|{'|'.join(_EVERYWHERE)}' {places}"
    ).stdout.splitlines()
    told = [f"{place(rows, word)}: {what}" for word, what in said]
    assert not told, (
        f"{'; '.join(told[:10])}{f'; and {len(told) - 10} more' * (len(told) > 10)}: a named "
        f"writes such zones itself, and two must not do so: set services.{service}.overlap = "
        "false, and the host's named stops before the jail's starts"
    )


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
    served = [each for each in firewall.served(ways) if each.proto == "udp"]
    pairs = {}
    if any(str(wan) in each.at for each in served):
        pairs[f"the host at {wan}"] = (f"drill @{wan}", _from(wan, lan))
    if any(each.local for each in served):
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
            if one[0] == name and value(one) not in _OFF:
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
    kind = value(has.get("type", []))
    if kind in _WRITTEN:
        return f"is {kind}"
    if kind not in ("primary", "master"):
        return ""
    for name in ("update-policy", "allow-update"):
        if name in has and value(has[name]) not in _OFF:
            return f"takes dynamic updates ({name})"
    for name in ("dnssec-policy", "inline-signing", "auto-dnssec"):
        if name in has and value(has[name]) not in _OFF:
            return f"is signed by named ({name})"
    return ""


def _in(statement: list[Any]) -> list[list[Any]]:
    return next((word for word in statement if isinstance(word, list)), [])
