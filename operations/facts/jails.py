"""Jails that run or are defined, and the rules of rctl(8) and mac(4) that others have set."""

from __future__ import annotations

import re
from shlex import quote

from pyinfra.api.facts import FactBase

from operations.command import Look


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
