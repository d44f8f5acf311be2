"""What a mail server needs to move by overlap: names, a queue that never has two owners, an end.

What waits or moves is in a subshell: its `exit` must not end a shell that a person types it into.

A message goes from one queue to the other by rename(2), so both lie on one file system; only out of
a queue whose MTA has ended; and its control file last, so that it is never there twice. Into a
queue in use it may go: an MTA sees it when its control file is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError

from operations.command import ANY, Commands, Reversible, quote
from operations.facts import Path


@dataclass(frozen=True)
class Queue:
    """An MTA's queue. `data` and `control` are sh that lists files, relative to `directory`.

    A message is its control file; what `data` lists belongs to it and goes before it. `in_parts`:
    it is no message without a data file.
    """

    directory: str
    data: str
    control: str
    owner: str
    mode: str
    in_parts: bool = True


def of_jail(queue: Queue, jail: str) -> str:
    """Where a jail's queue is on the host: beside the host's own, so that rename(2) can move."""
    return f"{queue.directory}-{jail}"


_OF_MESSAGE = '/^[hqQ]f/ {n = substr($0, 3); print "df" n; print "xf" n}'

SENDMAIL = Queue(
    "/var/spool/mqueue",
    f"ls | awk '{_OF_MESSAGE}'",
    "ls | awk '/^[hqQ]f/'",
    "root:daemon",
    "755",
)
SUBMISSION = Queue(
    "/var/spool/clientmqueue",
    f"ls | awk '{_OF_MESSAGE}'",
    "ls | awk '/^[hqQ]f/'",
    "smmsp:smmsp",
    "770",
)
POSTFIX = Queue(
    "/var/spool/postfix",
    "find bounce defer trace -type f 2>/dev/null",
    "find maildrop hold deferred incoming active -type f 2>/dev/null",
    "root:wheel",
    "755",
    in_parts=False,
)


@operation()
def names_kept(etc: str, relays: Sequence[str], sendmail: str = "/usr/sbin/sendmail") -> Commands:
    """Let a jail's sendmail take mail for every name of the host, and relay for `relays`.

    What sendmail finds out by itself, hostname and addresses, is another thing in a jail: so the
    host's class w is written down in `etc`/local-host-names. Programs that were let relay because
    they came from 127.0.0.1 come from the jails' addresses now. Undone with the jail's tree.
    """
    names = f"{etc}/local-host-names"
    word = r"^(\[[0-9A-Za-z:.]+\]|[0-9A-Za-z._-]+)$"
    yield Reversible(
        f"(cat {quote(names)} 2>/dev/null; echo '$=w' | {sendmail} -bt | sed -e 's/^> //') "
        f"| grep -E {quote(word)} | sort -u > {quote(names + '.new')} && "
        f"mv -f {quote(names + '.new')} {quote(names)}",
        undo=":",
        says=f"every name that the host's sendmail takes mail for, in {names}",
    )
    wanted = " ".join(map(quote, relays))
    yield Reversible(
        f"printf '%s\\n' {wanted} >> {quote(f'{etc}/relay-domains')}",
        undo=":",
        says=f"let {', '.join(relays)} relay, as 127.0.0.1 may, in {etc}/relay-domains",
    )


@operation()
def readdressed(file: str, old: str, new: str) -> Commands:
    """Let a jail's sendmail listen on `new` where its sendmail.cf says `old`; undone with it."""
    dotted = old.replace(".", "[.]")
    yield Reversible(
        f"sed -E -i '' -e '/^O DaemonPortOptions=/s/(Addr=){dotted}([^0-9]|$)/\\1{new}\\2/' "
        f"{quote(file)}",
        undo=":",
        says=f"listen on {new} where {file} says {old}",
    )


@operation()
def postfix_fitted(etc: str, public: str, relays: Sequence[str]) -> Commands:
    """Fit the main.cf of a Postfix, copied into a jail that has never run, to the jail.

    It listens on whatever the jail has: 127.0.0.1 means the jail's address there, and "localhost"
    is fatal. Its names stay the host's; `relays` may relay beside those that may on the host.
    Undone with the jail's tree.
    """
    more = " ".join(relays)
    yield Reversible(
        f"postconf -c {quote(etc)} -e inet_interfaces=all inet_protocols=ipv4 "
        f'proxy_interfaces={public} "myhostname=$(postconf -hx myhostname)" '
        f'"mydestination=$(postconf -hx mydestination)" '
        f'"mynetworks=$(postconf -hx mynetworks) {more}"',
        undo=":",
        says=f"main.cf for the jail: its address, the host's names, and {more} may relay",
    )


