"""What mail servers answer to the same questions: asked at once, over SMTP, without any message."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Any, NamedTuple

_TALK = (
    'heard() { i=0; until grep -q "^$2" "$d/$1" 2>/dev/null; do i=$((i + 1)); '
    '[ $i -lt 150 ] && [ ! -e "$d/$1.end" ] || return 1; sleep 0.1; done; }; '
    "talk() { n=$1; shift; { heard $n '220 ' && printf 'EHLO localhost\\r\\n' && "
    "heard $n '250 ' && cat \"$d/questions\" || printf 'QUIT\\r\\n'; } | "
    '{ "$@" > "$d/$n"; : > "$d/$n.end"; }; }; '
)
_ANSWER = re.compile(r"^(\d{3}) (?:(\d\.\d+\.\d+) )?")


class Answers(NamedTuple):
    """What a server calls itself, and its answer to each question: "250 2.1.5"."""

    name: str
    answers: tuple[str, ...]


def questions(sender: str, recipients: Sequence[str]) -> list[str]:
    return [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{each}>" for each in recipients)]


def answers(
    host: Any, asked: Sequence[str], askers: Mapping[str, tuple[str, str]]
) -> dict[str, Answers]:
    """By name of the asker: (jail or "" for the host, address that it asks).

    Each waits for the greeting and for the answer to EHLO, as a server may insist on; the questions
    then come in one piece. The session ends with RSET and QUIT: no message is sent.
    """
    lines = " ".join(map(quote, [*asked, "RSET", "QUIT"]))
    talks = "".join(
        f"talk {number} {f'jexec {jail} ' if jail else ''}nc -w 30 {address} 25 & "
        for number, (jail, address) in enumerate(askers.values())
    )
    files = " ".join(f'"$d/{number}"' for number in range(len(askers)))
    said = host.check_output(
        f"d=$(mktemp -d /var/run/smtp.XXXXXX) && printf '%s\\r\\n' {lines} > \"$d/questions\" && "
        f"{{ {_TALK}{talks}wait; for n in {files}; do cat $n 2>/dev/null; echo; echo ==; done; "
        'rm -rf "$d"; }'
    )
    parts = said.split("\n==")
    return {name: _read(part, len(asked)) for name, part in zip(askers, parts, strict=False)}


def _read(said: str, count: int) -> Answers:
    """The last line of each answer; those to the greeting and to EHLO come first. (postscreen sends
    a first line of its greeting, and bans whoever does not wait for the last.)
    """
    lines = [line.strip() for line in said.splitlines() if _ANSWER.match(line)]
    words = lines[0].split() if lines else []
    rows = [_ANSWER.match(line) for line in lines[2 : 2 + count]]
    return Answers(
        words[1] if len(words) > 1 else "",
        tuple(f"{row[1]} {row[2] or ''}".strip() for row in rows if row),
    )


def differences(asked: Sequence[str], wanted: Answers, found: Answers) -> list[str]:
    """One line for each question whose answers are not the same, for people."""
    if found.name != wanted.name:
        return [f"calls itself {found.name or 'nothing: it does not answer'}, not {wanted.name}"]
    if len(found.answers) != len(wanted.answers):
        last = found.answers[-1] if found.answers else "its greeting"
        return [f"ends the session after {last}"]
    return [
        f"{question}: {there}, not {here}"
        for question, here, there in zip(asked, wanted.answers, found.answers, strict=False)
        if here != there
    ]
