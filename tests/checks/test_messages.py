"""Messages: sent once mail has moved, and seen in the mailboxes of the host."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Any, NamedTuple

from rollout.site import Site


def test_from_the_host_arrive(host: Any, site: Site) -> None:
    """Sends one message to root, which must get into its mailbox through the jail."""
    _must_arrive(host, site, [("", "root")])


def test_from_jails_arrive(host: Any, site: Site, senders: str) -> None:
    """The same from each jail, as its programs (PHP, cron) send mail."""
    _must_arrive(host, site, [(name, "root") for name in senders.split()])


# Postfix's own delivery agent puts what is to ADDRESS into BASE/VALUE: a maildir, if it ends in /.
VIRTUAL = (
    "base=$(postconf -hx virtual_mailbox_base); postconf -hx virtual_mailbox_maps | "
    "tr -s ', ' '\\n\\n' | sed -nE 's,^(proxy:)?(hash|btree|cdb|dbm|lmdb|texthash):/,/,p' | "
    'while read -r file; do [ ! -f "$file" ] || awk -v base="$base/" '
    "'!/^#/ && NF == 2 && $1 ~ /^[A-Za-z0-9._+-]+@/ && $2 !~ /[.][.]/ {print $1, base $2}' "
    '"$file"; done'
)
"""sh that prints the virtual mailboxes of the host's tables: ADDRESS PATH."""


def test_to_a_virtual_mailbox_arrive(host: Any, site: Site) -> None:
    """Sends one message to the test account, to a postmaster, or to the first one of the tables."""
    boxes = _virtual(host)
    jail = site.jail_of("mail")
    services = [site.services[name] for name in site.jails[jail].services]
    own = [each.test_account.name for each in services if each.test_account]
    chosen = [*own, *(each for each in boxes if each.startswith("postmaster@")), *boxes]
    to = next((each for each in chosen if each in boxes), None)
    if to is not None:
        _must_arrive(host, site, [(jail, to)])


def _virtual(host: Any) -> dict[str, str]:
    """Address -> path of the virtual mailbox, on the host."""
    rows = (row.split() for row in host.run(VIRTUAL).stdout.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 2}


class _Sent(NamedTuple):
    """A message from a jail, or from the host (""): its mark, what sendmail(1) printed, and what
    became of it.
    """

    sender: str
    mark: str
    said: str
    became: str

    @property
    def address(self) -> str:
        """To whom it was delivered in the end, after all aliases."""
        found = re.match(r"<?([^>,]+)", self.became)
        return found[1] if found else ""

    @property
    def is_virtual(self) -> bool:
        return "relay=virtual" in self.became

    @property
    def account(self) -> str:
        """To whose mailbox it was delivered here: both servers write their log so."""
        kept = re.search(r"mailer=local|delivered to (mailbox|maildir|file)", self.became)
        found = re.match(r"[\w.-]+", self.address)
        return found[0] if kept and found and _is_delivered(self.became) else ""


def _must_arrive(host: Any, site: Site, messages: Sequence[tuple[str, str]]) -> None:
    """Messages are (sender, recipient). The jail's log tells who delivered them; the mailbox, that
    people find them there. A virtual mailbox of which no table tells counts by the log alone.
    """
    jail = site.jail_of("mail")
    sent = _send(host, jail, messages)
    for each in sent:
        where = f"jail {each.sender}" if each.sender else "the host"
        assert not each.said, (
            f"sendmail on {where} fails: {each.said}; {_why(host, each.mark, each.sender)}"
        )
        assert _is_delivered(each.became), (
            f"a message from {where} did not reach a mailbox through jail {jail} within 30 s: "
            f"{each.became or _why(host, each.mark, each.sender)}"
        )
    boxes = _virtual(host) if any(each.is_virtual for each in sent) else {}
    kept = [each for each in sent if (each.address in boxes if each.is_virtual else each.account)]
    data = site.services["mail"].data
    asked = "; ".join(_seen(each, _places(each, data, boxes)) for each in kept)
    found = host.run(asked).stdout.split() if kept else []
    lost = [each for each in kept if each.mark not in found]
    assert not lost, (
        f"jail {jail} says that it delivered mail, and {lost[0].address} has no file with it on "
        f"the host: {lost[0].became}; see services.mail.data and jails.{jail}.mounts"
    )


