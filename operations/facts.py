"""Questions about a FreeBSD host: one line of sh each, whose answer changes only if the host does.

No pids, counters or times: the same lines run again on the host just before a step's first command,
and a difference means that the host was changed after the plan was made.

`default` is what a plan without a host assumes; `assumed`, if there is one, is the line with which
a person checks that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv4Network
from shlex import quote
from typing import Literal, NamedTuple

from pyinfra.api.facts import FactBase

from operations.command import ANY, Look

_ASSIGNMENT = re.compile(
    r"""^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)=(?:"([^"]*)"|'([^']*)'|(\S*))""", re.MULTILINE
)


class RcConf(FactBase[dict[str, str] | None]):
    """The variables set in rc.conf and rc.conf.local (not the defaults): name -> value.

    The last assignment counts, as in sh. None for a plan without a host: an unknown variable must
    not count as absent, or an undo would remove what the administrator had set.
    """

    @staticmethod
    def default() -> dict[str, str] | None:
        return None

    def command(self) -> str:
        return "awk 1 /etc/rc.conf /etc/rc.conf.local 2>/dev/null || true"

    def process(self, output: list[str]) -> dict[str, str]:
        found = {}
        for match in _ASSIGNMENT.finditer("\n".join(output)):
            name, *values = match.groups()
            found[name] = next((value for value in values if value is not None), "")
        return found


class Interfaces(FactBase[dict[str, tuple[str, ...]]]):
    """Interface -> its IPv4 and IPv6 addresses, without prefix lengths.

    Not all that ifconfig prints: its flags change when somebody starts a tcpdump.
    """

    default = dict

    def command(self) -> str:
        return (
            "ifconfig -a | awk '/^[^[:space:]]/ {print $1} $1 ~ /^inet6?$/ {print \"\\t\" $1, $2}'"
        )

    def process(self, output: list[str]) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        name = ""
        for line in output:
            if line[:1].strip():
                name = line.split(":")[0]
                found[name] = ()
            elif line.split()[:1] in (["inet"], ["inet6"]):
                found[name] += (line.split()[1].split("/")[0].split("%")[0],)
        return found


class Networks(FactBase[tuple[IPv4Interface, ...] | None]):
    """The host's IPv4 addresses with their networks, as its interfaces have them.

    None for a plan without a host, as with RcConf.
    """

    @staticmethod
    def default() -> tuple[IPv4Interface, ...] | None:
        return None

    def command(self) -> str:
        return "ifconfig -a | awk '$1 == \"inet\" {print}'"

    def process(self, output: list[str]) -> tuple[IPv4Interface, ...]:
        pattern = re.compile(r"\s*inet (\S+) .*?netmask 0x([0-9a-f]{8})\b.*")
        matches = (pattern.fullmatch(line) for line in output)
        return tuple(
            IPv4Interface(f"{m[1]}/{IPv4Address(int(m[2], 16))}") for m in matches if m is not None
        )


class OwnAddresses(FactBase[tuple[IPv4Interface, ...] | None]):
    """The same; a plan without a host is for one whose only address is `wan`, and 127.0.0.1."""

    default = Networks.default

    @staticmethod
    def assumed(wan: str) -> Look:
        other = '/^[^ \t]/ {card = $1} $1 == "inet" && card !~ /^lo/ {print $2}'
        claim = f"{wan} is the only IPv4 address of the host's network cards"
        return Look(f"ifconfig -a | awk {quote(other)}", wan, claim=claim)

    def command(self, wan: str) -> str:
        return Networks().command()

    def process(self, output: list[str]) -> tuple[IPv4Interface, ...]:
        return Networks().process(output)


class Routes(FactBase[tuple[tuple[IPv4Network, str], ...]]):
    """The routes but the default one: a network, which may be of one address, and its interface."""

    default = tuple

    def command(self) -> str:
        return "netstat -rn -f inet | awk '$1 ~ /^[0-9.]+(\\/[0-9]+)?$/ {print $1, $4}'"

    def process(self, output: list[str]) -> tuple[tuple[IPv4Network, str], ...]:
        rows = (re.fullmatch(r"([0-9.]+(?:/\d+)?) (\S+)", line) for line in output)
        return tuple((IPv4Network(row[1], strict=False), row[2]) for row in rows if row)


