"""rc.conf variables and rc scripts, on the host or in a jail."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError

from operations import files, firewall
from operations.command import ANY, Commands, Reversible, quote
from operations.facts import Path, RcConf, ServiceRuns, comes_up, runs

# sysrc replaces rc.conf by a new file and does not sync it: after a power cut within the half
# minute that UFS waits, only half of rc.conf, with everybody's settings, would be left.
_SAVED = "fsync /etc/rc.conf*"
_LIMITED = "timeout -k 5 20"
"""Before a command in a jail that an undo needs not: its root may see to it that it never ends."""
_STOPPING = 240
"""Seconds that stopping a whole jail may take, and what is asked before it."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FILES = ("/etc/rc.conf", "/etc/rc.conf.local")
_FOLDERS = ("/etc/rc.conf.d", "/usr/local/etc/rc.conf.d")

_ASSIGNED = "s/^[[:space:]]*(export[[:space:]]+)?({prefix}_[A-Za-z0-9_]+)=.*/\\2/p"
_NOT_CARRIED = "sendmail_([a-z]+_)*enable"  # the host's other sendmail daemons are not the jail's

HOSTS_OWN = ("sendmail",)
"""Scripts that control something on the host even after their daemon has moved: a null client. So
`service` on the host keeps controlling that."""


def _checked(name: str) -> str:
    # sysrc accepts a bad name and writes a line that breaks every later service command.
    if not _NAME.fullmatch(name):
        raise OperationError(f'"{name}" is not a valid name for an rc.conf variable')
    return name


def _kept(name: str) -> str:
    """sh that prints the value in the before-images of rc.conf, or fails if there is none."""

    def has(image: str) -> str:  # sysrc -f alone would print a default that the file does not set
        return f'grep -qs ^{name}= "$KEEP/{image}"'

    def value(image: str) -> str:
        return f'sysrc -f "$KEEP/{image}" -n {name}'

    return f"if {has('2')}; then {value('2')}; else {has('1')} && {value('1')}; fi"


@operation()
def variable(name: str, value: str) -> Commands:
    """Set a variable in rc.conf; the undo restores its old value, or removes it if it had none.

    In a plan without a host the undo reads the old value from a before-image.
    """
    conf = host.get_fact(RcConf)
    before = None if conf is None else conf.get(name)
    if before == value:
        host.noop(f'{_checked(name)} is "{value}" in rc.conf already')
        return
    # sysrc -c also reads /etc/defaults/rc.conf, and a value that is only there cannot be removed.
    ours = f"grep -qs ^{name}= {' '.join(_FILES)} && sysrc -c {name}={quote(value)}"
    absent = f"if {ours}; then sysrc -x {name}; fi"
    if conf is None:
        undo = (
            f'if [ ! -e "$KEEP/1" ]; then :; elif old=$({_kept(name)}); then sysrc {name}="$old"; '
            f"else {absent}; fi"
        )
    else:
        undo = absent if before is None else f"sysrc {name}={quote(before)}"
    yield Reversible(
        f"sysrc {_checked(name)}={quote(value)} && {_SAVED}",
        undo=f"{undo} && {_SAVED}",
        says=f'set {name}="{value}" in rc.conf',
        keep=_FILES if conf is None else (),
        owns={} if before is None else {f"rc.conf {name}": before},
        sees=f"{name}: {ANY} -> {value}",
    )


@operation()
def word(name: str, value: str) -> Commands:
    """Add a word to a list in rc.conf (cloned_interfaces, jail_list); the undo removes it."""
    conf = host.get_fact(RcConf)
    before = None if conf is None else conf.get(name)
    if before is not None and value in before.split():
        host.noop(f"{_checked(name)} has {value}")
        return
    undo = f"sysrc {name}-={quote(value)}"
    if conf is None:
        undo = (
            f'if [ -e "$KEEP/1" ]; then case " $({_kept(name)}) " in *" "{quote(value)}" "*) ;; '
            f'*) {undo}; if [ -z "$(sysrc -ni {name})" ] && ! {{ {_kept(name)}; }} >/dev/null; '
            f"then sysrc -ix {name}; fi;; esac; fi"
        )
    elif before is None:
        undo += f'; if [ -z "$(sysrc -ni {name})" ]; then sysrc -ix {name}; fi'
    yield Reversible(
        f"sysrc {_checked(name)}+={quote(value)} && {_SAVED}",
        undo=f"{undo} && {_SAVED}",
        says=f"add {value} to {name} in rc.conf",
        keep=_FILES if conf is None else (),
        sees=f"{name}: {ANY} -> {ANY} {value}",
    )


