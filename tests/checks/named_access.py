"""Who may do what with a named, by its configuration: on the host, and in its jail."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, ip_network
from typing import Any, NamedTuple

from rollout.site import Site
from tests.checks.named_conf import Statement

_OFF = (["no"], ["false"], ["0"])


class Means(NamedTuple):
    """What localhost means to a named, its `own` addresses, and localnets, its `networks`.

    `lan` and `old` are those that operations/named.awk adds in a jail: to 127.0.0.1 both, to the
    public address `lan` where it says who may ask.
    """

    own: tuple[IPv4Network, ...]
    networks: tuple[IPv4Network, ...]
    lan: IPv4Network | None = None
    old: IPv4Address | None = None


class Access:
    """Who may do what with a named, by its configuration."""

    def __init__(self, tree: Sequence[Statement], means: Means | None) -> None:
        self.means = means
        self._acls = {_bare(one[1]): one[2] for one in tree if one[0] == "acl" and len(one) == 3}
        self._options = _said(inside for one in tree if one[0] == "options" for inside in one[-1])
        self._views = {_bare(one[1]): one[-1] for one in tree if one[0] == "view"}
        self._zones = [one for one in tree if one[0] == "zone"]
        self._known: dict[str, Mapping[str, Statement]] = {}

    def view(self, client: IPv4Address) -> str | None:
        """The first that the client fits; "" without views, None if it fits none."""
        if not self._views:
            return ""
        fits = (name for name, each in self._views.items() if self._is_in(each, client))
        return next(fits, None)

    def _is_in(self, view: Sequence[Statement], client: IPv4Address) -> bool:
        return self.has(_list(view, "match-clients"), client, "match-clients")

    def _in_view(self, view: str) -> Mapping[str, Statement]:
        if view not in self._known:
            self._known[view] = {**self._options, **_said(self._views.get(view, []))}
        return self._known[view]

    def refusing(self, client: IPv4Address) -> str | None:
        """The statement by which it does not look up any name for a client; None if it does."""
        view = self.view(client)
        if view is None:
            return "match-clients"
        said = self._in_view(view)
        if [_bare(str(word)) for word in said.get("recursion", [])[1:]] in _OFF:
            return "recursion"
        # Of what is not said, the next that is said counts; else localnets and localhost.
        order = ("allow-recursion", "allow-query-cache", "allow-query")
        if not any(name in said for name in order) and self.means:
            return None if self._has_by_default(client) else "allow-recursion"
        wrong = (n for n in order if n in said and not self.has(said[n][-1], client, n))
        return next(wrong, None)

    def _has_by_default(self, client: IPv4Address) -> bool:
        return self.has([["localnets"], ["localhost"]], client, "allow-recursion")

    def may(self, client: IPv4Address) -> dict[str, str]:
        """What this client may do: a place, and the answer that differs from other clients'."""
        if "blackhole" in self._options and self.has(
            self._options["blackhole"][-1], client, "blackhole"
        ):
            return {"blackhole": "no answer at all"}
        view = self.view(client)
        if view is None:
            return {"match-clients": "no view"}
        found = {"match-clients": f"view {view}" if view else "the zones"}
        if self.refusing(client) is None:
            found["allow-recursion"] = "recursion"
        said = self._in_view(view)
        zones = [each for each in self._views.get(view, self._zones) if each[0] == "zone"]
        for name in ("allow-query", "allow-transfer", "allow-update", "allow-notify"):
            if name in said and self.has(said[name][-1], client, name):
                found[name] = name
            for zone in zones:
                own = _said(zone[-1]) if isinstance(zone[-1], list) else {}
                if name in own and self.has(own[name][-1], client, name):
                    found[f"{name} of zone {zone[1]}"] = name
        return found

    def literals(self) -> Iterator[IPv4Network]:
        """The networks that its lists name."""
        lists = [*self._acls.values()]
        for one in (*self._options.values(), *self._zones, *self._views.values()):
            lists.append(one)
        yield from _networks(lists)

    def has(self, elements: Sequence[Statement], client: IPv4Address, by: str) -> bool:
        """The first element that fits counts, with ! against the client."""
        for one in elements:
            words = list(one)
            refused = isinstance(words[0], str) and words[0].startswith("!")
            if refused:
                words = [words[0][1:], *words[1:]] if words[0] != "!" else words[1:]
            if self._fits(words[0], client, by):
                return not refused
        return False

    def _fits(self, element: Any, client: IPv4Address, by: str) -> bool:
        if isinstance(element, list):
            return self.has(element, client, by)
        word, means = _bare(element), self.means
        if word in self._acls:
            return self.has(self._acls[word], client, "acl")
        if word in ("any", "localhost", "localnets"):
            own = means.own if means and word == "localhost" else means and means.networks
            return word == "any" or own is None or any(client in each for each in own)
        try:
            net = ip_network(word, strict=False)
        except ValueError:  # none, a key, geoip
            return False
        return client in net or self._adds(net, client, by)

    def _adds(self, net: Any, client: IPv4Address, by: str) -> bool:
        """Whether operations/named.awk adds this client to a network of a list."""
        means = self.means
        if means is None or means.lan is None:
            return False
        if str(net.network_address).startswith("127."):
            adds = by == "acl" or by.startswith(("allow-", "match-"))
            return adds and (client in means.lan or client == means.old)
        asks = by in ("allow-recursion", "allow-query", "allow-query-cache", "match-clients")
        return asks and net == ip_network(str(means.old)) and client in means.lan


