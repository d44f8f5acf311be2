"""Daemons that judge clients by their address: programs of jails, which came from 127.0.0.1, come
from the jails' addresses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from rollout.site import Service, Site

_Judge = Callable[[Sequence[str], str], list[str]]
"""From lines FILE:NUMBER:TEXT and a jail's address: what does not let that address in."""


def refusing(host: Any, site: Site, jail: str, ports: Iterable[int] | None = None) -> list[str]:
    """What of those daemons would not serve a jail. With `ports`, only those that are asked there.

    Without them: caches and databases, which pages ask; unless the site file says that none does,
    or [policy] denies it. In the same jail, too, clients of 127.0.0.1 come from the jail's address.
    """
    told = []
    for script in _scripts(host, site, jail, ports):
        asked, judge = _ASKED[script]
        told += judge(host.run(asked).stdout.splitlines(), str(site.jails[jail].address))
    return told


def _scripts(host: Any, site: Site, jail: str, ports: Iterable[int] | None) -> list[str]:
    """The rc scripts of those that are asked: services, and companions in the jail."""
    found = []
    wanted = None if ports is None else set(ports)
    for each in site.services.values():
        if wanted is None:
            is_asked = each.rc in _OF_PAGES and not _is_unasked(site, jail, each)
        else:
            is_asked = each.rc in _ASKED and bool(wanted & {*each.tcp_ports})
        found += [each.rc] * is_asked
    there = [one for name in site.jails[jail].services for one in site.companions(name)]
    known = _OF_PAGES if wanted is None else tuple(_ASKED)
    companions = [each.rc for each in there if each.rc in known]
    found += [each for each in companions if host.run(f"service {each} enabled").rc == 0]
    return list(dict.fromkeys(found))


def _is_unasked(site: Site, jail: str, service: Service) -> bool:
    ports = service.tcp_ports
    named = all(f"{port}/tcp" in site.jails[jail].unreached for port in ports)
    to = [(site.served.get((port, "tcp"), jail), port) for port in ports]
    return named or not any(site.lets(jail, at, port, "tcp") for at, port in to)


def _redis(rows: Sequence[str], address: str) -> list[str]:
    """Since Redis 7, whatever `bind` says, if the default user has no password (redis.conf)."""
    texts = [row.split(":", 2)[2].lower() for row in rows if row.count(":") > 1]
    if any(
        re.match(r"requirepass\s+\S|aclfile\s|user\s+default\s|protected-mode\s+no|port\s+0$", t)
        for t in texts
    ):
        return []
    said = next((row for row in rows if "protected-mode" in row), "redis.conf")
    place = ":".join(said.split(":")[:2])
    return [
        f"{place}: protected-mode is yes and there is no requirepass, so it denies every client "
        f"but 127.0.0.1, and so {address}: write protected-mode no (it is bound to 127.0.0.1 all "
        "the same), or give it a password"
    ]


def _postgresql(rows: Sequence[str], address: str) -> list[str]:
    """pg_hba.conf: host DATABASE USER ADDRESS [MASK] METHOD; the first that fits counts."""
    lines = [(row, row.split(":", 2)[2].split()) for row in rows if row.count(":") > 1]
    known = [(row, words) for row, words in lines if len(words) > 4 and words[0].startswith("host")]
    lets = [words for _, words in known if words[-1] != "reject" and _fits(words, address)]
    return [
        f"{':'.join(row.split(':')[:2])}: {' '.join(words[:4])}: a line like this for {address}"
        for row, words in known
        if _fits(words, "127.0.0.1") and words[-1] != "reject"
        if not any(one[1] in ("all", words[1]) and one[2] in ("all", words[2]) for one in lets)
    ]


def _fits(words: Sequence[str], address: str) -> bool:
    end = words[3]
    if end in ("all", "samehost", "samenet"):
        return True
    has_mask = len(words) > 5 and re.fullmatch(r"[0-9.]+", words[4])
    return _covers(f"{end}/{words[4]}" if has_mask else end, address)


def is_within(address: str, word: str) -> bool:
    """Whether the word is this address, or a network that has it."""
    try:
        return ip_address(address) in ip_network(word, strict=False)
    except ValueError:
        return False


def _covers(word: str, address: str) -> bool:
    """An address, a network, or the beginning of one."""
    begins = bool(re.fullmatch(r"[0-9.]+", word)) and address.startswith(word.rstrip(".") + ".")
    return is_within(address, word) or begins


