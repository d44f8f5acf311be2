"""Mail on the stand-in: the queue moves with the service, and comes back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout import plan, site
from rollout.engine.listener import Listener
from rollout.errors import Refused, RolledBack
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from rollout.rehearsal.rehearsal import Rehearsal
from standin import BaseHost
from tests.rehearsal.on_standin import host, runner, typed
from tests.rehearsal.sites import POSTFIX, written

SAMPLE = Path(__file__).parents[2] / "site.example.toml"
JAILS_QUEUE = "/var/spool/mqueue-mail"


@pytest.fixture
def made(tmp_path: Path) -> Plan:
    return plan.make(site.read(written(tmp_path, "mail")))


@pytest.fixture
def box(made: Plan, tmp_path: Path) -> Iterator[Box]:
    with standin_box(made.site, tmp_path / "box", BaseHost.sample()) as box:
        yield box


def queued(box: Box, folder: str) -> list[str]:
    return typed(box, f"if [ -d {folder} ]; then ls {folder}; fi").split()


def messages(box: Box, folder: str) -> list[str]:
    """Without the pid file of the queue runner."""
    return [name for name in queued(box, folder) if name != "sm-client.pid"]


def test_the_queue_goes_into_the_jail_and_back(made: Plan, box: Box, tmp_path: Path) -> None:
    before = Rehearsal(made, box, Listener(), tmp_path).fingerprint()
    typed(box, "printf 'Subject: far\\n\\nfar\\n' | sendmail somebody@far.example")
    [df, qf] = queued(box, "/var/spool/mqueue")
    with runner(made, box) as run:
        run.apply()
        assert queued(box, "/var/spool/mqueue") == []
        assert queued(box, JAILS_QUEUE) == [df, qf]
        typed(box, "printf 'Subject: cron\\n\\nit ran\\n' | sendmail user001")
        typed(box, "printf 'Subject: web\\n\\nit ran\\n' | jexec mail sendmail user002")
        run.rollback()
    assert queued(box, "/var/spool/mqueue") == [df, qf]
    assert queued(box, JAILS_QUEUE) == []
    assert typed(box, "grep -c 'it ran' /var/mail/user001 /var/mail/user002").split() == [
        "/var/mail/user001:1",
        "/var/mail/user002:1",
    ]
    Rehearsal(made, box, Listener(), tmp_path).must_equal(before, "after the rollback")
    assert host(box).strange == []


def test_a_step_that_fails_after_the_move_loses_no_message(made: Plan, box: Box) -> None:
    typed(box, "printf 'Subject: far\\n\\nfar\\n' | sendmail somebody@far.example")
    [df, qf] = queued(box, "/var/spool/mqueue")
    with runner(made, box) as run:
        run.apply("mail.cutover")
        host(box).break_at("sysrc sendmail_submit_enable=NO")
        with pytest.raises(RolledBack):
            run.apply()
        assert typed(box, "service sendmail onestatus | head -n 1").startswith(
            "sendmail is running"
        )
        # The jail's server has the queue: it delivers, and the host's queue is not changed twice.
        assert queued(box, "/var/spool/mqueue") == []
        assert queued(box, JAILS_QUEUE) == [df, qf]
        run.rollback()
    assert queued(box, "/var/spool/mqueue") == [df, qf]


def test_mail_that_gets_into_no_mailbox_undoes_the_switch(tmp_path: Path) -> None:
    """The jail's server accepts and delivers it, into a directory that nobody else reads."""
    made = plan.make(site.read(written(tmp_path, "web", "mail")))
    spool = "/usr/jails/mail/root/var/mail"
    with (
        standin_box(made.site, tmp_path / "box", BaseHost.sample()) as box,
        runner(made, box) as run,
    ):
        run.apply("mail.standby")
        typed(box, f"mkdir -m 1777 /var/other && mount -t nullfs /var/other {spool}")
        with pytest.raises(RolledBack) as undone:
            run.apply()
        evidence = undone.value.evidence or ""
        for name in ("messages from the host arrive", "messages from jails arrive: web"):
            told = f"{name}: jail mail says that it delivered mail, and root@[^ ]+ has no file"
            assert re.search(told, evidence)
        assert host(box).who_answers("203.0.113.2", 25) == "host"
        typed(box, f"umount {spool}")
        run.apply("mail.cutover")
        arrived = typed(box, "cat /var/mail/root")
        assert "mail of jail web arrives" in arrived
        assert "mail of the host arrives" in arrived


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("printf 'a b\\nnokey\\n' > /etc/mail/access", "no RHS for LHS nokey"),
        ("echo nobody-knows >> /etc/mail/aliases", "missing colon"),
        (
            "sed -i '' -e 's,^O Queue.*,O QueueDirectory=/var/spool/mqueue/q*,' "
            "/etc/mail/sendmail.cf",
            "without queue groups",
        ),
    ],
    ids=["a map", "aliases", "queue groups"],
)
def test_what_could_not_be_moved_is_refused_before_anything_begins(
    made: Plan, box: Box, harm: str, said: str
) -> None:
    typed(box, harm)
    with runner(made, box) as run, pytest.raises(Refused) as caught:
        run.apply()
    assert said in f"{caught.value} {caught.value.evidence}"
    assert queued(box, "/usr/jails") == []


