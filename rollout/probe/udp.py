"""Finds out who answers a UDP port, from outside.

A datagram has no connection with an owner. So the counters of the host's nat rules show where a
datagram of ours was redirected to.
"""

from __future__ import annotations

import re

import dns.exception
import dns.message
import dns.query

from rollout.host.session import Session, Target

_LIMIT = 5.0  # seconds for an answer
_COUNTERS = "ipfw -a list; ipfw nat show config; jls name ip4.addr"


def who(target: Target, address: str, port: int, door: tuple[str, int] | None = None) -> str | None:
    """A jail's name, "host", or None if no answer came from that address.

    The question is a DNS query, since DNS is the only UDP service with a probe. Any answer counts,
    a refusal, too. `door` is the address and port of this machine that is forwarded to that port.
    """
    with Session(target) as session:
        before = _redirected(session.output(_COUNTERS), address, port)
        question = dns.message.make_query(".", "NS", flags=0)
        try:
            there, number = door or (address, port)
            dns.query.udp(question, there, _LIMIT, number)
        except (dns.exception.DNSException, OSError):
            return None
        after = _redirected(session.output(_COUNTERS), address, port)
    grown = [jail for jail, packets in after.items() if packets > before.get(jail, 0)]
    return grown[0] if grown else "host"


def _redirected(output: str, address: str, port: int) -> dict[str, int]:
    """Jail -> the packets to this address and port that a nat rule has redirected into it."""
    at = rf"(?:\S+,)?{re.escape(address)}(?:,\S+)?"
    rule = re.compile(rf"\d+ +(\d+) +\d+ nat (\d+) udp from .* to {at} {port} in( .*)?")
    redirection = re.compile(
        rf"ipfw nat (\d+) config .*\bredirect_addr ([\d.]+) {re.escape(address)}\b.*"
    )
    jail = re.compile(r"(\S+) ([\d.,]+)")
    lines = [line.strip() for line in output.splitlines()]
    targets = {m[1]: m[2] for m in map(redirection.fullmatch, lines) if m}
    jails = [m for m in map(jail.fullmatch, lines) if m]
    names = {each: m[1] for m in jails for each in m[2].split(",")}
    counted = [(m[2], int(m[1])) for m in map(rule.fullmatch, lines) if m]
    return {names[targets[nat]]: n for nat, n in counted if targets.get(nat) in names}
