"""How checks ask: the facts of operations, and what has to be met in time from outside."""

from __future__ import annotations

from collections.abc import Iterable
from shlex import quote
from typing import Any

from operations.carried import Ask
from rollout.site import Listen


def asking(host: Any) -> Ask:
    """Facts, as a check asks them: each command runs once for all uses of what this returns."""
    known: dict[str, list[str]] = {}

    def ask(fact: Any, **arguments: Any) -> Any:
        if not all(arguments.values()):
            return fact.default()
        command = fact().command(**arguments)
        if command not in known:
            known[command] = host.run(command).stdout.splitlines()
        return fact().process(known[command])

    return ask


NAME_SERVERS = "grep -s '^nameserver' /etc/resolv.conf"
"""sh: the lines of the host's resolv.conf(5) that name the servers which its programs ask."""


def acting_as(user: str, asked: str, *, group: str = "", words: Iterable[str] = ()) -> str:
    """sh that runs this sh as an account, whose links lead nowhere that the account may not go.

    In `group`, or in the account's own, and in no other (chroot -u alone keeps root's). `words` are
    its "$@".
    """
    groups = quote(group) if group else f'"$(id -gn {quote(user)})"'
    given = [*map(quote, words)]
    typed = " ".join(["sh -c", quote(asked), *(["sh", *given] if given else [])])
    return f"chroot -u {quote(user)} -g {groups} -G {groups} / {typed} </dev/null"


def at_once(host: Any, command: str) -> None:
    """Run it now, and not with what other checks ask next (docs/decisions/0029): for what goes on
    in the background and is met from outside within seconds.
    """
    host.backend.session.run(command)


def hears(listen: Listen, own: str, address: str) -> str:
    """sh that succeeds if a DNS query to `address` is answered from there, over UDP.

    It is asked from one port of `own`, always the same, as some clients do. The socket of nc(1) is
    connected: it hears nobody but whom it asked. Without a probe's name the root is asked for.
    """
    labels = [each.encode() for each in (listen.name or "").split(".") if each]
    name = b"".join(bytes([len(each)]) + each for each in labels) + b"\0"
    wire = b"\x12\x34\0\0\0\1\0\0\0\0\0\0" + name + b"\0\6\0\1"
    octal = "".join(f"\\{byte:03o}" for byte in wire)
    asked = f"printf '{octal}' | nc -u -w 1 -s {own} -p {_PORT} {address} {listen.port}"
    return f'[ "$({asked} | wc -c)" -gt {_HEADER} ]'


_PORT = 54321
_HEADER = 12  # bytes of an answer of DNS without its question
