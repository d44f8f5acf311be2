"""mount(8), umount(8) and the mount_xxx programs."""

from __future__ import annotations

import os
from pathlib import Path

from standin.commands import command
from standin.linux.shim import Call, Failed, Reply, Unknown, getopt
from standin.model import fstab
from standin.model.host import Host
from standin.model.mounts import Mount

USAGE = "usage: mount [-adflpruvw] [-F fstab] [-o options] [-t ufs | external_type]"


@command("/sbin/mount")
def mount(host: Host, call: Call) -> Reply:
    found, rest = getopt(call, "adF:flno:prt:uvw", USAGE, 1)
    options = found.get("o", "rw").split(",") + (["ro"] if "r" in found else [])
    kinds = found["t"].split(",") if "t" in found else None
    if "a" in found:
        return _all(host, found.get("F", "/etc/fstab"), kinds)
    if not rest:
        return _table(host, call, kinds, as_fstab="p" in found)
    if call.rootdir.name:
        raise Failed(f"mount: {rest[-1]}: Operation not permitted\n")
    if "u" in found:
        return _update(host, call, rest[-1], options)
    if len(rest) == 1:
        lines = fstab.read(host, found.get("F", "/etc/fstab"))
        for words in lines:
            if rest[0] in words[:2]:
                return _mount(host, call, (words[0], words[1]), words[2], words[3].split(","))
        raise Failed(f"mount: {rest[0]}: unknown special file or file system\n")
    return _mount(host, call, (rest[0], rest[1]), (kinds or ["ufs"])[0], options)


@command("/sbin/mount_nullfs")
def mount_nullfs(host: Host, call: Call) -> Reply:
    usage = "usage: mount_nullfs [-o options] target mount-point"
    found, rest = getopt(call, "o:", usage)
    if len(rest) != 2:
        raise Unknown(f"{usage}\n")
    return _mount(host, call, (rest[0], rest[1]), "nullfs", found.get("o", "rw").split(","))


def _mount(host: Host, call: Call, ends: tuple[str, str], kind: str, options: list[str]) -> Reply:
    source, target = ends
    at = str(Path(call.cwd, target))
    special = str(Path(call.cwd, source)) if kind == "nullfs" else source
    try:
        fstab.mount(host, special, at, kind, options)
    except FileNotFoundError as error:
        by, code = ("mount", 1) if kind == "ufs" else (f"mount_{kind}", 64)
        raise Failed(f"{by}: {error.filename}: {error.strerror}\n", code) from None
    except OSError as error:
        raise Failed(f"mount_{kind}: {target}: {error.strerror}\n") from None
    return Reply()


def _all(host: Host, file: str, kinds: list[str] | None) -> Reply:
    err = ""
    for words in fstab.read(host, file):
        wanted = kinds is None or words[2] in kinds
        options = words[3].split(",") if len(words) > 3 else []
        if not wanted or "noauto" in options or host.mounts.at(host.rootdir.inner(words[1])):
            continue
        try:
            fstab.mount_line(host, words)
        except OSError as error:
            err += f"mount_{words[2]}: {error.filename or words[1]}: {error.strerror}\n"
    return Reply(err=err, exit=1 if err else 0)


def _table(host: Host, call: Call, kinds: list[str] | None, *, as_fstab: bool) -> Reply:
    entries = host.mounts.table
    if jail := host.jail_of(call.rootdir):
        # enforce_statfs=2: a jail sees only the file system that its root is on.
        entries = [Mount("/dev/vtbd0p3", jail.path, "ufs", dump="1 1", is_real=False)]
    shown = [entry for entry in entries if kinds is None or entry.kind in kinds]
    if as_fstab:
        return Reply("".join(entry.fstab_line() for entry in shown))
    return Reply(
        "".join(f"{entry.source} on {entry.target} ({_words(entry)})\n" for entry in shown)
    )


def _words(entry: Mount) -> str:
    return ", ".join([entry.kind, "local", *entry.limits, *["read-only"] * entry.read_only])


def _update(host: Host, call: Call, target: str, options: list[str]) -> Reply:
    entry = host.mounts.at(host.rootdir.inner(target, call.cwd))
    if entry is None:
        raise Failed(f"mount: not currently mounted {target}\n")
    try:
        host.mounts.update(entry, read_only="ro" in options)
    except OSError as error:
        raise Failed(f"mount_{entry.kind}: {target}: {error.strerror}\n") from None
    return Reply()


