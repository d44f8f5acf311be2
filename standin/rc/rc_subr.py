"""rc.subr(8) for the modelled daemons: the effect and the output of `service NAME COMMAND`."""

from __future__ import annotations

import os
import re

from standin.daemons import configs, start_stop
from standin.daemons.kinds import BY_SCRIPT, QUEUE_RUNNER
from standin.etc.rc_conf import RcConf
from standin.linux.rootdir import RootDir
from standin.linux.shim import Reply
from standin.model.daemon import Daemon, Kind
from standin.model.host import Host
from standin.rc.rc_scripts import FOLDERS

PREFIXES = re.compile(r"^(?:(one)|(force)|(fast)|(quiet))")
USAGE_WORDS = (
    *("start", "stop", "restart", "rcvar", "enable", "disable", "delete", "enabled"),
    *("describe", "extracommands"),
)
STANDARD = ("start", "stop", "restart", "status", "poll", "enabled", "rcvar", "describe")


def script_of(rootdir: RootDir, name: str) -> str | None:
    for folder in FOLDERS:
        if os.access(rootdir.path(f"{folder}/{name}"), os.X_OK):
            return f"{folder}/{name}"
    return None


def kind_of(script: str) -> Kind | None:
    return BY_SCRIPT.get(script)


def is_rewritten(host: Host, rootdir: RootDir, script: str) -> bool:
    """A jail's copy is its root's, who may have written another script there."""
    return bool(rootdir.name) and rootdir.read(script) != host.rootdir.read(script)


def has_own_configuration(rootdir: RootDir, script: str) -> bool:
    """A file in rc.conf.d is sh: then the script itself runs, and reads it."""
    kind = kind_of(script)
    folders = ("/etc/rc.conf.d", "/usr/local/etc/rc.conf.d")
    return kind is not None and any(rootdir.path(f"{one}/{kind.rc}").is_file() for one in folders)


def split(word: str) -> tuple[bool, str]:
    """Whether the rcvar does not matter, and the bare command."""
    regardless = False
    while match := PREFIXES.match(word):
        regardless = regardless or not match[4]
        word = word[match.end() :]
    return regardless, word


def has_queue_runner(rootdir: RootDir, kind: Kind) -> bool:
    """Only if rc.conf itself says so: with the default alone none ran on the recorded host."""
    conf = RcConf.of(rootdir, defaults=False)
    return kind.rc == "sendmail" and conf.is_on("sendmail_msp_queue_enable")


async def control_runner(
    host: Host, rootdir: RootDir, word: str, daemons: Reply, caller: int = 0
) -> Reply:
    """sendmail's script goes on with the queue runner; the worse exit code is its own."""
    action = split(word)[1]
    if action not in ("start", "stop", "restart", "status"):
        return daemons
    reply = await _act(host, rootdir, QUEUE_RUNNER, action, caller)
    return Reply(daemons.out + reply.out, daemons.err + reply.err, max(daemons.exit, reply.exit))


async def control(host: Host, rootdir: RootDir, kind: Kind, word: str, caller: int = 0) -> Reply:
    """Run an rc script with this word."""
    reply = await _daemons(host, rootdir, kind, word, caller)
    if has_queue_runner(rootdir, kind):
        return await control_runner(host, rootdir, word, reply, caller)
    if kind.rc == "sendmail" and split(word)[1] == "status" and reply.out:
        return Reply(reply.out + "sendmail_msp_queue is not running.\n", reply.err, 1)
    return reply


async def _daemons(host: Host, rootdir: RootDir, kind: Kind, word: str, caller: int) -> Reply:
    """The part of an rc script for the daemon itself."""
    regardless, action = split(word)
    conf = RcConf.of(rootdir)
    noise = "".join(f"{complaint}\n" for complaint in conf.complaints * 2)
    if action not in STANDARD + kind.commands:
        usage = "|".join((*USAGE_WORDS, *kind.commands, "status", "poll"))
        return Reply(
            exit=1,
            err=f"{noise}{kind.script}: unknown directive '{word}'.\n"
            f"Usage: {kind.script} [fast|force|one|quiet]({usage})\n",
        )
    enabled = kind.is_enabled(conf)
    if action == "enabled":
        return Reply(exit=0 if enabled else 1, err=noise)
    if action == "rcvar":
        value = "YES" if enabled else "NO"
        return Reply(f'# {kind.rc}\n#\n{kind.enable}="{value}"\n#   (default: "")\n\n', noise)
    if not enabled and not regardless:
        return Reply(not_enabled(kind.rc, kind.enable, word), noise)
    reply = await _act(host, rootdir, kind, action, caller)
    return Reply(reply.out, noise + reply.err, reply.exit)


