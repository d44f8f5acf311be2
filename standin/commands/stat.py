"""stat(1), the digests and mtree(8): what there is to know about a file."""

from __future__ import annotations

import hashlib
import os
import re
import stat as modes
import time
from collections.abc import Callable
from pathlib import Path

from standin.accounts import Names
from standin.call import Call, Reply, Unknown, command, getopt
from standin.commands.system import hostname_of
from standin.host import Host

STAT_USAGE = "usage: stat [-FLnq] [-f format | -l | -r | -s | -x] [-t timefmt] [file|handle ...]"
KINDS = {
    modes.S_IFDIR: ("Directory", "/"),
    modes.S_IFREG: ("Regular File", ""),
    modes.S_IFLNK: ("Symbolic Link", "@"),
    modes.S_IFIFO: ("Fifo File", "|"),
    modes.S_IFSOCK: ("Socket", "="),
    modes.S_IFCHR: ("Character Device", ""),
    modes.S_IFBLK: ("Block Device", ""),
}


FORMATS: dict[str, Callable[[os.stat_result], str]] = {
    "%": lambda status: "%",
    "n": lambda status: "\n",
    "t": lambda status: "\t",
    "HT": lambda status: KINDS[modes.S_IFMT(status.st_mode)][0],
    "T": lambda status: KINDS[modes.S_IFMT(status.st_mode)][1],
    "Op": lambda status: f"{status.st_mode:o}",
    "p": lambda status: f"{status.st_mode:o}",
    "Sf": lambda status: "-",
    "f": lambda status: "0",
    "d": lambda status: str(status.st_dev),
    "i": lambda status: str(status.st_ino),
    "l": lambda status: str(status.st_nlink),
    "z": lambda status: str(status.st_size),
    "m": lambda status: str(int(status.st_mtime)),
    "a": lambda status: str(int(status.st_atime)),
    "c": lambda status: str(int(status.st_ctime)),
    "B": lambda status: str(int(status.st_ctime)),
}


@command("/usr/bin/stat")
def stat(host: Host, call: Call) -> Reply:
    found, rest = getopt(call, "FLnqf:lrsxt:", STAT_USAGE, 1)
    if "f" not in found:
        raise Unknown(f"stat: only -f is known to the stand-in\n{STAT_USAGE}\n", 1)
    names = Names(call.realm)
    out, err = "", ""
    for word in rest:
        place = call.realm.path(word, call.cwd, follow="L" in found)
        try:
            text = _format(host, place, word, found, names)
        except FileNotFoundError:
            err += "" if "q" in found else f"stat: {word}: No such file or directory\n"
            continue
        out += text if "n" in found else text + "\n"
    return Reply(out, err, 1 if err else 0)


def _format(host: Host, place: Path, word: str, found: dict[str, str], names: Names) -> str:
    status = os.lstat(place)
    is_link = modes.S_ISLNK(status.st_mode)
    # Linux has no modes of symbolic links; FreeBSD makes them by the umask.
    full_mode = status.st_mode & ~0o022 if is_link else status.st_mode
    mode = modes.S_IMODE(full_mode)

    own: dict[str, Callable[[], str]] = {
        "Su": lambda: names.user(host.owner(place)[0]),
        "u": lambda: str(host.owner(place)[0]),
        "Sg": lambda: names.group(host.owner(place)[1]),
        "g": lambda: str(host.owner(place)[1]),
        "N": lambda: word,
        "Lp": lambda: f"{mode & 0o777:o}",
        "OLp": lambda: f"{mode & 0o777:o}",
        "Mp": lambda: f"{mode >> 9:o}",
        "OMp": lambda: f"{mode >> 9:o}",
        "Sp": lambda: modes.filemode(full_mode),
        "Y": lambda: str(place.readlink()) if is_link else "",
    }

    def one(match: re.Match[str]) -> str:
        letter = match[1]
        if letter in own:
            return own[letter]()
        if letter in FORMATS:
            return FORMATS[letter](status)
        if letter not in ("Sm", "Sa", "Sc", "SB"):
            raise Unknown(f"stat: {match[0]}: bad format\n", 1)
        layout = found.get("t", "%b %e %H:%M:%S %Y")
        return time.strftime(layout, time.gmtime(int(FORMATS[letter[1]](status))))

    return re.sub(r"%(OLp|OMp|Op|[SLMH][a-zA-Z]|[a-zA-Z%])", one, found["f"])


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
    for word in words:
        try:
            value = _hash(name, call.realm.path(word, call.cwd))
        except OSError as error:
            err += f"{call.name}: {word}: {error.strerror}\n"
        else:
            out += layout.format(name.upper(), word, value)
    return Reply(out, err, 1 if err else 0)


def _hash(name: str, place: Path) -> str:
    with place.open("rb") as file:
        return hashlib.file_digest(file, name).hexdigest()


@command("/usr/sbin/mtree")
def mtree(host: Host, call: Call) -> Reply:
    usage = "usage: mtree [-bCcDdejLlMnPqrStUuWx] [-i|-m] [-f spec] [-k key] [-p path]"
    found, rest = getopt(call, "cdk:p:", usage, 1)
    if "c" not in found or rest:
        raise Unknown(f"mtree: only -c is known to the stand-in\n{usage}\n", 1)
    top = found.get("p", ".")
    place = call.realm.path(top, call.cwd)
    keys = found.get("k", "type,uid,gid,mode").split(",")
    head = [
        "#\t   user: root",
        f"#\tmachine: {hostname_of(host, call)}",
        f"#\t   tree: {call.realm.inner(top, call.cwd)}",
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
