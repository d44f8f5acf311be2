"""A client that continuously sends mail, each message with a unique mark."""

import re
import secrets
import smtplib
import time
from collections import Counter
from collections.abc import Callable

from box.clients.results import Acknowledged, Failure, Sent, Verdict
from box.clients.stopping import Pace, Stop

ANSWER_LIMIT = 60.0  # seconds; an emulated server is slow
MARK = re.compile(r"^Subject: (\w+-\d+)\s*$", re.MULTILINE)


def send(
    server: str,
    port: int,
    to: str,
    stop: Stop,
    *,
    rate: float,
    source: str | None = None,
    first: Callable[[], None] = lambda: None,
) -> Sent:
    """Send mail at that rate per second, over a new connection each time, until it is stopped.

    A message counts as sent if the server acknowledged it. A message that failed is never sent
    again: it may have arrived nevertheless.
    """
    run = secrets.token_hex(4)
    sender = f"client@{to.partition('@')[2]}"  # the server refuses a domain that does not resolve
    started = time.monotonic()
    acknowledged: list[Acknowledged] = []
    failures: list[Failure] = []
    pace = Pace(rate)
    number = 0
    while pace.take_turn(stop):
        number += 1
        mark = f"{run}-{number}"
        message = f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: {mark}\r\n\r\n{mark}\r\n"
        local = (source, 0) if source else None
        try:
            with smtplib.SMTP(
                server, port, "client.example.net", ANSWER_LIMIT, source_address=local
            ) as smtp:
                smtp.sendmail(sender, [to], message)
                acknowledged.append(Acknowledged(mark=mark, at=time.monotonic()))
        except (OSError, smtplib.SMTPException) as error:
            text = f"{mark}: {type(error).__name__}: {error}"
            failures.append(Failure(at=time.monotonic(), error=text))
            continue
        if len(acknowledged) == 1:
            first()
    return Sent(
        run=run,
        started=started,
        ended=time.monotonic(),
        acknowledged=tuple(acknowledged),
        failures=tuple(failures),
    )


def judge(sent: Sent, mailbox: str) -> Verdict:
    """Whether each message that the server acknowledged is in the mailbox exactly once."""
    there = Counter(mark for mark in MARK.findall(mailbox) if mark.startswith(f"{sent.run}-"))
    acknowledged = {message.mark for message in sent.acknowledged}
    return Verdict(
        rows=sum(there.values()),
        acknowledged=len(acknowledged),
        lost=tuple(sorted(acknowledged - set(there))),
        doubled=tuple(sorted(mark for mark, times in there.items() if times > 1)),
        unacknowledged=tuple(sorted(set(there) - acknowledged)),
    )