@operation()
def dovecot_fitted(file: str) -> Commands:
    """Let a Dovecot, copied into a jail that has never run, listen on whatever the jail has."""
    yield Reversible(
        f"printf 'listen = *\\n' >> {quote(file)}",
        undo=":",
        says=f"listen on the jail's address: {file}",
    )


@operation()
def queue_made(queue: Queue, jail: str) -> Commands:
    """Make the directory of a jail's queue; the undo removes it unless a message is in it."""
    place = of_jail(queue, jail)
    if host.get_fact(Path, path=place).kind != "absent":
        raise OperationError(f"{place} is there already: expected nothing; not used as a queue")
    user, group = queue.owner.split(":")
    yield Reversible(
        f"install -d -m {queue.mode} -o {user} -g {group} {place}",
        undo=f"if [ -d {place} ]; then cd {place} && "
        f'if [ -n "$({queue.control})" ]; then echo "{place} still has mail" >&2; false; '
        f"else cd / && rm -rfx {place}; fi; fi",
        says=f"make {place}, the queue of jail {jail}",
    )


@operation()
def queue_run(command: str) -> Commands:
    """Let the host's MTA try all that it still has, once more."""
    yield Reversible(command, undo=":", live=True, says="run the host's queue", sees=ANY)


@operation()
def sessions_ended(ports: Sequence[int], jail: str = "") -> Commands:
    """Let those who are connected to a mail server that is about to stop come to their end.

    On the host now, and of a jail in the undo, before its daemons stop. No new ones come: traffic
    goes to the other server by then. Postfix and Dovecot cut off whoever is connected when they
    stop, in the middle of a message or of a login; sendmail's sessions go on by themselves. Nor is
    it enough to drain Postfix: a session that has named its recipients is served to its end without
    the master, one that has not waits for a minute and more (seen on 13.2). Who is there after a
    minute is idle, as mail programs are for hours, and comes again by himself.
    """
    waited = _sessions_ended(ports, jail)
    there = f"if jls -j {quote(jail)} jid >/dev/null 2>&1; then {waited}; fi"
    yield Reversible(
        ":" if jail else waited,
        undo=there if jail else ":",
        live=True,
        limit=120,
        says=f"on the way back sessions with jail {jail} may end before its daemons stop"
        if jail
        else "let sessions under way end",
    )


def _sessions_ended(ports: Sequence[int], jail: str) -> str:
    # In the jail, where only its own are seen: sockstat -j NAME wants a kernel with VIMAGE. "?" is
    # a connection that no process has any more.
    asked = f"jexec {quote(jail)} sockstat" if jail else "sockstat -j 0"
    own = f"^({'|'.join(map(str, ports))})$"
    told = f'$1 != "?" {{n = split($6, at, ":"); if (at[n] ~ /{own}/) on = 1}} END {{exit !on}}'
    return (
        f"(i=0; while {asked} -46cq -P tcp -p {','.join(map(str, ports))} | awk {quote(told)} && "
        "[ $i -lt 120 ]; do sleep 0.5; i=$((i + 1)); done)"
    )


@operation()
def ended(processes: str, jail: str = "") -> Commands:
    """Wait until no process of an MTA that was stopped is left, on the host or in a jail.

    The daemon's own end leaves the sessions and deliveries under way. After a minute, those that
    only wait for a client's next command or for a far host's greeting are ended; a message that is
    being taken or given is never cut off, and the wait fails instead. A daemon that is there after
    five seconds was not found by its rc script (its pid file is gone) and is ended, too.

    Postfix's say nothing of what they do. But without its master nothing new begins, and a message
    that is being taken has a cleanup of its own: with none there, an smtpd only waits for a client.
    """
    yield Reversible(
        _ended(processes, jail), undo=":", live=True, limit=330, says="let mail under way end"
    )


