"""The first draft: what was seen of the host, table by table of the site file."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operations import apache
from operations.carried import is_in
from operations.needs import Listener
from rollout.errors import Refused
from rollout.site import PARTS_BEFORE
from rollout.site.model import PARTS_AFTER
from steps.carriers import FRESH
from survey import network
from survey.daemons import Daemon, by_script, ports, seen
from survey.draft import Draft, Question, Stranger
from survey.facts import Account
from survey.host import Host
from survey.services import KNOWN, SUBJECTS, Known

FIRST = ("preflight", "base", "network", "traffic", "egress")
JAILS = "/usr/jails"


@dataclass(frozen=True)
class Way:
    """How the host is reached, as it was typed."""

    address: str
    user: str = "root"
    become: str | None = None
    port: int = 22
    key: str | None = None
    known_hosts: str | None = None

    @property
    def key_file(self) -> Path | None:
        return Path(self.key).expanduser() if self.key else None

    @property
    def known_hosts_file(self) -> Path | None:
        return Path(self.known_hosts).expanduser() if self.known_hosts else None

    def keys(self) -> dict[str, Any]:
        """Those of [host] that are not the default."""
        found: dict[str, Any] = {"address": self.address}
        found |= {"user": self.user} if self.user != "root" else {}
        found |= {"port": self.port} if self.port != 22 else {}
        others = {"become": self.become, "key": self.key, "known_hosts": self.known_hosts}
        return found | {key: each for key, each in others.items() if each}


def drafted(host: Host, way: Way) -> Draft:
    """The draft, before it is compared with the host. Raises Refused where nothing can move."""
    draft = Draft()
    if host.about.uid != "0":
        draft.unseen.append(
            f"this login is not root's (uid {host.about.uid or 'unknown'}): what only root may "
            "read (configurations, what processes of others have open) is missing below, and "
            "`check` refuses it. Survey it again as root, or with --become"
        )
    wan = network.wan(host)
    daemons, others = by_script(host)
    draft.put("", "name", _name(host.about.name), "hostname")
    draft.put("", "order", [])
    for key, each in way.keys().items():
        draft.put("host", key, each, "as it was typed")
    draft.put("host", "wan_interface", wan.interface, wan.seen)
    told = f"ifconfig -a: the first address of {wan.interface}"
    more = f"; it has {', '.join(map(str, wan.others))}, too" if wan.others else ""
    draft.put("host", "wan_address", str(wan.address), told + more)
    if seen_at := network.seen_at(host, wan, way.address):
        draft.put("host", "seen_at", seen_at, f"{way.address} was typed, and no interface has it")
    draft.put("lan", "interface", network.free_interface(host), "ifconfig -a: it is not there yet")
    draft.put("lan", "network", str(network.free_network(host)), _FREE)
    _resolvers(host, draft)
    known = _services(host, daemons, draft)
    if not known:
        raise Refused(
            f"{host.target}: none of the daemons that Cellblock moves listens there, started by "
            f"its own rc script ({', '.join(script for each in KNOWN for script in each.scripts)})",
            evidence="\n".join(_told(others, daemons.values())) or "nothing listens there at all",
            todo="start them, or survey the host on which they run",
        )
    _homes(host, draft)
    _strangers(host, draft, [e for n, e in daemons.items() if n not in known], others)
    _firewall(host, draft)
    draft.put(
        "",
        "order",
        [*FIRST, *(each for each in SUBJECTS if f"services.{each}" in draft.tables), "policy"],
    )
    policy(draft)
    return draft


_FREE = "netstat -rn, ifconfig -a, jls, jail.conf: nobody has an address in it"


def _name(said: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_-]", "-", said.partition(".")[0])
    return name if re.match(r"[A-Za-z_]", name) else f"host-{name}".rstrip("-")


def _resolvers(host: Host, draft: Draft) -> None:
    """Those of other machines. One of the host's own answers jails at the public address."""
    own = {"127.0.0.1", "::1", *(str(each.ip) for each in host.networks)}
    servers = [each for each in host.servers if re.fullmatch(r"[\d.]+", each)]
    if servers and not set(servers) & own:
        draft.put("lan", "resolvers", servers, "/etc/resolv.conf: nameserver")


def _services(host: Host, daemons: dict[str, Daemon], draft: Draft) -> set[str]:
    """Describe the daemons that Cellblock knows, each in its jail. Returns their scripts."""
    done = set()
    for known in KNOWN:
        script = next((each for each in known.scripts if each in daemons), None)
        _silent(host, draft, known, daemons)
        if script is None or not any("4" in each.proto for each in daemons[script].listens):
            continue
        known.describe(host, daemons[script], draft)
        if not draft.get(f"services.{known.service}", "ports"):
            del draft.tables[f"services.{known.service}"]
            continue
        done.add(script)
        _housed(host, draft, known.jail, known.service)
    return done


