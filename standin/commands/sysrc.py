"""sysrc(8): reads and edits rc.conf(5) files, one variable at a time."""

from __future__ import annotations

import re
from dataclasses import replace

from standin.commands import command
from standin.etc.rc_conf import ASSIGNMENT, DEFAULTS, FILES, RcConf, value_end
from standin.linux.rootdir import RootDir
from standin.linux.shim import Call, Failed, Reply, getopt
from standin.model.host import Host

USAGE = "usage: sysrc [OPTIONS] name[[+|-]=value] ...\nTry `sysrc --help' for more information."
PLAIN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*=[^`$]*|#.*|)")
"""A line of rc.conf that does nothing but set a variable."""
WORD = re.compile(r"([^=]*?)([+-]?)=(.*)", re.DOTALL)


class Files:
    """The files that this call reads and writes: rc.conf's own, or one given by -f."""

    def __init__(self, rootdir: RootDir, given: str | None) -> None:
        self.rootdir = rootdir
        self.paths = (given,) if given else FILES

    def values(self) -> dict[str, str]:
        conf = RcConf()
        for path in (DEFAULTS, *self.paths):
            conf.read(path, self.rootdir.read(path) or "")
        return conf.values

    def holding(self, name: str) -> list[str]:
        return [path for path in self.paths if self._places(path, name)]

    def _places(self, path: str, name: str) -> list[int]:
        lines = (self.rootdir.read(path) or "").splitlines()
        return [
            place
            for place, line in enumerate(lines)
            if (match := ASSIGNMENT.match(line)) and match[1] == name
        ]

    def set(self, name: str, value: str) -> None:
        """In the last file that sets it, keeping what follows the value; else at the end."""
        assignment = f'{name}="{value}"'
        holding = self.holding(name)
        path = holding[-1] if holding else self.paths[0]
        text = self.rootdir.read(path) or ""
        lines = text.splitlines()
        if holding:
            place = self._places(path, name)[-1]
            line = lines[place]
            start = line.index("=") + 1
            indent = line[: len(line) - len(line.lstrip())]
            lines[place] = indent + assignment + line[value_end(line, start) :]
        else:
            lines.append(assignment)
        self.rootdir.write(path, "".join(f"{line}\n" for line in lines))

    def delete(self, name: str) -> bool:
        holding = self.holding(name)
        for path in holding:
            gone = set(self._places(path, name))
            lines = (self.rootdir.read(path) or "").splitlines()
            kept = [line for place, line in enumerate(lines) if place not in gone]
            self.rootdir.write(path, "".join(f"{line}\n" for line in kept))
        return bool(holding)


async def _sourced(host: Host, files: Files) -> None:
    """The files are run by sh, to get and to set alike (f_sysrc_get in sysrc.subr), as whoever
    calls, outside of a jail unless by -j.
    """
    for path in files.paths:
        lines = (files.rootdir.read(path) or "").splitlines()
        if files.rootdir.is_fifo(path) or any(not PLAIN.fullmatch(line) for line in lines):
            await host.processes.run(files.rootdir, ["/bin/sh", "-c", '. "$1"', "sysrc", path])


@command("/usr/sbin/sysrc")
async def sysrc(host: Host, call: Call) -> Reply:
    found, words = getopt(call, "acdDeEf:FhiIj:lLnNqR:vx", USAGE, 1)
    rootdir = call.rootdir
    if name := found.get("j"):
        jail = host.jail(name)
        if jail is None:
            raise Failed(f'jexec: jail "{name}" not found\n')
        rootdir = jail.rootdir
    if root := found.get("R"):
        rootdir = replace(rootdir, root=rootdir.path(root, call.cwd))
    files = Files(rootdir, found.get("f"))
    await _sourced(host, files)
    if "a" in found:
        own = RcConf()
        for path in files.paths:
            own.read(path, rootdir.read(path) or "")
        return Reply("".join(_shown(found, name, value) for name, value in own.values.items()))
    out, err, code = "", "", 0
    for word in words:
        reply = _one(files, found, word)
        out, err, code = out + reply.out, err + reply.err, max(code, reply.exit)
    return Reply(out, err, code)


def _shown(found: dict[str, str], name: str, value: str) -> str:
    if "n" in found:
        return f"{value}\n"
    if "N" in found:
        return f"{name}\n"
    return f'{name}="{value}"\n' if "e" in found else f"{name}: {value}\n"


def _one(files: Files, found: dict[str, str], word: str) -> Reply:
    match = WORD.fullmatch(word)
    name, sign, new = match.groups() if match else (word, "", "")
    values = files.values()
    old = values.get(name)
    unknown = Reply(exit=1, err="" if "i" in found else f"sysrc: unknown variable '{name}'\n")
    if "x" in found:
        return Reply() if files.delete(name) else unknown
    if match is None:
        return unknown if old is None else Reply(_shown(found, name, old))
    if "-" in name:
        return _set_badly(files, name, new)
    before = old or ""
    if sign:
        new = _in_list(before, sign, new)
    if "c" in found:
        return Reply(exit=0 if old == new else 1)
    files.set(name, new)
    return Reply(f"{new}\n" if "n" in found else f"{name}: {before} -> {new}\n")


def _in_list(before: str, sign: str, word: str) -> str:
    """`+=` and `-=`: the first character may be the separator, else it is a space."""
    separator = " "
    if word and not re.match(r"[A-Za-z0-9_/.]", word):
        separator, word = word[0], word[1:]
    parts = [part for part in before.split(separator) if part]
    for one in word.split(separator):
        if sign == "+" and one not in parts:
            parts.append(one)
        if sign == "-":
            parts = [part for part in parts if part != one]
    return separator.join(parts)


def _set_badly(files: Files, name: str, value: str) -> Reply:
    """sh reads ${bad-name} as `name` where `bad` is not set; sysrc writes the line all the same."""
    path = files.paths[0]
    files.rootdir.write(path, (files.rootdir.read(path) or "") + f'{name}="{value}"\n')
    seen = name.partition("-")[2]
    return Reply(f"{name}: {seen} -> {seen}\n")