def way(address: str, routes: Iterable[tuple[IPv4Network, str]]) -> str:
    """The interface that leads to an address; "" for the default route, and for a name."""
    try:
        there = IPv4Address(address)
    except ValueError:
        return ""
    return max(((net.prefixlen, card) for net, card in routes if there in net), default=(0, ""))[1]


class FoundNames(FactBase[dict[str, str]]):
    """The IPv4 address of each of these names that the host can look up."""

    default = dict

    def command(self, names: Sequence[str]) -> str:
        # Of resolvers that do not answer, getent(1) asks for a minute and more (a 15.0).
        words, ask = " ".join(map(quote, names)), 'timeout -k 1 10 getent hosts "$each"'
        return f'for each in {words}; do {ask} | sed "s/^/$each /"; done; :'

    def process(self, output: list[str]) -> dict[str, str]:
        rows = [row for row in map(str.split, output) if len(row) > 1 and "." in row[1]]
        return {row[0]: row[1] for row in reversed(rows)}


class Bound(NamedTuple):
    """A listening socket of the host; `address` is "*" for all."""

    proto: Literal["tcp", "udp"]
    command: str
    address: str
    port: int


class Listeners(FactBase[tuple[Bound, ...]]):
    """The IPv4 sockets at which programs of the host listen on some ports."""

    default = tuple

    def command(self, ports: Sequence[int]) -> str:
        wanted = ",".join(map(str, ports)) or "0"
        return (
            f"sockstat -46lq -j 0 -p {wanted} 2>/dev/null | "
            "awk '{print $2, $(NF - 2), $(NF - 1)}' | sort -u"
        )

    def process(self, output: list[str]) -> tuple[Bound, ...]:
        """Protocols are tcp4, tcp46, udp4 ...; those that are 6 alone are left out."""
        found = []
        for line in output:
            command, proto, end = (*line.split(), "", "", "")[:3]
            address, _, port = end.rpartition(":")
            if "4" in proto and port.isdigit():
                kind: Literal["tcp", "udp"] = "tcp" if proto.startswith("tcp") else "udp"
                found.append(Bound(kind, command, address, int(port)))
        return tuple(found)


class JailListeners(FactBase[tuple[Bound, ...]]):
    """The IPv4 sockets at which daemons in jails listen on some ports, at each address of the jail
    if at all of them: the host's daemons are not reached there.
    """

    default = tuple

    def command(self, ports: Sequence[int]) -> str:
        wanted = ",".join(map(str, ports)) or "0"
        sockets = f'sockstat -46lq -j "$jail" -p {wanted} 2>/dev/null'
        return (
            "jls name ip4.addr | while read -r jail ends; do "
            f"{sockets} | awk -v ends=\"$ends\" '{{print $2, $(NF - 2), $(NF - 1), ends}}'; done"
        )

    def process(self, output: list[str]) -> tuple[Bound, ...]:
        found = []
        for line in output:
            listener, _, ends = line.rpartition(" ")
            for bound in Listeners().process([listener]):
                at = ends.split(",") if bound.address == "*" else [bound.address]
                found += [bound._replace(address=each) for each in at]
        return tuple(dict.fromkeys(found))


class UsedAddresses(FactBase[tuple[IPv4Address, ...]]):
    """The IPv4 addresses that interfaces and running jails have, and that rc.conf and jail.conf(5)
    name: somebody has them now, or with the next start.
    """

    default = tuple

    def command(self) -> str:
        jails = "/etc/jail.*.conf /etc/jail.conf.d/*.conf"
        files = f"cat /etc/rc.conf /etc/rc.conf.local {jails} $({JAIL_CONF}) 2>/dev/null"
        return (
            f"{{ ifconfig -a | awk '$1 == \"inet\" {{print $2}}'; jls ip4.addr; {files}; }} "
            "| grep -Eo '[0-9]+([.][0-9]+){3}' | sort -u"
        )

    def process(self, output: list[str]) -> tuple[IPv4Address, ...]:
        found = []
        for line in output:
            with suppress(AddressValueError):
                found.append(IPv4Address(line.strip()))
        return tuple(found)


