"""Every connection that [policy] allows or denies, tried from inside the jails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from rollout.engine.checks import Outside
from rollout.site import HOST, INTERNET, Listen, Proto, Site

TRIES = """\
try() {
    case $3 in
    tcp) jexec "$1" nc -z -w 5 "$4" "$5" >/dev/null 2>&1 && echo "$2" ;;
    udp) jexec "$1" nc -z -u -w 2 "$4" "$5" >/dev/null 2>&1 && echo "$2" ;;
    esac
}
"""


class Pair(NamedTuple):
    jail: str
    proto: Proto
    address: str
    port: int
    allowed: bool

    def __str__(self) -> str:
        return f"{self.jail} to {self.address}:{self.port}/{self.proto}"


def test_is_enforced_for_every_pair(host: Any, site: Site, outside: Outside) -> None:
    with outside.sink() as sink:
        pairs = list(dict.fromkeys(pairs_of(site)))
        if site.egress.peer == "operator":
            pairs += _outwards(site, sink.address or "${SSH_CONNECTION%% *}", sink.port)
        elif site.egress.peer:
            address, _, port = site.egress.peer.partition(":")
            pairs += _outwards(site, address, int(port))
        # All at once, in one round trip: a denied connection takes the whole time limit.
        tries = [
            f'try {each.jail} {n} {each.proto} "{each.address}" {each.port} &'
            for n, each in enumerate(pairs)
        ]
        alive = [f"jexec {name} true && echo {name}" for name in site.built]
        said = host.run(TRIES + "\n".join([*tries, "wait", *alive]))
    there = set(said.stdout.split())
    silent = set(site.built) - there
    assert not silent, f"no command could be run in these jails: {', '.join(sorted(silent))}"
    wrong = [
        f"{each}: expected {'a connection' if each.allowed else 'no connection'}, "
        f"found {'none' if each.allowed else 'one'}"
        for n, each in enumerate(pairs)
        if (str(n) in there) != each.allowed
    ]
    assert not wrong, (
        f"{len(wrong)} of {len(pairs)} connections are not as [policy] says: {'; '.join(wrong)}"
    )


def pairs_of(site: Site) -> Iterator[Pair]:
    wan = str(site.host.wan_address)
    for name in site.built:
        own = str(site.jails[name].address)
        for owner, moved, listen in _served(site):
            port, proto = listen.port, listen.proto
            allowed = site.policy.lets(name, owner, port, proto)
            if owner == name:
                if moved and listen.public and proto == "tcp":
                    yield Pair(name, proto, wan, port, True)
                continue
            if moved:
                yield Pair(name, proto, str(site.jails[owner].address), port, allowed)
            if listen.public and proto == "tcp":
                yield Pair(name, proto, wan, port, allowed)
            if not allowed:
                yield Pair(name, proto, own, port, False)
        ssh = site.host.port
        yield Pair(name, "tcp", wan, ssh, site.policy.lets(name, HOST, ssh, "tcp"))
        # The host's wildcard sockets would answer on every jail's address.
        for sibling in site.built:
            if not site.policy.lets(name, sibling, ssh, "tcp"):
                yield Pair(name, "tcp", str(site.jails[sibling].address), ssh, False)


def _served(site: Site) -> Iterator[tuple[str, bool, Listen]]:
    """Each port: its jail, whether its service moves into that jail, and the port."""
    for name, jail in site.jails.items():
        for service in jail.services:
            for listen in site.services[service].ports:
                yield name, service in site.order, listen


def _outwards(site: Site, address: str, port: int) -> Iterator[Pair]:
    for name in site.built:
        out = site.jails[name].outbound != "none"
        allowed = out and site.policy.lets(name, INTERNET, port, "tcp")
        yield Pair(name, "tcp", address, port, allowed)
