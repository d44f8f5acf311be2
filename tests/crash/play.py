"""Plays one case: the fault, the recovery, and the check of the state at the end."""

from __future__ import annotations

import time
from collections.abc import Callable

from rollout.host.journal import Entry
from tests.crash.cases import Case
from tests.crash.place import PATIENCE, RESTS, SHORT, Neither, Place

BY_ITSELF = ("fail", "fail-after", "hang")
POWER = ("power-note", "power-before", "power-after", "power-torn")
TORN = ("power-note", "power-torn")
BRINGS_THE_BOOT_SCRIPT = "base"
"""Until that step is confirmed nothing undoes at boot: the next apply or rollback does."""
BOOT_SECONDS = 1.0
"""No real machine boots within a second, and the lock distinguishes owners by the boot second."""
AFTER_IT_ACTED = ("power-after", "power-torn")


def play(place: Place, case: Case) -> str:
    """Returns the end, "confirmed" or "as before". Raises Neither for any other."""
    if case.by_rollback:
        place.apply()
    else:
        place.roll_back()
    _arm(place, case)
    _begin(place, case)
    if case.kind not in BY_ITSELF:
        if not place.standin.held(PATIENCE):
            raise Neither("the command was never reached")
        HITS[case.kind](place)
    entry = _recovered(place, case)
    if case.ends_confirmed:
        place.confirm(entry)
        return "confirmed"
    place.must_be_undone(entry)
    return "as before"


def _arm(place: Place, case: Case) -> None:
    standin, number = place.standin, f"{case.command:03}"
    script = f"sh -eu */{place.directory}/{{}}/{number}.sh"
    if case.side == "undo" and not case.by_rollback:
        standin.break_at(script.format("do"), mode="fail-after")
    if case.kind == "power-note":
        # One fsync per `begun` up to this command; during an undo also for `failed` and `undone`.
        nth = case.command if case.side == "do" else case.command + 2
        standin.break_at(f"fsync steps/{place.directory}/progress", nth=nth, mode="hold")
    elif case.kind in AFTER_IT_ACTED:
        standin.break_at(script.format(case.side), mode="hold-after")
    else:
        own = case.kind if case.kind in BY_ITSELF else "hold"
        standin.break_at(script.format(case.side), mode=own)  # type: ignore[arg-type] # all modes


def _begin(place: Place, case: Case) -> None:
    if case.by_rollback:
        place.host_sh("start-undo", place.directory, "rollback")
        return
    hangs = case.command if case.kind == "hang" else 0
    if case.kind == "operator" and case.side == "do":
        place.begin(place.with_limits(confirm_within=SHORT))
    else:
        place.begin(place.with_limits(hangs=hangs))
    if hangs:
        # The short limit is for the hanging command, not for those after it.
        place.has_logged(_title(place, case))
        limit = place.made.commands[hangs - 1].limit
        (place.journal / f"limit/{hangs:03}").write_text(f"{limit}\n")


def _title(place: Place, case: Case) -> str:
    says = place.made.commands[case.command - 1].says
    return f"{case.command:03} {'undo: ' if case.side == 'undo' else ''}{says}\n"


def _connection(place: Place) -> None:
    place.line.send(f"sh /var/db/cellblock/host.sh follow {place.directory}")
    place.standin.cut()
    place.standin.release()


def _operator(place: Place) -> None:
    place.line.send(f"sh /var/db/cellblock/host.sh follow {place.directory}")
    place.kill_operator()
    place.standin.release()


def _killing(*what: str) -> Callable[[Place], None]:
    def kill(place: Place) -> None:
        killed = 0
        # When one process is killed, another that waited for the lock may start; kill it, too.
        while now := sum(place.standin.kill(f"*host.sh {word} *") for word in what):
            killed += now
        if not killed:
            raise Neither(f"there was no {' or '.join(what)} to kill")
        place.standin.release()

    return kill


def _power(*, torn: bool) -> Callable[[Place], None]:
    def off(place: Place) -> None:
        place.kill_operator()
        place.standin.power_off(torn=torn)
        time.sleep(BOOT_SECONDS)
        place.standin.boot()
        place.connect()

    return off


HITS: dict[str, Callable[[Place], None]] = {
    "connection": _connection,
    "operator": _operator,
    "run": _killing("run", "undo-locked"),
    "guard": _killing("guard"),
    "both": _killing("run", "guard", "undo-locked"),
    **{kind: _power(torn=kind in TORN) for kind in POWER},
}


def _recovered(place: Place, case: Case) -> Entry:
    """Follow docs/recovery.md until the step rests."""
    if case.kind in POWER:  # by the host at boot, before an operator could connect
        entry = place.connection.entry(place.directory)
        if case.step != BRINGS_THE_BOOT_SCRIPT or entry.state in RESTS:
            return entry
        place.host_sh("arm", place.directory)
        return place.settle()
    if case.kind == "operator":  # by the host itself; an operator connects later
        place.wait_until_state("undone", "stuck")
        place.connect()
        return place.connection.entry(place.directory)
    if case.kind == "both":
        place.host_sh("arm", place.directory)
    entry = place.settle()
    if case.side == "undo" and case.kind in BY_ITSELF:
        if entry.state != "stuck":
            raise Neither(f"{entry.state}, though an undo failed: expected stuck")
        place.host_sh("start-undo", place.directory, "rollback")
        entry = place.settle()
    return entry