def _amavisd(rows: Sequence[str], address: str) -> list[str]:
    """@inet_acl is qw(127.0.0.1 [::1]) unless something is said."""
    said = " ".join(row.split(":", 2)[2] for row in rows if row.count(":") > 1)
    if any(_covers(word, address) for word in re.findall(r"[0-9./]+", said)):
        return []
    place = ":".join(rows[0].split(":")[:2]) if rows else "amavisd.conf"
    return [f"{place}: @inet_acl lets in 127.0.0.1 alone: add {address}"]


def _spamd(rows: Sequence[str], address: str) -> list[str]:
    """-A, --allowed-ips: 127.0.0.1 and ::1 unless something is said (spamd(1))."""
    flags = " ".join(rows)
    found = re.findall(r"(?:-A|--allowed-ips)[= ]*([0-9a-fA-F.:/,]+)", flags)
    if any(_covers(word, address) for one in found for word in one.split(",")):
        return []
    return [f"spamd_flags: spamd lets in 127.0.0.1 alone: add -A 127.0.0.1,{address}"]


def _found(pattern: str, *places: str) -> str:
    return f"grep -nHsiE '^[[:space:]]*({pattern})' {' '.join(places)}"


_OF_REDIS = "protected-mode|requirepass|aclfile|user|port"
_ASKED: dict[str, tuple[str, _Judge]] = {
    **{
        name: (
            # The password stays on the host.
            f"{_found(_OF_REDIS, f'/usr/local/etc/{name}*.conf $(sysrc -qin {name}_config)')} | "
            "sed -E 's/([Rr]equirepass|[Dd]efault)([[:space:]]).*/\\1\\2x/'",
            _redis,
        )
        for name in ("redis", "valkey")
    },
    "postgresql": (
        _found("host", "/var/db/postgres/data*/pg_hba.conf", "/usr/local/pgsql/data/pg_hba.conf"),
        _postgresql,
    ),
    "amavisd": (
        'awk \'/^[ \\t]*@inet_acl/ {on = 1} on {print FILENAME ":" FNR ":" $0} /;/ {on = 0}\' '
        "$(ls /usr/local/etc/amavisd.conf 2>/dev/null) /dev/null",
        _amavisd,
    ),
    "sa-spamd": ("sysrc -qin spamd_flags", _spamd),
}
"""By rc script of the packages: sh that prints whom the daemon lets in, and how that is read."""
_OF_PAGES = ("redis", "valkey", "postgresql")

ALLOWING = "grep -nvsE '^[[:space:]]*(#|$)' /etc/hosts.allow"
"""sh: the lines of hosts_options(5), which sendmail of the base system asks for each client."""


def decides(rows: Sequence[str], daemon: str, client: str, name: str) -> tuple[bool, str]:
    """Whether these lines, as NUMBER:TEXT, let a client in, and the number of the first that fits.

    What is not understood fits nobody. Without a line that fits, everybody may.
    """
    for number, text in _joined(rows):
        words = [each.strip() for each in re.split(r"(?<!\\):(?![^\[]*\])", text)]
        fits = len(words) > 1 and _lists(words[0], lambda word: word in ("ALL", daemon))
        if fits and _lists(words[1], lambda word: _is_client(word, client, name)):
            return not any(re.match(r"deny\b|twist\b", each) for each in words[2:]), number
    return True, ""


def _joined(rows: Sequence[str]) -> list[tuple[str, str]]:
    """A backslash at the end of a line continues it."""
    found: list[tuple[str, str]] = []
    for row in rows:
        number, _, text = row.partition(":")
        if found and found[-1][1].endswith("\\"):
            found[-1] = (found[-1][0], found[-1][1][:-1] + text)
        else:
            found.append((number, text))
    return found


def _lists(words: str, fits: Callable[[str], bool]) -> bool:
    """A list, and after EXCEPT those that it does not have."""
    named, _, but = re.sub(r"[,\s]+", " ", words).partition(" EXCEPT ")
    return any(map(fits, named.split())) and not (but and _lists(but, fits))


def _is_client(word: str, client: str, name: str) -> bool:
    if word in ("ALL", "KNOWN", name) or (word == "LOCAL" and "." not in name):
        return True
    if word.startswith("."):
        return name.endswith(word)
    if word.endswith("."):
        return client.startswith(word)
    return _covers(word.strip("[]"), client) and "." in word
