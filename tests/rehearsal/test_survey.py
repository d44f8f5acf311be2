"""A survey drafts a site file that `check` passes, and that moves services there and back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from rollout import plan, site
from rollout.errors import Refused
from rollout.host.session import Session
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from standin import BaseHost
from survey import host as hosts
from survey import summary
from survey.drafting import Way
from survey.standin.box import DIFFERS, MADE_UP, surveyed_box
from survey.standin.files import kept as read_files
from survey.survey import Surveyed, survey
from tests.cases.__main__ import box_of
from tests.cases.case import read
from tests.cases.drafts import drafted
from tests.cases.place import host_of
from tests.cases.play import Outcome, played
from tests.cases.surveys import both, plain, surveyed
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


Typed = Callable[..., tuple[int, str]]


@pytest.fixture
def typed_command() -> Typed:
    """`cellblock` as a process of its own: its exit code, and what it prints."""

    def run(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "deploy.py", *words],
            cwd=Path(__file__).parents[2],
            env=os.environ | {"PYTHONHASHSEED": "7"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout or done.stderr

    return run


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
        verdicts, fitting = check.check()
        fitting.must_fit()
    assert [each for each in verdicts if not each.passed] == []
    assert len(verdicts) == found.checks
    assert 'rcvar = "mysql_enable"              # /etc/rc.conf:8\n' in found.text
    assert "# /usr/local/etc/apache24/httpd.conf:7\n" in found.text
    for table, keys in found.draft.tables.items():
        unsaid = [key for key, each in keys.items() if not each.seen]
        assert set(unsaid) <= {"order", "allow", "services", "configtest"}, table


PLANTED = "Tr0ub4dor-and-3"
KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{PLANTED}\n-----END RSA PRIVATE KEY-----\n"


def test_the_stand_in_of_a_survey_is_as_the_host(box: Box, found: Surveyed) -> None:
    """Nothing of what check, plan and survey ask tells them apart; nor do these."""
    said: list[str] = []
    with surveyed_box(planned(found), found.recording, said.append) as (again, words):
        [told] = said
        assert told.startswith(f"{MADE_UP}\n")
        assert DIFFERS not in told
        for each in SEEN:
            assert typed(again, each) == typed(box, each), each
        assert host(again).strange == []
    told_of = " ".join(words)
    assert "128 accounts, 0 of them with a password" in told_of
    assert "1 file(s) that are programs, and do nothing: /root/bin/backup-mysql" in told_of
    assert (
        "are empty here, for the survey has no data: /etc/motd.template, /var/db/mysql/" in told_of
    )


SEEN = (
    "mount -p",
    "ifconfig -a",
    "sockstat -46lq | awk '{print $1, $2, $(NF - 1)}'",
    "cat /etc/rc.conf /etc/fstab /etc/group; cut -d: -f1-4,6,7 /etc/passwd",
    "cd /usr/local/etc && find . -type f ! -path './rc.d/*' | sort | xargs cat",
    "cd /usr && find local/etc home -maxdepth 2 | sort | xargs stat -f '%N %Mp%Lp %Su:%Sg %T'",
)


def test_what_the_stand_in_does_not_have_of_the_host_is_told(found: Surveyed) -> None:
    """Never left out: another release, a daemon that nobody here knows, a route, a check."""
    answers = dict(found.recording.answers)

    def more(command: str, line: str) -> None:
        there = answers[command]
        answers[command] = there.model_copy(update={"out": f"{line}\n{there.out}"})

    daemons = next(each for each in answers if each.startswith("bound=$(sockstat"))
    more(daemons, "root     memcached  999   4  tcp4   127.0.0.1:11211       *:*")
    more("netstat -rn -f inet", "172.16.0.0/12      203.0.113.9        UGS      vtnet0")
    system = next(each for each in answers if each.startswith('echo "system $(uname -s)"'))
    there = answers[system].out.replace("13.2-RELEASE", "15.0-RELEASE-p3")
    answers[system] = answers[system].model_copy(update={"out": there})
    other = found.recording.model_copy(update={"answers": answers})
    said: list[str] = []
    with surveyed_box(planned(found), other, said.append) as (_, words):
        assert said[1].startswith(f"{DIFFERS}\n  - the host runs FreeBSD 15.0-RELEASE-p3, ")
    assert (
        "ports that are listened at on the host, not in the stand-in: 127.0.0.1:11211/tcp" in words
    )
    assert "routes on the host, not in the stand-in: 172.16.0.0/12 vtnet0" in words


def test_a_survey_is_rehearsed_as_it_is_typed(
    found: Surveyed, tmp_path: Path, typed_command: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = tmp_path / "x.survey"
    summary.write(folder, found)
    code, said = typed_command("rehearse", "--survey", str(folder), "--break", "base")
    assert code == 2, said
    assert said.startswith(f"{MADE_UP}\n  - 128 accounts, ")
    [report] = tmp_path.glob("cellblock/*/*/report.json")
    data = json.loads(report.read_text())
    assert "128 accounts, " in data["not_modelled"][0]
    assert data["acts"][-1]["injected"]
    # What check refuses of the survey is refused before anything is built.
    (folder / "site.toml").write_text(found.text.replace("mysql_enable", "mysqld_enable"))
    code, said = typed_command("rehearse", "--survey", str(folder), "--break", "base")
    assert code == 1
    assert "does not pass the checks of" in said
    assert "mysqld_enable" in said
    assert MADE_UP not in said


@pytest.mark.parametrize("name", ["mail_of_another_uid", "address_comes_with_the_next_boot"])
def test_a_case_and_its_survey_are_refused_with_the_same_words(name: str, tmp_path: Path) -> None:
    first, second = both(read(CASES / f"{name}.toml"), tmp_path)
    assert first.kind == "refused"
    assert plain(first) == plain(second)


def test_a_case_is_moved_and_back_on_the_host_of_its_survey(tmp_path: Path) -> None:
    """The case itself is played by tests/cases: it has the same answers, too."""
    case = read(CASES / "mysql_data_is_a_link.toml")
    made = case.plan()
    again = surveyed(case, made, tmp_path)
    assert played(again, partial(box_of, again, made, "standin"), made) == Outcome("same")


def test_a_folder_of_a_survey_is_a_case(found: Surveyed, tmp_path: Path) -> None:
    folder = tmp_path / "x.survey"
    summary.write(folder, found)
    case = read(folder)
    assert case.plan().site.built == ("bind", "mysql", "web", "mail")
    asked = {str(each) for each in case.ask}
    assert {"203.0.113.2:53/udp from outside", "127.0.0.1:3306/tcp from host"} <= asked
    (tmp_path / "sent.toml").write_text(
        'what = "sent with a report"\nsurvey = "x.survey"\nmust = "same"\norder = ["mysql"]\n'
        'ask = [{ port = 3306, address = "203.0.113.2" }]\n'
    )
    case = read(tmp_path / "sent.toml")
    assert case.plan().site.built == ("mysql",)
    assert (
        host_of(case).base.entries["/etc/rc.conf"].text
        == BaseHost.sample().entries["/etc/rc.conf"].text
    )


def test_offline_the_survey_answers_as_the_host_did(
    found: Surveyed, tmp_path: Path, typed_command: Typed
) -> None:
    """In another process, in which sets have another order."""
    folder = tmp_path / "x.survey"
    summary.write(folder, found)
    asked = ("--survey", str(folder))
    code, said = typed_command("check", *asked)
    assert code == 0, said
    assert said.count(" ok\n") == found.checks
    code, said = typed_command("plan", "--full", *asked)
    assert (code, "does not have" in said) == (0, False), said
    assert "Before you begin" not in said
    assert "found on the host:\n      FreeBSD 13.2-RELEASE has got no security patches" in said
    # Another site file: what it asks besides is told, and never guessed.
    other = tmp_path / "other.toml"
    data = '["/var/db/mysql"]'
    other.write_text(found.text.replace(f"data = {data}", 'data = ["/var/db/mysql", "/var/x"]'))
    code, said = typed_command("check", *asked, "--site", str(other))
    assert code == 1
    assert "no answer  the survey of stand-in" in said


def test_a_secret_of_the_host_is_in_no_file_of_a_survey(tmp_path: Path) -> None:
    sample = BaseHost.sample(people=1)
    httpd = "/usr/local/etc/apache24/httpd.conf"
    planted = {
        httpd: f"{sample.entries[httpd].text}SetEnv DB_PASSWORD {PLANTED}\n",
        "/etc/rc.conf": f'{sample.entries["/etc/rc.conf"].text}web_api_key="{PLANTED}-x"\n',
        "/usr/local/etc/namedb/rndc.key": f'key "rndc-key" {{ secret "{PLANTED}"; }};\n',
        "/usr/local/etc/ssl/www.pem": f"{KEY}cert\n",
        "/usr/local/etc/apache24/.htpasswd": f"anna:{PLANTED}\n",
    }
    with standin_box(ordered().site, tmp_path, sample.with_files(planted)) as box:
        assert PLANTED in typed(box, f"cat {httpd}")
        came = survey(box.target, WAY, box.outside)
    folder = tmp_path / "x.survey"
    summary.write(folder, came)
    files = [each.read_text() for each in folder.iterdir()]
    assert len(files) == 6
    assert [each for each in files if PLANTED in each] == []
    told = {each.what for each in came.recording.left_out}
    assert told, "or nothing of it was read at all"
    assert told <= {"DB_PASSWORD", "web_api_key", "a private key"}
    kept = read_files(came.recording.answers)
    assert kept.texts["/usr/local/etc/ssl/www.pem"].endswith("cert\n")
    assert kept.texts[httpd].count("SetEnv DB_PASSWORD LEFT-OUT-") == 1
    assert kept.places["/usr/local/etc/namedb/rndc.key"].kind == "file"
    assert "/usr/local/etc/namedb/rndc.key" not in kept.texts
    [secrets] = [each for each in came.findings if each.id == "secrets"]
    assert all(each in secrets.here for each in told)
    assert "survey.differs" not in {each.id for each in came.findings}


def test_each_finding_has_an_id_a_reason_and_a_link(found: Surveyed) -> None:
    assert {each.id for each in found.findings} == {
        *("moment.release_gets_patches", "moves", "needs.none_are_there", "stays"),
        *("dependents.none_are_found", "dependents.all_keep_working", "gate.web.cutover"),
        *("gate.bind.retire", "gate.web.retire", "gate.mail.retire"),
        *("question.policy.allow", "question.services.mysql.client"),
    }
    assert all(each.why and each.here and each.docs for each in found.findings)
    gap = next(each for each in found.findings if (each.id, each.about) == ("moves", "mysql"))
    assert "no answer for 15 s at most" in gap.here
    left = next(each for each in found.findings if each.id == "dependents.all_keep_working")
    assert left.places == ("/etc/newsyslog.conf.d/apache.conf:1",)


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
    redis = "bind 127.0.0.1\nport 6379\nprotected-mode no\n"
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
