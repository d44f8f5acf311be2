"""stat(1), the digests and mtree(8): the properties of files."""

from __future__ import annotations

import hashlib
import os
import re
import stat as modes
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from standin.commands import command
from standin.commands.system import hostname_of
from standin.etc.passwd import Names
from standin.linux import owners
from standin.linux.shim import Call, Reply, Unknown, getopt
from standin.model.host import Host

STAT_USAGE = "usage: stat [-FLnq] [-f format | -l | -r | -s | -x] [-t timefmt] [file|handle ...]"
SETTLED = 100_000_000
"""Nanoseconds after which the next write gets another ctime: the kernel's clock has ticks."""
KINDS = {
    modes.S_IFDIR: ("Directory", "/"),
    modes.S_IFREG: ("Regular File", ""),
    modes.S_IFLNK: ("Symbolic Link", "@"),
    modes.S_IFIFO: ("Fifo File", "|"),
    modes.S_IFSOCK: ("Socket", "="),
    modes.S_IFCHR: ("Character Device", ""),
    modes.S_IFBLK: ("Block Device", ""),
}


@dataclass
class _File:
    """A file on the command line; `word` is the argument that named it."""

    names: Names
    known_owners: dict[str, list[int]]
    word: str
    place: str
    status: os.stat_result

    @property
    def is_link(self) -> bool:
        return modes.S_ISLNK(self.status.st_mode)

    @property
    def full_mode(self) -> int:
        """Linux has no modes of symbolic links; FreeBSD sets them from the umask."""
        return self.status.st_mode & ~0o022 if self.is_link else self.status.st_mode

    @property
    def mode(self) -> int:
        return modes.S_IMODE(self.full_mode)

    @cached_property
    def owner(self) -> tuple[int, int]:
        return owners.owners_of(self.known_owners, self.status)


Field = Callable[[_File], str]
FIELDS: dict[str, Field] = {
    "%": lambda file: "%",
    "n": lambda file: "\n",
    "t": lambda file: "\t",
    "N": lambda file: file.word,
    "Y": lambda file: str(Path(file.place).readlink()) if file.is_link else "",
    "HT": lambda file: KINDS[modes.S_IFMT(file.status.st_mode)][0],
    "T": lambda file: KINDS[modes.S_IFMT(file.status.st_mode)][1],
    "Op": lambda file: f"{file.status.st_mode:o}",
    "p": lambda file: f"{file.status.st_mode:o}",
    "Lp": lambda file: f"{file.mode & 0o777:o}",
    "OLp": lambda file: f"{file.mode & 0o777:o}",
    "Mp": lambda file: f"{file.mode >> 9:o}",
    "OMp": lambda file: f"{file.mode >> 9:o}",
    "Sp": lambda file: modes.filemode(file.full_mode),
    "Su": lambda file: file.names.user(file.owner[0]),
    "u": lambda file: str(file.owner[0]),
    "Sg": lambda file: file.names.group(file.owner[1]),
    "g": lambda file: str(file.owner[1]),
    "Sf": lambda file: "-",
    "f": lambda file: "0",
    "d": lambda file: str(file.status.st_dev),
    "i": lambda file: str(file.status.st_ino),
    "l": lambda file: str(file.status.st_nlink),
    "z": lambda file: str(file.status.st_size),
    "m": lambda file: str(int(file.status.st_mtime)),
    "a": lambda file: str(int(file.status.st_atime)),
    "c": lambda file: str(int(file.status.st_ctime)),
    "B": lambda file: str(int(file.status.st_ctime)),
}


@command("/usr/bin/stat")
def stat(host: Host, call: Call) -> Reply:
    found, rest = getopt(call, "FLnqf:lrsxt:", STAT_USAGE, 1)
    if "f" not in found:
        raise Unknown(f"stat: only -f is known to the stand-in\n{STAT_USAGE}\n", 1)
    fields = _fields(found["f"], found.get("t", "%b %e %H:%M:%S %Y"))
    names, known = Names(call.rootdir), owners.noted(host.rootdir.root)
    out, err = "", ""
    for word, place in call.rootdir.places(rest, call.cwd):
        followed = str(call.rootdir.path(word, call.cwd)) if "L" in found else place
        try:
            file = _File(names, known, word, followed, os.lstat(followed))
            text = "".join([field(file) for field in fields])
        except FileNotFoundError:
            err += "" if "q" in found else f"stat: {word}: No such file or directory\n"
            continue
        out += text if "n" in found else text + "\n"
    return Reply(out, err, 1 if err else 0)


def _fields(text: str, times: str) -> list[Field]:
    """A format, parsed once for all files; the text between its fields becomes a field, too."""
    parts = re.split(r"(%(?:OLp|OMp|Op|[SLMH][a-zA-Z]|[a-zA-Z%]))", text)
    return [_field(part, times) if place % 2 else _plain(part) for place, part in enumerate(parts)]


def _plain(text: str) -> Field:
    return lambda file: text


def _field(part: str, times: str) -> Field:
    letter = part[1:]
    if letter in FIELDS:
        return FIELDS[letter]
    if letter not in ("Sm", "Sa", "Sc", "SB"):
        raise Unknown(f"stat: {part}: bad format\n", 1)
    seconds = FIELDS[letter[1]]
    return lambda file: time.strftime(times, time.gmtime(int(seconds(file))))


