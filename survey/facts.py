"""What a survey asks a host besides the facts of `operations`: read only, a line of sh each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from shlex import quote
from typing import NamedTuple

from pyinfra.api.facts import FactBase

from operations import mailers, rc
from operations.carried import KINDS, There


class About(NamedTuple):
    """`release` as uname -r prints it."""

    system: str = ""
    release: str = ""
    uid: str = ""
    name: str = ""
    jailed: bool = False


class System(FactBase[About]):
    """What the host is, and as whom it is asked."""

    default = About

    def command(self) -> str:
        return (
            'echo "system $(uname -s)"; echo "release $(uname -r)"; echo "uid $(id -u)"; '
            'echo "name $(hostname)"; echo "jailed $(sysctl -n security.jail.jailed 2>/dev/null)"'
        )

    def process(self, output: list[str]) -> About:
        said = dict(line.split(" ", 1) for line in output if " " in line)
        system, release, uid, name, jailed = (
            said.get(key, "").strip() for key in ("system", "release", "uid", "name", "jailed")
        )
        return About(system, release, uid, name, jailed == "1")


class Script(NamedTuple):
    """An rc script, and each variable by which it is enabled, with whether that is YES."""

    name: str
    rcvars: tuple[tuple[str, bool], ...]

    @property
    def rcvar(self) -> str:
        """The one that is on; sendmail's script has several."""
        return next((name for name, on in self.rcvars if on), self.rcvars[0][0])


_SYSTEMS_OWN = ("sendmail", "inetd", "ftpd", "bsnmpd", "local_unbound")
"""Scripts of the base system whose daemons people may ask. sendmail's is not in the list of those
that are enabled if it only takes mail of this host.
"""


class Scripts(FactBase[tuple[Script, ...]]):
    """The rc scripts of packages that are enabled, and a few of the base system (service -e)."""

    default = tuple

    def command(self) -> str:
        own = "|".join(f"/etc/rc.d/{each}" for each in _SYSTEMS_OWN)
        return (
            "{ service -e; ls /etc/rc.d/sendmail 2>/dev/null; } | sort -u | "
            "while read -r each; do "
            f"case $each in /usr/local/etc/rc.d/*|{own}) "
            'echo "= ${each##*/}"; service "${each##*/}" rcvar </dev/null 2>/dev/null;; esac; done'
        )

    def process(self, output: list[str]) -> tuple[Script, ...]:
        found: dict[str, list[tuple[str, bool]]] = {}
        name = ""
        for line in output:
            if line.startswith("= "):
                name = line[2:]
                found[name] = []
            elif name and (said := re.match(r'(\w+)="(.*?)"', line)):
                found[name].append((said[1], said[2].lower() in rc.YES))
        return tuple(Script(name, tuple(each)) for name, each in found.items() if each)


class Assigned(FactBase[dict[str, str]]):
    """Where rc.conf and its like set each variable, as FILE:LINE. Values are not read."""

    default = dict

    def command(self) -> str:
        files = "/etc/rc.conf /etc/rc.conf.local /etc/rc.conf.d /usr/local/etc/rc.conf.d"
        return f"grep -ronHE '^[[:space:]]*(export )?[A-Za-z_][A-Za-z0-9_]*=' {files} 2>/dev/null"

    def process(self, output: list[str]) -> dict[str, str]:
        found = {}
        for line in output:
            if said := re.fullmatch(r"([^:]+:\d+):\s*(?:export )?(\w+)=", line):
                found[said[2]] = said[1]
        return found


class Account(NamedTuple):
    """An account of a person: `home` is where passwd(5) has it, `real` without links."""

    name: str
    uid: int
    home: str
    real: str


class People(FactBase[tuple[Account, ...]]):
    """The accounts with uids of people that have a home."""

    default = tuple

    def command(self) -> str:
        return (
            'awk -F: \'$3 >= 1000 && $3 < 65530 {print $1 ":" $3 ":" $6}\' /etc/passwd | '
            "while IFS=: read -r name uid home; do "
            '[ ! -d "$home" ] || echo "$name:$uid:$home:$(realpath "$home")"; done'
        )

    def process(self, output: list[str]) -> tuple[Account, ...]:
        rows = (line.split(":") for line in output)
        return tuple(
            Account(row[0], int(row[1]), row[2], row[3]) for row in rows if len(row) == 4 and row[3]
        )


