"""People log in to read mail with the passwords of their accounts, in the jail as on the host."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from operations.following import script
from rollout import plan
from rollout.engine.listener import Listener, Result
from rollout.errors import Refused, RolledBack
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from rollout.rehearsal.rehearsal import Rehearsal
from rollout.site.model import Login
from standin import BaseHost
from standin.linux import crypt
from tests.cases.case import Case
from tests.rehearsal.on_standin import host, runner, typed
from tests.rehearsal.sites import POSTFIX
from tests.rehearsal.test_mail_paths import DOVECOT, postfix

HASH, OTHER = "$6$abc$0123456789abcdef", "$6$def$fedcba9876543210"
ROOT = "/usr/jails/mail/root"
FOLLOW = script("mail")


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
        typed(box, f"sh {FOLLOW} passwords")
        assert hashed(box, "user001") == OTHER
        given(box, "user001", "*")
        typed(box, f"sh {FOLLOW} passwords")
        assert hashed(box, "user001") == "*"
        given(box, "user001", HASH)
        typed(box, f"sh {FOLLOW} passwords")
        journal = typed(box, "grep -rlF -e '$6$abc' /var/db/cellblock /var/log || true")
        assert journal == ""
        run.rollback()
    Rehearsal(made, box, Listener(), tmp_path).must_equal(before, "after the rollback")
    assert host(box).strange == []


def test_dovecot_beside_sendmail_has_its_passwords_and_local_clients(tmp_path: Path) -> None:
    imap = {"services": {"imap": tomllib.loads(POSTFIX)["services"]["imap"]}}
    site = imap | {"jails": {"mail": {"services": ["mail", "imap"]}}}
    table = {"what": "", "order": ["mail"], "ask": [{"sh": "true"}], "site": site}
    made = Case.model_validate(table).plan()
    with standin_box(made.site, tmp_path, BaseHost.with_dovecot()) as box:
        by_pam(box)
        before = Rehearsal(made, box, Listener(), tmp_path).fingerprint()
        with runner(made, box) as run:
            run.apply()
            assert (hashed(box, "user001"), hashed(box, "user002")) == (HASH, "*")
            assert host(box).who_answers("203.0.113.2", 143) == "mail"
            assert "remote 10.80.0.0/24 {" in typed(box, f"jexec mail cat {DOVECOT}").splitlines()
            run.rollback()
        Rehearsal(made, box, Listener(), tmp_path).must_equal(before, "after the rollback")
        assert host(box).strange == []


def test_other_passdbs_leave_the_jail_without_passwords(made: Plan, box: Box) -> None:
    typed(box, f"printf 'passdb {{\\n  driver = passwd-file\\n}}\\n' >> {DOVECOT}")
    given(box, "user001", HASH)
    with runner(made, box) as run:
        run.apply("mail.standby")
    assert hashed(box, "user001") == "*"
    assert typed(box, "cat /etc/cron.d/cellblock-mail-accounts").endswith(f" {FOLLOW}\n")


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


PASSWORD = "correct horse"  # noqa: S105 # of the stand-in
FILE = "/root/check.password"
USERS = "/usr/local/etc/dovecot/users"


class Told(Listener):
    """All that a run says, and its verdicts."""

    def __init__(self) -> None:
        self.text = ""

    def line(self, text: str) -> None:
        self.text += f"{text}\n"

    def note(self, text: str) -> None:
        self.text += f"{text}\n"

    def result(self, result: Result) -> None:
        self.text += f"{result}\n"


@pytest.fixture
def with_account(made: Plan) -> Plan:
    """user001 is the test account of its Dovecot."""
    imap = made.site.services["imap"]
    account = Login(name="user001", password_file=FILE)
    services = {
        **made.site.services,
        "imap": imap.model_copy(update={"test_account": account}),
    }
    return plan.make(made.site.model_copy(update={"services": services}))


def with_password(box: Box, hashed: str, mode: str = "600") -> None:
    """A passdb that is a file, and the password in the file of the test account."""
    typed(
        box,
        f"printf 'passdb {{\\n  driver = passwd-file\\n  args = {USERS}\\n}}\\n' >> {DOVECOT}; "
        f"echo 'user001:{hashed}' > {USERS}; chmod 600 {USERS}; "
        f"echo '{PASSWORD}' > {FILE}; chmod {mode} {FILE}",
    )


def test_the_test_account_logs_in_before_and_after_and_its_password_stays_where_it_is(
    with_account: Plan, box: Box, tmp_path: Path
) -> None:
    by_pam(box)
    given(box, "user001", crypt.of(PASSWORD, "$6$abc$"))
    typed(box, f"umask 077; echo '{PASSWORD}' > {FILE}")
    told = Told()
    with runner(with_account, box, told) as run:
        run.apply()
        verdicts = run.verify()
        run.rollback()
    names = [each.name for each in verdicts if each.passed and each.name.startswith("dovecot")]
    assert names == ["dovecot test account can log in: imap-mail"]
    assert "dovecot logins are the same: imap" in told.text
    assert "dovecot test account can log in: imap-host" in told.text
    kept = "grep -rlF -e 'correct horse' /var/db/cellblock /var/log /usr/jails || true"
    assert (PASSWORD in told.text, typed(box, kept)) == (False, "")


@pytest.mark.parametrize(
    ("harm", "jails"),
    [
        pytest.param(
            f"echo 'user001:{{PLAIN}}another' > {ROOT}{USERS}",
            "imap: auth failed; pop3: auth failed; smtp: auth failed; uid 1001",
            id="another password",
        ),
        pytest.param(
            f"sed -i '' -e 's,^mail_location.*,mail_location = mbox:~/mail,' {ROOT}{DOVECOT}",
            "imap: auth succeeded; .*; mail mbox:~/mail",
            id="other mail",
        ),
    ],
)
def test_a_jail_that_answers_the_test_account_otherwise_does_not_come_to_serve(
    with_account: Plan, box: Box, harm: str, jails: str
) -> None:
    with_password(box, f"{{PLAIN}}{PASSWORD}")
    with runner(with_account, box) as run:
        run.apply("mail.jail")
        typed(box, harm)
        with pytest.raises(RolledBack) as undone:
            run.apply()
    said = undone.value.evidence or ""
    assert re.search(
        f"in jail mail. On the host: imap: auth succeeded.* In the jail: {jails}", said
    )
    assert PASSWORD not in said
    assert host(box).who_answers("203.0.113.2", 143) == "host"


@pytest.mark.parametrize(
    ("hashed", "mode", "told"),
    [
        ("{PLAIN}another", "600", "user001 cannot log in on the host.*imap: auth failed"),
        (f"{{PLAIN}}{PASSWORD}", "644", "belongs to root, with mode 600; found root 0644"),
    ],
    ids=["a wrong password", "a file that others read"],
)
def test_a_test_account_that_proves_nothing_is_refused(
    with_account: Plan, box: Box, hashed: str, mode: str, told: str
) -> None:
    with_password(box, hashed, mode)
    with runner(with_account, box) as run, pytest.raises(Refused) as refused:
        run.apply()
    assert re.search(told, str(refused.value.evidence)), refused.value.evidence
    assert PASSWORD not in f"{refused.value} {refused.value.evidence}"


def test_a_test_account_of_a_service_that_is_no_dovecot_is_refused(made: Plan) -> None:
    mail = made.site.services["mail"]
    account = Login(name="user001", password_file=FILE)
    services = {**made.site.services, "mail": mail.model_copy(update={"test_account": account})}
    with pytest.raises(Refused, match=r"services.mail.test_account: expected .* this one is .post"):
        plan.make(made.site.model_copy(update={"services": services}))
