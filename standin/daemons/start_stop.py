"""Starts and stops daemons as processes below their root, and notices when one ends.

Each is a real process (a sleeping sh) that holds its files open, so kill, `kill -0`, a busy file
system and the end of a jail need no model.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

from standin.daemons import start_checks, zones
from standin.daemons.mysql import ROWS
from standin.linux import owners
from standin.linux.processes import root_of
from standin.linux.rootdir import RootDir
from standin.model.daemon import Daemon, Kind, Socket
from standin.model.host import Host

PROGRAM = "/libexec/standin/daemon"
RECOVERY = "recovery"
LOGS = {"apache24": "/var/log/httpd-error.log", "mysql": "/var/log/mysql.err"}


def daemon_of(host: Host, rootdir: RootDir, kind: Kind) -> Daemon | None:
    """The running daemon that the pid file names, which rc.subr(8) takes for the daemon."""
    word = (rootdir.read(kind.pidfile) or "").strip()
    for daemon in host.daemons:
        if daemon.kind == kind and daemon.rootdir.root == rootdir.root and word == str(daemon.pid):
            return daemon
    return None


async def start(host: Host, rootdir: RootDir, kind: Kind, caller: int = 0) -> Daemon | None:
    """None when it did not come up; the reason is in its log.

    Raises ProcessLookupError when the caller was killed meanwhile: then nothing is started.
    """
    await asyncio.sleep(host.delay)
    if caller and root_of(caller) is None:
        raise ProcessLookupError(caller)
    try:
        sockets = start_checks.sockets(host, rootdir, kind)
    except start_checks.CannotStart as error:
        _log(rootdir, kind, str(error))
        host.note_console(f"{kind.rc}: {error}\n")
        return None
    if kind.rc == "apache24":
        try:
            _log(rootdir, kind, "resuming normal operations")
        except OSError as error:  # httpd opens it before all else, and ends where it cannot
            host.note_console(f"{kind.rc}: could not open error log file: {error.strerror}\n")
            return None
    folder = kind.folder(rootdir)
    if kind.rc == "mysql":
        _initialise(host.rootdir.root, rootdir, folder)
    hold = f"{folder}/{ROWS}" if kind.rc == "mysql" else ""
    child = host.processes.spawn(rootdir, [PROGRAM, hold])
    daemon = Daemon(kind, rootdir, child.pid, sockets, folder, reaper=host.reaper_of(caller))
    if daemon.reaper:
        (host.rootdir.root / host.told("left", daemon.reaper)).touch()
    daemon.worker_pids = []
    for _ in kind.workers:
        worker = host.processes.spawn(rootdir, [PROGRAM])
        daemon.worker_pids.append(worker.pid)
    if kind.rc == "named":
        zones.load(daemon)
    host.daemons.append(daemon)
    seconds = _recovery(rootdir, folder) if kind.rc == "mysql" else 0
    if seconds:
        _log(rootdir, kind, "InnoDB: Starting crash recovery from checkpoint LSN=1", folder)
        daemon.sockets = []
        host.watch(_recovered(host, daemon, sockets, seconds))
    else:
        _serves(daemon, sockets)
    host.watch(_until_end(host, daemon, child.ended))
    return daemon


def _serves(daemon: Daemon, sockets: list[Socket]) -> None:
    daemon.sockets = sockets
    _write_pid(daemon.rootdir, daemon.kind.pidfile, daemon.pid)
    for unix in daemon.kind.unix(daemon.rootdir):
        if unix.path and (held := _bind(daemon.rootdir, unix.path, daemon)):
            daemon.listeners[unix.path] = held


def _close(daemon: Daemon) -> list[str]:
    """The paths at which it listened."""
    paths = list(daemon.listeners)
    for listener in daemon.listeners.values():
        listener.close()
    daemon.listeners.clear()
    return paths


def _recovery(rootdir: RootDir, folder: str) -> float:
    """The seconds that InnoDB needs to recover, at the first start after a test has set them."""
    seconds = float(rootdir.read(f"{folder}/{RECOVERY}") or 0)
    rootdir.path(f"{folder}/{RECOVERY}").unlink(missing_ok=True)
    return seconds


async def _recovered(host: Host, daemon: Daemon, sockets: list[Socket], seconds: float) -> None:
    """Only then the server binds its sockets and writes its pid file, as the log of MariaDB 10.11
    shows: "Starting crash recovery", "Server socket created", "ready for connections".
    """
    await asyncio.sleep(seconds)
    if daemon in host.daemons:
        _serves(daemon, sockets)


def reload(daemon: Daemon) -> None:
    os.kill(daemon.pid, signal.SIGHUP)
    if daemon.kind.rc == "named":
        zones.load(daemon)
    if daemon.kind.rc == "php_fpm":  # pools come and go, with their sockets (fpm_sockets.c)
        for path in _close(daemon):
            daemon.rootdir.path(path).unlink(missing_ok=True)
        _serves(daemon, daemon.sockets)


async def stop(host: Host, daemon: Daemon) -> None:
    with suppress(ProcessLookupError):
        os.kill(daemon.pid, signal.SIGTERM)
    await asyncio.sleep(host.delay)
    while daemon in host.daemons:
        await asyncio.sleep(0.002)


async def _until_end(host: Host, daemon: Daemon, ended: asyncio.Future[int]) -> None:
    code = await ended
    if daemon in host.daemons:
        host.daemons.remove(daemon)
    for pid in daemon.worker_pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    paths = _close(daemon)
    if code == 0:  # an orderly end, not a kill: it removes its files
        if (daemon.rootdir.read(daemon.kind.pidfile) or "").strip() == str(daemon.pid):
            daemon.rootdir.path(daemon.kind.pidfile).unlink(missing_ok=True)
        for path in paths:
            daemon.rootdir.path(path).unlink(missing_ok=True)


def _initialise(tree: Path, rootdir: RootDir, folder: str) -> None:
    """The rc script makes a new, empty database where it finds none."""
    place = rootdir.path(folder)
    uid, gid = owners.of(tree, place)
    for name in ("mysql", ROWS):
        if not (place / name).exists():
            (place / name).mkdir() if name == "mysql" else (place / name).touch()
            owners.change(tree, place / name, uid, gid)


def _log(rootdir: RootDir, kind: Kind, text: str, folder: str = "") -> None:
    """MySQL's log is named after the host, and is in its data directory."""
    name = f"{folder}/host.err" if folder else LOGS.get(kind.rc, "/var/log/messages")
    log = rootdir.path(name)
    if log.parent.is_dir():
        with log.open("a") as file:
            file.write(f"{kind.process}: {text}\n")


def _write_pid(rootdir: RootDir, file: str, pid: int) -> None:
    place = rootdir.path(file)
    with suppress(OSError):  # no /var/run, or not writable: then the pid file is missing
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{pid}\n")


def _bind(rootdir: RootDir, path: str, daemon: Daemon) -> socket.socket | None:
    """A real socket in the tree, so that links to it and mounts over it can be followed."""
    place = rootdir.path(path, follow=False)  # unlink(2) removes a link, not its target
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        folder = os.open(place.parent, os.O_PATH)
        held = socket.socket(socket.AF_UNIX)
        # Through /proc, since the tree's own path may be too long for a socket's name.
        held.bind(f"/proc/self/fd/{folder}/{place.name}")
        held.listen()
        os.close(folder)
    except OSError:
        return None
    found = Path(place).stat()
    daemon.inodes.add((found.st_dev, found.st_ino))
    return held
