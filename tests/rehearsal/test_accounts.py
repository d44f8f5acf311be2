"""Accounts on the stand-in: each handler by real probes, MySQL by its name, apply and rollback."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from rollout import audit, plan, site
from rollout.engine.listener import Listener
from rollout.engine.runner import Runner
from rollout.errors import Refused, RolledBack
from rollout.host.session import Session
from rollout.rehearsal.box import standin_box
from standin import BaseHost, StandIn
from standin.samples.files import Entry

SAMPLE = (Path(__file__).parents[2] / "site.example.toml").read_text(encoding="utf-8")


def written(where: Path, order: str, **changes: str) -> Path:
    """The sample site with another order, and with lines of [accounts] changed."""
    text = re.sub(r"(?m)^order = .*$", f"order = [{order}]", SAMPLE)
    text = text.replace(
        'configuration = ["/usr/local/etc/apache24"]',
        'configuration = ["/usr/local/etc/apache24", "/usr/local/etc/rc.d/php-fpm"]',
    )
    for key, value in changes.items():
        text, count = re.subn(rf"(?m)^(# )?{key} = \S+", f"{key} = {value}", text)
        assert count == 1, key
    (where / "site.toml").write_text(text, encoding="utf-8")
    return where / "site.toml"


@contextmanager
def running(file: Path, base: BaseHost | None = None) -> Iterator[tuple[Runner, StandIn]]:
    told = site.read(file)
    with standin_box(told, file.parent, base) as box:
        assert isinstance(box.target, StandIn)
        runner = Runner(
            plan.make(told), box.target, box.outside, Listener(), lambda step, gate: "me"
        )
        with runner:
            yield runner, box.target


WEB = '"preflight", "base", "network", "mysql", "web"'
BY_NAME = '"preflight", "base", "network", "mysql", "mysql_by_name"'


@pytest.mark.parametrize(
    "handler",
    [*(pytest.param(each, marks=pytest.mark.whole) for each in ("fpm", "suexec")), "suphp"],
)
def test_scripts_run_as_their_owners(tmp_path: Path, handler: str) -> None:
    file = written(tmp_path, WEB, handler=f'"{handler}"', probed="3")
    with running(file) as (runner, standin):
        runner.apply("web.standby")
        results = {result.step: result for result in runner.results}
        probe = "accounts scripts run as their owners: web"
        assert probe in {verdict.name for verdict in results["web.standby"].checks}
        # Remove every protection against a root-owned, a foreign and an open script: then the check
        # must fail.
        spoil(standin, handler)
        failed = [verdict for verdict in runner.verify() if not verdict.passed]
        assert [verdict.name for verdict in failed] == [probe]
        assert "it ran as uid" in failed[0].message
        with Session(standin) as session:  # removes what the check left
            session.output("rm -f /usr/jails/web/local-etc/suphp.conf")
        runner.rollback("web.jail")  # other tests roll back the earlier steps
        assert standin.strange == []


def spoil(standin: StandIn, handler: str) -> None:
    conf = "/usr/jails/web/local-etc"
    command = {
        "fpm": f"sed -i '' -e /auto_prepend_file/d {conf}/php-fpm.conf",
        "suphp": f"sed -i '' -e s/others_writeable=false/others_writeable=true/ {conf}/suphp.conf",
        # Without the handler the server sends the script's text: nothing ran it.
        "suexec": f"sed -i '' -e s/cgi-script/x-httpd-php/ {conf}/apache24/Includes/cellblock.conf",
    }[handler]
    with Session(standin) as session:
        session.output(command)
        if handler == "suexec":
            session.output(f"printf 'min_uid=0\\nmin_gid=0\\n' > {conf}/suphp.conf")


def test_a_configuration_that_apache_refuses_goes_before_it_serves(tmp_path: Path) -> None:
    file = written(tmp_path, WEB, handler='"fpm"', modules='"libexec/nowhere"')
    with running(file) as (runner, standin):
        with pytest.raises(RolledBack, match=r"web\.accounts: command 8 of 10 failed") as told:
            runner.apply("web.standby")
        assert "Cannot load libexec/nowhere/mod_proxy.so" in told.value.evidence
        assert standin.strange == []


def account(line: str) -> BaseHost:
    base = BaseHost.sample()
    master = base.accounts["/etc/master.passwd"] + line
    return replace(base, accounts={**base.accounts, "/etc/master.passwd": master})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "twin:*:1001:1001::0:0:User &:/usr/home/user001:/bin/sh\n",
            "1001 belongs to user001 and twin",
        ),
        ("lost:*:1500:1500::0:0:User &:/usr/home/lost:/bin/sh\n", "lost (/usr/home/lost)"),
        (
            "1501:*:1501:1501::0:0:User &:/usr/home/user001:/bin/sh\n",
            "cannot be used in a configuration file: 1501",
        ),
    ],
    ids=["a uid twice", "no home", "a name of digits"],
)
def test_accounts_that_cannot_be_moved_are_refused(tmp_path: Path, line: str, said: str) -> None:
    file = written(tmp_path, WEB, handler='"fpm"')
    with running(file, account(line)) as (runner, standin):
        with pytest.raises(Refused) as told:
            runner.apply()
        assert said in told.value.evidence
        with Session(standin) as session:
            assert session.run("test -e /usr/jails").code == 1


PHP = '<?php $db = new mysqli("localhost", "shop", "SECRET"); ?>\n'
PAGE = "/usr/home/user007/public_html/db.php"


def test_localhost_goes_only_when_nobody_needs_it(tmp_path: Path) -> None:
    base = BaseHost.sample()
    base = replace(base, entries={**base.entries, PAGE: Entry(PHP, 0o646, "user007", "user007")})
    with running(written(tmp_path, BY_NAME), base) as (runner, standin):
        with pytest.raises(RolledBack, match=r"mysql\.retire: command 3 of 7 failed") as told:
            runner.apply()
        assert "1 lines of people's files" in told.value.evidence
        with Session(standin) as session:
            found = audit.search(session, runner.plan.site)
            kinds = {(each.account, each.kind, each.path, each.line) for each in found}
            assert kinds == {("user007", "open", PAGE, 0), ("user007", "localhost", PAGE, 1)}
            assert "SECRET" not in repr(found)
            assert session.run("nc -z -w 1 127.0.0.1 3306").code == 0
            session.output(f"sed -i '' -e s/localhost/mysql.example.org/ {PAGE}")
            runner.apply()
            assert session.run("nc -z -w 1 127.0.0.1 3306").code == 1
            assert session.run("nc -z -w 1 mysql.example.org 3306").code == 0
            runner.rollback("mysql.cutover")
            assert session.run("nc -z -w 1 127.0.0.1 3306").code == 0
        assert standin.strange == []


QUOTA = '"preflight", "base", "network", "mysql", "mysql_quota"'
DATA = "/var/db/mysql"
SHOW = f"cd {DATA} && stat -f '%N %Su:%Sg %Lp' user001_shop user001_shop/* user0011 other_shop"
BEFORE = [
    "user001_shop mysql:mysql 700",
    "user001_shop/goods.ibd mysql:mysql 660",
    "user0011 mysql:mysql 700",
    "other_shop mysql:mysql 700",
]


def test_databases_belong_to_the_accounts_that_they_are_named_after(tmp_path: Path) -> None:
    base = BaseHost.sample()
    made = {
        f"{DATA}/{name}": Entry(None, 0o700, "mysql", "mysql")
        for name in ("user001_shop", "user0011", "other_shop")
    }
    made[f"{DATA}/user001_shop/goods.ibd"] = Entry("rows\n", 0o660, "mysql", "mysql")
    base = replace(base, entries={**base.entries, **made})
    file = written(tmp_path, QUOTA, shared_databases='["user0011","other_shop"]')
    with running(file, base) as (runner, standin), Session(standin) as session:
        assert session.output(SHOW).splitlines() == BEFORE
        runner.apply()
        theirs = ["user001_shop user001:mysql 770", "user001_shop/goods.ibd user001:mysql 660"]
        assert session.output(SHOW).splitlines() == [*theirs, *BEFORE[2:]]
        calls = standin.calls
        changed = min(n for n, call in enumerate(calls) if " chmod -h g+rwx " in call)
        assert "fsync /var/db/cellblock/mysql.modes" in calls[:changed], "modes could be lost"
        new = f"{DATA}/user002_new"
        session.output(f"install -d -o mysql -g mysql -m 700 {new}")
        session.output(f"install -o mysql -g mysql -m 660 /dev/null {new}/new.ibd")
        assert [verdict for verdict in runner.verify() if not verdict.passed] == []
        assert session.output(f"stat -f %Su {new} {new}/new.ibd") == "user002\nuser002\n"
        runner.rollback("mysql.cutover")
        assert session.output(SHOW).splitlines() == BEFORE
        told = session.output(f"stat -f '%Su %Lp' {new} {new}/new.ibd").splitlines()
        assert told == ["mysql 700", "mysql 660"]
        assert standin.strange == []


PLANT = f"""
at='{DATA}/x
{DATA}/user001_x'
mkdir -p "$at" && touch "$at/master.passwd" && ln -s /etc {DATA}/user001_x
install -d -m 700 {DATA}/user002_y
ln -s /etc/master.passwd {DATA}/user002_y/link
touch {DATA}/user002_y/-R {DATA}/user002_y/suid
chown -Rh mysql:mysql {DATA}/x* {DATA}/user001_x {DATA}/user002_y
chmod 4755 {DATA}/user002_y/suid
"""
"""What a mysqld that is broken into can make in its data directory, with a newline in a name."""
HOSTS_OWN = "stat -f '%N %Su:%Sg %p' /etc /etc/*"


@pytest.mark.parametrize("jail", ["runs", "rests"])
def test_the_quota_job_of_the_hosts_root_touches_nothing_but_the_databases(
    tmp_path: Path, jail: str
) -> None:
    job = "sh /usr/local/etc/cellblock/mysql.quota"
    theirs = f"cd {DATA} && stat -f '%N %Su %Lp' user002_y user002_y/-R user002_y/suid"
    with running(written(tmp_path, QUOTA)) as (runner, standin), Session(standin) as session:
        runner.apply()
        before = session.output(HOSTS_OWN)
        session.output(PLANT)
        if jail == "rests":
            session.output("service jail stop mysql")
        assert not session.run(f"{job} give").err
        assert session.output(HOSTS_OWN) == before
        given = "user002" if jail == "runs" else "mysql"
        assert session.output(theirs).splitlines() == [
            f"user002_y {given} {'770' if jail == 'runs' else '700'}",
            f"user002_y/-R {given} 644",
            "user002_y/suid mysql 755",
        ], "a file that would run as the account stays MySQL's"
        session.output(f"{job} back")
        assert session.output(HOSTS_OWN) == before
        assert session.output(theirs).splitlines()[:2] == [
            "user002_y mysql 700",
            "user002_y/-R mysql 644",
        ]
        assert standin.strange == []


def test_modes_are_mended_and_put_back(tmp_path: Path) -> None:
    base = BaseHost.sample()
    base = replace(base, entries={**base.entries, PAGE: Entry(PHP, 0o646, "user007", "user007")})
    with running(written(tmp_path, WEB), base) as (runner, standin), Session(standin) as session:
        assert audit.fix(session, runner.plan.site) == [f"100646 {PAGE}"]
        assert mode(session) == "644"
        changed = min(n for n, call in enumerate(standin.calls) if call.startswith("chmod -h"))
        synced = [call for call in standin.calls[:changed] if call.startswith("fsync ")]
        assert any("/audit/" in call for call in synced), "the old modes could be lost"
        assert audit.undo(session) == ([f"100646 {PAGE}"], [])
        assert mode(session) == "646"
        audit.fix(session, runner.plan.site)
        session.output(f"chmod 600 {PAGE}")
        assert audit.undo(session) == ([], [f"100646 {PAGE}"])
        assert mode(session) == "600"
        with pytest.raises(Refused) as told:
            audit.undo(session)
        assert "nothing to undo" in told.value.evidence
        assert standin.strange == []


def mode(session: Session) -> str:
    return session.output(f"stat -f %Lp {PAGE}").strip()
