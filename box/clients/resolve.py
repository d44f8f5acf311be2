"""A client that continuously queries a name server, over UDP and over TCP in parallel."""

import threading
import time
from collections.abc import Callable

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode

from box.clients.results import Failure, Resolved
from box.clients.stopping import Pace, Stop

ANSWER_LIMIT = 10.0  # seconds; a query that takes longer has failed


def resolve(
    server: str,
    port: int,
    name: str,
    stop: Stop,
    *,
    rate: float,
    source: str | None = None,
    first: Callable[[], None] = lambda: None,
) -> Resolved:
    """Query the SOA of `name` at that rate per second over each transport, until it is stopped.

    An answer counts if it comes from the address that was queried, is authoritative and has the
    record: a named without its zones answers, too. Failures before the first answer over both
    transports count only if there was none at all: while a host resolves our address by ARP, it
    keeps one packet to us and drops the others.
    """
    started = time.monotonic()
    answers: dict[str, list[float]] = {"udp": [], "tcp": []}
    failures: list[tuple[float, Failure]] = []  # with the time of the query
    turn = threading.Lock()

    def ask(transport: str) -> None:
        pace = Pace(rate)
        while pace.take_turn(stop):
            asked = time.monotonic()
            try:
                _ask(transport, server, port, name, source)
            except (dns.exception.DNSException, OSError, LookupError, EOFError) as error:
                text = f"{transport}: {type(error).__name__}: {error}"
                failures.append((asked, Failure(at=time.monotonic(), error=text)))
                continue
            with turn:
                answers[transport].append(time.monotonic())
                if len(answers[transport]) == 1 and all(answers.values()):
                    first()

    threads = [threading.Thread(target=ask, args=(each,), daemon=True) for each in answers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    served = max(times[0] for times in answers.values()) if all(answers.values()) else started
    in_order = sorted(failures, key=_when)
    return Resolved(
        started=started,
        ended=time.monotonic(),
        over_udp=len(answers["udp"]),
        over_tcp=len(answers["tcp"]),
        failures=tuple(failure for asked, failure in in_order if asked >= served),
    )


def _when(failed: tuple[float, Failure]) -> float:
    return failed[1].at


def _ask(transport: str, server: str, port: int, name: str, source: str | None) -> None:
    question = dns.message.make_query(name, "SOA", flags=0)
    by = dns.query.udp if transport == "udp" else dns.query.tcp
    reply = by(question, server, ANSWER_LIMIT, port, source)
    if reply.rcode() != dns.rcode.NOERROR or not reply.answer:
        raise LookupError(f"{dns.rcode.to_text(reply.rcode())}, {len(reply.answer)} answers")
    if not reply.flags & dns.flags.AA:
        raise LookupError("an answer without authority")