def _silent(host: Host, draft: Draft, known: Known, daemons: dict[str, Daemon]) -> None:
    """Tell of one that runs, and listens at local sockets alone (mysqld with skip-networking)."""
    for script, pid in host.running.scripts:
        at = tuple(path for each, path in host.running.unix if each == pid and path[:1] == "/")
        if script in known.scripts and script not in daemons and at:
            why = (
                "Cellblock finds a daemon by its port: to move it, let it listen at 127.0.0.1, "
                "too, and survey the host again"
            )
            draft.strangers.append(Stranger(script, at, why))


def _housed(host: Host, draft: Draft, jail: str, service: str) -> None:
    table = f"jails.{jail}"
    if table not in draft.tables:
        number = len(draft.names("jails")) + 2
        base = draft.get("lan", "network").rpartition(".")[0]
        domain = host.about.name.partition(".")[2] or "local"
        draft.put(table, "address", f"{base}.{number}", "the next free address of lan.network")
        draft.put(table, "hostname", f"{jail.replace('_', '-')}.{domain}", "a name for the jail")
        draft.put(table, "services", [])
    draft.put(table, "services", [*draft.get(table, "services"), service])


_NO_HOMES = ("/", "/usr", "/var", "/root", "/usr/local", "/var/db", "/var/spool", "/etc", "/opt")


def homes(people: Iterable[Account]) -> dict[str, str]:
    """The directories that have homes in them: their path without links, and as passwd has it."""
    found: dict[str, str] = {}
    for each in people:
        at, real = posixpath.dirname(each.home), posixpath.dirname(each.real)
        if at not in _NO_HOMES and real not in _NO_HOMES:
            found.setdefault(real, at)
    return found


