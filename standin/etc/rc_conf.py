"""rc.conf(5) as sh would read it: assignments, comments, quotes and variables."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from functools import lru_cache

from standin.linux.rootdir import RootDir

DEFAULTS = "/etc/defaults/rc.conf"
FILES = ("/etc/rc.conf", "/etc/rc.conf.local")
FOLDERS = ("/etc/rc.conf.d", "/usr/local/etc/rc.conf.d")
# Nearly all lines are of this kind, and shlex is slow.
PLAIN_LINE = re.compile(r'[ \t]*([A-Za-z_]\w*)="([^"$\\`]*)"[ \t]*(?:#.*)?')
ASSIGNMENT = re.compile(r"[ \t]*([A-Za-z_][A-Za-z0-9_]*)=")
YES = ("yes", "true", "on", "1")


@dataclass
class RcConf:
    """The values, and the complaints of sh while it reads the files."""

    values: dict[str, str] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, rootdir: RootDir, *, defaults: bool = True) -> RcConf:
        files = (DEFAULTS, *FILES) if defaults else FILES
        read = _read(tuple((file, rootdir.read(file) or "") for file in files))
        return cls(dict(read.values), list(read.complaints))

    @classmethod
    def for_script(cls, rootdir: RootDir, name: str) -> RcConf:
        """With the files that rc.subr(8) reads besides for one script."""
        conf = cls.of(rootdir)
        for folder in FOLDERS:
            conf.read(f"{folder}/{name}", rootdir.read(f"{folder}/{name}") or "")
        return conf

    def read(self, file: str, text: str) -> None:
        lines = iter(text.splitlines())
        for line in lines:
            if plain := PLAIN_LINE.fullmatch(line):
                self.values[plain[1]] = plain[2]
                continue
            whole = line
            while (words := _words(whole)) is None:
                following = next(lines, None)
                if following is None:
                    self.complaints.append(f"{file}: Syntax error: Unterminated quoted string")
                    return
                whole += "\n" + following
            self._assign(file, whole, words)

    def _assign(self, file: str, line: str, words: list[str]) -> None:
        if not words:
            return
        if not ASSIGNMENT.match(words[0]):
            if words[0] != ":":
                self.complaints.append(f"{file}: {words[0]}: not found")
            return
        literal = "='" in line
        for word in words:
            if match := ASSIGNMENT.match(word):
                value = word[match.end() :]
                self.values[match[1]] = value if literal else self._expand(value)

    def _expand(self, value: str) -> str:
        return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda m: self.values.get(m[1] or m[2], ""), value)

    def get(self, name: str) -> str:
        return self.values.get(name, "")

    def is_on(self, name: str) -> bool:
        return self.get(name).lower() in YES


@lru_cache(maxsize=64)
def _read(texts: tuple[tuple[str, str], ...]) -> RcConf:
    """Files and their texts; cached, since each rc script reads them anew."""
    conf = RcConf()
    for file, text in texts:
        conf.read(file, text)
    return conf


def _words(line: str) -> list[str] | None:
    """The words of a line, comments dropped; None when a quote is still open."""
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return None


def value_end(line: str, start: int) -> int:
    """Where the value that starts there ends, so that a comment after it can be kept."""
    quote = ""
    for place in range(start, len(line)):
        char = line[place]
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in " \t;#":
            return place
    return len(line)
