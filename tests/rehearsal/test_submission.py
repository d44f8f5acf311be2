"""Programs in a jail send mail with sendmail(1): at every moment it arrives, as from the host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rollout import plan
from rollout.engine.listener import Listener
from rollout.errors import Refused, RolledBack
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from rollout.rehearsal.rehearsal import Rehearsal
from standin import BaseHost
from tests.cases.case import Case
from tests.rehearsal.on_standin import host, runner, typed
from tests.rehearsal.sites import ordered

FAR = "somebody@far.example"


def sent(box: Box, word: str, to: str = "user001", source: str = "jexec web") -> None:
    typed(box, f"printf 'Subject: {word}\\n\\n{word}\\n' | {source} sendmail {to}")


def arrived(box: Box, word: str) -> bool:
    return word in typed(box, "cat /var/mail/user001 2>/dev/null || true")


def kept(box: Box) -> list[str]:
    """What waits in the jail's queue, and what its sendmail(1) left elsewhere."""
    spool = "/usr/jails/web/root/var/spool"
    return typed(
        box, f"if [ -d {spool} ]; then find {spool} -type f ! -name sm-client.pid; fi"
    ).split()


def postfix(*subjects: str) -> Plan:
    case = Case.model_validate(
        {"what": "", "base": "postfix", "order": subjects, "ask": [{"sh": "true"}]}
    )
    return case.plan()


@contextmanager
def opened(made: Plan, where: Path, base: BaseHost) -> Iterator[Box]:
    with standin_box(made.site, where, base) as box:
        yield box


@pytest.mark.parametrize("mailer", ["sendmail", "postfix"])
def test_mail_that_stays_or_moves_later_takes_what_a_jail_sends(
    tmp_path: Path, mailer: str
) -> None:
    made = ordered("web", "mail") if mailer == "sendmail" else postfix("mysql", "web", "mail")
    base = BaseHost.sample() if mailer == "sendmail" else BaseHost.with_postfix()
    with opened(made, tmp_path, base) as box:
        before = Rehearsal(made, box, Listener(), tmp_path).fingerprint()
        with runner(made, box) as run:
            run.apply("web.cutover")
            sent(box, "early")
            sent(box, "far", FAR)
            assert arrived(box, "early")
            run.apply()
            sent(box, "late")
            assert arrived(box, "late")
            box.reboot()
            sent(box, "again")
            assert arrived(box, "again")
            assert kept(box) == []
            said = typed(box, "service -j web sendmail onestatus || true")
            assert "sendmail_msp_queue is running" in said
        with runner(made, box) as run:
            run.rollback("web.standby")
            sent(box, "back")
            assert arrived(box, "back")
            run.rollback()
        Rehearsal(made, box, Listener(), tmp_path).must_equal(before, "after the rollback")
        assert host(box).strange == []


def test_what_waits_in_a_jail_is_delivered_by_its_queue_runner(tmp_path: Path) -> None:
    made = ordered("web")
    with opened(made, tmp_path, BaseHost.sample()) as box:
        with runner(made, box) as run:
            run.apply()
        typed(box, "service sendmail onestop")
        sent(box, "waits")
        assert len(kept(box)) == 2
        typed(box, "service sendmail onestart; jexec web sendmail -q -Ac")
        assert kept(box) == []
        assert arrived(box, "waits")


@pytest.mark.parametrize("mailer", ["sendmail", "postfix"])
def test_what_waits_in_a_jail_when_it_goes_is_sent_by_the_host(tmp_path: Path, mailer: str) -> None:
    made = ordered("web") if mailer == "sendmail" else postfix("mysql", "web")
    base = BaseHost.sample() if mailer == "sendmail" else BaseHost.with_postfix()
    with opened(made, tmp_path, base) as box:
        with runner(made, box) as run:
            run.apply()
            typed(box, f"service {mailer} onestop")
            sent(box, "waits")
            assert len(kept(box)) == 2
            typed(box, f"service {mailer} onestart")
            run.rollback()
        assert arrived(box, "waits")
        assert typed(box, "ls -d /var/spool/clientmqueue*").split() == ["/var/spool/clientmqueue"]


def test_a_jail_whose_mail_the_server_does_not_relay_is_undone(tmp_path: Path) -> None:
    made = ordered("web")
    with opened(made, tmp_path, BaseHost.sample()) as box, runner(made, box) as run:
        run.apply("web.jail")
        typed(box, "cd /etc/mail; sed -i '' -e /RELAY/d access; makemap hash access < access")
        with pytest.raises(RolledBack, match=r"550 5[.]7[.]1, not 250 2[.]1[.]5"):
            run.apply()


def test_a_jail_without_a_queue_runner_is_undone(tmp_path: Path) -> None:
    made = ordered("web")
    with opened(made, tmp_path, BaseHost.sample()) as box, runner(made, box) as run:
        run.apply("web.jail")
        typed(box, "service -j web sendmail onestop || true")
        with pytest.raises(RolledBack, match="no queue runner runs in jail web"):
            run.apply()


def test_php_that_sends_by_another_program_is_refused_with_file_and_line(tmp_path: Path) -> None:
    made = postfix("mysql", "web")
    with opened(made, tmp_path, BaseHost.with_postfix()) as box:
        typed(
            box,
            "mkdir -p /usr/local/etc/php; "
            "printf ';\\nsendmail_path = /usr/local/sbin/sendmail -t\\n' "
            "> /usr/local/etc/php/mail.ini",
        )
        with runner(made, box) as run, pytest.raises(Refused) as caught:
            run.apply()
        assert "/usr/local/etc/php/mail.ini:2: sendmail_path" in f"{caught.value.evidence}"


def test_a_policy_that_leaves_no_way_to_the_mail_server_is_a_gate() -> None:
    made = plan.make(ordered("web", "mail", "policy").site)
    assert made.steps[-1].gate is None
    shut = made.site.policy.model_copy(
        update={"allow": tuple(each for each in made.site.policy.allow if each.to != "mail")}
    )
    gate = plan.make(made.site.model_copy(update={"policy": shut})).steps[-1].gate
    assert gate is not None
    assert gate.look_at[0].startswith("jails web: ")
