"""The queues of mail servers: never used by two, and each message moved once, there and back.

Waiting and moving run in a subshell: `exit` must not end a shell that a person types into.

A message moves from one queue to the other by rename(2), so both are on one file system. It moves
only out of a queue whose MTA has ended, and its control file last, so that it never exists twice.
The target queue may be in use: an MTA sees a message only when its control file is there.

A jail's queue is written by whoever broke into the jail: names with newlines, links, directories
that are swapped meanwhile. Only the queue's own directory stays what it is, since it is mounted
there. So the host's root takes no path out of it and none below it: it names files in a directory
that it is in (find -execdir), with names that an MTA could have given, and puts files directly
into the queue's directory, where the jail itself sorts them in.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError

from operations import daemon
from operations.command import ANY, Commands, Reversible, quote
from operations.facts import Path


@dataclass(frozen=True)
class Queue:
    """An MTA's queue. `data` and `control` are sh that lists files, relative to `directory`.

    A message is its control file; the files that `data` lists belong to it and move first. In a
    queue without `folders` it is no message without its data file. With them, its files are below
    these subdirectories: those of data, and those of control files.
    """

    directory: str
    data: str
    control: str
    owner: str
    mode: str
    folders: tuple[str, ...] = ()


def of_jail(queue: Queue, jail: str) -> str:
    """A jail's queue on the host: beside the host's own, so that rename(2) works."""
    return f"{queue.directory}-{jail}"


_FILES = 'while read -r n; do if [ -f "$n" ] && [ ! -L "$n" ]; then echo "$n"; fi; done'
"""sh that passes names of files on; a link is no mail: somebody in the jail may have made it."""
_NAMED = "[hqQ]f[0-9A-Za-z]+$"
_OF_MESSAGE = f'/^{_NAMED}/ {{n = substr($0, 3); print "df" n; print "xf" n}}'

SENDMAIL = Queue(
    "/var/spool/mqueue",
    f"ls | awk '{_OF_MESSAGE}'",
    f"ls | awk '/^{_NAMED}/' | {_FILES}",
    "root:daemon",
    "755",
)
SUBMISSION = Queue(
    "/var/spool/clientmqueue",
    f"ls | awk '{_OF_MESSAGE}'",
    f"ls | awk '/^{_NAMED}/' | {_FILES}",
    "smmsp:smmsp",
    "770",
)
_ID = "! -path '*[!0-9A-Za-z/]*'"
_DATA, _CONTROL = "bounce defer trace", "maildrop hold deferred incoming active"
POSTFIX = Queue(
    "/var/spool/postfix",
    f"find -x {_DATA} -type f {_ID} 2>/dev/null",
    f"find -x {_CONTROL} -type f {_ID} 2>/dev/null",
    "root:wheel",
    "755",
    (_DATA, _CONTROL),
)


def _like(queue: Queue, place: str) -> str:
    """sh that makes the directories for sockets in a new queue, as the old one has them."""
    old = f'"{queue.directory}/$each"'
    return (
        f"(cd {place} && for each in private public; do if [ -d {old} ]; then "
        f"install -d $(stat -f '-m %Lp -o %u -g %g' {old}) \"./$each\"; fi; done)"
    )


@operation()
def made(queue: Queue, jail: str) -> Commands:
    """Create the directory of a jail's queue; the undo removes it, and keeps what it still holds.

    Whoever sits in the jail may see to it that a message cannot be moved back.

    Dovecot starts before Postfix, and not at all where it cannot make a socket that Postfix asks
    (private/auth): so Postfix's directories for sockets are there from the start.
    """
    place = of_jail(queue, jail)
    if host.get_fact(Path, path=place).kind != "absent":
        raise OperationError(
            f"{place} exists already: expected nothing there; it is not used as a queue"
        )
    user, group = queue.owner.split(":")
    own = f" && {_like(queue, place)}" if queue.folders else ""
    yield Reversible(
        f"install -d -m {queue.mode} -o {user} -g {group} {place}{own}",
        undo=f"if [ -d {place} ]; then cd {place} && "
        f'if [ -n "$({queue.control})" ]; then cd / && kept={place}.$(date +%s) && '
        f'mv -h {place} "$kept" && echo "notice: {place} still has mail: it is kept as $kept"; '
        f"else cd / && rm -rfx {place}; fi; fi",
        says=f"create {place}, the mail queue of jail {jail}",
    )


@operation()
def ended(processes: str, jail: str = "") -> Commands:
    """Wait until no process of a stopped MTA is left, on the host or in a jail.

    After the daemon has ended, its sessions and deliveries continue. After a minute, those that
    only wait for a client's next command or a remote host's greeting are ended; a message in
    transfer is never cut off: then the wait fails. A daemon that still runs after five seconds was
    not found by its rc script (its pid file is gone) and is ended, too.

    Postfix's processes do not show what they do. But without its master nothing new begins, and a
    message that is being received has a cleanup process: without one, an smtpd only waits for a
    client.
    """
    yield Reversible(
        _ended(processes, jail),
        undo=":",
        live=True,
        limit=330,
        says="wait until messages in transfer are complete",
    )


def _ended(processes: str, jail: str = "") -> str:
    # For pgrep, 0 means any jail, for compatibility (pkill.c); for ps it means none.
    listed, where = (quote(jail), quote(jail)) if jail else ("none", "0")
    titles = {
        10: "((accepting|rejecting) connections|Queue runner@)",
        120: ".*(cmd read|user open|client (greeting|EHLO|HELO))",
    }
    ends = "".join(
        f"if [ $i -eq {turn} ]; then ps -axww -J {where} -o pid= -o args= | "
        f"awk {quote(f'/^ *[0-9]+ sendmail: {title}/ {{print $1}}')} | "
        "while read -r pid; do kill $pid || true; done; fi; "
        for turn, title in titles.items()
    )
    if "smtpd" in processes.split("|"):
        ends += (
            f"if [ $i -ge 120 ] && ! pgrep -j {listed} -x cleanup >/dev/null; "
            f"then pkill -j {listed} -x smtpd || true; fi; "
        )
    return (
        f"(i=0; while pgrep -j {listed} -x {quote(processes)} >/dev/null; do {ends}"
        "if [ $i -ge 400 ]; then echo 'mail is still under way' >&2; exit 1; fi; "
        "sleep 0.5; i=$((i + 1)); done)"
    )


@operation()
def moved(queue: Queue, jail: str, then: str) -> Commands:
    """Move what the host's MTA, which has ended, could not deliver into the jail's queue.

    The undo completes messages that were moved only in part; the others are delivered by the jail,
    or brought back by `returned` once the jail's MTA has ended. `then` makes the jail's MTA run its
    queue.
    """
    target = of_jail(queue, jail)
    yield Reversible(
        f"{_given(queue, target, jail)} && {{ jexec {quote(jail)} {then} || true; }}",
        undo=_made_whole(queue, target, jail),
        says=f"move the messages left in {queue.directory} to the jail's queue",
        sees=ANY,
        limit=300,
    )


@operation()
def returned(queue: Queue, jail: str, processes: str, then: str) -> Commands:
    """Check that the jail's queue is empty; the undo moves its messages to the host's queue.

    Runs before the jail's MTA starts, so the undo runs after it has stopped; the undo waits for
    deliveries in progress. `then` makes the host's MTA run its queue. A power cut in the middle of
    the step may have taken the new directory away again, and no mail was in it then.
    """
    source = of_jail(queue, jail)
    taken = _taken_held(queue, source) if queue.folders else _taken(queue, source, jail)
    stops = f"notice: mail is still under way in jail {jail}: the whole jail is stopped"
    yield Reversible(
        f'cd {source} && [ -z "$({queue.control})" ]',
        undo=f"{_ended(processes, jail)} || "
        f"{{ echo {quote(stops)}; {daemon.jail_stopped(jail)}; }}; "
        f"if [ -d {source} ]; then {taken}; fi && "
        f"if pgrep -j none -x {quote(processes)} >/dev/null; then {then} || true; fi",
        says=f"check that the jail's queue {source} is empty; the undo empties it into the host's",
        limit=660,
    )


_STAGED = ".cellblock:"
"""Begins the name of a file that waits in the jail's queue to be sorted in: its path, with : for /.
"""


def _put(source: str, target: str, twice: str = "exit 1") -> str:
    """sh that renames the file `source` to `target`, never into a directory of that name.

    A link is no mail: somebody in the jail may have made it. Right after a power cut, too: a rename
    can leave a file in both places. `twice` is what to do if another is there.
    """
    return (
        f"if [ -L {source} ]; then rm -f {source}; elif [ ! -e {source} ]; then :; "
        f"elif [ ! -L {target} ] && [ {source} -ef {target} ]; then rm -f {source}; "
        f"elif [ -e {target} ] || [ -L {target} ]; then "
        f'echo {target} "is there already" >&2; {twice}; '
        f"else mv -h {source} {target} || exit 1; "
        f"if [ -L {target} ] || [ ! -f {target} ]; then rm -rfx {target}; fi; fi"
    )


def _moved(queue: Queue, source: str, target: str) -> str:
    """sh that moves messages whose files are all in the queue's own directory."""
    take = f"take() {{ while read -r n; do {_put(_N, f'{target}/{_N}')}; done; }}"
    return (
        f"(cd {source} && {take} && {queue.data} | take && fsync . {target} && "
        f"{queue.control} | take && fsync . {target})"
    )


