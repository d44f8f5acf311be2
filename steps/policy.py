"""Policy: which jail may open which port of whom. Everything else of theirs is denied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rollout.errors import Refused
from rollout.plan.step import Step, check
from rollout.site import HOST, INTERNET, PROTOS, Allow, Proto, Site
from steps import ruleset

REQUIRES = ("network",)

_NAME = "policy"
_FLOW = ":cellblock"


def steps(site: Site) -> tuple[Step, ...]:
    later = [name for name in site.order[site.order.index(_NAME) :] if name in site.services]
    if later or not site.built:
        raise Refused(
            f"{site.path}: order: 'policy' must stand behind the services: its checks ask from "
            "inside their jails",
            evidence=f"order = {list(site.order)}",
        )
    return (
        Step(
            name=_NAME,
            does="limit what each jail can reach",
            why="From now on a jail reaches only what the site file allows it, so that one that is "
            "broken into does not open the others.",
            operations=tuple(ruleset.part(site, _NAME, bodies(site))),
            tell=("who looks after programs in the jails: what is not allowed is denied now",),
            checks=(*ruleset.checks(site, _NAME), check("policy::pairs_are_as_the_site_says")),
        ),
    )


def bodies(site: Site) -> list[str]:
    """The rules. They touch packets from and to jails alone.

    What is let through skips to the first service, since fwd and nat stand behind this part and
    `allow` would end the search before them. Answers over TCP are known by their flags and not by
    a state, so that connections that are open as the rules come into force go on.
    """
    return [*_let(site), *_denied(site)]


def _let(site: Site) -> Iterator[str]:
    skip = f"skipto {min(place.number for name, place in site.places.items() if _behind(name))}"
    wan = site.host.wan_address
    everybody = _list(address for name in site.built for address in site.jails[name].addresses)
    # "unreachable" and "time exceeded": without them an allowed transfer may stop in silence.
    yield f"{skip} icmp from any to any icmptypes 3,11"
    for name in site.built:
        own = _list(site.jails[name].addresses)
        # Where nobody in the jail listens, its own address leads to the host's wildcard sockets,
        # and by a service's rules to that service's jail.
        for proto in PROTOS:
            if foreign := _list(_foreign(site, name, proto)):
                yield f"deny {proto} from {own} to {own} {foreign}"
        yield f"{skip} ip from {own} to {own}"
    for allow in site.policy.allow:
        if allow.source in site.built and allow.to != INTERNET:
            yield from (f"{skip} {body}" for body in _pair(site, allow))
    # The host itself, and the answers of forwarded connections, which leave from its address.
    yield f"{skip} ip from {wan} to {everybody}"
    for name in site.built:
        jail = site.jails[name]
        for listen in _public(site, name, "udp"):
            # Towards the host, too, whose questions to the public address come through nat.
            yield f"{skip} udp from {jail.address} {listen} to not {site.lan.network} out"
        for address in jail.public_addresses:
            yield from (f"{skip} {body}" for body in _own_public(site, name, str(address)))
    for allow in site.policy.allow:
        if allow.source in site.built and allow.to == INTERNET:
            yield from (f"{skip} {body}" for body in _outwards(site, allow))


def _denied(site: Site) -> Iterator[str]:
    everybody = _list(address for name in site.built for address in site.jails[name].addresses)
    yield f"deny ip from {everybody} to any"
    yield f"deny ip from any to {everybody} in recv {site.host.wan_interface}"


def _pair(site: Site, allow: Allow) -> Iterator[str]:
    """To a jail at its own address, and through the public one where the port is public."""
    source = _list(site.jails[allow.source].addresses)
    wan = site.host.wan_address
    for proto in PROTOS:
        ports = allow.numbers(proto)
        if not ports:
            continue
        state = f" keep-state {_FLOW}" if proto == "udp" else ""
        if allow.to == HOST:
            yield f"{proto} from {source} to {wan} {_list(ports)}{state}"
            continue
        target = site.jails[allow.to].address
        yield f"{proto} from {source} to {target} {_list(ports)}{state}"
        if proto == "tcp":
            yield f"tcp from {target} {_list(ports)} to {source} established"
        if public := [port for port in ports if port in _public(site, allow.to, proto)]:
            yield f"{proto} from {source} to {wan} {_list(public)}{state}"


def _outwards(site: Site, allow: Allow) -> Iterator[str]:
    jail = site.jails[allow.source]
    source, interface = _list(jail.addresses), site.host.wan_interface
    # Behind nat an answer is not to the jail yet when it comes in: a state would never see it.
    state = f" keep-state {_FLOW}" if jail.outbound == "public" else ""
    if allow.everything:
        yield f"ip from {source} to any out xmit {interface}{state}"
        return
    for proto in PROTOS:
        if ports := _list(allow.numbers(proto)):
            kept = state if proto == "udp" else ""
            yield f"{proto} from {source} to any {ports} out xmit {interface}{kept}"


def _own_public(site: Site, name: str, address: str) -> Iterator[str]:
    """What comes in to a public address of the jail's own, and the answers to that."""
    interface = site.host.wan_interface
    for proto in PROTOS:
        if ports := _list(_public(site, name, proto)):
            yield f"{proto} from any to {address} {ports} in recv {interface}"
            if proto == "tcp":
                yield f"tcp from {address} {ports} to any out xmit {interface} established"
            else:
                yield f"udp from {address} {ports} to any out xmit {interface}"
    yield f"tcp from any to {address} in recv {interface} established"


def _public(site: Site, name: str, proto: Proto) -> list[int]:
    return [
        listen.port
        for service in site.jails[name].services
        for listen in site.services[service].ports
        if listen.proto == proto and listen.public
    ]


def _foreign(site: Site, name: str, proto: Proto) -> list[int]:
    """The known ports that are somebody else's, and that this jail may not open."""
    own = set(site.jails[name].services)
    known = {site.host.port} if proto == "tcp" else set()
    mine = set()
    for service, table in site.services.items():
        ports = {listen.port for listen in table.ports if listen.proto == proto}
        known |= ports
        mine |= ports if service in own else set()
    for allow in site.policy.allow:
        if allow.source == name and allow.to != INTERNET:
            mine |= set(allow.numbers(proto))
    return sorted(known - mine)


def _behind(part: str) -> bool:
    return part not in ("traffic", "policy")


def _list(items: Iterable[object]) -> str:
    return ",".join(str(item) for item in items)