@operation()
def jail_variable(name: str, value: str, jail: str, root: str, before: str) -> Commands:
    """Set a variable in the rc.conf of a running jail; the undo sets it to `before`.

    Inside the jail with sysrc -j: from outside, a link planted as etc/rc.conf would be followed.
    In a stopped jail nobody can plant one, so there the path is checked and then used; not by
    sysrc(8), which lets sh run the file, outside of the jail. The undo asks nothing of the jail:
    its root may have put something else in the file's place.
    """
    _checked(name)
    file = f"{root}/etc/rc.conf"
    saved = f"jexec {quote(jail)} fsync /etc/rc.conf"
    line = quote(f's/^[[:space:]]*{name}=.*/{name}="{before}"/')
    stopped = (
        f'if [ "$(realpath {quote(file)})" = {quote(file)} ]; '
        f"then [ -f {quote(file)} ] && sed -i '' -e {line} {quote(file)} && fsync {quote(file)}; "
        "else false; fi"
    )
    told = f"notice: {name} could not be set in jail {jail}: its rc.conf is not as it should be"
    yield Reversible(
        f"sysrc -j {quote(jail)} {name}={quote(value)} && {saved}",
        undo=f"{{ if jls -j {quote(jail)} jid >/dev/null 2>&1; "
        f"then {_LIMITED} sysrc -j {quote(jail)} {name}={quote(before)} && {_LIMITED} {saved}; "
        f"else {stopped}; fi; }} || echo {quote(told)}",
        says=f'set {name}="{value}" in rc.conf of jail {jail}',
        sees=f"{name}: {ANY} -> {value}",
    )


def read_for(prefix: str) -> str:
    """sh that prints the files that rc.subr(8) reads for a script, in its order: the last wins."""
    places = (f"{each}/{prefix} {each}/{prefix}/*" for each in _FOLDERS)
    files = " ".join((*_FILES, *places))
    return f'for file in {files}; do if [ -f "$file" ]; then echo "$file"; fi; done'


def service_jail(rcvar: str) -> str:
    """sh that prints what makes rc.subr(8) start a daemon in a service jail (FreeBSD 15 and later).

    Lines of the files that it reads, as FILE:LINE:NAME=VALUE, and the jail if it is there: jail ID.
    """
    prefix = _checked(rcvar).removesuffix("_enable")
    said = f"^[[:space:]]*({prefix}_svcj|svcj_all_enable)="
    return (
        f"files=$({read_for(prefix)}); grep -nE {quote(said)} $files /dev/null; "
        f"jls -j svcj-{prefix} jid 2>/dev/null | sed -e 's/^/jail /'"
    )


def variables(rcvar: str) -> str:
    """sh that prints an rc script's variables as NAME='VALUE', but not `rcvar` itself.

    Their names begin with the script's own, as rcvar's does. The files are read by sh, as rc.subr
    does; a value may refer to another.
    """
    prefix = _checked(rcvar).removesuffix("_enable")
    names = (
        f"sed -nE {quote(_ASSIGNED.format(prefix=prefix))} $files /dev/null "
        f"| sort -u | grep -vxE {quote(f'{rcvar}|{_NOT_CARRIED}')}"
    )
    value = "$(printf %s \"$value\" | sed \"s/'/'\\\\\\\\''/g\")"
    return (
        f"(set +eu; files=$({read_for(prefix)}); names=$({names}); "
        'for file in $files; do . "$file"; done >/dev/null 2>&1; '
        'for name in $names; do eval "value=\\$$name"; '
        f'printf "%s=\'%s\'\\n" "$name" "{value}"; done)'
    )


@operation()
def variables_in_jail(rcvar: str, root: str) -> Commands:
    """Write an rc script's variables, as the host has them, into rc.conf of a jail.

    Without them the jail's daemon would have other data, options or files: the MySQL ports' script,
    for example, passes mysql_dbdir and makes a new, empty database where it finds none. Only before
    the jail has ever run. Undone with the jail's tree.
    """
    file = f"{root}/etc/rc.conf"
    yield Reversible(
        f"{variables(rcvar)} >> {quote(file)}",
        undo=":",
        says=f"copy the host's rc variables {rcvar.removesuffix('_enable')}_* to {file}",
    )


@operation()
def configuration_is_right(jail: str, command: str) -> Commands:
    """Let a daemon's own program, in a running jail, test its configuration."""
    yield Reversible(
        f"jexec {quote(jail)} {command}",
        undo=":",
        live=True,
        says=f"test the configuration in jail {jail}: {command}",
        sees=ANY,
    )


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
        f"{{ i=0; while {_LIMITED} {runs(script, jail)}; do if [ $i -ge {tries} ]; "
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
        told = f"echo '{self.script} did not come up {where}' && jexec {quote(self.jail)} sh -c "
        tries = (
            "n=$((n + 1)); [ $n -lt 50 ] || "
            f"{{ kill -0 $timer 2>/dev/null && {self._lives(jail)}; }} || "
            f"{{ kill $timer 2>/dev/null; {told}{quote(shown)}; exit 1; }}; sleep 0.2"
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


@operation()
def asked_in_jail(path: str, content: str) -> Commands:
    """Redirect `service X reload`, typed on the host, to the daemon in its jail.

    `content`, at `path` in rc.conf.d, is sh that rc.subr reads before it runs the rc command. A
    file that somebody else put there is not replaced.
    """
    now = host.get_fact(Path, path=path)
    ours = sha256(content.encode()).hexdigest()
    if now.kind != "absent" and now.sha256 != ours:
        raise OperationError(
            f"{path} exists already: expected nothing there, since that file is to redirect "
            "`service` on the host to the jail; move its settings into rc.conf"
        )
    yield from files.put._inner(path, content)


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


def _awaited(script: str, stop: str, jail: str = "") -> str:
    """rc.subr's stop waits until the daemon has ended; a graceful stop does not."""
    if stop == "onestop":
        return ""
    return f" && while {runs(script, jail)}; do sleep 0.2; done"