class Capabilities(FactBase[tuple[str, ...] | None]):
    """The enabled options of an interface (RXCSUM, TSO4, LRO, ...); None if it does not exist."""

    @staticmethod
    def default() -> tuple[str, ...] | None:
        return ("TSO4", "TSO6", "LRO", "VLAN_HWTSO")  # a plan without a host is for a usual card

    @staticmethod
    def assumed(interface: str) -> Look:
        on = f" {ANY} ".join(Capabilities.default() or ())
        claim = f"{interface} offloads work to its card"
        return Look(
            f"ifconfig {quote(interface)} | grep options=", f"{ANY} {on} {ANY}", claim=claim
        )

    def command(self, interface: str) -> str:
        return (
            f"ifconfig {quote(interface)} 2>/dev/null "
            "| awk 'NR == 1 {print \"there\"} $1 ~ /^options=/ {print $1}' || true"
        )

    def process(self, output: list[str]) -> tuple[str, ...] | None:
        if not output:
            return None
        return tuple(re.findall(r"[A-Z0-9_]+", "".join(output[1:]).partition("<")[2]))


class Module(FactBase[bool]):
    """Whether a kernel module is loaded or compiled in (kldstat -m)."""

    @staticmethod
    def assumed(module: str) -> Look:
        line = f"kldstat -q -m {quote(module)} || echo not loaded"
        return Look(line, "not loaded", claim=f"{module} is not loaded yet")

    def command(self, module: str) -> str:
        return f"kldstat -q -m {quote(module)} && echo yes || echo no"

    def process(self, output: list[str]) -> bool:
        return output == ["yes"]


class Kenv(FactBase[str]):
    """A kernel environment variable; "" if it is not set."""

    default = str

    @staticmethod
    def assumed(variable: str) -> Look:
        return Look(f"kenv -q {quote(variable)}", claim=f"{variable} is not set yet")

    def command(self, variable: str) -> str:
        return f"kenv -q {quote(variable)} 2>/dev/null || true"


@dataclass(frozen=True)
class Rule:
    number: int
    set: int
    body: str
    enabled: bool = True


class Rules(FactBase[tuple[Rule, ...]]):
    """ipfw's rules, with those of disabled sets; none if ipfw is not loaded.

    Sorted: a boot adds ours part by part, in another order than the steps did, and rules of one
    number stand in the order in which they were added.
    """

    default = tuple

    def command(self) -> str:
        return "ipfw -S list 2>/dev/null | sort"

    def process(self, output: list[str]) -> tuple[Rule, ...]:
        pattern = re.compile(r"(# DISABLED )?(\d+) set (\d+) (.*)")
        matches = (pattern.fullmatch(line.strip()) for line in output)
        return tuple(
            Rule(int(m[2]), int(m[3]), m[4], enabled=m[1] is None) for m in matches if m is not None
        )


class HostRules(FactBase[tuple[Rule, ...]]):
    """The rules of the host's own firewall: those outside of the sets `first` to `last`."""

    default = tuple

    @staticmethod
    def _listed(first: int, last: int, more: str = "") -> str:
        """A rule of a disabled set has the words `# DISABLED` before its number."""
        set = 's = ($1 == "#") ? $5 : $3'
        return (
            f"ipfw -S list 2>/dev/null | awk '{{{set}}} (s < {first} || s > {last}){more}' || true"
        )

    @staticmethod
    def assumed(first: int, last: int) -> Look:
        line = HostRules._listed(first, last, " && !/^65535 /").removesuffix(" || true")
        return Look(line, claim="the host has no rules of its own in ipfw")

    def command(self, first: int, last: int) -> str:
        return self._listed(first, last)

    def process(self, output: list[str]) -> tuple[Rule, ...]:
        return Rules().process(output)


