"""What carries a need of a daemon into its jail, or lets it be reached: read from the plan."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from operations import carried, companion, firewall, jail, mailers, mount, packages, rc
from operations.carried import LOCAL_ETC, Ask, Further, is_in
from operations.doors import Doors, Ways
from operations.facts import Routes, way
from operations.mount import Nullfs
from operations.needs import Need
from rollout.plan.step import Step, Use
from rollout.site import HOST, INTERNET, Proto, Site, allowing
from steps import egress

FRESH = (
    *("/var/run", "/var/log", "/dev"),
    *("/tmp", "/var/tmp"),  # noqa: S108 # names, for a comparison
)
"""In the tree of every jail: what a daemon makes there anew each time it starts."""

_MADE = tuple(
    f"/etc/{name}"
    for name in ("group", "hosts", "master.passwd", "passwd", "pwd.db", "resolv.conf", "spwd.db")
)
"""Files of which every jail gets its own, made from the host's."""

_LOG = ("/var/run/log", "/var/run/logpriv")

_RESOLVER = ("udp 127.0.0.1:53", "udp ::1:53")
"""Of resolver(3), which reads resolv.conf; a daemon that asks there by itself looks alike."""

_BACK = re.compile(r"fwd 127\.0\.0\.1,(\d+) (tcp) from (\S+) to \S+ \d+")


class Carrier(NamedTuple):
    """`kind` is mount, copy, variable or rule; `what` a path, a prefix, or PROTO PORT.

    A rule leads from 127.0.0.1 in the jail, or from that of the host if `jail` is "".
    The packages and the parts of /etc that a jail gets are copies, too. `keeps` is a mount to which
    the jail can write, so that what it writes is the host's.
    """

    jail: str
    kind: str
    what: str
    step: str
    keeps: bool


class Answer(NamedTuple):
    """`outcome` is carried, reachable or refused; `by` is what does it, or what to do about it."""

    outcome: str
    by: str


