"""Logs of a daemon that moves: rotated in one place, and readable at their old paths.

newsyslog(8) renames, creates and chowns files as root. So the host's must not rotate logs in a
directory where a jail has root; the jail's newsyslog does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError
from pyinfra.api.facts import FactBase

from operations.command import Commands, Reversible, quote
from operations.facts import NEWSYSLOG, Replaceable, Rotated, of_logs, within

_OWN = "/etc/newsyslog.conf.d/cellblock.conf"
_MOVED = "/etc/newsyslog.conf.d/cellblock-moved.conf"
_CRON = "/etc/cron.d/cellblock-newsyslog"


_SYSLOGS = "/etc/syslog.conf /etc/syslog.d/*.conf /usr/local/etc/syslog.d/*.conf"
_TO_OTHERS = (
    "!/^[ \t]*(#|$)/ && $NF ~ /^@[A-Za-z0-9]/ {end = substr($NF, 2); "
    'if (end !~ /:[0-9]+$/) end = end ":514"; print FILENAME ":" FNR " " end}'
)


class Forwarded(FactBase[tuple[tuple[str, str, str], ...]]):
    """To whom syslogd(8) sends messages: the line that says so, a name or address, and the port."""

    default = tuple

    def command(self) -> str:
        return f"awk {quote(_TO_OTHERS)} $(ls {_SYSLOGS} 2>/dev/null) /dev/null"

    def process(self, output: list[str]) -> tuple[tuple[str, str, str], ...]:
        rows = (re.fullmatch(r"(/\S+:\d+) (\S+):(\d+)", line) for line in output)
        return tuple(dict.fromkeys((row[1], row[2], row[3]) for row in rows if row))


@operation()
def rotated_in_jail(root: str, logs: Sequence[str], shared: Sequence[str]) -> Commands:
    """Set up newsyslog in a jail that has never run: for the base system's logs and for `logs`.

    The entries are copies of the host's. Not for logs below `shared`, directories that the host
    has, too: both would rotate them. Each of `logs` is there from the start, empty, with the owner
    and mode of the host's: a daemon's user may not make a file in /var/log. Undone with the jail's
    tree.
    """
    main = f"{root}/etc/newsyslog.conf"
    theirs = [f"{each}/" for each in shared]
    which = " and ".join([*([", ".join(logs)] if logs else []), "the logs of its syslogd"])
    folders = " ".join(quote(root + file.rpartition("/")[0]) for file in (_OWN, _CRON))
    yield Reversible(
        f"mkdir -p {folders} && {within(of_logs(theirs, '!ours($1)'), NEWSYSLOG[0])} "
        f"> {quote(main)} && {within(of_logs(logs, 'ours($1)'), NEWSYSLOG[1])} "
        f"> {quote(root + _OWN)} && echo '0 * * * * root /usr/sbin/newsyslog' "
        f"> {quote(root + _CRON)}{_there(root, logs)}",
        undo=":",
        says=f"set up newsyslog in the jail, every hour, for {which}",
    )


def _there(root: str, logs: Sequence[str]) -> str:
    """sh that makes those that the host has, by now or by a link: they may be shown links later."""
    words = " ".join(map(quote, logs))
    made = _made(root)
    return f' && (for each in {words}; do if [ -f "$each" ]; then {made}; fi; done)' if logs else ""


def _made(root: str) -> str:
    """sh that makes the log $each in a jail, empty, with the owner and mode of the host's."""
    return (
        f'new={quote(root)}$each && : > "$new" && chmod "$(stat -L -f %Lp "$each")" "$new" && '
        'chown "$(stat -L -f %u:%g "$each")" "$new" || exit 1'
    )


_WRITTEN = '!/^[ \\t]*(#|$)/ && $NF ~ /^-?[\\/]var[\\/]log[\\/]/ {sub(/^-/, "", $NF); print $NF}'


@operation()
def messages_kept(root: str) -> Commands:
    """Let the syslogd of a jail that has never run do with messages what the host's does.

    It reads the lines of /usr/local/etc/syslog.d, too. Files that they name are there, if the host
    has them: syslogd(8) makes none. Where they name other machines, it sends messages there, which
    it does not with -ss. Undone with the jail's tree.
    """
    conf, folder = quote(f"{root}/etc/rc.conf"), quote(f"{root}/etc/syslog.d")
    lines = f"{quote(f'{root}/etc/syslog.conf')} {folder}/*.conf"
    sends = quote('s/^syslogd_flags=.-ss.$/syslogd_flags="-s"/')
    yield Reversible(
        "(for each in /usr/local/etc/syslog.d/*.conf; do "
        f'if [ -f "$each" ]; then mkdir -p {folder} && '
        f'cp -p "$each" {folder}/"local-${{each##*/}}" || exit 1; fi; done; '
        f"for each in $(awk {quote(_WRITTEN)} $(ls {lines} 2>/dev/null) /dev/null); do "
        f'if [ -f "$each" ] && [ ! -e {quote(root)}"$each" ]; then {_made(root)}; fi; done; '
        f"if grep -qsE '^[^#]*[[:space:]]@[A-Za-z0-9]' {lines}; then "
        f"sed -i '' -e {sends} {conf}; fi)",
        undo=":",
        says="let the jail's syslogd write and send messages as the host's does",
    )


