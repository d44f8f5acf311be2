"""Daemons that their rc scripts start and stop: on the host, in a jail, and handed over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pyinfra import host
from pyinfra.api import operation

from operations import files, firewall
from operations.command import ANY, Commands, Reversible, quote
from operations.facts import ServiceRuns, comes_up, runs
from operations.rc import LIMITED

_STOPPING = 240
"""Seconds that stopping a whole jail may take, and what is asked before it."""


@operation()
def stop(
    script: str,
    *,
    stop: str = "onestop",
    back: Sequence[str] = ("onestart",),
    ends: str = "",
    ports: Sequence[int] = (),
    limit: int = 120,
) -> Commands:
    """Stop a daemon on the host with its rc script and check it; the undo starts it again.

    `ends` is sh to use instead, if the rc script would cut off clients. `back` are the rc commands
    of the undo. With "start", rc.conf decides which of several daemons starts; a "stop" before it
    ends one that was started while rc.conf still had another value. Of its TCP `ports` is noted at
    which addresses it listens, and the undo checks that it does so again.
    """
    if not host.get_fact(ServiceRuns, script=script):
        host.noop(f"{script} does not run")
        return
    stopped = f"{ends or f'service {quote(script)} {stop}'}{_awaited(script, ends or stop)}"
    yield Reversible(
        f"{_told_to_stop(script)}; {_noted(ports)}{stopped} && {_STOPPED}",
        undo=f"{_gone(script)} && {{ {_started_again(script, back)}; }}{_as_noted(script, ports)}",
        live=True,
        says=f"stop {script} on the host",
        sees=ANY,
        limit=limit,
    )


@operation()
def start(
    script: str, jail: str, stop: str = "onestop", ends: str = "", limit: int = 120
) -> Commands:
    """Start a daemon in a running jail with its rc script and check it; the undo stops it.

    `stop` is the rc command of the undo: Apache's onegracefulstop lets requests finish, for
    example. `ends` is a command in the jail to use instead. If the daemon does not end within
    `limit` seconds, the undo stops the whole jail.
    """
    stopped = (
        f"jexec {quote(jail)} {ends}"
        if ends
        else f"service -j {quote(jail)} {quote(script)} {stop}"
    )
    graceful = (ends or stop) != "onestop"
    yield Reversible(
        f"service -j {quote(jail)} {quote(script)} onestart && {comes_up(script, jail)}",
        undo=f"if jls -j {quote(jail)} jid >/dev/null 2>&1; "
        f"then {_ended(script, jail, stopped, limit, graceful=graceful)}; fi",
        live=True,
        says=f"start {script} in jail {jail}",
        sees=ANY,
        limit=limit + _STOPPING,
    )


def _ended(script: str, jail: str, stopped: str, limit: int, *, graceful: bool = False) -> str:
    """sh that stops a daemon in a running jail by `stopped`, and otherwise the jail itself.

    The rc scripts of a jail are its root's: they may never end, and say whatever they like.
    """
    tries = 5 * (limit if graceful else 1)
    told = quote(f"notice: {script} in jail {jail} does not stop: the whole jail is stopped")
    return (
        f"timeout -k 5 {60 if graceful else limit} {stopped} {'|| :;' if graceful else '||'} "
        f"{{ i=0; while {LIMITED} {runs(script, jail)}; do if [ $i -ge {tries} ]; "
        f"then echo {told}; {jail_stopped(jail)}; break; fi; sleep 0.2; i=$((i + 1)); done; }}"
    )


def jail_stopped(jail: str) -> str:
    """sh that stops a jail, whatever its processes do; it fails if the jail is still there."""
    there = f"jls -j {quote(jail)} jid >/dev/null 2>&1"
    return f"{{ service jail onestop {quote(jail)}; if {there}; then false; fi; }}"


class Twin(NamedTuple):
    """sh by which a hand-over compares what both daemons answer: `what`, within `limit` s more.

    `noted` runs before the host's stops, `same` once the jail's runs. In the undo `back`, which
    must not fail, runs before the jail's stops, and `again` once the host's runs.
    """

    what: str
    noted: str
    same: str
    back: str
    again: str
    limit: int


@operation()
def handover(
    script: str,
    jail: str,
    *,
    sets: Sequence[int] = (),
    link: tuple[str, str] | None = None,
    user: str = "",
    logs: Sequence[str] = (),
    ports: Sequence[int] = (),
    twin: Twin | None = None,
    limit: int = 240,
) -> Commands:
    """Stop a daemon on the host and start it in a running jail, on the same files.

    In between, the ipfw `sets` are enabled, and the host's socket, which a daemon removes when it
    stops, becomes a `link` (its path, and where the jail's is): new clients reach the daemon that
    is running. It is one command, since with two the journal's own processes in between would add
    to the outage. In the undo the host's daemon starts only after the jail's is gone.

    The undo stops the whole jail if its daemon does not end, or the host's does not come up.

    With `user`, whose processes they are, a daemon that starts slowly is waited for: InnoDB may
    have to recover, and until then it has no pid file, so that its rc script neither finds nor
    stops it. If it is not up before `limit`, the end of the newest of `logs`, patterns in the jail,
    is printed. `ports` are compared as by `stop`.
    """
    between: list[Reversible] = []
    if sets:
        between += _lines(firewall.switch._inner(set=sets[0], more=sets[1:]))
    if link:
        between += _lines(files.link._inner(*link))
    if not host.get_fact(ServiceRuns, script=script):
        yield from between
        yield from start._inner(script=script, jail=jail, limit=limit)
        return
    name, there = quote(script), quote(jail)
    stop = f"{_told_to_stop(script)}; {_noted(ports)}service {name} onestop >&2"
    stopped = " && ".join([stop, *(each.do for each in between)])
    waiting = quote(f"read go && exec service {name} onestart </dev/null")
    undone = " && ".join(str(each.undo) for each in reversed(between))
    slow = _Slow(script, jail, user, tuple(logs)) if user else None
    up = slow.comes_up(jail) if slow else comes_up(script, jail)
    again = _started_again(script, up=slow.comes_up() if slow else "")
    back = f"{undone + ' && ' if undone else ''}{_gone(script)} && {{ {again}; }}"
    ended = f"{slow.ended(limit)}; " if slow else ""
    # The jail's shell is already waiting when the daemon stops, so jexec(8) adds no outage. Once
    # the jail's starts, the undo must not wait for whoever gets the old one's pid.
    do = f"{{ {stopped} && echo go && {_STOPPED}; }} | jexec {there} sh -c {waiting} && {up}"
    # No check between the jail's stop and the host's start: it would add to the outage.
    there_ends = _ended(script, jail, f"service -j {there} {name} onestop", limit)
    # Whoever sits in the jail may hold a lock on the data.
    anew = f"{jail_stopped(jail)} && {slow.timed_anew(limit) if slow else ''}{{ {again}; }}"
    undo = (
        f"if jls -j {there} jid >/dev/null 2>&1; then {there_ends}; fi; {ended}"
        f"{{ {back}; }} || {{ jls -j {there} jid >/dev/null 2>&1 && {anew}; }}"
        f"{_as_noted(script, ports)}"
    )
    says = [f"stop {script} on the host", *(each.says for each in between)]
    says.append(f"start it in jail {jail}")
    if slow:
        do, undo = _timed(do, limit), _timed(undo, limit)
    if twin:
        do, undo = f"{twin.noted} && {do} && {twin.same}", f"{twin.back}; {undo} && {twin.again}"
        says.append(f"with {twin.what} that it had")
    yield Reversible(
        do,
        undo=undo,
        live=True,
        says=", ".join(says),
        sees=ANY,
        limit=limit + limit // 2 + _STOPPING + (twin.limit if twin else 0),
    )


class _Slow(NamedTuple):
    """A daemon that is found by its `user`'s processes before its pid file exists."""

    script: str
    jail: str
    user: str
    logs: tuple[str, ...]

    def _lives(self, jail: str) -> str:
        return f"pgrep -q -j {quote(jail or 'none')} -U {quote(self.user)}"

    def comes_up(self, jail: str = "") -> str:
        """sh that waits until it runs in the jail, or on the host: while it lives, and `timer`.

        Its log is read in the jail, which has the same files: on the host it would be read by name
        where a jail can write.
        """
        where = f"in jail {jail}" if jail else "on the host"
        newest = f"ls -t {' '.join(self.logs)} 2>/dev/null | head -n 1"
        shown = (
            f'log=$({newest}); if [ -f "$log" ]; then echo "its log, $log, ends with:"; '
            'tail -n 20 "$log" | grep -v -i password; fi'
        )
        told = f"echo '{self.script} did not come up {where}'"
        if self.logs:
            told = f"{told} && jexec {quote(self.jail)} sh -c {quote(shown)}"
        tries = (
            "n=$((n + 1)); [ $n -lt 50 ] || "
            f"{{ kill -0 $timer 2>/dev/null && {self._lives(jail)}; }} || "
            f"{{ kill $timer 2>/dev/null; {told}; exit 1; }}; sleep 0.2"
        )
        return f"(n=0; until {runs(self.script, jail)}; do {tries}; done)"

    def timed_anew(self, limit: int) -> str:
        """sh that starts another `timer`, for the host's daemon."""
        return f"{{ sleep {limit // 2} >/dev/null 2>&1 & timer=$!; }} && "

    def ended(self, limit: int) -> str:
        """sh that ends what the rc script's stop did not find in the jail, and waits for it, while
        `timer` lives; then the whole jail is stopped.
        """
        lives, there = self._lives(self.jail), quote(self.jail)
        return (
            f"if jls -j {there} jid >/dev/null 2>&1 && {lives}; then "
            f"pkill -j {there} -U {quote(self.user)} || true; while {lives}; do "
            f"kill -0 $timer 2>/dev/null || {{ {jail_stopped(self.jail)} && "
            f"{self.timed_anew(limit)}break; }}; sleep 0.2; done; fi"
        )


def _timed(line: str, limit: int) -> str:
    """The line, with a `timer` that ends before the limit does and the line is killed."""
    timer = f"{{ sleep {limit * 9 // 10} >/dev/null 2>&1 & timer=$!; }}"
    return f"{timer} && {{ {line}; }} && {{ kill $timer 2>/dev/null || true; }}"


def _lines(commands: Commands) -> list[Reversible]:
    return [each for each in commands if isinstance(each, Reversible)]


# The exit code of a start proves little (it is 0 if X_enable is NO, or if a daemon dies right after
# it), so every start ends with a check of the state.


def _started_again(script: str, back: Sequence[str] = ("onestart",), up: str = "") -> str:
    """On the host. onestart fails if the daemon already runs, so only the state counts."""
    started = "; ".join(f"service {quote(script)} {each} || true" for each in back)
    return f"{started}; {up or comes_up(script)}"


_STOPPED = 'rm -f "$KEEP/told"'  # or the undo would wait for whoever has the pid by then


def _told_to_stop(script: str) -> str:
    """Notes for the undo which processes are about to be told to stop, until they have."""
    return f'service {quote(script)} onestatus > "$KEEP/told" 2>/dev/null || true'


def _listens(ports: Sequence[int]) -> str:
    """sh that prints ADDRESS:PORT of each listening TCP socket of the host, sorted."""
    numbers = ",".join(map(str, ports))
    return f"sockstat -46lq -j 0 -P tcp -p {numbers} | awk '{{print $(NF - 1)}}' | sort -u"


def _noted(ports: Sequence[int]) -> str:
    return f'{_listens(ports)} > "$KEEP/ports" && ' if ports else ""


def _as_noted(script: str, ports: Sequence[int]) -> str:
    """At the end of an undo: the daemon listens wherever it did, at addresses that there still are.

    A port that stays closed would otherwise be noticed by its clients alone.
    """
    if not ports:
        return ""
    has = "ifconfig -a | awk '$1 ~ /^inet/ {sub(/%.*/, \"\", $2); print $2}'"
    closed = (
        f'{{ {has}; echo --; {_listens(ports)}; echo --; cat "$KEEP/ports"; }} | '
        'awk \'$0 == "--" {s++; next} !s {has[$0]} s == 1 {now[$0]} s == 2 && !($0 in now) '
        '{at = $0; sub(/:[^:]*$/, "", at); if (at == "*" || at in has) print}\''
    )
    told = f"{script} on the host listened here before, and does not any more:"
    tries = f'[ $n -lt 60 ] || {{ echo "{told}" $closed; exit 1; }}; sleep 1'
    return (
        f' && {{ [ ! -s "$KEEP/ports" ] || (n=0; while closed=$({closed}) && [ -n "$closed" ]; '
        f"do n=$((n + 1)); {tries}; done); }}"
    )


def _gone(script: str) -> str:
    """In the undo: ends when the processes are gone that were told to stop.

    One may still be dying, after a stop that took longer than its limit: to rc.subr that one runs
    already, so nothing would be started, and then nobody would serve. onestop, for the rest, ends
    one that the run had noted and not told yet.
    """
    pid = r"s/.* is running as pid \([0-9 ]*\).*/\1/p"
    pids = f'sed -n {quote(pid)} "$KEEP/told" 2>/dev/null | head -n 1'
    return (
        f'{{ old=$({pids}); if [ -n "$old" ] && kill -0 $old 2>/dev/null; then '
        f"service {quote(script)} onestop || true; "
        "while kill -0 $old 2>/dev/null; do sleep 0.2; done; fi; }"
    )


def _awaited(script: str, stop: str) -> str:
    """rc.subr's stop waits until the daemon has ended; a graceful stop does not."""
    if stop == "onestop":
        return ""
    return f" && while {runs(script)}; do sleep 0.2; done"