@pytest.fixture
def with_dovecot(made: Plan, tmp_path: Path) -> Plan:
    text = made.site.path.read_text(encoding="utf-8")
    text = text[: text.index("[services.mail]")] + POSTFIX
    text = text.replace('services = ["mail"]', 'services = ["imap", "mail"]')
    made.site.path.write_text(text)
    return plan.make(site.read(made.site.path))


def test_postfix_and_dovecot_go_together_and_back(with_dovecot: Plan, tmp_path: Path) -> None:
    made = with_dovecot
    with standin_box(made.site, tmp_path / "box", BaseHost.with_postfix()) as box:
        before = Rehearsal(made, box, Listener(), tmp_path).fingerprint()
        typed(box, "printf 'Subject: far\\n\\nfar\\n' | sendmail somebody@far.example")
        [far] = queued(box, "/var/spool/postfix/deferred")
        with runner(made, box) as run:
            run.apply()
            assert queued(box, "/var/spool/postfix/deferred") == []
            assert len(queued(box, "/var/spool/postfix-mail/deferred")) == 1
            typed(box, "printf 'Subject: cron\\n\\nit ran\\n' | sendmail user001")
            assert "it ran" in typed(box, "cat /var/mail/user001")
            for port in (25, 587, 143, 993, 110, 995):
                assert host(box).who_answers("203.0.113.2", port) == "mail"
            run.rollback()
        del far
        assert len(queued(box, "/var/spool/postfix/deferred")) == 1
        assert typed(box, "cat /etc/mail/mailer.conf").startswith("sendmail\t/usr/local/sbin")
        Rehearsal(made, box, Listener(), tmp_path).must_equal(before, "after the rollback")
        assert host(box).strange == []


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        pytest.param(
            "jexec mail sh -c 'grep -v ^user002: /etc/master.passwd > /etc/without; "
            "pwd_mkdb -p /etc/without'",
            "Dovecot in jail mail does not know user002",
            id="a lost user",
        ),
        pytest.param(
            "mkdir -m 1777 /var/other && mount -t nullfs /var/other /usr/jails/mail/root/var/mail",
            ": INBOX has 1 messages on the host, and no such mailbox in jail mail",
            id="a lost mailbox",
        ),
    ],
)
def test_a_dovecot_without_somebodys_mail_does_not_come_to_serve(
    with_dovecot: Plan, tmp_path: Path, harm: str, told: str
) -> None:
    made = with_dovecot
    with standin_box(made.site, tmp_path / "box", BaseHost.with_postfix()) as box:
        users = typed(box, "doveadm user '*' | grep user").split()
        typed(box, f"printf 'Subject: x\\n\\nx\\n' | sendmail {' '.join(users)}")
        with runner(made, box) as run:
            run.apply("mail.jail")
            typed(box, harm)
            with pytest.raises(RolledBack) as undone:
                run.apply()
        assert told in (undone.value.evidence or "")
        assert host(box).who_answers("203.0.113.2", 143) == "host"


def test_what_the_null_client_kept_is_delivered_on_the_way_back(
    with_dovecot: Plan, tmp_path: Path
) -> None:
    made = with_dovecot
    with standin_box(made.site, tmp_path / "box", BaseHost.with_postfix()) as box:
        with runner(made, box) as run:
            run.apply()
            typed(box, "jexec mail /usr/local/sbin/postfix drain")
            typed(box, "printf 'Subject: cron\\n\\nit ran\\n' | sendmail user001")
            assert len(messages(box, "/var/spool/clientmqueue")) == 2
            typed(box, "service -j mail postfix onestart")
            run.rollback()
        assert messages(box, "/var/spool/clientmqueue") == []
        assert typed(box, "grep -c 'it ran' /var/mail/user001") == "1\n"


def test_a_map_that_postmap_complains_about_is_refused(with_dovecot: Plan, tmp_path: Path) -> None:
    made = with_dovecot
    with standin_box(made.site, tmp_path / "box", BaseHost.with_postfix()) as box:
        typed(box, "echo nokey >> /usr/local/etc/postfix/virtual")
        with runner(made, box) as run, pytest.raises(Refused) as caught:
            run.apply()
        assert "expected format: key whitespace value" in f"{caught.value} {caught.value.evidence}"
        assert queued(box, "/usr/jails") == []


def test_an_mta_whose_queue_is_not_known_is_refused(made: Plan, tmp_path: Path) -> None:
    text = made.site.path.read_text(encoding="utf-8")
    made.site.path.write_text(text.replace('rc = "sendmail"', 'rc = "exim"'))
    with pytest.raises(Refused, match="expected one of sendmail, postfix"):
        plan.make(site.read(made.site.path))