@command("/sbin/sha256", "/sbin/md5", "/sbin/sha512", "/sbin/sha1")
async def digest(host: Host, call: Call) -> Reply:
    usage = f"usage: {call.name} [-pqrtx] [-c string] [-s string] [files ...]"
    found, rest = getopt(call, "pqrtxc:s:", usage, 1)
    if {"p", "t", "x", "s", "c"} & found.keys():
        raise Unknown(f"{call.name}: only -q and -r are known to the stand-in\n{usage}\n", 1)
    if not rest:
        return Reply(hashlib.new(call.name, await call.stdin()).hexdigest() + "\n")
    layout = "{0} ({1}) = {2}\n"
    if {"q", "r"} & found.keys():
        layout = "{2}\n" if "q" in found else "{2} {1}\n"
    return _digests(call, rest, layout)


@command("/sbin/sha256sum", "/sbin/md5sum", "/sbin/sha512sum", "/sbin/sha1sum")
async def digest_sum(host: Host, call: Call) -> Reply:
    _, rest = getopt(call, "", f"usage: {call.name} [files ...]", 1)
    if rest:
        return _digests(call, rest, "{2}  {1}\n")
    name = call.name.removesuffix("sum")
    return Reply(f"{hashlib.new(name, await call.stdin()).hexdigest()}  -\n")


def _digests(call: Call, words: list[str], layout: str) -> Reply:
    name = call.name.removesuffix("sum")
    out, err = "", ""
    for word, place in call.rootdir.places(words, call.cwd):
        try:
            linked = modes.S_ISLNK(os.lstat(place).st_mode)
            value = _hash(name, str(call.rootdir.path(word, call.cwd)) if linked else place)
        except OSError as error:
            err += f"{call.name}: {word}: {error.strerror}\n"
        else:
            out += layout.format(name.upper(), word, value)
    return Reply(out, err, 1 if err else 0)


def _hash(name: str, place: str | Path) -> str:
    found = os.stat(place)  # noqa: PTH116 - called for every file of a fingerprint
    if time.time_ns() - found.st_ctime_ns < SETTLED:
        return _hash_now(name, str(place))
    return _hash_of(name, str(place), found.st_dev, found.st_ino, found.st_ctime_ns)


def _hash_now(name: str, place: str) -> str:
    with Path(place).open("rb") as file:
        return hashlib.file_digest(file, name).hexdigest()


@lru_cache(maxsize=4096)
def _hash_of(name: str, place: str, *_unchanged: int) -> str:
    """The digest, cached until the file changes: a step takes many fingerprints."""
    return _hash_now(name, place)


@command("/usr/sbin/mtree")
def mtree(host: Host, call: Call) -> Reply:
    usage = "usage: mtree [-bCcDdejLlMnPqrStUuWx] [-i|-m] [-f spec] [-k key] [-p path]"
    found, rest = getopt(call, "cdk:p:", usage, 1)
    if "c" not in found or rest:
        raise Unknown(f"mtree: only -c is known to the stand-in\n{usage}\n", 1)
    top = found.get("p", ".")
    place = call.rootdir.path(top, call.cwd)
    keys = found.get("k", "type,uid,gid,mode").split(",")
    head = [
        "#\t   user: root",
        f"#\tmachine: {hostname_of(host, call)}",
        f"#\t   tree: {call.rootdir.inner(top, call.cwd)}",
        f"#\t   date: {time.strftime('%a %b %e %H:%M:%S %Y', time.gmtime())}",
        "",
        "# .",
    ]
    return Reply("\n".join(head + _entries(host, place, keys, "d" in found, 0)) + "\n")


def _entries(host: Host, place: Path, keys: list[str], folders: bool, depth: int) -> list[str]:
    indent = "    " * depth
    name = "." if depth == 0 else place.name
    lines = [f"{indent}{name:<16}{_keywords(host, place, keys)}"]
    for inside in sorted(place.iterdir()):
        if inside.is_dir() and not inside.is_symlink():
            lines += _entries(host, inside, keys, folders, depth + 1)
        elif not folders:
            lines.append(f"{indent}    {inside.name:<16}{_keywords(host, inside, keys)}")
    return [*lines, f"{indent}.."]


def _keywords(host: Host, place: Path, keys: list[str]) -> str:
    status = os.lstat(place)
    uid, gid = host.owner(place)
    is_file = modes.S_ISREG(status.st_mode)
    known = {
        "type": {modes.S_IFDIR: "dir", modes.S_IFLNK: "link"}.get(
            modes.S_IFMT(status.st_mode), "file"
        ),
        "uid": str(uid),
        "gid": str(gid),
        "mode": f"0{modes.S_IMODE(status.st_mode):o}",
        "size": str(status.st_size),
        "nlink": str(status.st_nlink),
        "sha256digest": _hash("sha256", place) if is_file else "",
    }
    if unknown := [key for key in keys if key not in known]:
        raise Unknown(f"mtree: unknown keyword {unknown[0]}\n", 1)
    return " ".join(f"{key}={known[key]}" for key in keys if known[key])
