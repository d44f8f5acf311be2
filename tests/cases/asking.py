"""Asks a port one question as its users do, and gives the answer as text that can be compared.

What differs from one answer to the next by itself is left out: times to live, names that a server
says of itself. Whatever is raised means that there was no answer.
"""

from __future__ import annotations

import hashlib
import http.client
import smtplib
import socket
import time
from contextlib import closing

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.tsigkeyring
import dns.update
from pydantic import BaseModel, ConfigDict

from box.clients.shop import Shop
from rollout.probe.standin_protocol import Standin
from rollout.probe.watch import Watch

MARK = "{mark}"
SOMEBODY = "somebody answers"
LIMIT = 10.0  # seconds for an answer; the users of a slow guest are patient
_SHOWN = 60  # bytes of a page


class Question(BaseModel):
    """What is asked, and where this machine reaches the port.

    `kind` is page, records, update, envelope, rows or open; or standin, with its `control` socket.
    `name` is the virtual host, the domain name or the recipient; `key` is what nsupdate -y takes
    (`hmac-sha256:NAME:SECRET`). `uses` are services without which the answer is another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str
    kind: str
    address: str
    port: int
    proto: str = "tcp"
    name: str = ""
    type: str = "A"
    path: str = ""
    key: str = ""
    sql: str = ""
    control: str = ""
    every: float = 1.0
    uses: tuple[str, ...] = ()

    def marked(self, mark: str) -> Question:
        """The same question with this mark, if it has one."""
        given = {"name": self.name, "path": self.path}
        return self.model_copy(
            update={each: text.replace(MARK, mark) for each, text in given.items()}
        )


def ask(question: Question, mark: str) -> str:
    """The answer, with MARK in place of the mark. Raises whatever the protocol's library does."""
    return _KINDS[question.kind](question.marked(mark)).replace(mark, MARK)


def _page(question: Question) -> str:
    client = http.client.HTTPConnection(question.address, question.port, timeout=LIMIT)
    with closing(client):
        client.request("GET", question.path, headers={"Host": question.name, "Connection": "close"})
        answer = client.getresponse()
        body = answer.read()
    text = body[:_SHOWN].decode(errors="backslashreplace")
    if len(body) > _SHOWN:
        text = f"{text}... {len(body)} bytes, {hashlib.sha256(body).hexdigest()[:16]}"
    return f"{answer.status} {text}"


def _records(question: Question) -> str:
    wanted = dns.message.make_query(question.name, question.type, flags=0, want_dnssec=True)
    by = dns.query.udp if question.proto == "udp" else dns.query.tcp
    reply = by(wanted, question.address, LIMIT, question.port)
    told = "authoritative" if reply.flags & dns.flags.AA else "not authoritative"
    rows = sorted(row.to_text() for answer in reply.answer for row in answer)
    return "\n".join([f"{dns.rcode.to_text(reply.rcode())}, {told}", *rows])


def _update(question: Question) -> str:
    algorithm, name, secret = question.key.split(":")
    zone = question.name.partition(".")[2]
    keys = dns.tsigkeyring.from_text({name: secret})
    change = dns.update.UpdateMessage(zone, keyring=keys, keyalgorithm=algorithm)
    change.add(f"{question.name}.", 300, "TXT", "written")
    reply = dns.query.tcp(change, question.address, LIMIT, question.port)
    return dns.rcode.to_text(reply.rcode())


def _envelope(question: Question) -> str:
    """Whether the recipient is taken; no message is sent."""
    with smtplib.SMTP(
        question.address, question.port, "client.example.net", timeout=LIMIT
    ) as client:
        codes = [client.ehlo()[0], client.mail("")[0], client.rcpt(question.name)[0]]
        client.rset()
    return " ".join(map(str, codes))


def _rows(question: Question) -> str:
    shop = Shop(question.address, question.port, connect_within=LIMIT)
    with closing(shop.connect()) as orders:
        return "\n".join("\t".join(map(str, row)) for row in orders.query(question.sql))


def _open(question: Question) -> str:
    with socket.create_connection((question.address, question.port), LIMIT):
        return "open"


def _standin(question: Question) -> str:
    """It tells who would answer, no more: for these clients, that somebody does."""
    watch = Watch.model_validate(
        {
            "name": question.service,
            "kind": "standin",
            "address": question.address,
            "port": question.port,
            "proto": question.proto,
            "control": question.control,
        }
    )
    with Standin(watch).answered(time.monotonic() + LIMIT):
        return SOMEBODY


_KINDS = {
    "page": _page,
    "records": _records,
    "update": _update,
    "envelope": _envelope,
    "rows": _rows,
    "open": _open,
    "standin": _standin,
}
KINDS = {
    "http": "page",
    "dns": "records",
    "dns-tcp": "records",
    "smtp": "envelope",
    "mysql": "rows",
}
"""By the probe of the site file; a port with another one is only opened."""
