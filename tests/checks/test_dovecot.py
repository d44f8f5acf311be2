"""Dovecot in the jail and on the host: the same users, the same mailboxes, the same logins."""

from __future__ import annotations

import re
from collections.abc import Sequence
from shlex import quote
from typing import Any

from rollout.site import HOST, Site
from tests.checks import test_mail

_USERS = 10  # of whose mailboxes the messages are counted
# Accounts of this system without mail: Dovecot's userdb passwd lists those of daemons, too.
_IDLE = (
    "awk -F: '{print $1, $6}' /etc/passwd | while read -r name home; do "
    "[ -s /var/mail/$name ] || [ -d $home/Maildir ] || [ -d $home/mail ] || echo $name; done"
)


def test_has_the_same_mailboxes(host: Any, site: Site) -> None:
    """Users listed, and for a sample of them the number of messages in each mailbox.

    The host is asked before and after the jail, since mail may arrive meanwhile.
    """
    jail = site.jail_of("mail")
    asked = f"doveadm user '*' | sort; echo ==; jexec {jail} doveadm user '*' | sort; echo ==; "
    said = host.run(asked + _IDLE).stdout.split("==\n")
    here, there, idle = (part.split() for part in said)
    lost = [each for each in here if each not in {*there, *idle}]
    more = f" and {len(lost) - 10} more" * (len(lost) > 10)
    assert not lost, f"Dovecot in jail {jail} does not know {', '.join(lost[:10])}{more}"
    users = here or host.check_output(test_mail.recipients_question(site)).split()
    known = [each for each in users if each not in idle and re.fullmatch(r"[\w.+@-]+", each)]
    sample = known[:: max(1, len(known) // _USERS)][:_USERS]
    before, jails, after = _messages(host, jail, sample)
    wrong = [
        f"{user}: {mailbox} has {_count(count)} on the host, and {_count(jails.get(key))} in jail "
        f"{jail}"
        for key, count in before.items()
        for user, mailbox in [key]
        if key in after and not _is_between(jails.get(key), count, after[key])
    ]
    assert not wrong, f"Dovecot does not find the same mail: {'; '.join(wrong[:10])}"


def _messages(host: Any, jail: str, users: Sequence[str]) -> list[dict[tuple[str, str], int]]:
    """By user and mailbox: on the host, in the jail, and on the host again, in one round trip."""
    ask = "doveadm -f tab mailbox status -u \"$user\" messages '*' 2>/dev/null | tail -n +2"
    rounds = "; echo ==; ".join(
        f'for user in {" ".join(users)}; do echo "= $user"; {where}{ask}; done'
        for where in ("", f"jexec {jail} ", "")
    )
    found: list[dict[tuple[str, str], int]] = []
    for part in host.run(rounds).stdout.split("==\n") if users else ["", "", ""]:
        user, counts = "", {}
        for line in part.splitlines():
            mailbox, tab, count = line.rpartition("\t")
            if line.startswith("= "):
                user = line[2:]
            elif tab and count.isdigit():
                counts[user, mailbox] = int(count)
        found.append(counts)
    return found


def _is_between(count: int | None, one: int, other: int) -> bool:
    return count is not None and min(one, other) <= count <= max(one, other)


def _count(count: int | None) -> str:
    return "no such mailbox" if count is None else f"{count} messages"


_BY_PORT = {143: "imap", 993: "imap", 110: "pop3", 995: "pop3", 4190: "sieve"}
"""Where the probe of a port does not tell what is spoken there."""


def protocols(site: Site, service: str) -> list[str]:
    """What people log in for: at the ports of this Dovecot, and at Postfix's, which asks it."""
    found = []
    for listen in site.services[service].ports:
        told = re.match("imap|pop3", listen.probe)
        found.append(told[0] if told else _BY_PORT.get(listen.port, ""))
    others = [site.services[name].rc for name in site.jails[site.jail_of(service)].services]
    return list(dict.fromkeys([*filter(None, found), *(["smtp"] if "postfix" in others else [])]))


def login_question(site: Site, service: str, jail: str = "") -> str:
    """sh that prints how Dovecot on the host or in this jail answers the test account.

    A line for each protocol, since Dovecot may ask another passdb for each; then the account's uid,
    gid, home and mail. doveadm(1) reads the password from the file, so it is on no command line;
    what else a passdb returns (which may be a password, too) is not printed.
    """
    account = site.services[service].test_account
    if account is None:
        raise ValueError(f"services.{service} has no test account")
    doveadm = f"jexec {jail} doveadm" if jail else "doveadm"
    name, file = quote(account.name), quote(account.password_file)
    says = "s/^passdb: .* (auth [a-z]+).*/\\1/p; s/^.*(Error|Fatal): //p"
    asks = [
        f"{doveadm} auth test -x service={each} {name} < {file} 2>&1 | "
        f"sed -nE {quote(says)} | head -n 1 | sed -e 's/^/{each}: /'"
        for each in protocols(site, service)
    ]
    where = f"{doveadm} user {name} 2>/dev/null | grep -E '^(uid|gid|home|mail)[[:space:]]'"
    return "; ".join([*asks, where])


def test_test_account_can_log_in(host: Any, site: Site, service: str, where: str) -> None:
    """By one of the protocols, on the host or in a jail."""
    account = site.services[service].test_account
    key = f"services.{service}.test_account"
    assert account, f"{key} is missing"
    said = host.run("stat -f '%%Su %%Mp%%Lp %%HT' %s", account.password_file)
    assert said.stdout.split()[:2] == ["root", "0600"] and "Regular File" in said.stdout, (
        f'{key}: password_file = "{account.password_file}": expected a file of the host that '
        f"belongs to root, with mode 600; found {said.stdout.strip() or 'no such file'}"
    )
    jail = "" if where == HOST else where
    rows = host.run(login_question(site, service, jail)).stdout.splitlines()
    place = f"in jail {jail}" if jail else "on the host"
    assert any(row.endswith(": auth succeeded") for row in rows), (
        f"{key}: {account.name} cannot log in {place}, with the password in "
        f"{account.password_file}: {'; '.join(rows) or 'doveadm says nothing'}"
    )


def test_logins_are_the_same(host: Any, site: Site, service: str) -> None:
    """The test account: what it may log in for, and whose mail it then reads, in one round trip."""
    jail = site.jail_of(service)
    asked = [login_question(site, service, each) for each in ("", jail)]
    here, _, there = host.run("; echo ==; ".join(asked)).stdout.partition("==\n")
    assert here, f"services.{service}.test_account: Dovecot on the host does not answer"
    assert there == here, (
        f"services.{service}.test_account is answered otherwise in jail {jail}. On the host: "
        f"{_row(here)}. In the jail: {_row(there) or 'no answer'}"
    )


def _row(said: str) -> str:
    return "; ".join(" ".join(line.split()) for line in said.splitlines())
