"""Policy: which jail may connect to which port of which host. All else is denied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rollout.errors import Refused
from rollout.plan.step import Step, check
from rollout.site import HOST, INTERNET, PROTOS, Allow, Proto, Site
from steps import ruleset, submission

REQUIRES = ("network",)

_NAME = "policy"
_FLOW = ":cellblock"


def steps(site: Site) -> tuple[Step, ...]:
    later = [name for name in site.order[site.order.index(_NAME) :] if name in site.services]
    if later or not site.built:
        raise Refused(
            f'{site.path}: order: "policy" must come after the services, since its checks run '
            "inside their jails",
            evidence=site.order_line,
        )
    return (
        Step(
            name=_NAME,
            does="limit what each jail can reach",
            why="From now on a jail can connect only to what the site file allows, so that an "
            "attacker in one jail does not reach the others.",
            operations=tuple(ruleset.part(site, _NAME, bodies(site))),
            tell=(
                "administrators of programs in jails: what [policy] does not allow is now denied",
            ),
            checks=(
                *ruleset.checks(site, _NAME),
                check("policy::is_enforced_for_every_pair"),
                *submission.under_policy(site),
            ),
            gate=submission.gate(site),
        ),
    )


def bodies(site: Site) -> list[str]:
    """The rules. They match only packets from and to jails.

    Allowed packets skip to the first service, since fwd and nat come after this part, and `allow`
    would end the search before them. TCP answers are recognised by their flags, not by a state, so
    that open connections continue when the rules come into force.
    """
    return [*_let(site), *_denied(site)]


def _let(site: Site) -> Iterator[str]:
    skip = f"skipto {min(place.number for name, place in site.places.items() if _behind(name))}"
    wan = site.host.wan_address
    everybody = _list(address for name in site.built for address in site.jails[name].addresses)
    # "unreachable" and "time exceeded": without them an allowed transfer may stall.
    yield f"{skip} icmp from any to any icmptypes 3,11"
    for name in site.built:
        own = _list(site.jails[name].addresses)
        # If nothing in the jail listens, its own address reaches the host's wildcard sockets, and
        # through a service's rules that service's jail.
        for proto in PROTOS:
            if foreign := _list(_foreign(site, name, proto)):
                yield f"deny {proto} from {own} to {own} {foreign}"
        yield f"{skip} ip from {own} to {own}"
        # A site asks itself by its public name, as WordPress does to run its jobs.
        if public := _list(_public(site, name, "tcp")):
            yield f"{skip} tcp from {own} to {wan} {public}"
    for allow in site.policy.allow:
        if allow.source in site.built and allow.to != INTERNET:
            yield from (f"{skip} {body}" for body in _pair(site, allow))
    # The host itself, and the answers of forwarded connections, which leave from its address.
    yield f"{skip} ip from {wan} to {everybody}"
    for name in site.built:
        jail = site.jails[name]
        for listen in _public(site, name, "udp"):
            # Towards the host, too: its queries to the public address go through nat.
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
    """To a jail at its own address, and through the public address if the port is public."""
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
    # An answer is not yet addressed to the jail when it comes in to nat: no state would match.
    state = f" keep-state {_FLOW}" if jail.outbound == "public" else ""
    if allow.everything:
        yield f"ip from {source} to any out xmit {interface}{state}"
        return
    for proto in PROTOS:
        if ports := _list(allow.numbers(proto)):
            kept = state if proto == "udp" else ""
            yield f"{proto} from {source} to any {ports} out xmit {interface}{kept}"


def _own_public(site: Site, name: str, address: str) -> Iterator[str]:
    """Connections to the jail's own public address, and their answers."""
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
    """The known ports of others to which this jail may not connect."""
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
