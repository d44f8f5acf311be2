"""Commands that run other commands: daemon, timeout, lockf, csh, and sh while faults wait."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from contextlib import suppress
from pathlib import Path

from standin.commands import command
from standin.linux.binaries import SHELL, SHIMS_SHELL
from standin.linux.processes import all_pids, root_of, stat_of, words_of
from standin.linux.shim import Call, Reply, Unknown, getopt, real
from standin.model.faults import HELD
from standin.model.host import Host

SUPERVISE = (
    '"$@" & child=$!; [ -z "$pid_file" ] || echo "$child" >"$pid_file"; wait "$child";'
    ' [ -z "$pid_file" ] || rm -f "$pid_file"; [ -z "$own_file" ] || rm -f "$own_file"'
)


@command("/usr/sbin/daemon")
def daemon(host: Host, call: Call) -> Reply:
    usage = (
        "usage: daemon [-cfHrS] [-p child_pidfile] [-P supervisor_pidfile] command arguments ..."
    )
    found, rest = getopt(call, "cfHrSP:p:o:t:u:R:m:l:s:T:", usage, 1)
    if not rest:
        raise Unknown(f"{usage}\n", 1)
    if unknown := {"r", "R", "u", "S", "T", "l", "s", "m"} & found.keys():
        raise Unknown(f"daemon: -{sorted(unknown)[0]} is not known to the stand-in\n", 1)
    own, child = found.get("P", ""), found.get("p", "")
    prepare = f"pid_file={shlex.quote(child)}; own_file={shlex.quote(own)}; "
    prepare += f"echo $$ >{shlex.quote(own)}; " if own else ""
    # Without a file to write, daemon(8) leaves no process behind to watch the child.
    body = prepare + SUPERVISE if own or child else 'exec "$@"'
    folder = "/" if "c" in found else call.cwd
    # pidfile(3): the file exists before daemon(8) returns, the number is in it a moment later.
    claim = f": >{shlex.quote(child or own)} || exit 3; " if child or own else ""
    if not {"f", "o"} & found.keys():
        start = real("setsid", SHIMS_SHELL, "-c", body, "daemon", *rest)
        return Reply(then=f"cd {shlex.quote(folder)}; {claim}{start} & exit 0")
    output = shlex.quote(found.get("o", "/dev/null"))
    setup = f"umask {call.umask()}; cd {shlex.quote(folder)}; exec >>{output} 2>&1; "
    # A child of process 1 from its first moment: no cut of the caller's connection can reach it.
    argv = [SHIMS_SHELL, "-c", setup + claim + body, "daemon", *rest]
    host.processes.spawn(call.rootdir, argv, call.environment())
    return Reply()


@command("/usr/bin/timeout")
async def timeout(host: Host, call: Call) -> Reply:
    """FreeBSD's waits for what the command left behind, daemons too, and kills it at the limit."""
    if call.args[:1] == ("--reap",):
        return await _reap(host, call)
    foreground = "--foreground" in call.args
    words = [word for word in call.args if word not in ("--foreground", "--preserve-status")]
    status = ["--preserve-status"] if "--preserve-status" in call.args else []
    usage = "usage: timeout [-k time | --kill-after time] [-s sig] [--foreground] duration command"
    bare = Call(("timeout", *words), call.rootdir, call.pid)
    found, rest = getopt(bare, "fk:s:p", usage, 125)
    if len(rest) < 2:
        raise Unknown(f"{usage}\n", 125)
    options = [part for letter in "ks" if letter in found for part in (f"-{letter}", found[letter])]
    argv = ["--foreground", *status, *options, *rest]
    if foreground or "f" in found:
        return Reply(then=f"exec {real('timeout', *argv)}")
    return Reply(then=_limited(host, call, found, rest, tells_late=not status))


def _limited(
    host: Host, call: Call, found: dict[str, str], rest: list[str], *, tells_late: bool
) -> str:
    """sh that runs the command, in the caller's process. The model has the clock."""
    host.reapers = {pid for pid in host.reapers if root_of(pid)} | {call.pid}
    late, left = host.told("late", call.pid), host.told("left", call.pid)
    for each in (late, left):
        (host.rootdir.root / each).unlink(missing_ok=True)
    loop = asyncio.get_running_loop()
    started = loop.time()
    limit, more = _seconds(rest[0]), _seconds(found.get("k", "0"))
    said = host.rootdir.root / late if tells_late else None
    if limit:
        loop.call_later(limit, _end, host, call.pid, words_of(call.pid), said, _signal(found))
    if limit and more:
        end = limit + more
        loop.call_later(end, _end, host, call.pid, words_of(call.pid), said, signal.SIGKILL)
    again = shlex.join(("timeout", "--reap", str(call.pid), str(started), rest[0]))
    return (
        # In the background sh gives it /dev/null for its stdin.
        f"exec 8<&0; ( exec {shlex.join(rest[1:])} ) <&8 8<&- & child=$!; "
        "exec 8<&-; trap 'kill $child' TERM; "
        f"wait $child; code=$?; if [ -s /{late} ]; then read -r code </{late}; fi; "
        f"if [ -e /{left} ]; then {again} || code=124; fi; exit $code"
    )


