"""Probes of a name server, over UDP and TCP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from rollout.probe.watch import Answer, Watch, connect, left


@dataclass(frozen=True)
class Dns:
    """A question over UDP. dnspython ignores answers that come from another address.

    Recursion is not requested: a named that has its socket, but has not loaded its zones, must not
    answer from elsewhere. There is no connection, so there is no owner: when host and jail are both
    bound to port 53, one datagram does not show which of them answered. Watch the same port with
    dns-tcp to see the owner.
    """

    watch: Watch

    @contextmanager
    def answered(self, deadline: float) -> Iterator[Answer]:
        address = str(self.watch.address)
        must_have_zone(
            dns.query.udp(question(self.watch), address, left(deadline), self.watch.port)
        )
        yield Answer()


@dataclass(frozen=True)
class DnsTcp:
    watch: Watch

    @contextmanager
    def answered(self, deadline: float) -> Iterator[Answer]:
        with connect(self.watch, deadline) as connection:
            connection.setblocking(False)  # dnspython requires this of a socket that it is given
            address = str(self.watch.address)
            must_have_zone(
                dns.query.tcp(question(self.watch), address, left(deadline), sock=connection)
            )
            yield Answer(connection)


def question(watch: Watch) -> dns.message.QueryMessage:
    return dns.message.make_query(watch.query or "", watch.type, flags=0)


def must_have_zone(reply: dns.message.Message) -> None:
    if reply.rcode() != dns.rcode.NOERROR:
        raise LookupError(dns.rcode.to_text(reply.rcode()))
    soa = any(rrset.rdtype == dns.rdatatype.SOA for rrset in reply.authority)
    if not reply.answer and not soa:
        raise LookupError("NOERROR, but neither an answer nor an SOA: the zone is not loaded")
