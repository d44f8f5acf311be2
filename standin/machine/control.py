"""The requests of the control socket, one JSON object per line in each direction.

    {"ask": "who_answers", "address": "203.0.113.2", "port": 80, "proto": "tcp"}
    {"ask": "certificate", "address": "203.0.113.2", "port": 443, "proto": "tcp"}
    {"ask": "query", "statement": "SELECT 1", "address": "203.0.113.2", "port": 3306}
    {"ask": "break_at", "fault": {"pattern": "service *", "nth": 1, "mode": "fail"}}
    {"ask": "given", "address": "203.0.113.2", "port": 8999}
    {"ask": "sent", "port": 50001}
    {"ask": "cut"}
    {"ask": "held", "seconds": 5}
    {"ask": "release"}
    {"ask": "kill", "pattern": "*host.sh run *"}
    {"ask": "says", "argv": ["mount", "-p"]}

The reply is {"answer": ...} or {"error": "why"}. Nothing listens there while the power is off.
"""

from __future__ import annotations

import asyncio
import fnmatch
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from standin.commands import perform
from standin.daemons.configs import certificate
from standin.daemons.mysql import StatementError, query
from standin.linux.processes import PAUSE, all_pids, end_connections, root_of, words_of
from standin.linux.shim import Call, Failed, Unknown
from standin.model.answers import SocketAt, given, who_answers
from standin.model.faults import Fault
from standin.model.host import Host


async def answer(host: Host, question: dict[str, Any]) -> dict[str, Any]:
    ask = QUESTIONS.get(str(question.get("ask")))
    if ask is None:
        return {"error": f"ask {question.get('ask')!r}: expected one of {', '.join(QUESTIONS)}"}
    try:
        found = ask(host, question)
        return {"answer": await found if isinstance(found, Awaitable) else found}
    except StatementError as error:
        return {"error": str(error)}


def _who(host: Host, question: dict[str, Any]) -> str | None:
    found = _socket(host, question)
    return (found.rootdir.name or "host") if found else None


def _certificate(host: Host, question: dict[str, Any]) -> str | None:
    """The certificate (PEM) of the daemon that answers there."""
    found = _socket(host, question)
    return certificate(found.rootdir, found.daemon.kind.rc) if found else None


def _query(host: Host, question: dict[str, Any]) -> list[str]:
    found = _socket(host, question)
    if found is None or found.daemon.kind.rc != "mysql":
        raise StatementError("no database answers there")
    return query(found.daemon, question["statement"])


def _break(host: Host, question: dict[str, Any]) -> bool:
    host.faults.waiting.append(Fault(**question["fault"]))
    host.faults.watch_sh()
    return True


def _given(host: Host, question: dict[str, Any]) -> int | None:
    return given(host, question["address"], int(question["port"]))


def _sent(host: Host, question: dict[str, Any]) -> int | None:
    return host.sent.pop(int(question["port"]), None)


def _cut(host: Host, question: dict[str, Any]) -> bool:
    end_connections()
    return True


async def _held(host: Host, question: dict[str, Any]) -> bool:
    return await host.faults.held(float(question["seconds"]))


def _release(host: Host, question: dict[str, Any]) -> bool:
    host.faults.release()
    return True


async def _kill(host: Host, question: dict[str, Any]) -> int:
    killed = []
    for pid in all_pids():
        with suppress(OSError):
            line = " ".join(words_of(pid))
            if pid > 1 and fnmatch.fnmatchcase(line, question["pattern"]):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
    for pid in killed:  # on a busy machine a killed process takes a while to end
        while root_of(pid) is not None:
            await asyncio.sleep(PAUSE)
    return len(killed)


async def _says(host: Host, question: dict[str, Any]) -> str:
    try:
        reply = await perform(host, Call(tuple(question["argv"]), host.rootdir))
    except (Failed, Unknown) as failed:
        reply = failed.reply
    return reply.out + reply.err


def _socket(host: Host, question: dict[str, Any]) -> SocketAt | None:
    return who_answers(
        host,
        question["address"],
        int(question.get("port", 0)),
        question.get("proto", "tcp"),
        question.get("source", "outside"),
        sender=question.get("sender", ""),
    )


QUESTIONS: dict[str, Callable[[Host, dict[str, Any]], Any]] = {
    "who_answers": _who,
    "certificate": _certificate,
    "query": _query,
    "break_at": _break,
    "cut": _cut,
    "held": _held,
    "release": _release,
    "kill": _kill,
    "says": _says,
    "given": _given,
    "sent": _sent,
}
