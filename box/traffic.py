"""Clients that use the services during a rehearsal, and the check of their results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from box import run_clients
from box.clients import send
from box.clients.results import Got, Inserted, Record, Resolved, Sent, Verdict
from box.remote import Remote
from box.run_clients import Client, ClientError
from rollout.errors import Refused, Stuck
from rollout.site import Listen, Site

# Per second. An emulated processor is not fast enough for more during a rehearsal.
INSERTS = 20.0
GETS = 1.0  # each of four
QUESTIONS = 5.0  # over each transport
MESSAGES = 0.5
READY = 120.0  # seconds until the first good answer
TO = "alice"  # the recipient of the mail, an account on the box


@dataclass(frozen=True)
class Users:
    """The clients of one public port."""

    name: str
    client: Client[Any]
    port: int


def users(guest: Remote, site: Site) -> Iterator[Users]:
    """The clients of every service that has a kind of client, one per service."""
    for name, service in site.services.items():
        for listen in service.ports:
            if (client := _client(guest, listen, site)) is not None:
                yield Users(name, client, listen.port)
                break


def _client(guest: Remote, listen: Listen, site: Site) -> Client[Any] | None:
    port = listen.port
    if not listen.public or listen.probe not in ("mysql", "http", "dns", "smtp"):
        return None
    match listen.probe:
        case "mysql":
            return run_clients.inserting(guest, INSERTS, port)
        case "http":
            return run_clients.getting(guest, listen.path, rate=GETS, threads=4, port=port)
        case "dns":
            return run_clients.resolving(guest, str(listen.name), rate=QUESTIONS, port=port)
    return run_clients.sending(guest, f"{TO}@{zone(site)}", rate=MESSAGES, port=port)


def zone(site: Site) -> str:
    """The zone of the site's name server; mail goes to an address in it."""
    names = (each.name for service in site.services.values() for each in service.ports)
    return next((name for name in names if name), "example.org")


@contextmanager
def traffic(guest: Remote, site: Site, say: Callable[[str], None]) -> Iterator[None]:
    """Run clients of all services within this context.

    Raises Refused if a service does not answer them at first, and Stuck if something that a server
    acknowledged is lost or doubled.
    """
    with ExitStack() as stack:
        clients = [(each, stack.enter_context(each.client)) for each in users(guest, site)]
        for each, client in clients:
            try:
                client.wait_ready(READY)
            except ClientError as error:
                raise Refused(
                    f"{each.name} does not answer its clients on the box",
                    evidence=str(error),
                    todo="see Cellblock's docs/box.md for what a box must have",
                ) from None
        say(f"clients are running: {', '.join(each.name for each, _ in clients)}")
        yield
        records = {each: client.stop() for each, client in clients}
        losses = [line for line in _losses(guest, records, say) if line]
    if losses:
        raise Stuck(
            "data that a server acknowledged is lost or doubled", evidence="\n".join(losses)
        )


def _losses(
    guest: Remote, records: Mapping[Users, Record], say: Callable[[str], None]
) -> Iterator[str]:
    """Report the results of the clients, and yield what was lost, or ""."""
    for users, record in records.items():
        match record:
            case Sent():
                where = f"cat /var/mail/{TO}"
                guest.wait_until(lambda: _queues_are_empty(guest), "through with its mail", 300.0)
                verdict = send.judge(record, guest.sh(where).stdout)
                say(_of_rows(users.name, "messages", record, verdict))
                yield _loss(users.name, verdict)
            case Inserted():
                verdict = run_clients.verify(guest, users.client, users.port)
                say(_of_rows(users.name, "rows", record, verdict))
                yield _loss(users.name, verdict)
            case Got():
                say(
                    f"{users.name}: {record.requests} GETs, {len(record.failures)} failed, longest "
                    f"gap {record.longest_gap.seconds:.2f} s"
                )
            case Resolved():
                say(
                    f"{users.name}: {record.over_udp} answers over UDP, {record.over_tcp} over "
                    f"TCP, {len(record.failures)} questions without one"
                )


def _queues_are_empty(guest: Remote) -> bool:
    """Whether sendmail's queues are empty, on the host and in its jail."""
    return not guest.sh(
        "cat /var/spool/mqueue*/qf* /var/spool/clientmqueue*/qf* 2>/dev/null"
    ).stdout


def _of_rows(name: str, what: str, record: Inserted, verdict: Verdict) -> str:
    return (
        f"{name}: {verdict.acknowledged} {what} acknowledged, {len(verdict.lost)} lost, "
        f"{len(verdict.doubled)} doubled, longest gap {record.longest_gap.seconds:.2f} s"
    )


def _loss(name: str, verdict: Verdict) -> str:
    if verdict.is_whole:
        return ""
    return f"{name}: lost {verdict.lost[:5]}, doubled {verdict.doubled[:5]}"
