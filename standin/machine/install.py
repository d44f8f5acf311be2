"""Installs a fresh host: FreeBSD's directories (hier(7)), the shims, the base host's files."""

from __future__ import annotations

import os
import posixpath
from contextlib import suppress
from pathlib import Path

from standin import commands
from standin.commands import PLACES
from standin.daemons.kinds import KINDS
from standin.etc.passwd import accounts, groups, write_passwd
from standin.linux import binaries, owners
from standin.linux.layout import HIDDEN, LIGHT, SLOTS
from standin.linux.rootdir import RootDir
from standin.model.hardware import Hardware
from standin.rc import rc_scripts
from standin.samples.base_host import BaseHost

OVERLAY = Path(__file__).parent / "overlay"
FOLDERS = [
    "bin",
    "boot",
    "compat/linux/dev/fd",
    "compat/linux/dev/shm",
    "dev",
    "etc/cron.d",
    "etc/defaults",
    "etc/jail.conf.d",
    "etc/mail",
    "etc/newsyslog.conf.d",
    "etc/pam.d",
    "etc/periodic",
    "etc/rc.d",
    "etc/ssh",
    "etc/ssl",
    "lib",
    "libexec",
    "media",
    "mnt",
    "proc",
    "rescue",
    "root",
    "sbin",
    "usr/bin",
    "usr/home",
    "usr/include",
    "usr/lib",
    "usr/libdata",
    "usr/libexec",
    "usr/local/bin",
    "usr/local/etc/rc.d",
    "usr/local/lib",
    "usr/local/libexec",
    "usr/local/sbin",
    "usr/local/share",
    "usr/local/www",
    "usr/ports",
    "usr/sbin",
    "usr/share",
    "usr/src",
    "var/cache",
    "var/crash",
    "var/cron/tabs",
    "var/db/pkg",
    "var/empty",
    "var/log",
    "var/mail",
    "var/run",
    "var/spool/clientmqueue",
    "var/spool/mqueue",
    "var/unbound",
]
STICKY = ("tmp", "var/tmp")


def lay(where: Path, base: BaseHost, *, light: bool = False) -> None:
    """Install everything below `where`/root, which must not exist yet."""
    commands.load()
    root = where / "root"
    root.mkdir(mode=0o755)
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for folder in STICKY:
        (root / folder).mkdir(parents=True)
        (root / folder).chmod(0o1777)
    (root / "home").symlink_to("usr/home")
    (root / "root").chmod(0o750)
    (root / "var/cron/tabs").chmod(0o700)
    binaries.lay(root)
    _overlay(root)
    _channel(root)
    _shims(root)
    if light:
        (where / LIGHT).touch()
        _lighter(root)
    _rc_scripts(root)
    _base_files(RootDir("", root), base)
    base.hardware.write(where)
    _disks(where, base.hardware)


def _overlay(root: Path) -> None:
    for folder, _, names in os.walk(OVERLAY):
        target = root / Path(folder).relative_to(OVERLAY)
        target.mkdir(parents=True, exist_ok=True)
        for name in names:
            text = Path(folder, name).read_text()
            place = target / name
            place.write_text(text)
            place.chmod(0o555 if text.startswith("#!") else 0o644)


def _channel(root: Path) -> None:
    hidden = root / HIDDEN
    os.mkfifo(hidden / "calls")
    (hidden / "calls").chmod(0o622)  # whatever our umask: commands of users write here, too
    os.mkfifo(hidden / "never", 0o600)
    (hidden / "answers").mkdir()
    for slot in range(SLOTS):
        os.mkfifo(hidden / f"answers/{slot}", 0o644)


def _shims(root: Path) -> None:
    shim = root / HIDDEN / "shim"
    for path in (*PLACES, *(kind.binary for kind in KINDS)):
        place = root / path[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        os.link(shim, place)


def _lighter(root: Path) -> None:
    """What thousands of hosts can do without; see StandIn.build."""
    (root / "usr/bin/fsync").unlink()
    os.link(root / HIDDEN / "light-fsync", root / "usr/bin/fsync")  # its sh is laid at each boot


def _rc_scripts(root: Path) -> None:
    for folder, scripts in (
        ("etc/rc.d", rc_scripts.BASE),
        ("usr/local/etc/rc.d", rc_scripts.PORTS),
    ):
        for name, header in scripts.items():
            place = root / folder / name
            place.write_text(rc_scripts.text(name, header))
            place.chmod(0o555)


def _base_files(rootdir: RootDir, base: BaseHost) -> None:
    for path in base.without:
        _remove(rootdir.path(path, follow=False))
    for path, text in base.accounts.items():
        rootdir.write(path, text, 0o600 if "master" in path else 0o644)
    write_passwd(rootdir)
    uids = {account.name: account.uid for account in accounts(rootdir)}
    gids = {group.name: group.gid for group in groups(rootdir)}
    for path, target in base.links.items():
        place = rootdir.path(path, follow=False)
        if place.is_dir() and not place.is_symlink():
            _move(place, rootdir.path(posixpath.join(posixpath.dirname(path), target)))
        _made_room(rootdir, path).symlink_to(target)
    for path, entry in base.entries.items():
        place = _made_room(rootdir, path, folder=entry.text is None)
        if entry.text is None:
            place.mkdir(exist_ok=True)
        else:
            place.write_text(entry.text, encoding="utf-8", errors="surrogateescape")
        uid, gid = _number(uids, entry.owner), _number(gids, entry.group)
        if uid or gid:
            owners.change(rootdir.root, place, uid, gid)
        place.chmod(entry.mode)


def _made_room(rootdir: RootDir, path: str, *, folder: bool = False) -> Path:
    """The place of a path, its parents made, and what is there in its way removed.

    Links are followed as chroot(2) would: none leads out of the tree.
    """
    place = rootdir.path(path, follow=False)
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink() or (not folder and place.is_dir()):
        _remove(place)
    return place


def _move(folder: Path, target: Path) -> None:
    """Move what is in a directory; what is at the target already stays."""
    target.mkdir(parents=True, exist_ok=True)
    for each in folder.iterdir():
        there = target / each.name
        if not os.path.lexists(there):
            each.rename(there)
        elif each.is_dir() and not each.is_symlink() and there.is_dir():
            _move(each, there)
        else:
            each.unlink()
    folder.rmdir()


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        with suppress(OSError):  # one that has something in it stays
            place.rmdir()
    else:
        place.unlink(missing_ok=True)


def _number(known: dict[str, int], word: str) -> int:
    return int(word) if word.isdigit() and word not in known else known[word]


def _disks(where: Path, hardware: Hardware) -> None:
    """Take what is on a file system of its own out of the tree: it is mounted there at boot."""
    rootdir = RootDir("", where / "root")
    for disk in sorted(hardware.disks, key=lambda each: each.target, reverse=True):
        if disk.target == "/":
            continue
        target = rootdir.path(disk.target, follow=False)
        target.mkdir(parents=True, exist_ok=True)
        place = hardware.place(where, disk)
        place.mkdir(parents=True)
        for each in target.iterdir():
            each.rename(place / each.name)
        uid, gid = owners.of(rootdir.root, target)
        if uid or gid:
            owners.change(rootdir.root, place, uid, gid)
        place.chmod(target.stat().st_mode & 0o7777)