class OnePass(FactBase[bool]):
    """Whether the search of ipfw's rules ends at a rule of nat or dummynet."""

    @staticmethod
    def default() -> bool:
        return True

    def command(self) -> str:
        return "sysctl -n net.inet.ip.fw.one_pass 2>/dev/null || true"

    def process(self, output: list[str]) -> bool:
        return output != ["0"]


class Nats(FactBase[dict[int, str]]):
    """ipfw's nat instances: number -> configuration, without options that were not given."""

    default = dict

    def command(self) -> str:
        return "ipfw nat show config 2>/dev/null || true"

    def process(self, output: list[str]) -> dict[int, str]:
        matches = (re.fullmatch(r"ipfw nat (\d+) config (.*)", line.strip()) for line in output)
        return {int(found[1]): found[2] for found in matches if found is not None}


class Jails(FactBase[tuple[str, ...]]):
    """The names of the running jails."""

    default = tuple

    def command(self) -> str:
        return "jls name"

    def process(self, output: list[str]) -> tuple[str, ...]:
        return tuple(line.strip() for line in output if line.strip())


class JailRules(FactBase[tuple[str, ...]]):
    """The rules of rctl(8) for a jail, as it prints them; none where the kernel counts nothing."""

    default = tuple

    def command(self, jail: str) -> str:
        return f"rctl jail:{quote(jail)} 2>/dev/null | sort"

    def process(self, output: list[str]) -> tuple[str, ...]:
        return tuple(line.strip() for line in output if line.strip())


class AccessRules(FactBase[tuple[str, ...]]):
    """The rules of ugidfw(8), each with its number; none where mac_bsdextended is not loaded."""

    default = tuple

    @staticmethod
    def assumed() -> Look:
        line = AccessRules().command()
        return Look(line, claim="ugidfw has no rules yet: nobody else uses mac_bsdextended(4)")

    def command(self) -> str:
        return "ugidfw list 2>/dev/null | tail -n +2"

    def process(self, output: list[str]) -> tuple[str, ...]:
        return tuple(line.strip() for line in output if line.strip())


class Exempt(FactBase[bool]):
    """Whether mac_seeotheruids(4) lets a group see all processes already."""

    @staticmethod
    def default() -> bool:
        return False

    def command(self) -> str:
        return f"sysctl -in {SEES_ALL}_enabled"

    def process(self, output: list[str]) -> bool:
        return output == ["1"]


SEES_ALL = "security.mac.seeotheruids.specificgid"

# A quoted string is skipped as a whole: the /* of a glob in it begins no comment.
_COMMENT = re.compile(r"""("[^"]*"|'[^']*')|/\*.*?\*/|#[^\n]*|//[^\n]*""", re.DOTALL)

# Any other string than the quoted name of a jail is a value.
_QUOTED = re.compile(r"""(?:"([^"]*)"|'([^']*)')(\s*\{)?""")
_JAIL = re.compile(r"(?<![^\s;{}])([\w.-]+)\s*\{")

_INCLUDED = (
    'awk -v at="${1%/*}" \'/^[ \\t]*[.]include/ '
    '{sub(/^[ \\t]*[.]include/, ""); gsub(/["\\047; \\t]/, ""); '
    'print (index($0, "/") == 1 ? "" : at "/") $0}\' "$1"'
)
_JAIL_CONF = (
    "cat /etc/rc.conf /etc/rc.conf.local /etc/rc.conf.d/jail /usr/local/etc/rc.conf.d/jail "
    '2>/dev/null | awk -F= \'/^[ \\t]*jail_conf=/ {at = $2; sub(/[ \\t]*#.*/, "", at); '
    'gsub(/["\\047 \\t]/, "", at)} END {print at == "" ? "/etc/jail.conf" : at}\''
)
"""sh: where jail(8) of rc.d reads the jails that have no file of their own."""
JAIL_CONF = (
    'conf() { [ -r "$1" ] && [ "$2" -lt 9 ] || return 0; echo "$1"; '
    f'for each in $({_INCLUDED}); do conf "$each" $(($2 + 1)); done; }}; conf "$({_JAIL_CONF})" 0'
)
"""sh that prints the paths of jail.conf(5) and of the files that it includes, a line each."""


