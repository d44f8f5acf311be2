"""The mail server in its jail calls itself what the host's does: senders of that name are taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout import plan, site
from rollout.errors import RolledBack
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from standin import BaseHost
from tests.rehearsal.on_standin import host, runner, typed
from tests.rehearsal.sites import written

NAME = "box.internal.example"
"""Neither in DNS nor in /etc/hosts: only sendmail's $j makes it a sender's domain (proto.m4)."""


@pytest.fixture
def made(tmp_path: Path) -> Plan:
    return plan.make(site.read(written(tmp_path, "mail")))


@pytest.fixture
def box(made: Plan, tmp_path: Path) -> Iterator[Box]:
    with standin_box(made.site, tmp_path / "box", BaseHost.sample()) as box:
        typed(box, f"sysrc hostname={NAME}; hostname {NAME}; service sendmail restart")
        yield box


def test_the_hosts_own_mail_is_taken_in_a_name_that_cannot_be_looked_up(
    made: Plan, box: Box
) -> None:
    with runner(made, box) as run:
        run.apply()
        typed(box, "printf 'Subject: a\\n\\nmoved\\n' | sendmail user001")
        typed(box, f"printf 'Subject: b\\n\\nto itself\\n' | sendmail user001@{NAME}")
        said = typed(box, "jexec mail sh -c 'echo \\$j | sendmail -bt'")
        run.rollback()
    assert NAME in said
    assert typed(box, "grep -c -e moved -e 'to itself' /var/mail/user001") == "2\n"
    assert host(box).strange == []


def test_a_jail_with_another_name_is_undone_before_anybody_uses_it(made: Plan, box: Box) -> None:
    with runner(made, box) as run:
        run.apply("mail.jail")
        typed(box, "sed -i '' -e '/^D/d' /usr/jails/mail/root/etc/mail/sendmail.cf")
        with pytest.raises(RolledBack, match=f"calls itself mail.example.org .*{NAME}"):
            run.apply()


def test_mail_that_the_jail_refuses_is_told_with_the_reason(made: Plan, box: Box) -> None:
    """As on a 15.0, where sendmail on the host ended with nothing to say."""
    with runner(made, box) as run:
        run.apply("mail.standby")
        typed(box, f"sed -i '' -e '/{NAME}/d' /usr/jails/mail/root/etc/hosts")
        with pytest.raises(RolledBack, match=f"553 5.1.8 .*root@{NAME} does not exist"):
            run.apply("mail.cutover")


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("sed -i '' -e '/^info:/d' etc/mail/aliases", "RCPT TO:<info>: 550 5[.]1[.]1"),
        ("sed -i '' -e '/^user007:/d' etc/master.passwd", "RCPT TO:<user007>: 550 5[.]1[.]1"),
    ],
    ids=["an alias", "an account"],
)
def test_a_recipient_that_the_jail_answers_otherwise_undoes_the_step(
    made: Plan, box: Box, harm: str, says: str
) -> None:
    typed(box, "echo 'info: user001' >> /etc/mail/aliases")
    with runner(made, box) as run:
        run.apply("mail.jail")
        typed(box, f"cd /usr/jails/mail/root && {harm}")
        with pytest.raises(RolledBack, match=says):
            run.apply("mail.standby")
