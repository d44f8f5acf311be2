"""What is mounted below directories, and how."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from pyinfra.api.facts import FactBase

from operations.command import Look


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


class IsEmptyFileSystem(FactBase[bool]):
    """Whether a file system is mounted here, with nothing in it but what newfs(8) makes."""

    default = bool

    @staticmethod
    def asked(at: str) -> str:
        """sh that prints "mounted" alone if it is one; `at` is a word of sh."""
        return (
            f"mount -p | awk -v at={at} '$2 == at {{print \"mounted\"; exit}}'; "
            f"ls -A {at} 2>/dev/null | grep -vxF .snap"
        )

    def command(self, path: str) -> str:
        return f"({self.asked(quote(path))}) || true"

    def process(self, output: list[str]) -> bool:
        return output == ["mounted"]
