"""A client that asks a name server all the time, over UDP and over TCP side by side."""

import threading
import time
from collections.abc import Callable

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode

from tests.lab.clients.results import Failure, Resolved
from tests.lab.clients.stopping import Pace, Stop

ANSWER_LIMIT = 10.0  # seconds; a question that takes longer was not answered


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
    """Asks for the SOA of `name`, so often a second over each transport, until told to stop.

    An answer counts when it comes from the address that was asked, with authority and with the
    record: a named without its zones answers, too.
    """
    started = time.monotonic()
    answered = {"udp": 0, "tcp": 0}
    failures: list[Failure] = []
    turn = threading.Lock()

    def ask(transport: str) -> None:
        pace = Pace(rate)
        while pace.take_turn(stop):
            try:
                _ask(transport, server, port, name, source)
            except (dns.exception.DNSException, OSError, LookupError, EOFError) as error:
                text = f"{transport}: {type(error).__name__}: {error}"
                failures.append(Failure(at=time.monotonic(), error=text))
                continue
            with turn:
                answered[transport] += 1
                if answered[transport] == 1 and all(answered.values()):
                    first()

    threads = [threading.Thread(target=ask, args=(each,), daemon=True) for each in answered]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Resolved(
        started=started,
        ended=time.monotonic(),
        over_udp=answered["udp"],
        over_tcp=answered["tcp"],
        failures=tuple(sorted(failures, key=lambda failure: failure.at)),
    )


def _ask(transport: str, server: str, port: int, name: str, source: str | None) -> None:
    question = dns.message.make_query(name, "SOA", flags=0)
    by = dns.query.udp if transport == "udp" else dns.query.tcp
    reply = by(question, server, ANSWER_LIMIT, port, source)
    if reply.rcode() != dns.rcode.NOERROR or not reply.answer:
        raise LookupError(f"{dns.rcode.to_text(reply.rcode())}, {len(reply.answer)} answers")
    if not reply.flags & dns.flags.AA:
        raise LookupError("an answer without authority")