def _taken(queue: Queue, source: str, jail: str) -> str:
    """sh that moves such messages out of a jail's queue into the host's.

    A name that the host has already stays: somebody in the jail has made it. So does a message with
    a controlling user (C), as one of which an alias or a .forward makes a program or a file: the
    host's sendmail would run that program, since root owns the file, and so may whoever is root in
    the jail have written it (readqf in queue.c, recipient in recipient.c, sendmail 8.18). A copy is
    judged and taken, since a process of the jail may have the file open.
    """
    target = queue.directory
    staged = f"{target}/{_STAGED}{_N}"
    take = f"take() {{ while read -r n; do {_put(_N, f'{target}/{_N}', ':')}; done; }}"
    stage = (
        f"stage() {{ while read -r n; do if [ -e {target}/{_N} ] || [ -L {target}/{_N} ]; then "
        f'echo {target}/{_N} "is there already" >&2; else {_put(_N, staged, ":")}; fi; done; }}'
    )
    stays = (
        f"notice: jail {jail} may have written itself that a message is for a program of any user: "
        "it stays in the queue of the jail:"
    )
    back = _put(_D, f"{source}/{_D}", ":")
    judged = (
        f'{{ for s in {_STAGED}?f*; do [ -f "$s" ] || continue; n=${{s#{_STAGED}}}; '
        'cp -p "$s" .cellblock-copy || exit 1; if grep -q ^C .cellblock-copy; then '
        f"echo {quote(stays)} {_N}; for d in df${{n#?f}} xf${{n#?f}}; do {back}; done; "
        f"{_put(_S, f'{source}/{_N}', ':')}; else fsync .cellblock-copy && "
        f'mv -h .cellblock-copy "$s" && mv -h "$s" {_N} || exit 1; fi; done; '
        f"rm -f .cellblock-copy; fsync . {source}; }}"
    )
    return (
        f"(cd {source} && {take} && {stage} && {queue.data} | take && fsync . {target} && "
        f"{queue.control} | stage && fsync . {target} && cd {target} && {judged})"
    )