@operation()
def rotated_by_jail(jail: str, root: str, logs: Sequence[str], shared: Sequence[str]) -> Commands:
    """Move the rotation of a daemon's logs from the host's newsyslog to the running jail's.

    `logs` are files, `shared` directories that both have. The host's entries become comments; the
    undo uncomments them, and keeps whatever else was changed in the file.
    """
    ours = [*logs, *(f"{each}/" for each in shared)]
    found = host.get_fact(Rotated, logs=ours)
    if found == ():
        host.noop("newsyslog has no entry for these logs")
        return
    mark = f"# cellblock: in jail {jail}: "
    which = ", ".join(found) if found else ", ".join(ours)
    yield Reversible(
        _rewritten(of_logs(ours, "ours($1)"), _marked(ours, mark)),
        undo=_rewritten(f"grep {quote(f'^{mark}')}", _unmarked(mark)),
        says=f"stop rotating on the host: {which}",
    )
    if shared:
        lines = within(_moved(shared, mark), " ".join(NEWSYSLOG))
        there = f"{root}{_MOVED}"
        folder = quote(there.rpartition("/")[0])
        yield Reversible(
            f"{lines} | jexec {quote(jail)} sh -c 'cat > {_MOVED} && fsync {_MOVED}'",
            # From outside only if the jail is stopped and cannot plant a link. What its root put in
            # the place of the file goes with the jail's tree.
            undo=f"{{ if jls -j {quote(jail)} jid >/dev/null 2>&1; "
            f"then jexec {quote(jail)} rm -f {_MOVED}; "
            f'elif [ "$(realpath {folder})" = {folder} ]; then rm -f {quote(there)}; fi; }} || :',
            says=f"rotate in jail {jail}: the logs below {', '.join(shared)}",
        )


def _rewritten(has: str, made: str) -> str:
    """sh that rewrites with `made` each newsyslog file in which the command `has` finds a line."""
    new = '"${f%/*}/.${f##*/}.cellblock"'
    return (
        f'(for f in {" ".join(NEWSYSLOG)}; do if [ -f "$f" ] && {has} "$f" | grep -q .; then '
        f'{{ cp -p "$f" {new} && {made} "$f" > {new} && fsync {new} && mv -f {new} "$f"; }} '
        "|| exit 1; fi; done)"
    )


def _marked(logs: Sequence[str], mark: str) -> str:
    return of_logs(logs, f'{{print (ours($1) ? "{mark}" : "") $0}}')


def _unmarked(mark: str) -> str:
    own = f'index($0, "{mark}") == 1 {{$0 = substr($0, {len(mark) + 1})}} {{print}}'
    return f"awk {quote(own)}"


def _moved(shared: Sequence[str], mark: str) -> str:
    """awk that prints the host's entries for logs in these directories, by now comments."""
    line = f"{{line = substr($0, {len(mark) + 1}); split(line, f); if (ours(f[1])) print line}}"
    return of_logs([f"{each}/" for each in shared], f'index($0, "{mark}") == 1 {line}')


@operation()
def shown(path: str, target: str) -> Commands:
    """Make `path`, a log of a daemon that has stopped, a link to `target`.

    The old log is kept beside it as PATH.host. The undo restores it for the host's daemon.
    """
    now = host.get_fact(Replaceable, path=path)
    if now.kind == "link" and now.target == target:
        host.noop(f"{path} is a link to {target} already")
        return
    if now.kind not in ("absent", "file"):
        raise OperationError(f"{path} is a {now.kind}: expected a log file or nothing")
    at, to, kept = quote(path), quote(target), quote(f"{path}.host")
    ours = f'[ -L {at} ] && [ "$(readlink {at})" = {to} ]'
    yield Reversible(
        f"if [ -f {at} ] && [ ! -L {at} ] && [ ! -e {kept} ]; then mv {at} {kept}; fi && "
        f"ln -sh {to} {at}",
        undo=f"if {ours}; then rm -f {at}; fi; "
        f"if [ -e {kept} ] && [ ! -e {at} ] && [ ! -L {at} ]; then mv {kept} {at}; fi",
        says=f"link {path} to the jail's log; keep the host's log as {path}.host",
    )