class OfAccount(NamedTuple):
    """A path where an account has mail, or that its own `named_in` names (.forward)."""

    account: str
    path: str
    named_in: str

    @property
    def said(self) -> str:
        at = f"~{self.account}/{self.named_in}" if self.named_in else "/etc/passwd: its home"
        return f"{at}, of {self.account}"


class Mailed(FactBase[tuple[OfAccount, ...]]):
    """Where accounts have mail, and what their .forward and the like name (mailers.HOMES)."""

    default = tuple

    def command(self) -> str:
        return mailers.HOMES

    def process(self, output: list[str]) -> tuple[OfAccount, ...]:
        rows = [line.split() for line in output]
        return tuple(
            OfAccount(row[0], row[2], row[3] if len(row) > 3 else "")
            for row in rows
            if len(row) > 2 and row[2].startswith("/")
        )


class Routes(FactBase[tuple[tuple[str, str], ...]]):
    """The IPv4 routes: destination (default, or a network) and interface."""

    default = tuple

    def command(self) -> str:
        return "netstat -rn -f inet"

    def process(self, output: list[str]) -> tuple[tuple[str, str], ...]:
        rows = [line.split() for line in output]
        return tuple(
            (row[0], row[3]) for row in rows if len(row) > 3 and re.match(r"default$|\d", row[0])
        )


class Kinds(FactBase[dict[str, str]]):
    """What there is at some paths: path -> directory, file or other; not what is absent."""

    default = dict

    def command(self, paths: Sequence[str]) -> str:
        return f"printf '%s\\n' {' '.join(map(quote, paths))} | {{ {KINDS}; }}"

    def process(self, output: list[str]) -> dict[str, str]:
        return dict(There.read(output).kinds)


class NameServers(FactBase[tuple[str, ...]]):
    """The lines nameserver of resolv.conf."""

    default = tuple

    def command(self) -> str:
        return "awk '$1 == \"nameserver\" {print $2}' /etc/resolv.conf"

    def process(self, output: list[str]) -> tuple[str, ...]:
        return tuple(line.strip() for line in output if line.strip())


class Sockets(FactBase[tuple[str, ...]]):
    """The rows of sockstat for what listens on the host itself."""

    default = tuple

    def command(self) -> str:
        return "sockstat -46lq -j 0"

    def process(self, output: list[str]) -> tuple[str, ...]:
        return tuple(line for line in output if line.strip())


class Zones(FactBase[tuple[str, ...]]):
    """The zones that named.conf names (named-checkconf -l: NAME CLASS VIEW TYPE)."""

    default = tuple

    def command(self) -> str:
        return "named-checkconf -l 2>/dev/null"

    def process(self, output: list[str]) -> tuple[str, ...]:
        rows = (line.split() for line in output)
        return tuple(
            row[0] for row in rows if len(row) == 4 and row[3] in ("primary", "master", "secondary")
        )


class NamedConf(FactBase[str]):
    """named.conf with what it includes, without its secrets (named-checkconf -px)."""

    default = str

    def command(self) -> str:
        return "named-checkconf -px 2>/dev/null"

    def process(self, output: list[str]) -> str:
        return "\n".join(output)


CLIENT = "/usr/local/bin/mysql"


class RootsMySQL(FactBase[bool]):
    """Whether root's mysql(1) may set global variables without that a password is typed.

    Which of the rights is told, and no more: the grants have a password's hash.
    """

    @staticmethod
    def default() -> bool:
        return False

    def command(self) -> str:
        rights = "(ALL PRIVILEGES|SUPER|SYSTEM_VARIABLES_ADMIN).* ON [*][.][*]"
        return (
            f"{CLIENT} -N -e 'SHOW GRANTS' </dev/null 2>/dev/null | "
            f"grep -qE '{rights}' && echo yes || echo no"
        )

    def process(self, output: list[str]) -> bool:
        return output == ["yes"]
