"""What the mail daemons' configuration names arrives in the jail, or is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rollout.engine.listener import Listener
from rollout.errors import Refused, RolledBack
from rollout.plan import Plan
from rollout.rehearsal.box import standin_box
from rollout.rehearsal.rehearsal import Rehearsal
from standin import BaseHost
from tests.cases.case import Case
from tests.rehearsal.on_standin import host, runner, typed

MAIN = "/usr/local/etc/postfix/main.cf"
DOVECOT = "/usr/local/etc/dovecot/dovecot.conf"
VIRTUAL = (
    "mkdir -p /var/vmail/example.net/ann/cur; echo old > /var/vmail/example.net/ann/cur/1; "
    "echo 'ann@example.net example.net/ann/' > /usr/local/etc/postfix/vmailbox; "
    "postmap hash:/usr/local/etc/postfix/vmailbox; "
    f"printf '%s\\n' 'virtual_mailbox_domains = example.net' 'virtual_mailbox_base = /var/vmail' "
    f"'virtual_mailbox_maps = hash:/usr/local/etc/postfix/vmailbox' >> {MAIN}; "
    f"echo 'mail_location = maildir:/var/vmail/%d/%n' >> {DOVECOT}"
)


def postfix() -> Plan:
    table = {"what": "", "base": "postfix", "order": ["mail"], "ask": [{"sh": "true"}]}
    return Case.model_validate(table).plan()


def test_virtual_mailboxes_move_along_and_keep_what_came_meanwhile(tmp_path: Path) -> None:
    made = postfix()
    with standin_box(made.site, tmp_path, BaseHost.with_postfix()) as box:
        typed(box, VIRTUAL)
        before = Rehearsal(made, box, Listener(), tmp_path).fingerprint()
        with runner(made, box) as run:
            run.apply()
            assert typed(box, "jexec mail cat /var/vmail/example.net/ann/cur/1") == "old\n"
            typed(box, "jexec mail sh -c 'echo new > /var/vmail/example.net/ann/cur/2'")
            run.rollback()
        assert typed(box, "cat /var/vmail/example.net/ann/cur/2") == "new\n"
        typed(box, "rm /var/vmail/example.net/ann/cur/2")
        Rehearsal(made, box, Listener(), tmp_path).must_equal(before, "after the rollback")
        assert host(box).strange == []


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (
            f"echo 'smtpd_milters = inet:127.0.0.1:8891' >> {MAIN}; "
            "echo 'Listen 127.0.0.1:8891' >> /usr/local/etc/apache24/httpd.conf; "
            "service apache24 onerestart",
            "postconf: smtpd_milters: 127.0.0.1:8891",
        ),
        (
            f"touch /var/run/filter; echo 'smtpd_milters = unix:/var/run/filter' >> {MAIN}",
            "postconf: smtpd_milters: /var/run/filter",
        ),
        (
            f"touch /root/users; printf 'passdb {{\\n  args = /root/users\\n}}\\n' >> {DOVECOT}",
            "doveconf: args: /root/users",
        ),
        (
            "touch /var/run/list; echo 'list: :include:/var/run/list' >> /etc/mail/aliases",
            "/etc/mail/aliases:[0-9]+: /var/run/list",
        ),
        (
            f"pw useradd vmail -u 5000 -s /usr/sbin/nologin; echo 'mail_uid = vmail' >> {DOVECOT}",
            "doveconf: mail_uid: account vmail, uid 5000",
        ),
        (
            f"{VIRTUAL}; rm /usr/local/etc/postfix/vmailbox.db",
            "vmailbox.db is not there, .*: run postmap hash:/usr/local/etc/postfix/vmailbox",
        ),
    ],
    ids=["a port", "a socket", "a file", "an include", "an account", "a map never made"],
)
def test_what_cannot_arrive_is_refused_with_the_setting(
    harm: str, says: str, tmp_path: Path
) -> None:
    made = postfix()
    with standin_box(made.site, tmp_path, BaseHost.with_postfix()) as box:
        typed(box, harm)
        with runner(made, box) as run, pytest.raises(Refused) as refused:
            run.apply()
        assert re.search(says, str(refused.value.evidence)), refused.value.evidence


def test_a_mailbox_that_is_lost_on_the_way_undoes_the_step(tmp_path: Path) -> None:
    made = postfix()
    with standin_box(made.site, tmp_path, BaseHost.with_postfix()) as box:
        typed(box, VIRTUAL)
        with runner(made, box) as run:
            run.apply("mail.jail")
            typed(box, "umount /usr/jails/mail/root/var/vmail")
            with pytest.raises(RolledBack, match=r"jail mail does not have these: .*/var/vmail"):
                run.apply()


@pytest.mark.parametrize("kind", ["ann/", "ann"], ids=["a maildir", "an mbox"])
def test_a_message_that_gets_into_no_virtual_mailbox_undoes_the_switch(
    kind: str, tmp_path: Path
) -> None:
    """The jail's server delivers it, into a directory that nobody else reads."""
    made = postfix()
    other = "mkdir -p /var/other && mount -t nullfs /var/other /usr/jails/mail/root/var/vmail"
    table = f"echo 'ann@example.net example.net/mail-{kind}' > /usr/local/etc/postfix/vmailbox"
    with standin_box(made.site, tmp_path, BaseHost.with_postfix()) as box:
        typed(box, f"{VIRTUAL}; {table}")
        with runner(made, box) as run:
            run.apply("mail.standby")
            typed(box, f"{other} && mkdir -p /var/other/example.net")
            with pytest.raises(RolledBack) as undone:
                run.apply()
            assert (
                "messages to a virtual mailbox arrive: jail mail says that it delivered mail, and "
                "ann@example.net has no file with it"
            ) in (undone.value.evidence or "")
            assert host(box).who_answers("203.0.113.2", 25) == "host"
            typed(box, "umount /usr/jails/mail/root/var/vmail")
            run.apply("mail.cutover")
        found = typed(box, "grep -rl 'mail of jail mail arrives' /var/vmail")
        assert found.startswith("/var/vmail/example.net/mail-ann")