@command("/sbin/umount")
def umount(host: Host, call: Call) -> Reply:
    usage = "usage: umount [-fNnv] special ... | node ... | fsid ...\n"
    found, rest = getopt(call, "aAF:fh:nNt:v", usage, 1)
    if "a" in found or "A" in found:
        return _umount_all(host, found)
    if not rest:
        raise Unknown(usage, 1)
    err = ""
    for word in rest:
        err += _umount(host, call, word, force="f" in found)
    return Reply(err=err, exit=1 if err else 0)


def _umount(host: Host, call: Call, word: str, *, force: bool) -> str:
    """Unmount one; returns the error message, or nothing."""
    if not os.path.lexists(call.rootdir.path(word, call.cwd)):
        return (
            f"umount: {word}: statfs: No such file or directory\n"
            f"umount: {word}: unknown file system\n"
        )
    inner = host.rootdir.inner(word, call.cwd)
    by_source = [entry for entry in host.mounts.table if entry.source == inner]
    entry = host.mounts.at(inner) or (by_source[-1] if by_source else None)
    if entry is None:
        return f"umount: {word}: not a file system root directory\n"
    if entry.target == "/":
        return "umount: unmount of / failed: Invalid argument\n"
    try:
        host.mounts.umount(entry, force=force)
    except OSError:
        return f"umount: unmount of {entry.target} failed: Device busy\n"
    return ""


def _umount_all(host: Host, found: dict[str, str]) -> Reply:
    """-a: what fstab(5) lists; -A: everything but the root."""
    kinds = found["t"].split(",") if "t" in found else None
    listed = {words[1] for words in fstab.read(host, found.get("F", "/etc/fstab"))}
    err = ""
    for entry in reversed(list(host.mounts.table)):
        named = "A" in found or entry.target in listed
        if named and entry.target not in ("/", "/dev") and (not kinds or entry.kind in kinds):
            try:
                host.mounts.umount(entry, force="f" in found)
            except OSError:
                err += f"umount: unmount of {entry.target} failed: Device busy\n"
    return Reply(err=err, exit=1 if err else 0)


@command("/bin/df")
def df(host: Host, call: Call) -> Reply:
    usage = "usage: df [-b | -g | -H | -h | -k | -m | -P] [file ...]"
    found, rest = getopt(call, "ikPlt:", usage, 64)
    has_files = "i" in found
    files_head = " iused ifree %iused " if has_files else ""
    lines = [f"Filesystem   1024-blocks     Used    Avail Capacity {files_head} Mounted on"]
    for word in rest or [entry.target for entry in host.mounts.table if entry.is_real]:
        place = call.rootdir.path(word, call.cwd)
        if not place.exists():
            raise Failed(f"df: {word}: No such file or directory\n")
        inner = host.rootdir.inner(str(place).removeprefix(str(host.rootdir.root)) or "/")
        over = host.mounts.over(inner)
        space = os.statvfs(place)
        unit = space.f_frsize // 1024
        total, free = space.f_blocks * unit, space.f_bavail * unit
        used = total - space.f_bfree * unit
        disk = host.memory_disks.unit(over.source)
        if disk is not None:
            total, used = _of_memory_disk(host, disk)
            free = total * 92 // 100 - used  # the rest is root's
        share = f"{100 * used // max(used + free, 1)}%"
        files = f"{space.f_files - space.f_ffree:>7} {space.f_ffree:>7}    0% " * has_files
        lines.append(
            f"{over.source:<12} {total:>11} {used:>8} {free:>8} {share:>6}  {files}  {over.target}"
        )
    return Reply("\n".join(lines) + "\n")


def _of_memory_disk(host: Host, unit: int) -> tuple[int, int]:
    """KiB of its file system, and of what is in it: newfs(8) takes a twenty-fifth for itself."""
    files = (each.lstat() for each in host.memory_disks.files(unit).rglob("*"))
    return host.memory_disks.size(unit) // 1024 * 96 // 100, sum(e.st_blocks for e in files) // 2