class Carriers(NamedTuple):
    """All carriers of a plan, and what its jails get besides, by what configurations name."""

    site: Site
    all: tuple[Carrier, ...]
    further: dict[str, Further]

    def places(self) -> tuple[str, ...]:
        """The paths that are carried, of which some may be symbolic links on the host."""
        return tuple(dict.fromkeys(each.what for each in self.all if each.what.startswith("/")))

    def answer(self, service: str, need: Need, ask: Ask, who: str = "nobody knows who") -> Answer:
        """How a need of this service is met in its jail. `who` listens at a port or a socket."""
        match need.kind:
            case "served port":
                found = self._served(service, need.what)
            case "port":
                found = self._port(service, need.what, who)
            case "connection":
                found = self._connection(service, need.what, ask)
            case "socket":
                found = self._socket(service, need.what, who)
            case "variable":
                found = self._variable(service, need.what)
            case "log":
                found = self._log(service, need.what)
            case _:
                found = self._path(service, need, ask)
        return found

    def _variable(self, service: str, variable: str) -> Answer:
        name = self.site.jail_of(service)
        for each in self._of(name, "variable"):
            if variable.startswith((f"{each.what}_", f"{each.what}limits_")):
                return Answer("carried", f"copied to rc.conf of jail {name} in {each.step}")
        return Answer("refused", f"jail {name} will not have the rc variable {variable}")

    def _log(self, service: str, path: str) -> Answer:
        name, there = self.site.jail_of(service), self.site.services[service]
        if path in there.log_files or there.user == "root":
            return Answer("carried", f"jail {name} has its own")
        return Answer(
            "refused",
            f"{there.user} may not make a file in /var/log of jail {name}, so the daemon would not "
            f"start, or start without this log: add it to services.{service}.log_files",
        )

    def _path(self, service: str, need: Need, ask: Ask) -> Answer:
        name, path = self.site.jail_of(service), need.what
        mails = mailers.are_known(self.site.services[service].rc)
        own = is_in(path, (*FRESH, *_MADE, *(mailers.OWN if mails else ()))) and not _is_deep(path)
        own = own and need.kind != "folder"
        at = self._place(name, path)
        if at and (at.keeps or not need.written):
            return Answer("carried", f"{at.kind} of {at.what} in {at.step}")
        if own:
            return Answer("carried", f"jail {name} has its own")
        if at:
            return Answer("refused", f"{_lost(name, at, path)}: {_todo(service, name)}")
        if further := self.further.get(name):
            named = [each.path for each in (*further.copied(ask), *further.shown(ask))]
            if is_in(path, named):
                return Answer("carried", "brought along, since the configuration names it")
        more = ""
        if need.kind == "working directory":
            more = "; or start the daemon anew in /, if it does not need this directory"
        return Answer("refused", f"jail {name} will not have {path}: {_todo(service, name)}{more}")

    def _of(self, jail: str, *kinds: str) -> Iterator[Carrier]:
        return (each for each in self.all if each.jail == jail and each.kind in kinds)

    def _place(self, jail: str, path: str) -> Carrier | None:
        there = [each for each in self._of(jail, "mount", "copy") if is_in(path, [each.what])]
        return max(there, key=lambda each: len(each.what), default=None)

    def _socket(self, service: str, path: str, who: str) -> Answer:
        name = self.site.jail_of(service)
        if path in _LOG:
            return Answer("carried", f"jail {name} has its own syslogd")
        inside = self.site.jails[name].services
        if path in [self.site.services[each].socket for each in inside]:
            return Answer("carried", f"its daemon moves into jail {name}, too")
        if at := self._place(name, path):
            return Answer("reachable", f"mount of {at.what} in {at.step}")
        return Answer(
            "refused",
            f"jail {name} will not have the socket {path} ({who} listens there): add its "
            f"directory to jails.{name}.mounts, or that daemon to services.{service}.companions",
        )

    def _port(self, service: str, end: str, who: str) -> Answer:
        name = self.site.jail_of(service)
        proto, _, at = end.partition(" ")
        port = at.rpartition(":")[2]
        inside = [self.site.services[each] for each in self.site.jails[name].services]
        if any(
            (one.proto, str(one.port)) == (proto, port) for each in inside for one in each.ports
        ):
            return Answer("carried", f"its daemon moves into jail {name}, too")
        for each in self._of(name, "rule"):
            if each.what == f"{proto} {port}":
                by = f"a rule for {each.what} in {each.step}"
                return self._let(name, self._owner(proto, port), proto, port, by)
        if end in _RESOLVER:
            return Answer("carried", f"jail {name} asks the name servers of its own resolv.conf")
        if proto == "udp":
            return Answer(
                "refused", f"{who} listens at {at}/udp: {self._todo_over_udp(name, port)}"
            )
        return Answer(
            "refused",
            f"in jail {name} nothing will answer at {at}/{proto}, where {who} listens: describe "
            "that daemon as [services.NAME], with this port, in a jail of its own, and leave NAME "
            "out of `order`",
        )

    def _owner(self, proto: str, port: str) -> str:
        """The jail of the service that has this port: [policy] calls it so, wherever it runs."""
        return self.site.served.get((int(port), proto), HOST)

    def _let(self, name: str, to: str, proto: str, port: str, by: str) -> Answer:
        """Reachable, if [policy] lets jail `name` connect there."""
        kind: Proto = "udp" if proto == "udp" else "tcp"
        if self.site.lets(name, to, int(port), kind):
            return Answer("reachable", by)
        line = allowing(name, to, f"{port}/{proto}")
        return Answer(
            "refused",
            f"jail {name} may not open connections to {to}, port {port}/{proto}: add {line} to "
            "`allow` in [policy]",
        )

    def _connection(self, service: str, end: str, ask: Ask) -> Answer:
        """A replica's to its primary, a proxy's to another machine, a message's to a relay."""
        name = self.site.jail_of(service)
        jail, first = self.site.jails[name], self.site.builder(name)
        proto, _, at = end.partition(" ")
        address, _, port = at.rpartition(":")
        if ":" in address:
            return Answer(
                "refused",
                f"{address} is an address of IPv6, which jail {name} does not have, so it would "
                f"not reach port {port}/{proto} there: name that server by a name or an address of "
                f"IPv4, or take {service} out of `order`",
            )
        own = [each for one in self.site.jails.values() for each in one.addresses]
        card = way(address, ask(Routes))
        wan, lan = self.site.host.wan_interface, self.site.lan.interface
        if address in map(str, (self.site.host.wan_address, *own)) or card.startswith("lo"):
            by = f"{address} is an address of the host's"
            return self._let(name, self._owner(proto, port), proto, port, by)
        if egress.shut_in(self.site, first):
            return Answer("reachable", f"not at all, after a yes at the gate of {first}.jail")
        if card not in ("", wan, lan):
            return Answer(
                "refused",
                f"{address} is reached by {card}, and jail {name} gets out by {wan} alone, so it "
                f"would not reach port {port}/{proto} there: let the daemon ask a server that is "
                f"reached by {wan}, or take {service} out of `order`",
            )
        if jail.outbound == "none" or (jail.outbound == "nat" and "egress" not in self.site.order):
            return Answer(
                "refused",
                f"jail {name} may not open connections to {address}:{port}: set outbound = "
                f'"nat" in [jails.{name}], and have egress in `order`',
            )
        by = f'jails.{name}.outbound = "{jail.outbound}"'
        return self._let(name, INTERNET, proto, port, by)

    def _todo_over_udp(self, name: str, port: str) -> str:
        """Over UDP no rule leads out of a jail from 127.0.0.1 (docs/decisions/0026)."""
        to: object = self.site.host.wan_address
        for other in self.site.built:
            inside = [self.site.services[each] for each in self.site.jails[other].services]
            if any((one.proto, str(one.port)) == ("udp", port) for e in inside for one in e.ports):
                to = self.site.jails[other].address
        return f"over UDP 127.0.0.1 in jail {name} is the jail itself: let the daemon send to {to}"

    def _served(self, service: str, end: str) -> Answer:
        proto, _, at = end.partition(" ")
        address, _, port = at.rpartition(":")
        if address != "127.0.0.1":
            return Answer(
                "refused",
                f"programs of the host that ask {at}/{proto} would find nobody, since rules lead "
                f"to jail {self.site.jail_of(service)} from 127.0.0.1 alone: let the daemon listen "
                "there, and let these programs ask there",
            )
        for each in self._of("", "rule"):
            if each.what == f"{proto} {port}":
                return Answer("reachable", f"a rule from 127.0.0.1 of the host in {each.step}")
        return Answer(
            "refused",
            f"programs of the host that ask {at}/{proto} would find nobody, since no rule of the "
            f"plan leads from there to jail {self.site.jail_of(service)}",
        )