def _signal(found: dict[str, str]) -> int:
    word = found.get("s", "TERM").upper().removeprefix("SIG")
    return int(word) if word.isdigit() else signal.Signals[f"SIG{word}"]


def _end(host: Host, shim: int, words: list[str], late: Path | None, number: int) -> None:
    """At the limit: send the command the signal, and tell the shim with which code to end."""
    if shim not in host.reapers:  # the command has ended: its child is the one that reaps
        return
    with suppress(OSError):
        if words_of(shim) != words:  # it has ended, and another process may have its pid
            return
        if late:
            late.write_text(f"{128 + number if number == signal.SIGKILL else 124}\n")
        for pid in all_pids():
            if stat_of(pid)[1] == shim:
                os.kill(pid, number)


async def _reap(host: Host, call: Call) -> Reply:
    """Fails when a process was still there at the limit, and had to be killed."""
    reaper, started, limit = int(call.args[1]), float(call.args[2]), _seconds(call.args[3])
    host.reapers.discard(reaper)
    loop = asyncio.get_running_loop()
    while left := [daemon for daemon in host.daemons if daemon.reaper == reaper]:
        if loop.time() > started + limit:
            for daemon in left:
                with suppress(ProcessLookupError):
                    os.kill(daemon.pid, signal.SIGTERM)
            while any(daemon in host.daemons for daemon in left):
                await asyncio.sleep(0.01)
            return Reply(exit=1)
        await asyncio.sleep(0.01)
    return Reply()


def _seconds(word: str) -> float:
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    return float(word[:-1]) * unit[word[-1]] if word[-1] in unit else float(word)


@command("/usr/bin/lockf")
def lockf(host: Host, call: Call) -> Reply:
    usage = "usage: lockf [-knsw] [-t seconds] file command [arguments]"
    found, rest = getopt(call, "knswt:", usage)
    if len(rest) < 2:
        raise Unknown(f"{usage}\n")
    file, argv = rest[0], rest[1:]
    quoted = shlex.quote(file)
    wait = ["-w", found["t"]] if "t" in found and found["t"] != "0" else []
    now = ["-n"] if found.get("t") == "0" else []
    say = "" if "s" in found else f'printf "lockf: %s: already locked\\n" {quoted} >&2; '
    absent = f'printf "lockf: %s: No such file or directory\\n" {quoted} >&2; exit 69'
    missing = f"[ -e {quoted} ] || {{ {absent}; }}; "
    remove = "" if "k" in found else f"{real('rm', '-f', '--', file)}; "
    return Reply(
        then=f"{missing if 'n' in found else ''}exec 9>>{quoted}; "
        f"{real('flock', *now, *wait, '9')} || {{ {say}exit 75; }}; "
        f"{shlex.join(argv)} 9>&-; code=$?; {remove}exit $code"
    )


@command("/bin/pwait")
def pwait(host: Host, call: Call) -> Reply:
    usage = "usage: pwait [-t timeout] [-ov] pid ..."
    found, rest = getopt(call, "ovt:", usage)
    if found or len(rest) != 1 or not rest[0].isdigit():
        raise Unknown(f"{usage}\npwait: only one pid and no option is known to the stand-in\n")
    if not Path(f"/proc/{rest[0]}").exists():
        return Reply(err=f"pwait: {rest[0]}: No such process\n")
    return Reply(then=f"exec {real('tail', '-s', '0.05', f'--pid={rest[0]}', '-f', '/dev/null')}")


@command("/bin/csh", "/bin/tcsh")
async def csh(host: Host, call: Call) -> Reply:
    """Models only what a script notices: a quote must end on the line where it began."""
    if call.args[:1] == ("-c",) and len(call.args) == 2:
        text = call.args[1]
    elif not call.args:
        text = await call.stdin_text()
    else:
        raise Unknown("csh: only -c and commands on stdin are known to the stand-in\n", 1)
    for line in text.splitlines():
        for quote in "'\"`":
            if line.count(quote) % 2 and not line.lstrip().startswith("#"):
                return Reply(exit=1, err=f"Unmatched '{quote}'.\n")
    return Reply(then=f"exec {shlex.join((SHELL, '-c', text))}")


@command("/libexec/standin/bin/sh")
def sh(host: Host, call: Call) -> Reply:
    """Replaces /bin/sh while a fault is pending; faults were checked before this runs."""
    return Reply(then=f"exec {shlex.join((SHELL, *call.args))}")


@command(HELD)
async def held(host: Host, call: Call) -> Reply:
    """Runs after a command that has acted and is to wait; see StandIn.held."""
    await host.faults.hold()
    return Reply()
