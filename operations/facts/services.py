"""rc.conf(5), rc scripts, and what newsyslog.conf(5) rotates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from shlex import quote

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