_N = '"$n"'
_S = '"$s"'
_D = '"$d"'


def _given(queue: Queue, target: str, jail: str) -> str:
    """sh that moves the host's messages to the jail, which sorts them into its subdirectories.

    What left a directory of the host is on the disk before the jail renames it once more: else a
    power cut could leave it in two places that nobody compares.
    """
    if not queue.folders:
        return _moved(queue, queue.directory, target)
    put = _put(_N, f'{target}/"$s"')
    take = f"take() {{ {_STAGING} | while read -r n s; do {put}; done; }}"
    synced = f"fsync {target} && find -x . -type d -exec fsync {{}} +"
    return (
        f"(cd {queue.directory} && {take} && {queue.data} | take && {queue.control} | take && "
        f"{synced}) && {_sorted_in(queue, jail)}"
    )


_STAGING = (
    """awk '{s = $0; if (s ~ /^active\\//) sub(/.*\\//, "incoming/", s); """
    f"""gsub("/", ":", s); print $0, "{_STAGED}" s}}'"""
)
"""From an MTA's paths: each, and its name while it waits. What was active comes in once more."""


def _sorted_in(queue: Queue, jail: str) -> str:
    """sh in which the jail sorts in what waits in its queue, where its links lead nowhere else."""
    data = " ".join(f"{_STAGED}{each}:*" for each in queue.folders[0].split())
    folder = 'install -d -m 700 -o postfix "${n%/*}"'
    inside = (
        f"cd {queue.directory} && for s in {data} {_STAGED}*; do "
        f'n=$(printf %s "${{s#{_STAGED}}}" | tr : /); '
        'if [ -L "$s" ] || [ ! -f "$s" ]; then continue; '
        'elif [ -e "$n" ]; then echo "$n is there already" >&2; bad=1; '
        f'elif [ -d "${{n%/*}}" ] || {folder}; then mv -h "$s" "$n" || bad=1; '
        'else bad=1; fi; done; fsync .; [ -z "${bad-}" ]'
    )
    return f"jexec {quote(jail)} sh -c {quote(inside)}"