def _said(block: Iterable[Statement]) -> dict[str, Statement]:
    return {str(one[0]): one for one in block if isinstance(one, list) and one}


def _networks(tree: Any) -> Iterator[IPv4Network]:
    for one in tree:
        if isinstance(one, list):
            yield from _networks(one)
        elif re.fullmatch(r"!?[0-9.]+(/[0-9]+)?", str(one)):
            try:
                net = ip_network(str(one).lstrip("!"), strict=False)
            except ValueError:
                continue
            if isinstance(net, IPv4Network) and "." in str(one):
                yield net


def refusing(tree: Sequence[Statement], client: IPv4Address) -> str | None:
    """The statement by which a named does not look up any name for a client; None if it does.

    `client` is an address of the named's own machine, and so within its default, localnets. Of
    views, the first whose match-clients has the client counts.
    """
    return Access(tree, None).refusing(client)


_LOCAL = IPv4Address("127.0.0.1")
_ASKED = 200  # clients


def differences(here: Access, there: Access, site: Site, resolv_conf: str) -> dict[str, str]:
    """A statement, and what it lets a client do on the host and not in the jail, or the other way.

    Clients are those at the edges of all networks that are named, and programs. Those of the host
    may do what they may at 127.0.0.1 and at the public address; those in jails what they may at
    127.0.0.1, and at the public address where the host's resolv.conf has it.
    """
    assert here.means is not None
    found: dict[str, str] = {}
    for client in _others(here, here.means, site.lan.network):
        before, after = here.may(client), there.may(client)
        for by in before.keys() | after.keys():
            if before.get(by) != after.get(by):
                words = f"{before.get(by, 'not')} on the host, {after.get(by, 'not')} in the jail"
                found[by] = f"for {client}: {words}"
    wan = site.host.wan_address
    local, public = here.may(_LOCAL), here.may(wan)
    asked = {**public, **local} if str(wan) in resolv_conf.split() else local
    jails = [(f"jail {name}", each.address, asked) for name, each in site.jails.items()]
    own = [("the host", wan, {**public, **local}), ("the host", _LOCAL, local)]
    for name, client, could in (*own, *jails):
        after = there.may(client)
        for by, what in could.items():
            counts = name == "the host" or by.split()[0] in _OF_NAMES
            if counts and after.get(by) != what:
                at = "blackhole" if "blackhole" in after else by
                found[at] = f"programs of {name} ({client}) would not get {what} any more"
    return found


_OF_NAMES = ("match-clients", "allow-recursion", "allow-query")
"""Whether names are looked up; transfers and updates are for programs that are told to ask so."""


def _others(here: Access, has: Means, lan: IPv4Network) -> list[IPv4Address]:
    """Clients of other machines: at both edges of each network that is named, and beside them."""
    nets = dict.fromkeys([*here.literals(), *has.networks])
    edges = [
        int(n[0]) - 1 + more for n in nets for more in (0, 1, n.num_addresses, n.num_addresses + 1)
    ]
    last = 2**32 - 1
    clients = [IPv4Address(each) for each in dict.fromkeys(edges) if 0 < each < last]
    own = {each[0] for each in has.own}
    others = [
        each
        for each in (IPv4Address("192.0.2.1"), *clients)
        if each not in own and each not in lan and not each.is_loopback
    ]
    return others[:: max(1, len(others) // _ASKED)]


def _list(block: Sequence[Statement], name: str) -> list[Statement]:
    return next((one[-1] for one in block if one[0] == name), [["any"]])


def _bare(word: str) -> str:
    return word.strip('"').lower()
