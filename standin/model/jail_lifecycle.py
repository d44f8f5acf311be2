"""The way jail(8) creates and removes a jail."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from ipaddress import IPv4Interface

from standin.etc.jail_conf import Params
from standin.linux.processes import all_pids, root_of
from standin.linux.rootdir import RootDir
from standin.model.fstab import mount_line, umount_entry
from standin.model.host import Host
from standin.model.jail import Jail, addresses, split_address

STOP_TIMEOUT = 10.0


class JailError(Exception):
    """The message of jail(8), without its own name in front."""


async def create(host: Host, params: Params) -> Jail:
    """Addresses, mounts, the jail, exec.start; all are undone when one of them fails."""
    name, path = params.get("name"), params.get("path")
    if name in host.jails:
        raise JailError(f'"{name}" already exists')
    if not path or not host.rootdir.path(path).is_dir():
        raise JailError(f"path {path}: No such file or directory")
    inner = host.rootdir.inner(path)
    jail = Jail(host.next_jid(), name, RootDir(name, host.rootdir.path(path)), inner, params)
    mounts = _mounts(host, jail)  # before exec.prepare (seen on 15.0)
    try:
        await _run(host, host.rootdir, params, "exec.prepare")
        _add_addresses(host, jail)
        _mount(host, jail, mounts)
        await _run(host, host.rootdir, params, "exec.prestart")
        host.jails[name] = jail
        host.next_jid(taken=True)
        await _run(host, host.rootdir, params, "exec.created")
        await _run(host, jail.rootdir, params, "exec.start")
        await _run(host, host.rootdir, params, "exec.poststart")
    except (JailError, OSError) as error:
        await remove(host, jail, quietly=True)
        raise JailError(str(error)) from None
    return jail


async def remove(host: Host, jail: Jail, *, quietly: bool = False) -> None:
    """JailError, and the jail stays as it is, if exec.prestop or exec.stop fails (jail.c)."""
    for rootdir, name in ((host.rootdir, "exec.prestop"), (jail.rootdir, "exec.stop")):
        if not quietly:
            await _run(host, rootdir, jail.params, name)
    await _kill_all(host, jail)
    host.jails.pop(jail.name, None)
    if not quietly:
        with suppress(JailError):
            await _run(host, host.rootdir, jail.params, "exec.poststop")
    for entry in reversed(jail.mounted):
        if entry in host.mounts.table:
            umount_entry(host, entry)
    for interface, address in jail.added:
        if interface in host.network.interfaces:
            host.network.interfaces[interface].remove(address)


def _add_addresses(host: Host, jail: Jail) -> None:
    for word in addresses(jail.params):
        interface, address = split_address(word)
        default = jail.params.get("interface")
        if not interface and not default:
            continue
        where = host.network.interfaces.get(interface or default)
        if where is None:
            raise JailError(f"{jail.name}: ifconfig: interface {interface} does not exist")
        where.add(IPv4Interface(f"{address}/32"))
        # Removed at the stop, even when it was there before.
        jail.added.append((where.name, address))


def _mounts(host: Host, jail: Jail) -> list[str]:
    lines = list(jail.params.all("mount"))
    if fstab := jail.params.get("mount.fstab"):
        text = host.rootdir.read(fstab)
        if text is None:
            raise JailError(f"{jail.name}: {fstab}: No such file or directory")
        lines += text.splitlines()
    return lines


def _mount(host: Host, jail: Jail, lines: list[str]) -> None:
    for line in lines:
        words = line.partition("#")[0].split()
        if words:
            _mount_one(host, jail, words)
    if jail.params.is_on("mount.devfs"):
        _mount_one(host, jail, ["devfs", f"{jail.path}/dev", "devfs", "rw", "0", "0"])


def _mount_one(host: Host, jail: Jail, words: list[str]) -> None:
    try:
        jail.mounted.append(mount_line(host, words))
    except OSError as error:
        raise JailError(f"{jail.name}: mount_{words[2]}: {words[1]}: {error.strerror}") from None


async def _run(host: Host, rootdir: RootDir, params: Params, name: str) -> None:
    limit = float(params.get("exec.timeout", "0")) or None
    for line in params.all(name):
        running = host.processes.run(rootdir, ["/bin/sh", "-c", line])
        try:
            code, output = await asyncio.wait_for(running, limit)
        except TimeoutError:
            raise JailError(f"{params.get('name')}: {line}: timed out") from None
        except OSError as error:
            raise JailError(f"{params.get('name')}: {line}: {error.strerror}") from None
        host.note_console(output)
        if code != 0:
            raise JailError(f"{params.get('name')}: {line}: failed")


async def remove_bare(host: Host, jail: Jail) -> None:
    """`jail -r` of a jail that jail.conf does not know: its mounts and addresses stay."""
    await _kill_all(host, jail)
    host.jails.pop(jail.name, None)


async def _kill_all(host: Host, jail: Jail) -> None:
    """TERM, then KILL after stop.timeout."""
    limit = float(jail.params.get("stop.timeout", str(STOP_TIMEOUT)))
    _signal(jail, signal.SIGTERM)
    waited = 0.0
    while _inside(jail) and waited < limit:
        await asyncio.sleep(0.005)
        waited += 0.005
    _signal(jail, signal.SIGKILL)
    while _inside(jail):
        await asyncio.sleep(0.005)
    # The host notes the end of each daemon when it reaps the process.
    await asyncio.sleep(0)


def _inside(jail: Jail) -> list[int]:
    root = jail.rootdir.root
    return [pid for pid in all_pids() if pid != 1 and root_of(pid) == root]


def _signal(jail: Jail, number: int) -> None:
    for pid in _inside(jail):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