def _taken_held(queue: Queue, source: str) -> str:
    """sh that moves messages out of the subdirectories of a jail's queue into the host's queue.

    find holds the directory in which it runs this for a file; where that is now is only text, of
    which the place in the host's queue follows if it looks as an MTA would have it.
    """
    put = _put(_N, '"$t"')
    one = (
        f'n=${{1#./}}; d=$(pwd -P); case $n in ({_STAGED}*) m=$(printf %s "${{n#{_STAGED}}}" '
        '| tr : /);; (*) m=${d#"$0"/}/$n;; esac; '
        "case $m in (active/*) m=incoming/${m##*/};; esac; "
        f"t={queue.directory}/$m; f=${{t%/*}}; "
        "case $m in (*[!0-9A-Za-z/]* | */ | *//*) exit;; "
        f"({' | '.join(f'{each}/*' for each in ' '.join(queue.folders).split())}) ;; "
        "(*) exit;; esac; "
        f'if [ ! -d "$f" ]; then install -d -m 700 -o postfix "$f" || exit 1; fi; {put}'
    )
    fails = f'! -execdir sh -c {quote(one)} "$here" {{}} \\; -print'
    found = [
        f"find -x . -maxdepth 1 -type f -name '{_STAGED}*' {fails}",
        *(f"find -x {each} -type f {_ID} {fails}" for each in queue.folders),
    ]
    synced = f"find -x {queue.directory} -type d -exec fsync {{}} + && fsync ."
    return (
        f"(cd {source} && here=$(pwd -P) && failed=$({' || :; '.join(found)} || :) && "
        f'[ -z "$failed" ] && {synced})'
    )


def _made_whole(queue: Queue, target: str, jail: str) -> str:
    """sh that brings back the parts of each message whose control file is still here."""
    if queue.folders:
        twice = f'[ ! -L {target}/"$s" ] && [ "$n" -ef {target}/"$s" ]'
        return (
            f"(cd {queue.directory} && {queue.control} | {_STAGING} | while read -r n s; do "
            f'if {twice}; then rm -f {target}/"$s"; fi; done); '
            f"if jls -j {quote(jail)} jid >/dev/null 2>&1; "
            f"then {_sorted_in(queue, jail)} || true; fi"
        )
    back = (
        f"if [ -L {target}/$d ]; then :; "
        f'elif [ "$d" -ef {target}/$d ]; then rm -f {target}/$d; '
        f'elif [ ! -e "$d" ] && [ -e {target}/$d ]; then {_put(f"{target}/$d", _D)}; fi'
    )
    return (
        f"(cd {queue.directory} && {queue.control} | while read -r c; do "
        f'if [ ! -L {target}/$c ] && [ "$c" -ef {target}/$c ]; then rm -f {target}/$c; fi; '
        f"for d in df${{c#?f}} xf${{c#?f}}; do {back}; done; done && fsync . {target})"
    )
