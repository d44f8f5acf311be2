"""jail.conf(5): reads the parameters of each jail."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field

from standin.linux.rootdir import RootDir

TOKEN = re.compile(
    r"""\s+ | \#[^\n]* | //[^\n]* | /\*.*?\*/
    | (?P<quoted>"(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*')
    | (?P<mark>\+= | [={};,])
    | (?P<word>(?:\$\{[^}]*\} | [^\s"'={};,+\#] | \+(?!=))+)""",
    re.VERBOSE | re.DOTALL,
)
# Parameters of jail(8) and of the kernel; these are only on or off.
BOOLEAN = [
    "persist",
    "allow.raw_sockets",
    "allow.chflags",
    "allow.mount",
    "allow.mount.devfs",
    "allow.mount.nullfs",
    "allow.mount.tmpfs",
    "allow.set_hostname",
    "allow.sysvipc",
    "allow.reserved_ports",
    "allow.quotas",
    "allow.socket_af",
    "allow.mlock",
    "exec.clean",
    "exec.jail_user",
    "mount.devfs",
    "mount.fdescfs",
    "mount.procfs",
    "ip4.saddrsel",
    "ip6.saddrsel",
    "vnet.none",
]
VALUED = [
    "path",
    "host.hostname",
    "host.domainname",
    "host.hostuuid",
    "ip4.addr",
    "ip6.addr",
    "ip4",
    "ip6",
    "interface",
    "host",
    "jid",
    "name",
    "exec.start",
    "exec.stop",
    "exec.prestart",
    "exec.poststart",
    "exec.prestop",
    "exec.poststop",
    "exec.prepare",
    "exec.release",
    "exec.created",
    "exec.consolelog",
    "exec.timeout",
    "exec.fib",
    "exec.system_user",
    "exec.jail_user",
    "exec.system_jail_user",
    "stop.timeout",
    "mount",
    "mount.fstab",
    "devfs_ruleset",
    "enforce_statfs",
    "securelevel",
    "children.max",
    "sysvmsg",
    "sysvsem",
    "sysvshm",
    "osrelease",
    "osreldate",
    "depend",
    "command",
    "cpuset.id",
    "vnet",
    "vnet.interface",
]


class JailConfError(Exception):
    """Names the line, as jail(8) does."""


@dataclass
class Params:
    """Values by parameter; a boolean has ["true"] or ["false"]."""

    values: dict[str, list[str]] = field(default_factory=dict)

    def get(self, name: str, default: str = "") -> str:
        return (self.values.get(name) or [default])[-1]

    def all(self, name: str) -> list[str]:
        return self.values.get(name, [])

    def is_on(self, name: str) -> bool:
        return self.get(name) in ("true", "1")

    def set(self, name: str, values: list[str], *, add: bool = False) -> None:
        """KeyError for a parameter that jail(8) does not know."""
        off = re.sub(r"(^|\.)no([a-z_]+)$", r"\1\2", name)
        if not values and name not in BOOLEAN and off in BOOLEAN:
            self.values[off] = ["false"]
        elif name in BOOLEAN:
            self.values[name] = values or ["true"]
        elif name in VALUED:
            self.values[name] = (self.all(name) if add else []) + values
        else:
            raise KeyError(name)


@dataclass
class Statement:
    name: str
    values: list[str]
    add: bool
    line: int


_INCLUDE = re.compile(r"""^\s*\.include\s*["']?([^"';\n]+)["']?\s*;""", re.MULTILINE)


def read(rootdir: RootDir, file: str) -> str | None:
    """A file with what it includes in the place of each `.include`; None if there is no such file.

    The last part of what it names may be a pattern; it is relative to the file's directory.
    """
    found = rootdir.read(file)
    if found is None:
        return None

    def included(match: re.Match[str]) -> str:
        folder, _, pattern = posixpath.join(posixpath.dirname(file), match[1]).rpartition("/")
        there = rootdir.path(folder)
        names = sorted(each.name for each in there.glob(pattern))
        texts = (read(rootdir, f"{folder}/{name}") for name in names)
        return "\n".join(each for each in texts if each is not None)

    return _INCLUDE.sub(included, found)


def parse(text: str, file: str) -> dict[str, Params]:
    """Jails by name, with the parameters of the wildcard and the top level merged in."""
    blocks = _blocks(_tokens(text, file), file)
    names = [name for name, _ in blocks if name not in ("", "*")]
    found: dict[str, Params] = {}
    for wanted in dict.fromkeys(names):
        params, variables = Params(), {"name": wanted}
        params.set("name", [wanted])
        for name, statements in blocks:
            if name in ("", "*", wanted):
                for statement in statements:
                    _apply(params, variables, statement, file)
        for key, values in params.values.items():
            params.values[key] = [_expand(value, variables, params) for value in values]
        found[wanted] = params
    return found


def _apply(params: Params, variables: dict[str, str], statement: Statement, file: str) -> None:
    if statement.name.startswith("$"):
        variables[statement.name[1:]] = " ".join(statement.values)
        return
    try:
        params.set(statement.name, statement.values, add=statement.add)
    except KeyError:
        raise JailConfError(f"unknown parameter: {statement.name}") from None


def _expand(value: str, variables: dict[str, str], params: Params) -> str:
    def one(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name in variables:
            return _expand(variables[name], variables, params)
        return params.get(name)

    return re.sub(r"\$(?:\{([^}]+)\}|([A-Za-z_][A-Za-z0-9_]*))", one, value)


def _tokens(text: str, file: str) -> list[tuple[str, bool, int]]:
    """Each token: its text, whether it is a punctuation mark, and its line."""
    found: list[tuple[str, bool, int]] = []
    place = 0
    while place < len(text):
        line = text.count("\n", 0, place) + 1
        match = TOKEN.match(text, place)
        if match is None:
            raise JailConfError(f"{file}: line {line}: syntax error")
        if match["quoted"]:
            found.append((re.sub(r"\\(.)", r"\1", match["quoted"][1:-1]), False, line))
        elif match["word"]:
            found.append((match["word"], False, line))
        elif match["mark"]:
            found.append((match["mark"], True, line))
        place = match.end()
    return found


def _blocks(tokens: list[tuple[str, bool, int]], file: str) -> list[tuple[str, list[Statement]]]:
    """Statements by the block that holds them; the top level is the block without a name."""
    blocks: list[tuple[str, list[Statement]]] = []
    inside = ""
    words: list[tuple[str, bool, int]] = []
    for token in tokens:
        text, is_mark, line = token
        if is_mark and text == "{":
            if inside or len(words) != 1:
                raise JailConfError(f"{file}: line {line}: syntax error near '{{'")
            inside, words = words[0][0], []
            blocks.append((inside, []))
        elif is_mark and text == "}":
            if not inside or words:
                raise JailConfError(f"{file}: line {line}: syntax error near '}}'")
            inside = ""
        elif is_mark and text == ";":
            if words:
                blocks.append((inside, [_statement(words, file)]))
            words = []
        else:
            words.append(token)
    if inside or words:
        raise JailConfError(f"{file}: line {text.count(chr(10))}: syntax error at end of file")
    return blocks


def _statement(words: list[tuple[str, bool, int]], file: str) -> Statement:
    name, name_is_mark, line = words[0]
    if name_is_mark or (len(words) > 1 and words[1][0] not in ("=", "+=")):
        raise JailConfError(f"{file}: line {line}: syntax error near '{words[-1][0]}'")
    values = [text for text, is_mark, _ in words[2:] if not is_mark]
    if len(words) > 1 and not values:
        raise JailConfError(f"{file}: line {line}: syntax error near '{name}'")
    return Statement(name, values, len(words) > 1 and words[1][0] == "+=", line)