def _ended(processes: str, jail: str = "") -> str:
    # To pgrep, 0 means any jail, for compatibility (pkill.c); to ps it means none.
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
def queue_moved(queue: Queue, jail: str, then: str) -> Commands:
    """Move what the host's MTA could not deliver into the jail's queue. The host's has ended.

    The undo makes messages whole again of which half was moved; the others the jail delivers, or
    `returned` brings back when the jail's MTA has ended. `then` has the jail's MTA look at them.
    """
    target = of_jail(queue, jail)
    yield Reversible(
        f"{_moved(queue, queue.directory, target)} && {{ jexec {quote(jail)} {then} || true; }}",
        undo=_made_whole(queue, target),
        says=f"move what is left in {queue.directory} into the jail's queue",
        sees=ANY,
        limit=300,
    )


@operation()
def returned(queue: Queue, jail: str, processes: str, then: str) -> Commands:
    """See that the jail's queue is empty; the undo moves what is there into the host's.

    Before the jail's MTA starts, so that the undo comes when it was stopped; it waits for the
    deliveries under way. `then` has the host's MTA look at what came back.
    """
    source = of_jail(queue, jail)
    yield Reversible(
        f'cd {source} && [ -z "$({queue.control})" ]',
        undo=f"{_ended(processes, jail)}; {_moved(queue, source, queue.directory)} && "
        f"if pgrep -j none -x {quote(processes)} >/dev/null; then {then} || true; fi",
        says=f"the jail's queue {source} is empty; on the way back it goes into the host's",
        limit=660,
    )


def _moved(queue: Queue, source: str, target: str) -> str:
    """Right after a crash, too: a rename cut off by the power can leave a file in both places.

    A link is no mail, wherever somebody in the jail has it lead.
    """
    folder = 'install -d -m 700 -o postfix "${t%/*}"'  # sendmail's queue has no folders
    take = (
        "take() { while read -r n; do m=$n; "
        "case $n in (active/*) m=incoming/${n##*/};; esac; "
        f't={target}/$m; if [ -L "$n" ]; then rm -f "$n"; elif [ ! -e "$n" ]; then :; '
        'elif [ "$n" -ef "$t" ]; then rm -f "$n"; '
        'elif [ -e "$t" ]; then echo "$t is there already" >&2; exit 1; '
        f'else if [ ! -d "${{t%/*}}" ]; then {folder} || exit 1; fi; mv "$n" "$t" || exit 1; '
        "fi; done; }"
    )
    return (
        f"(cd {source} && {take} && {queue.data} | take && fsync . {target} && "
        f"{queue.control} | take && fsync . {target})"
    )


def _made_whole(queue: Queue, target: str) -> str:
    """What is of a message whose control file is still here comes back to it."""
    if not queue.in_parts:
        same = f'if [ "$n" -ef {target}/$n ]; then rm -f {target}/$n; fi'
        return f"(cd {queue.directory} && {queue.control} | while read -r n; do {same}; done)"
    back = (
        f'if [ "$d" -ef {target}/$d ]; then rm -f {target}/$d; '
        f'elif [ ! -e "$d" ] && [ -e {target}/$d ]; then mv {target}/$d "$d" || exit 1; fi'
    )
    return (
        f"(cd {queue.directory} && {queue.control} | while read -r c; do "
        f'if [ "$c" -ef {target}/$c ]; then rm -f {target}/$c; fi; '
        f"for d in df${{c#?f}} xf${{c#?f}}; do {back}; done; done && fsync . {target})"
    )


@operation()
def submission(
    started: str = "service sendmail start", run: str = "timeout 30 /usr/sbin/sendmail -q -Ac"
) -> Commands:
    """Let the host's null client try again what the jail could not take: its queue runner.

    `service sendmail start` starts what rc.conf says, and that is the runner alone by now. In the
    undo what still waits goes to the jail: a host whose mail is Postfix's looks there no more.
    """
    yield Reversible(
        f"{started} || true",
        undo=f"{run} || true; service sendmail onestop || true",
        live=True,
        says="the host's null client keeps its queue runner",
        sees=ANY,
    )
