"""A service that only the site file knows: can it run in its jail, and is it the same there?"""

from __future__ import annotations

from shlex import quote
from typing import Any, NamedTuple

from operations.carried import is_in
from operations.needs import Running
from rollout.site import Site

_TURNS = 5  # while clients write
_MOST = 1_000_000  # bytes of an answer


class _Answer(NamedTuple):
    """What a question printed, as a sum: it may be secret, and stays on the host.

    `code` is its exit code; "" if it did not come to an end.
    """

    code: str
    bytes: int
    sum: str


def _said(ask: str) -> str:
    """sh that prints its last line, which is the exit code, the size of all, and the sum.

    What a jail says is cut: whoever sits there could fill the host's memory.
    """
    return (
        f"said=$({{ {ask} 2>/dev/null </dev/null; printf '\\n%s' $?; }} | head -c {_MOST}); "
        'printf \'%s \' "$(printf %s "$said" | tail -n 1 | head -c 9 | tr -cd 0-9)" '
        '"$(printf %s "$said" | wc -c)" "$(printf %s "$said" | sha256 -q)"; echo'
    )


def _asked(host: Any, *asks: str) -> list[_Answer]:
    found = []
    for row in host.check_output("; ".join(map(_said, asks))).splitlines():
        *code, size, sum_ = row.split()
        there = "".join(code)
        found.append(_Answer(there, int(size) - len(f"\n{there}"), sum_))
    return found


def test_questions_have_answers(host: Any, site: Site, service: str) -> None:
    """Asked twice on the host: an answer that changes by itself cannot be compared."""
    wrong, questions = [], site.services[service].questions
    found = _asked(host, *(f"sh -c {quote(each)}" for each in questions for _ in range(2)))
    for each, first, second in zip(questions, found[::2], found[1::2], strict=True):
        if first.code != "0":
            wrong.append(f"`{each}` ends with exit code {first.code} on the host")
        elif not first.bytes:
            wrong.append(f"`{each}` prints nothing on the host")
        elif first != second:
            wrong.append(f"`{each}` prints something else each time")
    assert not wrong, (
        f"services.{service}.questions: {'; '.join(wrong)}: expected commands of root that ask the "
        "daemon, and print the same as long as nobody writes"
    )


def test_daemon_listens_where_its_jail_can(running: Running, site: Site, service: str) -> None:
    """Its configuration is copied as it is. 127.0.0.1 is the jail's own address there."""
    ports = {each.port for each in site.services[service].ports}
    bound = [each for each in running.listening() if each.port in ports]
    lost = sorted(
        {f"{each.address}:{each.port}" for each in bound if each.address not in ("*", "127.0.0.1")}
    )
    jail = site.jails[site.jail_of(service)].address
    assert not lost, (
        f"services.{service}: its daemon listens at {', '.join(lost)}, which its jail at {jail} "
        "does not have, and would not start there: let it listen at every address, or at 127.0.0.1"
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
    jail, wrong = site.jail_of(service), list[str]()
    left = list(site.services[service].questions)
    for turn in range(_TURNS):
        asks = [f"sh -c {quote(each)}" for each in left]
        found = _asked(
            host, *(f"{way}{ask}" for ask in asks for way in ("", f"jexec {quote(jail)} ", ""))
        )
        answers = zip(left, found[::3], found[1::3], found[2::3], strict=True)
        left = []
        for each, before, there, after in answers:
            if there not in (before, after) and before != after and turn < _TURNS - 1:
                left.append(each)
            elif told := _difference(jail, before, there, after):
                wrong.append(f"`{each}` {told}")
        if not left:
            break
    assert not wrong, "; ".join(wrong)


def _difference(jail: str, before: _Answer, there: _Answer, after: _Answer) -> str:
    if not there.code:
        return f"prints more than {_MOST} bytes in jail {jail}"
    if there.code != "0":
        return f"ends with exit code {there.code} in jail {jail}"
    if after.code != "0":
        return f"ends with exit code {after.code} on the host"
    if there in (before, after):
        return ""
    return (
        f"prints something else in jail {jail} ({there.bytes} bytes) than on the host "
        f"({after.bytes} bytes)"
    )
