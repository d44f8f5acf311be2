"""Accounts that come, go and change on the host do so in the jails, by what cron runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout import plan, site
from rollout.engine.listener import Listener
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from rollout.rehearsal.rehearsal import Rehearsal
from tests.rehearsal.on_standin import host, runner, typed
from tests.rehearsal.sites import ordered
from tests.rehearsal.test_accounts import WEB, written

LOCAL = "/usr/jails/web/local-etc"
OLD = "touch -t 202001010000 /etc/master.passwd /etc/group"
"""The check lets a change of the last two minutes be on its way."""
PEOPLE = "/etc/master.passwd /etc/passwd /etc/pwd.db /etc/spwd.db /etc/group"
PAGE = "the page of zoe"
NEW = (
    "pw groupadd shop -g 1500 && pw useradd zoe -u 1600 -m -d /usr/home/zoe -G shop,www && "
    f"mkdir /usr/home/zoe/public_html && echo {PAGE} > /usr/home/zoe/public_html/index.html && "
    "chown -R zoe /usr/home/zoe/public_html && chmod 755 /usr/home/zoe /usr/home/zoe/public_html"
)


@pytest.fixture
def made() -> Plan:
    return ordered("web", "mail")


@pytest.fixture
def box(made: Plan, tmp_path: Path) -> Iterator[Box]:
    with standin_box(made.site, tmp_path) as box:
        yield box


def by_cron(box: Box) -> list[str]:
    """Run what /etc/cron.d has, once: what cron would mail to root."""
    tabs = typed(box, "cat /etc/cron.d/cellblock-*-accounts").splitlines()
    return [typed(box, tab.split("root\t")[1] + " 2>&1") for tab in tabs]


def jails(box: Box, command: str, user: str = "root") -> list[str]:
    return [typed(box, f"jexec -U {user} {each} {command}").strip() for each in ("web", "mail")]


def test_who_comes_goes_and_changes_does_so_in_the_jails(
    made: Plan, box: Box, tmp_path: Path
) -> None:
    before = Rehearsal(made, box, Listener(), tmp_path).fingerprint()
    typed(box, f"mkdir /root/people && cp -p {PEOPLE} /root/people")
    with runner(made, box) as run:
        run.apply()
        files = jails(box, "sha256 /etc/master.passwd /etc/group /etc/passwd")
        by_cron(box)
        assert jails(box, "sha256 /etc/master.passwd /etc/group /etc/passwd") == files

        typed(box, NEW)
        assert all(each.passed for each in run.verify()), "the change may be on its way"
        typed(box, OLD)
        failed = [each for each in run.verify() if not each.passed]
        assert {each.name.split(":")[0] for each in failed} == {"accounts are those of the host"}
        assert "the host has account zoe:1600" in failed[0].message
        by_cron(box)
        assert [each for each in run.verify() if not each.passed] == []
        assert jails(box, "cat /usr/home/zoe/public_html/index.html", "zoe") == [PAGE] * 2
        assert jails(box, "id zoe") == [typed(box, "id zoe").strip()] * 2
        assert (
            jails(box, "grep ^zoe: /etc/passwd") == [typed(box, "grep ^zoe: /etc/passwd")[:-1]] * 2
        )

        typed(box, "pw usermod zoe -s /usr/sbin/nologin -G shop; pw userdel user002")
        typed(box, OLD)
        by_cron(box)
        assert [each for each in run.verify() if not each.passed] == []
        assert jails(box, "id zoe") == [typed(box, "id zoe").strip()] * 2
        assert jails(box, "awk -F: '$1 == \"user002\"' /etc/passwd /etc/group") == ["", ""]
        assert jails(box, "find /etc -name '.accounts*'") == ["", ""]

        typed(
            box, "rm -rf /usr/home/zoe /var/mail/zoe; cp -p /root/people/* /etc; rm -r /root/people"
        )
        run.rollback()
    Rehearsal(made, box, Listener(), tmp_path).must_equal(before, "after the rollback")
    assert host(box).strange == []


def test_who_comes_has_a_php_pool_and_a_daemon_that_would_not_start_keeps_its_file(
    tmp_path: Path,
) -> None:
    file = written(tmp_path, WEB, handler='"fpm"', probed="3")
    told = site.read(file)
    made = plan.make(told)
    pools = f"{LOCAL}/php-fpm.conf"
    with standin_box(told, tmp_path) as box, runner(made, box) as run:
        run.apply("web.standby")
        typed(box, NEW)
        [said] = by_cron(box)
        typed(box, OLD)
        assert said == ""
        assert [each for each in run.verify() if not each.passed] == []
        assert "[zoe]" in typed(box, f"cat {pools}").splitlines()
        assert typed(box, "jexec web find /var/run -name php-fpm-zoe.sock")

        before = typed(
            box, f"sed -i '' -e 's/^user = .*/user = nosuch/' {pools}.accounts; cat {pools}"
        )
        typed(box, f"touch -t 202001010000 {pools}; pw userdel zoe")
        [said] = by_cron(box)
        assert f"{pools.rpartition('/')[2]} is as it was: php-fpm refuses it" in said
        assert typed(box, f"cat {pools}") == before
        assert by_cron(box) == [""], "told once"
        run.rollback("web.jail")
        assert typed(box, f"find {LOCAL} -name 'php-fpm.conf*' -o -name '*.accounts'") == ""
