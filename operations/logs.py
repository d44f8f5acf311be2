"""Logs of a daemon that moves: rotated in one place, and readable where people look for them.

A log belongs to whoever may write its directory: newsyslog(8) renames, makes and gives away files
there as root, so the host's must not do that where a jail has root, and the jail's does.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError

from operations.command import Commands, Reversible, quote
from operations.facts import NEWSYSLOG, Replaceable, Rotated, of_logs, within

_OWN = "/etc/newsyslog.conf.d/cellblock.conf"
_MOVED = "/etc/newsyslog.conf.d/cellblock-moved.conf"
_CRON = "/etc/cron.d/cellblock-newsyslog"


@operation()
def rotated_in_jail(root: str, logs: Sequence[str], shared: Sequence[str]) -> Commands:
    """Let a jail that has never run rotate its logs: the base system's, and `logs`.

    The entries are the host's own. Not those of logs below `shared`, directories that the host has,
    too: two would rotate them. Undone with the jail's tree.
    """
    main = f"{root}/etc/newsyslog.conf"
    theirs = [f"{each}/" for each in shared]
    folders = " ".join(quote(root + file.rpartition("/")[0]) for file in (_OWN, _CRON))
    yield Reversible(
        f"mkdir -p {folders} && {within(of_logs(theirs, '!ours($1)'), NEWSYSLOG[0])} "
        f"> {quote(main)} && {within(of_logs(logs, 'ours($1)'), NEWSYSLOG[1])} "
        f"> {quote(root + _OWN)} && echo '0 * * * * root /usr/sbin/newsyslog' "
        f"> {quote(root + _CRON)}",
        undo=":",
        says=f"newsyslog in the jail, every hour: {', '.join([*logs, 'what its syslogd writes'])}",
    )


@operation()
def rotated_by_jail(jail: str, root: str, logs: Sequence[str], shared: Sequence[str]) -> Commands:
    """Have the host's newsyslog leave a daemon's logs alone, and the running jail's see to them.

    `logs` are files, `shared` directories that both have. The host's entries stay where they are,
    as comments; the undo makes entries of them again, whatever else was changed in the file.
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
        says=f"newsyslog of the host: no more of {which}",
    )
    if shared:
        lines = within(_moved(shared, mark), " ".join(NEWSYSLOG))
        there = f"{root}{_MOVED}"
        folder = quote(there.rpartition("/")[0])
        yield Reversible(
            f"{lines} | jexec {quote(jail)} sh -c 'cat > {_MOVED} && fsync {_MOVED}'",
            # From outside only while nobody in there can plant a link.
            undo=f"if jls -j {quote(jail)} jid >/dev/null 2>&1; "
            f"then jexec {quote(jail)} rm -f {_MOVED}; "
            f'elif [ "$(realpath {folder})" = {folder} ]; then rm -f {quote(there)}; fi',
            says=f"newsyslog in jail {jail}: those of them in {', '.join(shared)}",
        )


def _rewritten(has: str, made: str) -> str:
    """sh: each of newsyslog's files in which the command `has` finds something, by `made`."""
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
    """awk: the host's entries of logs in these directories, which are comments by now."""
    line = f"{{line = substr($0, {len(mark) + 1}); split(line, f); if (ours(f[1])) print line}}"
    return of_logs([f"{each}/" for each in shared], f'index($0, "{mark}") == 1 {line}')


@operation()
def shown(path: str, target: str) -> Commands:
    """Let `path`, a log of a daemon that has stopped, lead to `target`; what was there stays.

    It is beside it then, as PATH.host. The undo puts it back, for the daemon that starts again.
    """
    now = host.get_fact(Replaceable, path=path)
    if now.kind == "link" and now.target == target:
        host.noop(f"{path} leads to {target}")
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
        says=f"{path} shows the jail's log; the host's own is {path}.host",
    )
