"""People log in to read mail with the passwords of their accounts, in the jail as on the host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.engine.listener import Listener
from rollout.errors import Refused, RolledBack
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from rollout.rehearsal.rehearsal import Rehearsal
from standin import BaseHost
from steps.mail import LOGINS
from tests.rehearsal.on_standin import host, runner, typed
from tests.rehearsal.test_mail_paths import DOVECOT, postfix

HASH, OTHER = "$6$abc$0123456789abcdef", "$6$def$fedcba9876543210"
ROOT = "/usr/jails/mail/root"


@pytest.fixture
def made() -> Plan:
    return postfix()


@pytest.fixture
def box(made: Plan, tmp_path: Path) -> Iterator[Box]:
    with standin_box(made.site, tmp_path, BaseHost.with_postfix()) as box:
        yield box


def by_pam(box: Box) -> None:
    typed(box, f"printf 'passdb {{\\n  driver = pam\\n}}\\n' >> {DOVECOT}")
    given(box, "user001", HASH)


def given(box: Box, user: str, hashed: str) -> None:
    change = f'$1 == "{user}" {{$2 = "{hashed}"}} {{print}}'
    typed(
        box,
        f"umask 077; awk -F: -v OFS=: '{change}' /etc/master.passwd > /etc/new && "
        "mv /etc/new /etc/master.passwd && pwd_mkdb -p /etc/master.passwd && "
        "touch -t 202001010000 /etc/master.passwd",
    )


def hashed(box: Box, user: str, jail: str = "jexec mail ") -> str:
    return typed(box, f"{jail}awk -F: '$1 == \"{user}\" {{print $2}}' /etc/master.passwd").strip()


def test_logins_by_pam_work_in_the_jail_and_follow_the_host(
    made: Plan, box: Box, tmp_path: Path
) -> None:
    by_pam(box)
    before = Rehearsal(made, box, Listener(), tmp_path).fingerprint()
    with runner(made, box) as run:
        run.apply()
        assert (hashed(box, "user001"), hashed(box, "user002")) == (HASH, "*")
        assert hashed(box, "root") == "*"
        given(box, "user001", OTHER)
        typed(box, f"sh {LOGINS}")
        assert hashed(box, "user001") == OTHER
        given(box, "user001", "*")
        typed(box, f"sh {LOGINS}")
        assert hashed(box, "user001") == "*"
        given(box, "user001", HASH)
        typed(box, f"sh {LOGINS}")
        journal = typed(box, "grep -rlF -e '$6$abc' /var/db/cellblock /var/log || true")
        assert journal == ""
        run.rollback()
    Rehearsal(made, box, Listener(), tmp_path).must_equal(before, "after the rollback")
    assert host(box).strange == []


def test_other_passdbs_leave_the_jail_without_passwords(made: Plan, box: Box) -> None:
    typed(box, f"printf 'passdb {{\\n  driver = passwd-file\\n}}\\n' >> {DOVECOT}")
    given(box, "user001", HASH)
    with runner(made, box) as run:
        run.apply("mail.standby")
    assert hashed(box, "user001") == "*"
    assert typed(box, f"ls {LOGINS} 2>/dev/null || true") == ""


def test_a_login_that_would_not_work_undoes_the_step(made: Plan, box: Box) -> None:
    by_pam(box)
    with runner(made, box) as run:
        run.apply("mail.jail")
        typed(box, f"sed -i '' -e 's,{HASH.replace('$', '[$]')},*,' {ROOT}/etc/master.passwd")
        with pytest.raises(RolledBack, match="does not have their password: user001"):
            run.apply()


def test_saslauthd_on_the_host_is_refused_with_the_file(made: Plan, box: Box) -> None:
    typed(
        box,
        "mkdir -p /usr/local/lib/sasl2 /var/run/saslauthd; touch /var/run/saslauthd/mux; "
        "echo 'pwcheck_method: saslauthd' > /usr/local/lib/sasl2/smtpd.conf",
    )
    with runner(made, box) as run, pytest.raises(Refused) as refused:
        run.apply()
    assert (
        "/usr/local/lib/sasl2/smtpd.conf:1: /var/run/saslauthd/mux" in f"{refused.value.evidence}"
    )