def _send(host: Any, jail: str, messages: Sequence[tuple[str, str]]) -> list[_Sent]:
    """All are sent, and then awaited, in one round trip."""
    marks = [f"cellblock.{secrets.token_hex(6)}" for _ in messages]
    asked = ""
    for (sender, to), mark in zip(messages, marks, strict=True):
        where = f"jail {sender}" if sender else "the host"
        message = quote(
            f"Subject: cellblock: mail of {where} arrives\\nMessage-Id: <{mark}@cellblock>\\n"
            f"\\nSent by a check, with the sendmail command of {where}.\\n"
        )
        sends = f"{f'jexec {sender} ' if sender else ''}/usr/sbin/sendmail {quote(to)}"
        asked += (
            f'said=$(printf {message} | {sends} 2>&1) && said= || said="${{said:-exit code $?}}"; '
            "printf '%s\\n==\\n' \"$said\"; "
        )
    for mark in marks:
        asked += f"jexec {jail} sh -c {quote(_became(mark, wait=30))}; echo ==; "
    parts = [part.strip() for part in host.run(asked).stdout.split("==\n")]
    said, became = parts[: len(messages)], parts[len(messages) :]
    return [
        _Sent(sender, mark, one, other.partition(": to=")[2])
        for (sender, _), mark, one, other in zip(messages, marks, said, became, strict=False)
    ]


def _places(sent: _Sent, data: Sequence[str], boxes: Mapping[str, str]) -> str:
    """Words of sh: where the message must be on the host."""
    if sent.is_virtual:
        return quote(boxes[sent.address])
    who = sent.account
    home = f"$(awk -F: -v name={who} '$1 == name && $6 != \"/\" {{print $6}}' /etc/passwd)"
    return " ".join([*(quote(f"{each}/{who}") for each in data), home])


def _seen(sent: _Sent, places: str) -> str:
    """sh that prints the mark if a new file in one of these places has it."""
    return (
        f"find -x {places} -type f -mmin -5 -exec grep -qF {sent.mark} {{}} \\; "
        f"-exec echo {sent.mark} \\; 2>/dev/null"
    )


_LOG = "/var/log/maillog"


def _became(mark: str, wait: int = 0) -> str:
    """sh that prints what the log says of the message with this mark: of its last recipient."""
    return (
        f"i=0; until q=$(sed -nE 's/.* ([0-9A-Za-z]+): (from|message-id)=.*{mark}.*/\\1/p' {_LOG} "
        f'| tail -n 1) && [ -n "$q" ] && grep -h " $q: to=" {_LOG} | tail -n 1 | grep .; '
        f"do [ $i -lt {wait} ] || exit 1; sleep 1; i=$((i + 1)); done"
    )


def _is_delivered(became: str) -> bool:
    """In a mailbox, or on its way to another machine: root's mail may be for somewhere else."""
    if re.search(r"stat=Sent|status=sent", became):
        return True
    local = re.search(r"mailer=(local|prog|relay)|relay=(local|none|virtual)", became)
    return not local and bool(re.search(r"stat=Deferred|status=deferred", became))


def _why(host: Any, mark: str, sender: str) -> str:
    """What the sender's own log or queue says of a message that the mail server did not take."""
    inside = f"jexec {sender} " if sender else ""
    whose = f"jail {sender}" if sender else "the host"
    said = str(host.run(f"{inside}sh -c {quote(_became(mark))}").stdout).partition(": to=")[2]
    if said:
        return f"the log of {whose} says: to={said.strip()}"
    queued = f"{inside}mailq -Ac 2>/dev/null | sed -n 's/^ *(\\(.*\\))$/\\1/p' | tail -n 1"
    reason = str(host.run(queued).stdout).strip()
    return f"the queue of {whose} says: {reason}" if reason else f"{_LOG} has nothing of it"
