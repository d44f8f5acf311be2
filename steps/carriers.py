"""What carries a need of a daemon into its jail, or lets it be reached: read from the plan."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from operations import carried, companion, firewall, jail, mount, rc
from operations.carried import Ask, Further, is_in
from operations.needs import Need, port_of
from rollout.plan.step import Step, Use
from rollout.site import Site

_OWN = (
    "/tmp",  # noqa: S108  # a place in a jail; nothing is written there
    "/var/tmp",  # noqa: S108  # likewise
    *("/var/run", "/var/log", "/dev"),
)
"""In the tree of every jail: what a daemon makes there anew each time it starts."""

_FRESH = {"postfix": ("/var/db/postfix",), "dovecot": ("/var/db/dovecot",)}
"""rc script -> directories of locks and caches that the daemon makes anew where it lacks them."""

_LOG = ("/var/run/log", "/var/run/logpriv")

_FORWARD = re.compile(r"fwd \S+ tcp from (\S+) to (\S+) (\d+)\b.*")


class Carrier(NamedTuple):
    """`kind` is mount, copy, variable or rule; `what` the path, the prefix, or ADDRESS:PORT."""

    jail: str
    kind: str
    what: str
    step: str


class Answer(NamedTuple):
    """`outcome` is carried, reachable or refused; `by` is what does it, or what to do about it."""

    outcome: str
    by: str


class Carriers(NamedTuple):
    """All carriers of a plan, and what its jails get besides, by what configurations name."""

    site: Site
    all: tuple[Carrier, ...]
    further: dict[str, Further]

    def answer(self, service: str, need: Need, ask: Ask) -> Answer:
        """How a need of this service is met in its jail."""
        if need.kind == "port":
            return self._port(service, need.what)
        if need.kind == "socket":
            return self._socket(service, need.what)
        if need.kind == "variable":
            return self._variable(service, need.what)
        return self._path(service, need.what, ask)

    def _variable(self, service: str, variable: str) -> Answer:
        name = self.site.jail_of(service)
        for each in self.all:
            if each.jail == name and each.kind == "variable" and variable.startswith(each.what):
                return Answer("carried", f"copied to rc.conf of jail {name} in {each.step}")
        return Answer("refused", f"jail {name} will not have the rc variable {variable}")

    def _path(self, service: str, path: str, ask: Ask) -> Answer:
        name = self.site.jail_of(service)
        if at := self._place(name, path):
            return Answer("carried", f"{at.kind} of {at.what} in {at.step}")
        fresh = (*_OWN, *_FRESH.get(self.site.services[service].rc, ()))
        if is_in(path, fresh):
            return Answer("carried", f"jail {name} has its own")
        if further := self.further.get(name):
            named = [each.path for each in (*further.copied(ask), *further.shown(ask))]
            if is_in(path, named):
                return Answer("carried", "brought along, since the configuration names it")
        return Answer(
            "refused",
            f"jail {name} will not have {path}; add it to services.{service}.data or "
            f"configuration, or its directory to jails.{name}.mounts",
        )

    def _place(self, jail: str, path: str) -> Carrier | None:
        there = [
            each
            for each in self.all
            if each.jail == jail and each.kind in ("mount", "copy") and is_in(path, [each.what])
        ]
        return max(there, key=lambda each: len(each.what), default=None)

    def _socket(self, service: str, path: str) -> Answer:
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
            f"jail {name} will not have the socket {path}; add its directory to "
            f"jails.{name}.mounts, or its daemon to services.{service}.companions",
        )

    def _port(self, service: str, end: str) -> Answer:
        name, port = self.site.jail_of(service), port_of(end)[1]
        inside = self.site.jails[name].services
        if any(int(port) in self.site.services[each].tcp_ports for each in inside):
            return Answer("carried", f"its daemon moves into jail {name}, too")
        wanted = f"{self.site.jails[name].address}:{port}"
        for each in self.all:
            if each.kind == "rule" and each.what == wanted and each.jail in ("", name):
                return Answer("reachable", f"a fwd rule for {wanted} in {each.step}")
        return Answer(
            "refused",
            f"in jail {name} nothing will answer at {end}; describe the daemon that listens there "
            "as [services.NAME], with that port",
        )


def of(steps: Iterable[Step], site: Site) -> Carriers:
    """The carriers of these steps."""
    found: list[Carrier] = []
    further: dict[str, Further] = {}
    for step in steps:
        for each in _flat(step.operations):
            found += _carriers(each, step.name, site)
            if _is(each, carried.table):
                further[_jail(site, each.arguments["root"])] = each.arguments["further"]
    return Carriers(site, tuple(found), further)


def _flat(uses: Iterable[Use]) -> Iterator[Use]:
    for each in uses:
        yield each.arguments["then"] if _is(each, companion.where_enabled) else each


def _is(use: Use, *operations: object) -> bool:
    return use.operation in operations


def _carriers(use: Use, step: str, site: Site) -> Iterator[Carrier]:
    given = use.arguments
    if _is(use, carried.table, mount.table):
        for each in given["mounts"]:
            name = _jail(site, each.target)
            root = site.root(name) if name else "/"
            inside = each.target.removeprefix(root)
            # /usr/local/etc is empty but for what is copied; other targets are for the host.
            if each.target.startswith(f"{root}/") and inside != carried.LOCAL_ETC:
                yield Carrier(name, "mount", inside, step)
    elif _is(use, jail.copies):
        for each in given["names"]:
            path = f"{given['source'].rstrip('/')}/{each}"
            yield Carrier(_jail(site, given["into"]), "copy", path, step)
    elif _is(use, companion.copied):
        for each in given["configuration"]:
            yield Carrier(_jail(site, given["into"]), "copy", each, step)
    elif _is(use, rc.variables_in_jail):
        prefix = given["rcvar"].removesuffix("_enable")
        yield Carrier(_jail(site, given["root"]), "variable", prefix, step)
    elif _is(use, firewall.rules):
        for body in given["bodies"]:
            if found := _FORWARD.fullmatch(body):
                yield Carrier(_by_address(site, found[1]), "rule", f"{found[2]}:{found[3]}", step)


def _jail(site: Site, path: str) -> str:
    """The jail that a directory on the host belongs to."""
    return next((name for name in site.jails if is_in(path, [f"{site.base.jails}/{name}"])), "")


def _by_address(site: Site, address: str) -> str:
    return next((name for name, each in site.jails.items() if str(each.address) == address), "")