def jails_of(text: str) -> list[str]:
    """The jails that the text of a jail.conf(5) defines, in order; no wildcards."""
    text = _COMMENT.sub(lambda found: found[1] or "", text)
    return _JAIL.findall(_QUOTED.sub(_name_of, text))


def _name_of(quoted: re.Match[str]) -> str:
    return f"{quoted[1] or quoted[2]} {{" if quoted[3] else ""


class JailConf(FactBase[tuple[str, ...]]):
    """The jails that /etc/jail.conf (jail_conf in rc.conf), and what it includes, define.

    An empty jail_list starts those at boot.
    """

    default = tuple

    @staticmethod
    def assumed() -> Look:
        return Look(
            "grep -e '{' -e '[.]include' $(sysrc -n jail_conf) 2>/dev/null",
            claim="no jail in /etc/jail.conf (jail_conf in rc.conf)",
        )

    def command(self) -> str:
        return f'{JAIL_CONF} | while read -r file; do awk 1 "$file"; done'

    def process(self, output: list[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(jails_of("\n".join(output))))


def runs(script: str, jail: str = "") -> str:
    """sh that succeeds if an rc script's daemon runs, on the host or in a running jail.

    Not by the exit code: sendmail's script also controls a queue runner, and ends with 1 if that is
    off. The first line about running is the daemon's own, unless it is the queue runner's: with
    only that enabled 15.0 prints no other line (13.2 prints both).
    """
    where = f"-j {quote(jail)} " if jail else ""
    first = "/ running/ && !/^sendmail_msp_queue/ {on = / is running/; exit} END {exit !on}"
    return f"service {where}{quote(script)} onestatus 2>/dev/null | awk '{first}'"


def comes_up(script: str, jail: str = "") -> str:
    """sh that waits until the daemon runs, for at most ten seconds, and then fails.

    Apache's start returns as soon as Apache is in the background, before its pid file exists.
    """
    tries = "n=$((n + 1)); [ $n -lt 50 ] || exit 1; sleep 0.2"
    return f"(n=0; until {runs(script, jail)}; do {tries}; done)"


class ServiceRuns(FactBase[bool]):
    """Whether an rc script reports its daemon as running, on the host or in a running jail."""

    @staticmethod
    def default() -> bool:
        return True  # a plan without a host is for one whose daemons run

    @staticmethod
    def assumed(script: str, jail: str = "") -> Look:
        return Look(
            f"service {f'-j {jail} ' * bool(jail)}{script} onestatus",
            f"{ANY} is running {ANY}",
            claim=f"{script} runs {f'in jail {jail}' if jail else 'on the host'}",
        )

    def command(self, script: str, jail: str = "") -> str:
        return f"{runs(script, jail)} && echo yes || echo no"

    def process(self, output: list[str]) -> bool:
        return output == ["yes"]


class HasLine(FactBase[bool]):
    """Whether a file has exactly this line."""

    @staticmethod
    def default() -> bool:
        return True  # a plan without a host is for one that is not changed yet

    def command(self, path: str, line: str) -> str:
        return f"grep -qxF {quote(line)} {quote(path)} && echo yes || echo no"

    def process(self, output: list[str]) -> bool:
        return output == ["yes"]


class HasOurLine(HasLine):
    """The same for a line that is about to be added: an unchanged host does not have it."""

    @staticmethod
    def default() -> bool:
        return False


NEWSYSLOG = (
    "/etc/newsyslog.conf",
    "/etc/newsyslog.conf.d/*.conf /usr/local/etc/newsyslog.conf.d/*.conf",
)
"""The configuration of newsyslog(8): the base system's file, and the files that it includes."""

# No slash in a bracket expression: in FreeBSD's awk it ends the pattern (seen on 13.2). With the
# flag G an entry is for all files that a pattern fits (newsyslog.conf(5)).
_OURS = (
    "function fits(p, at, a, b) {if (p !~ /[*?[]/) return 0; "
    'if (split(p, a, "/") != split(at, b, "/")) return 0; '
    'gsub(/[.]/, "[.]", p); gsub(/[+]/, "[+]", p); gsub(/[*]/, ".*", p); gsub(/[?]/, ".", p); '
    'while (match(p, /[[]!/)) p = substr(p, 1, RSTART) "^" substr(p, RSTART + 2); '
    'return at ~ ("^" p "$")} '
    'function above(p, n, a, i, at) {split(p, a, "/"); for (i = 2; i <= n; i++) at = at "/" a[i]; '
    "return at} "
    "function ours(p, i) {for (i in w) if (w[i] == p || fits(p, w[i])) return 1; "
    'for (i in d) if (index(p, d[i] "/") == 1 || fits(above(p, split(d[i], a, "/")), d[i])) '
    "return 1; return 0} "
    "BEGIN {split(logs, w); split(below, d)}"
)


def of_logs(logs: Sequence[str], body: str) -> str:
    """awk with a function ours(PATH): true for a log in `logs`, or below one that ends with a /.

    The text does not have that slash: to host.sh a path with one is a tree of the step's own, and
    a daemon writes below its data while a step is undone.
    """
    files = quote(" ".join(each for each in logs if not each.endswith("/")))
    below = quote(" ".join(each[:-1] for each in logs if each.endswith("/")))
    return f"awk -v logs={files} -v below={below} {quote(f'{_OURS} {body}')}"


def within(awk: str, files: str) -> str:
    """Such a program, run over the existing files that match these patterns."""
    return f"{awk} $(ls {files} 2>/dev/null) /dev/null"


class Rotated(FactBase[tuple[str, ...] | None]):
    """The entries of the host's newsyslog for these logs, each as "FILE: LOG".

    None for a plan without a host.
    """

    @staticmethod
    def default() -> tuple[str, ...] | None:
        return None

    def command(self, logs: Sequence[str]) -> str:
        return within(of_logs(logs, 'ours($1) {print FILENAME ": " $1}'), " ".join(NEWSYSLOG))

    def process(self, output: list[str]) -> tuple[str, ...]:
        return tuple(line.strip() for line in output if line.strip())


@dataclass(frozen=True)
class State:
    """What is at a path. `kind` is absent, file, directory, link or other; `mode` is octal text."""

    kind: str = "absent"
    mode: str = ""
    owner: str = ""
    sha256: str = ""
    target: str = field(default="")


def _kind_of(path: str, *, file: str, directory: str) -> str:
    """sh that prints what is at a path; a file and a directory are followed by these words."""
    at = quote(path)
    return (
        f"if [ -L {at} ]; then echo link - - $(readlink {at}); "
        f"elif [ -f {at} ]; then echo file {file}; "
        f"elif [ -d {at} ]; then echo directory {directory}; "
        f"elif [ -e {at} ]; then echo other - - -; else echo absent - - -; fi"
    )


class Path(FactBase[State]):
    """What is at a path; a link in its last component is not followed."""

    @staticmethod
    def default() -> State:
        return State()

    @staticmethod
    def assumed(path: str) -> Look | None:
        return Look(
            f"ls -d {quote(path)}", f"{ANY} No such file or directory", claim=f"no {path} yet"
        )

    def command(self, path: str) -> str:
        at = quote(path)
        has = f"$(stat -f '%Lp %Su:%Sg' {at})"
        return _kind_of(path, file=f"{has} $(sha256 -q {at})", directory=f"{has} -")

    def process(self, output: list[str]) -> State:
        if not output:
            return State()
        kind, mode, owner, rest = [*output[0].split(maxsplit=3), "", "", ""][:4]
        if kind == "link":
            return State("link", target=rest)
        if kind in ("file", "directory"):
            return State(kind, mode, owner, rest if kind == "file" else "")
        return State(kind)


class IsDirectory(Path):
    """The same for a directory that may or may not exist; unknown to a plan without a host."""

    @staticmethod
    def default() -> State:
        return State("unknown")

    @staticmethod
    def assumed(path: str) -> Look | None:
        return None


class Replaceable(Path):
    """The kind, and the target of a link, at a path where a daemon's socket or log may be.

    Not the content: a log grows between plan and run, and the step would be refused for that.
    """

    @staticmethod
    def assumed(path: str) -> Look | None:
        return None

    def command(self, path: str) -> str:
        return _kind_of(path, file="", directory="")


def mounts_below(printed: str) -> str:
    """sh that prints something for each of $mounts in the working directory, where it is $at."""
    return f'for at in $mounts; do case $at in "$PWD"/?*) echo {printed};; esac; done'


class MountedBelow(FactBase[tuple[tuple[str, str], ...]]):
    """What is mounted below these directories: the directory, and the rest of the path.

    In the order in which they must be mounted, links in the directories followed.
    """

    default = tuple

    @staticmethod
    def assumed(directories: Sequence[str]) -> Look:
        claim = f"nothing is mounted below {', '.join(directories)}"
        return Look(MountedBelow().command(directories), claim=claim)

    def command(self, directories: Sequence[str]) -> str:
        rest = '"$each ${at#"$PWD"}"'
        return (
            "(set -f; mounts=$(mount -p | awk '{print $2}'); "
            f"for each in {' '.join(map(quote, directories))}; do "
            f'if cd -P -- "$each" 2>/dev/null; then {mounts_below(rest)}; fi; done)'
        )

    def process(self, output: list[str]) -> tuple[tuple[str, str], ...]:
        rows = (line.partition(" ") for line in output)
        return tuple(sorted((directory, rest) for directory, _, rest in rows))


class Restricted(FactBase[dict[str, tuple[str, ...]]]):
    """Which of noexec and nosuid the file systems have that hold these directories, and those that
    are mounted below.

    nullfs(5) takes over neither: without them a jail would run what does not run on the host.
    """

    default = dict

    @staticmethod
    def assumed(directories: Sequence[str]) -> Look:
        claim = "no file system that jails mount is mounted noexec or nosuid"
        return Look(Restricted().command(directories), claim=claim)

    def command(self, directories: Sequence[str]) -> str:
        holds = '$2 == at[e] || $2 == "/" || index(at[e], $2 "/") == 1'
        here = "{if (length($2) >= n[e]) {n[e] = length($2); has[e] = $4}}"
        below = 'if (index($2, at[e] "/") == 1) has[e substr($2, length(at[e]) + 1)] = $4'
        return (
            f"{{ for each in {' '.join(map(quote, directories))}; do "
            'cd -P -- "$each" 2>/dev/null && echo "= $each $PWD"; done; mount -p; } | '
            'awk \'$1 == "=" {at[$2] = $3; next} '
            f"{{for (e in at) if ({holds}) {here} else {below}}} "
            'END {for (e in has) {k = split(has[e], o, ","); for (i = 1; i <= k; i++) '
            "if (o[i] ~ /^no(exec|suid)$/) print e, o[i]}}' | sort"
        )

    def process(self, output: list[str]) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for directory, option in (line.split() for line in output):
            found[directory] = (*found.get(directory, ()), option)
        return found


class LeadsTo(FactBase[bool]):
    """Whether a path is a symbolic link to that target."""

    @staticmethod
    def default() -> bool:
        return True  # a plan without a host is for one on which the steps before are done

    def command(self, path: str, target: str) -> str:
        return f'[ "$(readlink {quote(path)})" = {quote(target)} ] && echo yes || echo no'

    def process(self, output: list[str]) -> bool:
        return output == ["yes"]
