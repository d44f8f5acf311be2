"""People use the services while a rehearsal goes on, and nobody tells them of it."""

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

# A second. An emulated processor has no more to give beside the rollout itself.
INSERTS = 20.0
GETS = 1.0  # each of four
QUESTIONS = 5.0  # over each transport
MESSAGES = 0.5
READY = 120.0  # seconds until the first good answer
TO = "alice"  # who gets the mail, an account of the box


@dataclass(frozen=True)
class Users:
    """The clients of one public port."""

    name: str
    client: Client[Any]
    port: int


def users(guest: Remote, site: Site) -> Iterator[Users]:
    """Those of every service for which there are clients; each service once."""
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
    """The zone that the site's name server is asked for; mail goes to people there."""
    names = (each.name for service in site.services.values() for each in service.ports)
    return next((name for name in names if name), "example.org")


@contextmanager
def traffic(guest: Remote, site: Site, say: Callable[[str], None]) -> Iterator[None]:
    """Clients of all services, from their first good answer to the end.

    Raises Refused where a service does not answer them to begin with, and Stuck where something
    that they were promised is lost or doubled.
    """
    with ExitStack() as running_:
        clients = [(each, running_.enter_context(each.client)) for each in users(guest, site)]
        for each, client in clients:
            try:
                client.wait_ready(READY)
            except ClientError as error:
                raise Refused(
                    f"{each.name} does not answer its clients, so the box is not what it should be",
                    evidence=str(error),
                    todo="Cellblock's docs/box.md says what a box has to have",
                ) from None
        say(f"clients at work: {', '.join(each.name for each, _ in clients)}")
        yield
        seen = {each: client.stop() for each, client in clients}
        wrong = [line for line in _told(guest, seen, say) if line]
    if wrong:
        raise Stuck("what people were promised is not there", evidence="\n".join(wrong))


def _told(guest: Remote, seen: Mapping[Users, Record], say: Callable[[str], None]) -> Iterator[str]:
    for users, record in seen.items():
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
    """Of sendmail, the host's and that of its jail."""
    return not guest.sh(
        "cat /var/spool/mqueue*/qf* /var/spool/clientmqueue*/qf* 2>/dev/null"
    ).stdout


def _of_rows(name: str, what: str, seen: Inserted, verdict: Verdict) -> str:
    return (
        f"{name}: {verdict.acknowledged} {what} acknowledged, {len(verdict.lost)} lost, "
        f"{len(verdict.doubled)} doubled, longest gap {seen.longest_gap.seconds:.2f} s"
    )


def _loss(name: str, verdict: Verdict) -> str:
    if verdict.is_whole:
        return ""
    return f"{name}: lost {verdict.lost[:5]}, doubled {verdict.doubled[:5]}"
