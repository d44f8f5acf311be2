"""Asks a port one question as its users do, and gives the answer as text that can be compared.

What differs from one answer to the next by itself is left out: times to live, names that a server
says of itself, what a signature is made of beside its key. Whatever is raised means that there was
no answer.
"""

from __future__ import annotations

import hashlib
import http.client
import imaplib
import re
import smtplib
import time
from collections.abc import Callable
from contextlib import closing

import dns.dnssec
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsigkeyring
import dns.update
from dns.rdata import Rdata
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.RRSIG import RRSIG
from pydantic import BaseModel, ConfigDict

from box.clients.shop import Shop
from rollout.probe.protocols import KINDS as PROBES
from rollout.probe.watch import Watch
from rollout.site import Listen, Site
from tests.cases.case import Ask

MARK = "{mark}"
SOMEBODY = "somebody answers"
Door = Callable[[str, int, str], tuple[str, int]]
LIMIT = 10.0  # seconds for an answer; the users of a slow guest are patient
_RESENT_AFTER = 3.0  # seconds; a resolver asks again, so a gap is not longer than it is
_SHOWN = 60  # bytes of a page


class Question(BaseModel):
    """What is asked, and where this machine reaches the port.

    `kind` is a key of _KINDS; of a probe, `probe` says which, and `control` is a stand-in's socket.
    `name` is the virtual host, the domain name, the recipient or the account; `key` its password,
    or what nsupdate -y takes (`hmac-sha256:NAME:SECRET`). `uses` are services without which the
    answer is another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str
    kind: str
    probe: str = "tcp"
    address: str
    port: int
    proto: str = "tcp"
    name: str = ""
    type: str = "A"
    path: str = ""
    key: str = ""
    sql: str = ""
    control: str = ""
    mark: str = ""
    every: float = 1.0
    uses: tuple[str, ...] = ()

    def marked(self, mark: str) -> Question:
        """The same question with this mark."""
        marked = {"name": self.name, "path": self.path}
        given = {each: text.replace(MARK, mark) for each, text in marked.items()}
        return self.model_copy(update={**given, "mark": mark})


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
    if question.proto == "udp":
        reply = dns.query.udp(wanted, question.address, _RESENT_AFTER, question.port)
    else:
        reply = dns.query.tcp(wanted, question.address, LIMIT, question.port)
    told = "authoritative" if reply.flags & dns.flags.AA else "not authoritative"
    rows = sorted(_record(row) for answer in reply.answer for row in answer)
    return "\n".join([f"{dns.rcode.to_text(reply.rcode())}, {told}", *rows])


def _record(row: Rdata) -> str:
    """With the tag of the key that is, or that signed: named signs anew before a signature ends."""
    if isinstance(row, DNSKEY):
        return f"DNSKEY {row.flags} {row.algorithm} key {dns.dnssec.key_id(row)}"
    if isinstance(row, RRSIG):
        return f"{dns.rdatatype.to_text(row.type_covered)} signed by {row.signer} key {row.key_tag}"
    return row.to_text()


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


def _message(question: Question) -> str:
    """Sends one, with the mark as its subject."""
    text = f"Subject: {question.mark}\r\n\r\n"
    with smtplib.SMTP(
        question.address, question.port, "client.example.net", timeout=LIMIT
    ) as client:
        client.sendmail("", [question.name], text)
    return "taken"


def _login(question: Question) -> str:
    with imaplib.IMAP4(question.address, question.port, timeout=LIMIT) as client:
        client.login(question.name, question.key)
        return client.select("INBOX")[0]


def _probe(question: Question) -> str:
    """As the prober asks, for protocols whose answers say nothing of their own."""
    place = {"name": question.service, "address": question.address, "port": question.port}
    standin = {"control": question.control, "proto": question.proto} if question.control else {}
    watch = Watch.model_validate(
        {"kind": question.probe, "timeout": LIMIT, "query": ".", **place, **standin}
    )
    with PROBES[watch.kind](watch).answered(time.monotonic() + LIMIT):
        return SOMEBODY


def on_mariadb(statement: str) -> str:
    """A statement of a case for a real server: the stand-in's one table, `rows`, has the name of a
    reserved word, and there it is one of the shop's database.
    """
    return re.sub(r"\brows\b", f"{Shop('').database}.`rows`", statement)


def _rows(question: Question) -> str:
    shop = Shop(question.address, question.port, connect_within=LIMIT)
    with closing(shop.connect()) as orders:
        return "\n".join("\t".join(map(str, row)) for row in orders.query(on_mariadb(question.sql)))


_KINDS = {
    "page": _page,
    "records": _records,
    "update": _update,
    "envelope": _envelope,
    "message": _message,
    "login": _login,
    "rows": _rows,
    "probe": _probe,
}


def of_client(ask: Ask, site: Site, door: Door, control: str = "") -> Question | None:
    """What a client asks from outside. None for a question that is asked elsewhere, or of no port
    of a service. `control` is the socket of a stand-in.
    """
    if ask.refused or ask.source != "outside" or ask.sh is not None:
        return None
    address = ask.address or str(site.host.wan_address)
    for service, table in site.services.items():
        for listen in table.ports:
            asked = (listen.port, listen.proto) == (ask.port, ask.proto)
            if listen.public and (asked if ask.sql is None else listen.probe == "mysql"):
                at, port = door(address, listen.port, listen.proto)
                kind, name = _kind(ask, listen, address)
                return Question(
                    service=service,
                    kind="probe" if control else kind,
                    probe="standin" if control else listen.probe,
                    address=at,
                    port=port,
                    proto=listen.proto,
                    name=ask.name or name,
                    type=ask.type,
                    path=ask.path or listen.path,
                    key=ask.key,
                    sql=ask.sql or "",
                    every=ask.every,
                    uses=ask.uses,
                    control=control,
                )
    return None


def _kind(ask: Ask, listen: Listen, address: str) -> tuple[str, str]:
    """How it is asked, and for which name if the question has none."""
    match listen.probe:
        case "http":
            return "page", listen.name or address
        case "dns" | "dns-tcp":
            return ("update" if ask.key else "records"), listen.name or "."
        case "smtp":
            return ("message" if ask.arrives else "envelope"), "postmaster"
        case "imap" if ask.key:
            return "login", ""
        case "mysql" if ask.sql is not None:
            return "rows", ""
    return "probe", ""
