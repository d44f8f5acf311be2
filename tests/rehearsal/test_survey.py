"""A survey drafts a site file that `check` passes, and that moves services there and back."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout import plan, site
from rollout.errors import Refused
from rollout.host.session import Session
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from standin import BaseHost
from survey import host as hosts
from survey.drafting import Way
from survey.survey import Surveyed, survey
from tests.cases.case import read
from tests.cases.drafts import drafted
from tests.rehearsal.on_standin import Lying, host, runner, typed
from tests.rehearsal.sites import ordered

CASES = Path(__file__).parents[1] / "cases" / "found"
WAY = Way("203.0.113.2")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with standin_box(ordered().site, tmp_path_factory.mktemp("surveyed")) as box:
        yield box


@pytest.fixture(scope="module")
def found(box: Box) -> Surveyed:
    return survey(box.target, WAY, box.outside)


def planned(found: Surveyed) -> Plan:
    return plan.make(site.parse(tomllib.loads(found.text), Path("site.toml")))


def state(box: Box) -> str:
    """What a survey could have changed: files, mounts, rules, jails, processes."""
    asked = "find / -xdev -newer /tmp/before ! -type d ! -path '/tmp/*' ! -path '/libexec/*' -print"
    return typed(box, f"{asked}; mount -p; jls; ifconfig -l; kldstat | wc -l; sockstat -46l")


def test_the_samples_draft_has_its_services_and_few_questions(box: Box, found: Surveyed) -> None:
    there = planned(found).site
    assert there.order[5:] == ("bind", "mysql", "web", "mail", "policy")
    assert [each.key for each in found.draft.questions] == ["client", "allow"]
    assert (found.draft.left, found.draft.told, found.draft.unseen) == ({}, [], [])
    web, mysql = there.services["web"], there.services["mysql"]
    assert (web.rc, web.user, web.log_files) == ("apache24", "www", ("/var/log/httpd-error.log",))
    assert (mysql.data, mysql.socket) == (("/var/db/mysql",), "/var/run/mysql/mysql.sock")
    assert there.jails["web"].uids == (1001, 1999)
    assert there.services["bind"].data == tuple(
        f"/usr/local/etc/namedb/{each}" for each in ("primary", "working")
    )
    assert found.checks > 80
    assert host(box).strange == []


def test_its_draft_passes_check_and_says_where_each_value_was_seen(
    box: Box, found: Surveyed
) -> None:
    with runner(planned(found), box) as check:
        verdicts = check.verify()
        check.must_fit(len(check.plan.steps))
    assert [each for each in verdicts if not each.passed] == []
    assert len(verdicts) == found.checks
    assert 'rcvar = "mysql_enable"              # /etc/rc.conf:8\n' in found.text
    assert "# /usr/local/etc/apache24/httpd.conf:7\n" in found.text
    for table, keys in found.draft.tables.items():
        unsaid = [key for key, each in keys.items() if not each.seen]
        assert set(unsaid) <= {"order", "allow", "services", "configtest"}, table


def test_a_survey_changes_nothing_and_asks_in_few_round_trips(tmp_path: Path) -> None:
    with standin_box(ordered().site, tmp_path) as box:
        typed(box, "touch /tmp/before; sleep 0.1")
        before = state(box)
        with Session(box.target) as session:
            hosts.read(session)
            assert session.trips <= 4
        survey(box.target, WAY, box.outside)
        assert state(box) == before


@pytest.mark.parametrize(
    ("lie", "expected"),
    [
        ("uname() { echo Linux; }", "is Linux: expected FreeBSD"),
        ("sysctl() { echo 1; }", "is a jail itself"),
        ("sockstat() { :; }", "none of the daemons that Cellblock moves listens there"),
        ("ifconfig() { echo 'lo0: flags=8049'; }", "no telling by which interface"),
    ],
)
def test_a_host_that_cannot_be_drafted_is_refused(box: Box, lie: str, expected: str) -> None:
    with pytest.raises(Refused, match=expected):
        survey(Lying(box.target, lie), WAY, box.outside)


def test_without_root_it_says_what_it_could_not_see(box: Box) -> None:
    without = "id() { echo 1001; }; procstat() { return 1; }"
    came = survey(Lying(box.target, without), WAY, box.outside)
    assert "this login is not root's (uid 1001)" in came.text.replace("\n# ", " ")
    assert any("expected root" in each for each in came.draft.told)


@pytest.mark.parametrize("name", ["redis_at_a_socket", "php_fpm_of_the_port"])
def test_the_draft_of_a_cases_host_passes_check(name: str) -> None:
    came = drafted(read(CASES / f"{name}.toml"))
    assert came.found, came
    assert (came.refused, came.found.draft.left) == ("", {}), came


RC_CONF = """\
named_enable="NO"
mysql_enable="NO"
sendmail_enable="NONE"
php_fpm_enable="YES"
redis_enable="YES"
"""
FPM = "[www]\nuser = www\ngroup = www\nlisten = /var/run/php-fpm.sock\npm = ondemand\n"


def test_a_draft_moves_the_services_and_moves_them_back(tmp_path: Path) -> None:
    """Apache with php-fpm; a cache that Cellblock does not know stays, and is reached."""
    sample = BaseHost.sample(people=3)
    rc_conf = (sample.entries["/etc/rc.conf"].text or "") + RC_CONF
    redis = "bind 127.0.0.1\nport 6379\n"
    files = {"/etc/rc.conf": rc_conf, "/usr/local/etc/php-fpm.conf": FPM}
    base = sample.with_files(files | {"/usr/local/etc/redis.conf": redis})
    with standin_box(ordered().site, tmp_path, base) as box:
        typed(box, "pw useradd redis -u 535 -s /usr/sbin/nologin; service redis start")
        came = survey(box.target, WAY, box.outside)
        made = planned(came)
        assert made.site.built == ("web",)
        assert made.site.staying == ("redis",)
        assert [each.rc for each in made.site.companions("web")] == ["php-fpm"]
        before = typed(box, "mount -p; cat /etc/rc.conf; ls /usr; jls; ifconfig -a")
        with runner(made, box) as forward:
            forward.apply()
            assert [each for each in forward.verify() if not each.passed] == []
        there = host(box)
        assert there.who_answers("203.0.113.2", 80, "tcp") == "web"
        assert there.who_answers("127.0.0.1", 6379, "tcp", "web") == "host"
        assert "is running" in typed(box, "service -j web php-fpm onestatus")
        with runner(made, box) as back:
            back.rollback()
        assert typed(box, "mount -p; cat /etc/rc.conf; ls /usr; jls; ifconfig -a") == before


def test_a_host_that_has_been_begun_is_refused(tmp_path: Path) -> None:
    made = ordered("mysql")
    with standin_box(made.site, tmp_path) as box:
        with runner(made, box) as forward:
            forward.apply("base")
        with pytest.raises(Refused, match="has been begun: base"):
            survey(box.target, WAY, box.outside)