def _is_deep(log: str) -> bool:
    """In a directory of its own in /var/log, which no daemon makes anew."""
    return log.startswith("/var/log/") and "/" in log.removeprefix("/var/log/")


def _lost(jail: str, at: Carrier, path: str) -> str:
    how = "as a copy" if at.kind == "copy" else "read only"
    return f"jail {jail} gets {at.what} {how} (in {at.step}), and the daemon writes to {path}"


def _todo(service: str, jail: str) -> str:
    return (
        f"add it, or its directory, to services.{service}.data, .logs or .configuration (which is "
        f"copied), or to jails.{jail}.mounts"
    )


def of(steps: Iterable[Step], site: Site) -> Carriers:
    """The carriers of these steps."""
    found: list[Carrier] = []
    further: dict[str, Further] = {}
    for step in steps:
        for each in _flat(step.operations):
            if read := _READ.get(each.operation):
                found += (
                    Carrier(name, kind, what, step.name, keeps)
                    for name, kind, what, keeps in read(site, **each.arguments)
                )
            if _is(each, carried.table):
                further[_jail(site, each.arguments["root"])] = each.arguments["further"]
    return Carriers(site, tuple(dict.fromkeys(found)), further)


def _flat(uses: Iterable[Use]) -> Iterator[Use]:
    for each in uses:
        yield each.arguments["then"] if _is(each, companion.where_enabled) else each


def _is(use: Use, operation: object) -> bool:
    return use.operation == operation


_Found = Iterator[tuple[str, str, str, bool]]
"""A jail, a kind, what is carried, and whether it keeps what is written (Carrier)."""


def _mounted(site: Site, mounts: Sequence[Nullfs], **_: Any) -> _Found:
    for each in mounts:
        name = _jail(site, each.target)
        inside = each.target.removeprefix(site.root(name)) if name else ""
        # /usr/local/etc is empty but for what is copied; other targets are for the host.
        if inside != each.target and inside not in ("", LOCAL_ETC):
            yield name, "mount", inside, each.writable


def _copied(site: Site, source: str, into: str, names: Sequence[str], **_: Any) -> _Found:
    for each in names:
        yield _jail(site, into), "copy", f"{source.rstrip('/')}/{each}", False


def _companions(site: Site, into: str, configuration: Sequence[str], **_: Any) -> _Found:
    for each in configuration:
        yield _jail(site, into), "copy", each, False


def _systems(site: Site, root: str, **_: Any) -> _Found:
    for each in jail.ETC:
        yield _jail(site, root), "copy", f"/etc/{each}", False


def _packages(site: Site, root: str, **_: Any) -> _Found:
    for each in jail.LOCAL:
        yield _jail(site, root), "copy", f"/usr/local/{each}", False


def _rc_variables(site: Site, rcvar: str, root: str) -> _Found:
    yield _jail(site, root), "variable", rcvar.removesuffix("_enable"), False


def _opened(site: Site, ways: Ways, **_: Any) -> _Found:
    """What programs on the host reach at 127.0.0.1, and over TCP in other jails (placing.local)."""
    for each in ways.each:
        if isinstance(each, Doors) and each.what != "answers" and each.others is not None:
            for proto, port, _public in each.ports:
                others = each.others if proto == "tcp" else ()
                for name in ("", *(_by_address(site, address) for address in others)):
                    yield name, "rule", f"{proto} {port}", False


def _back(site: Site, bodies: Sequence[str], **_: Any) -> _Found:
    """The same of daemons that stay on the host."""
    for found in filter(None, map(_BACK.fullmatch, bodies)):
        yield _by_address(site, found[3]), "rule", f"{found[2]} {found[1]}", False


_READ: dict[object, Callable[..., _Found]] = {
    carried.table: _mounted,
    mount.table: _mounted,
    jail.copies: _copied,
    companion.copied: _companions,
    jail.configuration: _systems,
    packages.cloned: _packages,
    rc.variables_in_jail: _rc_variables,
    firewall.opened: _opened,
    firewall.rules: _back,
}
"""Operation -> what its arguments carry."""


def _jail(site: Site, path: str) -> str:
    """The jail that a directory on the host belongs to."""
    return next((name for name in site.jails if is_in(path, [f"{site.base.jails}/{name}"])), "")


def _by_address(site: Site, address: str) -> str:
    return next((name for name, each in site.jails.items() if str(each.address) == address), "")