def _homes(host: Host, draft: Draft) -> None:
    """What accounts have: their uids, and their homes, in the jails whose daemons go there."""
    if not host.people:
        return
    uids = [each.uid for each in host.people]
    high = min(max(uids) // 1000 * 1000 + 999, 65533)
    span = [min(uids), high]
    told = f"/etc/passwd: {len(uids)} accounts from {min(uids)} to {max(uids)}, with room for more"
    wanted = {"mail": "where mail is read and delivered"}
    if reason := _served(host, draft.get("services.web", "configuration", [])):
        wanted["web"] = reason
    for jail, why in wanted.items():
        if f"jails.{jail}" not in draft.tables:
            continue
        draft.put(f"jails.{jail}", "uids", span, told)
        mounts: list[dict[str, Any]] = []
        for real, at in homes(host.people).items():
            mounts.append({"source": real, "writable": True})
            if at != real and not is_in(at, [real]):
                mounts.append({"source": real, "target": at, "writable": True})
        draft.add(f"jails.{jail}", "mounts", mounts, f"/etc/passwd: homes; {why}")
    _mysql_socket(draft)


def _served(host: Host, places: list[str]) -> str:
    """Why the web server needs homes; "" if nothing says so."""
    said: apache.Said = host.ask(apache.Directives, places=tuple(places))
    inside = [each.real for each in host.people] + [each.home for each in host.people]
    for line in said.lines:
        if line.directive == "userdir" and apache.user_directories([line]):
            return f"{line.place}: UserDir"
    for path, place in apache.named(said.lines):
        if is_in(path, inside):
            return f"{place}: {path}"
    names = {each.name for each in host.people}
    for name, place in apache.accounts(said.lines):
        if name in names:
            return f"{place}: {name}"
    return ""


def _mysql_socket(draft: Draft) -> None:
    """Programs of pages find MySQL at its socket, as they do now."""
    socket = draft.get("services.mysql", "socket")
    folder = posixpath.dirname(socket or "")
    if socket and "jails.web" in draft.tables and folder not in FRESH:
        mount = {"source": f"{JAILS}/mysql/root{folder}", "target": folder}
        draft.add("jails.web", "mounts", [mount], f"MySQL's socket, {socket}, for PHP")


_SYSTEMS = ("sshd", "sshd-sessi", "sshd-session", "ntpd", "chronyd", "syslogd")
"""Of these nobody expects that they move."""


def _strangers(
    host: Host, draft: Draft, daemons: list[Daemon], others: tuple[Listener, ...]
) -> None:
    """Daemons that stay. What listens for programs of the host stays reachable from jails."""
    ported = {
        (entry.get("proto", "tcp"), entry["port"])
        for name in draft.names("services")
        for entry in draft.get(f"services.{name}", "ports")
    }
    for each in daemons:
        _stays(host, draft, each, ported)
    groups: dict[str, list[Listener]] = {}
    known = {pid for each in daemons for pid in each.pids}
    for one in others:
        if one.pid not in known:
            groups.setdefault(one.command, []).append(one)
    for command, listens in groups.items():
        _other(draft, command, listens, ported)


_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
"""What a site file takes for the name of a script (Name of rollout/site/model.py)."""


def _stays(host: Host, draft: Draft, daemon: Daemon, ported: set[tuple[str, int]]) -> None:
    script, rcvar = daemon.script.name, daemon.script.rcvar
    companions = [
        entry["rc"]
        for name in draft.names("services")
        for entry in draft.get(f"services.{name}", "companions", [])
    ]
    if script in companions or not daemon.listens:
        return
    if not (_WORD.fullmatch(script) and _WORD.fullmatch(rcvar)):
        _other(draft, script, list(daemon.listens), ported)
        return
    entries = [e for e in ports(daemon, {}) if ("tcp", e["port"]) not in ported]
    told = tuple(_ends(daemon.listens))
    asked = any(each.at_loopback for each in daemon.listens if each.proto.startswith("tcp"))
    if not entries or not asked:
        why = "it stays; docs/services/others.md says how to describe one that is to move"
        draft.strangers.append(Stranger(script, told, why))
        return
    name = _service_name(draft, script)
    stays = "it stays, unless `move` says how it moves (docs/services/others.md)"
    draft.put(f"services.{name}", "rc", script, stays)
    draft.put(f"services.{name}", "rcvar", rcvar, host.place(rcvar) or f"service {script} rcvar")
    draft.put(f"services.{name}", "ports", entries, seen(daemon))
    ported |= {("tcp", each["port"]) for each in entries}
    _housed(host, draft, name, name)
    why = "it stays: described, so that programs in jails reach it at 127.0.0.1"
    draft.strangers.append(Stranger(script, told, why))


def _service_name(draft: Draft, script: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_]", "_", script).lower()
    taken = {*PARTS_BEFORE, *PARTS_AFTER, "host", "internet", *draft.names("services")}
    taken |= {each.service for each in KNOWN} | set(draft.names("jails"))
    return name if name not in taken else f"{name}_of_host"


def _other(
    draft: Draft, command: str, listens: list[Listener], ported: set[tuple[str, int]]
) -> None:
    """One that no rc script of those asked has started."""
    told = tuple(_ends(listens))
    if command in _SYSTEMS:
        draft.strangers.append(Stranger(command, told, "the system's own"))
        return
    draft.strangers.append(Stranger(command, told, "of no rc script that a site file could name"))
    lost = [
        f"{each.port}/{each.proto[:3]}"
        for each in listens
        if (each.proto[:3], each.port) not in ported and _asked_here(each)
    ]
    if not lost or "jails.web" not in draft.tables:
        return
    draft.add("jails.web", "unreached", dict.fromkeys(lost), f"sockstat -46l: {command}")
    draft.questions.append(
        Question(
            "jails.web",
            "unreached",
            f"Does a program of a web page ask {command} at {', '.join(told)}?",
            f"In the jail it would find nobody there, and no configuration says who asks. As it "
            f"stands: none does. If one does, take {', '.join(dict.fromkeys(lost))} out of the "
            "list, and describe the daemon as [services.NAME] with that port, in a jail of its "
            "own, without NAME in `order`.",
        )
    )


_NAMES = (53, 953)
_EPHEMERAL = 10000


def _asked_here(listener: Listener) -> bool:
    """As the check daemons_are_found_from_the_jail asks it."""
    if listener.port in _NAMES:
        return False
    if listener.proto.startswith("udp"):
        return not listener.for_others and listener.port < _EPHEMERAL
    return listener.at_loopback or not listener.for_others


def _ends(listens: Iterable[Listener]) -> Iterator[str]:
    return iter(dict.fromkeys(f"{each.address}:{each.port}/{each.proto}" for each in listens))


def _told(others: Iterable[Listener], daemons: Iterable[Daemon]) -> list[str]:
    rows = [f"{each.command} listens at {each.address}:{each.port}/{each.proto}" for each in others]
    return [*dict.fromkeys([*(seen(each) for each in daemons), *rows])]


def _firewall(host: Host, draft: Draft) -> None:
    first = network.free_sets(host, len(draft.names("services")))
    if first != 20:
        draft.put("firewall", "first_set", first, "ipfw -S list: sets that the host does not use")


def policy(draft: Draft) -> None:
    """What jails may open: as on the host today, everything that is described, and outwards."""
    moving = [each for each in SUBJECTS if each in draft.order]
    built = [
        jail
        for jail in draft.names("jails")
        if set(draft.get(f"jails.{jail}", "services")) & set(moving)
    ]
    allow = []
    for jail in built:
        draft.put(f"jails.{jail}", "outbound", "nat", "as on the host today: see [policy]")
        for other in draft.names("jails"):
            if other != jail:
                there = [_port(each) for each in _entries(draft, other)]
                allow.append({"from": jail, "to": other, "ports": there})
        allow.append({"from": jail, "to": "internet", "ports": ["any"]})
    draft.put("policy", "allow", allow, "")
    draft.questions = [each for each in draft.questions if each.table != "policy"]
    draft.questions.append(
        Question(
            "policy",
            "allow",
            "Which of these connections does nobody need?",
            "On the host today every daemon may connect to every other, and to any machine. These "
            "lines keep it so, for the jails of which one could be broken into as well. What pages "
            "and scripts connect to is in no configuration. As it stands nothing is denied that "
            'works today; the sample site file has shorter lines (MySQL: no "internet").',
        )
    )


def _entries(draft: Draft, jail: str) -> list[dict[str, Any]]:
    return [
        entry
        for name in draft.get(f"jails.{jail}", "services")
        for entry in draft.get(f"services.{name}", "ports")
    ]


def _port(entry: dict[str, Any]) -> str:
    return f"{entry['port']}/{entry.get('proto', 'tcp')}"
