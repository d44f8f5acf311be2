"""A service that only its site file knows: do its questions get the same answers in the jail?"""

from __future__ import annotations

from shlex import quote
from typing import Any, NamedTuple

from operations.carried import is_in
from operations.needs import Running
from rollout.site import Site

_TURNS = 5  # while clients write


class _Answer(NamedTuple):
    """What a question printed, as a sum: it may be secret, and stays on the host."""

    code: str
    lines: str
    sum: str


def _said(ask: str) -> str:
    """sh that prints the three."""
    return (
        f"said=$({ask} 2>/dev/null </dev/null; code=$?; echo .; exit $code); code=$?; "
        'said=${said%.}; printf "%s " "$code" "$(printf %s "$said" | wc -l)" '
        '"$(printf %s "$said" | sha256 -q)"; echo'
    )


def _asked(host: Any, *asks: str) -> list[_Answer]:
    rows = host.check_output("; ".join(map(_said, asks))).splitlines()
    return [_Answer(*row.split()) for row in rows]


def test_questions_have_answers(host: Any, site: Site, service: str) -> None:
    """Asked twice on the host: an answer that changes by itself cannot be compared."""
    wrong = []
    for each in site.services[service].questions:
        ask = f"sh -c {quote(each)}"
        first, second = _asked(host, ask, ask)
        if first.code != "0":
            wrong.append(f"`{each}` ends with exit code {first.code} on the host")
        elif first.lines == "0":
            wrong.append(f"`{each}` prints nothing on the host")
        elif first != second:
            wrong.append(f"`{each}` prints something else each time")
    assert not wrong, (
        f"services.{service}.questions: {'; '.join(wrong)}: expected commands of root that ask the "
        "daemon, and print the same as long as nobody writes"
    )


def test_daemon_writes_nothing_that_two_would(running: Running, site: Site, service: str) -> None:
    """For a while both daemons run. A database that two write to is lost."""
    there = site.services[service]
    shared = [*there.data, *(each.source for each in site.mounts(site.jail_of(service)))]
    opened = running.of([each.port for each in there.ports], [e.rc for e in there.companions])
    files = {
        each.name for each in opened if (each.type, each.vnode) == ("v", "r") and "w" in each.flags
    }
    twice = sorted(name for name in files if is_in(name, shared))
    assert not twice, (
        f'services.{service}.move: is "overlap", and {there.rc} writes to {", ".join(twice)}: so '
        'would the jail\'s while both run: expected "handover"'
    )


def test_jail_gives_the_same_answers(host: Any, site: Site, service: str) -> None:
    """Asked on the host, in the jail, and on the host again: clients may write in between."""
    jail = site.jail_of(service)
    wrong = []
    for each in site.services[service].questions:
        ask = f"sh -c {quote(each)}"
        for _ in range(_TURNS):
            before, there, after = _asked(host, ask, f"jexec {quote(jail)} {ask}", ask)
            if there in (before, after) or before == after:
                break
        if there.code != "0":
            wrong.append(f"`{each}` ends with exit code {there.code} in jail {jail}")
        elif after.code != "0":
            wrong.append(f"`{each}` ends with exit code {after.code} on the host")
        elif there not in (before, after):
            wrong.append(
                f"`{each}` prints something else in jail {jail} ({there.lines} lines) than on the "
                f"host ({after.lines} lines)"
            )
    assert not wrong, "; ".join(wrong)