def not_enabled(rc: str, variable: str, word: str) -> str:
    return (
        f"Cannot '{word}' {rc}. Set {variable} to YES in /etc/rc.conf"
        f" or use 'one{word}' instead of '{word}'.\n"
    )


async def _act(host: Host, rootdir: RootDir, kind: Kind, action: str, caller: int) -> Reply:
    daemon = start_stop.daemon_of(host, rootdir, kind)
    if action == "start" and daemon:
        return Reply(exit=1, err=f"{kind.rc} already running?  (pid={daemon.pid}).\n")
    if action == "start" or (action == "graceful" and daemon is None):
        return await _start(host, rootdir, kind, caller)
    if action in ("stop", "gracefulstop"):
        return await _stop(host, rootdir, kind)
    if action == "restart":
        before = await _stop(host, rootdir, kind) if daemon else Reply()
        after = await _start(host, rootdir, kind, caller)
        return Reply(before.out + after.out, before.err + after.err, after.exit)
    return _look(rootdir, kind, daemon, action)


def _look(rootdir: RootDir, kind: Kind, daemon: Daemon | None, action: str) -> Reply:
    """Actions that neither start nor stop the daemon."""
    match action:
        case "status":
            return _status(kind, daemon.pid if daemon else 0)
        case "configtest":
            return _check(rootdir, kind)
        case "describe":
            return Reply(f"{kind.rc}: {kind.process}\n")
        case _ if daemon is None:
            return _not_running(kind)
        case _:
            start_stop.reload(daemon)
            return Reply()


async def _start(host: Host, rootdir: RootDir, kind: Kind, caller: int) -> Reply:
    talks = RcConf.of(rootdir).is_on("rc_startmsgs")
    check = _check(rootdir, kind) if talks or _problem(rootdir, kind) else Reply()
    if check.exit:
        return check
    daemon = await start_stop.start(host, rootdir, kind, caller)
    out = check.out + (f"Starting {kind.rc}.\n" if talks else "")
    if daemon is None and not kind.fails_in_silence:
        return Reply(out, f"{check.err}{kind.script}: WARNING: failed to start {kind.rc}\n", 1)
    return Reply(out, check.err)


async def _stop(host: Host, rootdir: RootDir, kind: Kind) -> Reply:
    daemon = start_stop.daemon_of(host, rootdir, kind)
    if daemon is None:
        return _not_running(kind)
    await start_stop.stop(host, daemon)
    asks = kind.rc == "apache24"  # its stop_precmd
    check = _check(rootdir, kind) if asks and RcConf.of(rootdir).is_on("rc_startmsgs") else Reply()
    out = f"{check.out}Stopping {kind.rc}.\nWaiting for PIDS: {daemon.pid}.\n"
    return Reply(out, check.err)


def _problem(rootdir: RootDir, kind: Kind) -> str:
    look = {"apache24": configs.apache_problem, "php_fpm": configs.fpm_problem}.get(kind.rc)
    return look(rootdir) if look else ""


def _check(rootdir: RootDir, kind: Kind) -> Reply:
    if not kind.is_checked:
        return Reply()
    out = f"Performing sanity check on {kind.process if kind.rc == 'php_fpm' else kind.rc} "
    out += "configuration:\n"
    if problem := _problem(rootdir, kind):
        return Reply(out, f"{kind.process}: {problem}\n", 1)
    if kind.rc == "php_fpm":
        return Reply(out, f"NOTICE: configuration file {kind.config} test is successful\n")
    return Reply(out, "Syntax OK\n")


def _not_running(kind: Kind) -> Reply:
    return Reply(exit=1, err=f"{kind.rc} not running? (check {kind.pidfile}).\n")


def _status(kind: Kind, pid: int) -> Reply:
    text = f"{kind.rc} is running as pid {pid}.\n" if pid else f"{kind.rc} is not running.\n"
    return Reply(text, exit=0 if pid else 1)
