"""Finds contradictions in a site file: values that are valid one by one and do not fit together."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from rollout.site.mac import MOST_RULES
from rollout.site.model import LAST_SET, PARTS_AFTER, PARTS_BEFORE, Service, Site
from rollout.site.policy import HOST, INTERNET, Allow


def contradictions(site: Site) -> Iterator[str]:
    yield from _addresses(site)
    yield from _services(site)
    yield from _policy(site)
    yield from _parameters(site)
    if len(site.mac.rules(site.uids)) > MOST_RULES:
        yield (
            f"jails: their uids have {len(site.uids)} ranges, and the kernel has room for "
            f"{MOST_RULES} rules, one for each pair of them: expected fewer ranges, or no mac in "
            "the order"
        )
    over = max(place.set for place in site.places.values()) - LAST_SET
    if over > 0:
        first = site.firewall.first_set - over
        yield (
            f"firewall.first_set = {site.firewall.first_set}: {len(site.services)} services would "
            f"need sets up to {LAST_SET + over}; ipfw has them up to {LAST_SET}: expected "
            + (f"{first} at most" if first > 0 else f"{1 - first} services fewer")
        )
    if site.base.kind == "tree" and site.base.tree is None:
        yield 'base.tree: missing, and needed with base.kind = "tree"'


def _addresses(site: Site) -> Iterator[str]:
    taken: dict[IPv4Address, str] = {}
    for name, jail in site.jails.items():
        key = f"jails.{name}.address = {jail.address}"
        if jail.address == site.host.wan_address:
            yield f"{key}: is host.wan_address; expected an address of its own in lan.network"
        elif jail.address not in site.lan.network:
            yield f"{key}: expected an address in lan.network = {site.lan.network}"
        elif use := _reserved(jail.address, site.lan.network):
            yield (
                f"{key}: is the {use} address of lan.network = {site.lan.network}; "
                "expected one of the addresses between"
            )
        other = taken.setdefault(jail.address, name)
        if other != name:
            yield f"{key}: jails.{other} has it already"
    if site.host.wan_address in site.lan.network:
        yield f"host.wan_address = {site.host.wan_address}: lies in lan.network"
    for address, seen in site.host.seen_at.items():
        if seen in site.lan.network or address in site.lan.network:
            yield f'host.seen_at = {{ "{address}" = "{seen}" }}: lies in lan.network'


def _parameters(site: Site) -> Iterator[str]:
    for name, jail in site.jails.items():
        for key in ("exec.created", "exec.poststop"):
            if jail.limits.of_processes and key in jail.parameters:
                yield (
                    f"jails.{name}.parameters: {key} would take the place of the command that "
                    f"keeps jails.{name}.limits in force; expected one of the two"
                )
        if "exec.prestop" in jail.parameters:
            yield (
                f"jails.{name}.parameters: exec.prestop would take the place of the command that "
                "stops the jail's services; expected exec.poststop"
            )
        if "exec.prepare" in jail.parameters:
            yield (
                f"jails.{name}.parameters: exec.prepare would take the place of the command that "
                "keeps the jail from starting without its rules in ipfw; expected exec.prestart"
            )


def _reserved(address: IPv4Address, network: IPv4Network) -> str:
    """The use of an address that no jail can have. A /31 or /32 has no such address."""
    if network.prefixlen >= 31:
        return ""
    uses = {network.network_address: "network", network.broadcast_address: "broadcast"}
    return uses.get(address, "")


def _services(site: Site) -> Iterator[str]:
    claimed: dict[tuple[int, str], str] = {}
    homes: dict[str, str] = {}
    for jail, table in site.jails.items():
        key = f"jails.{jail}.services"
        for each in table.services:
            if each not in site.services:
                yield f"{key}: {each!r} is no service; expected one of {', '.join(site.services)}"
            if homes.setdefault(each, jail) != jail:
                yield f"{key}: {each!r} is in jails.{homes[each]} already"
    for name, service in site.services.items():
        if name in (*PARTS_BEFORE, *PARTS_AFTER):
            yield f"services.{name}: is the name of a part of the rule set; expected another name"
        if name not in homes:
            yield f"services.{name}: belongs to no jail; name it in the services of one"
        yield from _described(name, service)
        if service.addresses and site.host.wan_address not in service.addresses:
            yield (
                f"services.{name}.addresses: expected host.wan_address = {site.host.wan_address} "
                "among them, where the service is watched"
            )
        of_jails = {each: jail for jail, table in site.jails.items() for each in table.addresses}
        for address in service.addresses:
            if address in of_jails or address in site.lan.network:
                yield (
                    f"services.{name}.addresses: {address} is a jail's; expected addresses of the "
                    "host itself"
                )
        for listen in service.ports:
            claim = (listen.port, listen.proto)
            first = claimed.setdefault(claim, name)
            if first != name:
                yield (
                    f"services.{name}.ports: {listen.port}/{listen.proto} "
                    f"is claimed by services.{first} already"
                )


def _described(name: str, service: Service) -> Iterator[str]:
    if service.move and not service.questions:
        yield (
            f"services.{name}.questions: missing, and needed with move: expected commands that ask "
            "the daemon, by whose answers it is known for the same in its jail"
        )
    if service.questions and not service.move:
        yield f"services.{name}.questions: is for services with move"
    if service.move == "overlap" and service.socket:
        yield (
            f'services.{name}.socket: two daemons cannot listen at one; expected move = "handover"'
        )
    if service.move == "handover" and service.companions:
        yield (
            f'services.{name}.companions: cannot be handed over; expected move = "overlap", or a '
            "service of its own for each"
        )


def _policy(site: Site) -> Iterator[str]:
    """The problems of [policy] and [egress], one line each, with the key."""
    yield from _outbound(site)
    for n, allow in enumerate(site.policy.allow, 1):
        for problem in _allow(site, allow):
            yield f"policy.allow, entry {n}: {problem}"
    port = site.egress.probe_port
    if port == site.host.port or (port, "tcp") in site.served:
        yield f"egress.probe_port = {port}: is in use; expected a TCP port that is free"


def _outbound(site: Site) -> Iterator[str]:
    taken: dict[IPv4Address, str] = {}
    for name, jail in site.jails.items():
        if name in (HOST, INTERNET):
            yield f"jails.{name}: {name!r} has another meaning in [policy]; expected another name"
        key = f"jails.{name}.public_addresses"
        if (jail.outbound == "public") != bool(jail.public_addresses):
            yield f'{key}: needed with outbound = "public", and with no other'
        for address in jail.public_addresses:
            if address == site.host.wan_address or address in site.lan.network:
                yield f"{key}: {address}: expected a public address of its own, not the host's"
            if taken.setdefault(address, name) != name:
                yield f"{key}: {address}: jails.{taken[address]} has it already"


def _allow(site: Site, allow: Allow) -> Iterator[str]:
    jails = ", ".join(site.jails)
    if allow.source in (HOST, INTERNET):
        yield (
            f"from = {allow.source!r}: expected a jail ({jails}); the host reaches every jail, the "
            "internet every port that says public"
        )
    elif allow.source not in site.jails:
        yield f"from = {allow.source!r}: no such jail; expected one of {jails}"
    elif allow.to == INTERNET and site.jails[allow.source].outbound == "none":
        yield f'to = "internet": jails.{allow.source}.outbound is "none": there is no way out'
    if allow.to not in (HOST, INTERNET, *site.jails):
        yield f"to = {allow.to!r}: no such jail; expected one of {jails}, host, internet"
    elif allow.to == allow.source:
        yield f"to = {allow.to!r}: a jail always reaches itself"
    elif allow.to != INTERNET:
        yield from _unserved(site, allow)


def _unserved(site: Site, allow: Allow) -> Iterator[str]:
    served = site.served
    for word in allow.ports:
        number, _, proto = word.partition("/")
        owner = served.get((int(number), proto)) if word != "any" else None
        if word == "any":
            yield 'ports: "any" is for the internet; expected the ports one by one'
        elif allow.to == HOST and owner:
            yield f'ports: {word} is served by jail {owner}; expected to = "{owner}"'
        elif allow.to not in (HOST, owner):
            ours = [f"{port}/{proto}" for (port, proto), jail in served.items() if jail == allow.to]
            yield (
                f"ports: no service in jail {allow.to} has {word}; expected "
                f"{', '.join(ours) or 'a port of one of its services'}"
            )
