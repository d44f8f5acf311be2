"""Accounts kept apart, on the stand-in: there and back, at a boot, and beside rules of others.

What the rules keep accounts from is the kernel's; the stand-in models it for the programs that
tests/checks/mac.sh starts, after what a real FreeBSD 15.0 did. Only that one proves it
(test_guest_mac.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout import audit, plan
from rollout.engine.listener import Listener
from rollout.engine.runner import Runner
from rollout.errors import Refused, RolledBack, Waiting
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from rollout.site.mac import Mac
from tests.rehearsal.on_standin import host, runner, typed
from tests.rehearsal.sites import ordered

RULE = "subject uid user001:1999 object uid user001:1999 ! uid_of_subject mode n"
SHARED = RULE.replace("! uid_of", "! gid team ! uid_of")
LISTED = "ugidfw list 2>/dev/null | tail -n +2"
STATE = (
    f"{LISTED}; sysctl -i security.mac; sysrc -ni ugidfw_enable bsdextended_script; "
    "find /usr/local/etc/cellblock"
)


def planned(**table: str) -> Plan:
    made = ordered("mac").site
    return plan.make(made.model_copy(update={"mac": Mac.model_validate(table)}))


def test_there_and_back_and_at_a_boot(tmp_path: Path) -> None:
    made = planned()
    with standin_box(made.site, tmp_path) as box:
        with runner(made, box) as running:
            running.apply("network")
            before = typed(box, STATE)
            running.apply()
            assert typed(box, LISTED) == f"0 {RULE}\n"
            assert typed(box, "sysctl -n security.mac.seeotheruids.enabled") == "1\n"
        assert typed(box, "service ugidfw restart && " + LISTED).endswith(f"0 {RULE}\n")
        host(box).power_off()
        host(box).boot()
        assert typed(box, LISTED) == f"0 {RULE}\n"
        with runner(made, box) as running:
            assert not [each for each in running.verify() if not each.passed]
            running.rollback("network")
        assert typed(box, STATE) == before


def test_accounts_are_tried_in_the_jail_that_has_them_too(tmp_path: Path) -> None:
    made = ordered("web", "mac")
    with standin_box(made.site, tmp_path) as box, runner(made, box) as running:
        running.apply()
        said = {each.name for each in running.verify() if each.passed}
        assert {f"mac accounts are kept apart: {place}" for place in ("host", "web")} <= said
        typed(box, "ugidfw remove 0")
        failed = {each.name for each in running.verify() if not each.passed}
        assert "mac accounts are kept apart: web" in failed


def test_a_group_may_share_and_a_group_may_watch(tmp_path: Path) -> None:
    made = planned(shared="team", watchers="www")
    with standin_box(made.site, tmp_path) as box:
        typed(box, "pw groupadd team -g 3000")
        with runner(made, box) as running:
            running.apply()
        assert typed(box, LISTED) == f"0 {SHARED}\n"
        host(box).power_off()
        host(box).boot()
        assert typed(box, LISTED) == f"0 {SHARED}\n"
        watch = "security.mac.seeotheruids.specificgid"
        assert typed(box, f"sysctl -n {watch} {watch}_enabled") == "80\n1\n"


def test_processes_may_stay_seen(tmp_path: Path) -> None:
    made = planned(processes="all")
    with standin_box(made.site, tmp_path) as box:
        with runner(made, box) as running:
            running.apply()
        assert host(box).run("kldstat -q -m mac_seeotheruids").returncode == 1


def test_policies_that_are_loaded_already_stay(tmp_path: Path) -> None:
    made = planned()
    with standin_box(made.site, tmp_path) as box:
        typed(box, "kldload mac_bsdextended && kldload mac_seeotheruids")
        with runner(made, box) as running:
            running.apply()
            running.rollback()
        assert typed(box, "ugidfw list") == "1 slots, 0 rules\n"
        assert typed(box, "sysctl -n security.mac.seeotheruids.enabled") == "1\n"


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (
            "kldload mac_bsdextended && ugidfw set 7 subject uid 80 object uid 0 mode rsx",
            "ugidfw list: 7 subject uid www object uid root mode rsx",
        ),
        ("sysrc ugidfw_enable=yes", "ugidfw_enable=YES, rules of /etc/rc.bsdextended"),
        (
            "kldload mac_seeotheruids && sysctl security.mac.seeotheruids.specificgid_enabled=1",
            "security.mac.seeotheruids.specificgid_enabled=1",
        ),
    ],
    ids=["rules", "rc.conf", "a group that sees all"],
)
def test_what_others_have_set_is_refused_and_stays(tmp_path: Path, theirs: str, said: str) -> None:
    made = planned(watchers="www")
    with standin_box(made.site, tmp_path) as box:
        typed(box, theirs)
        typed(box, "mkdir /usr/local/etc/cellblock")
        before = typed(box, STATE)
        with runner(made, box) as running, pytest.raises(Refused, match=said):
            running.apply()
        assert typed(box, STATE) == before


def test_what_accounts_share_is_told_before(tmp_path: Path) -> None:
    made = planned()
    with standin_box(made.site, tmp_path) as box:
        share(box)
        with runner(made, box) as running:
            found = [each for each in audit.search(running.session, made.site) if each.why]
        assert {(each.account, each.path, each.why) for each in found} == {
            ("user001", "/usr/home/user001/old", "belongs to user002"),
            ("user001", "/usr/home/user001/link", "leads to the home of user003"),
            ("user001", "/usr/home/user001/a.php:3", "names the home of user002"),
            ("user002", "/var/cron/tabs/user002:1", "names the home of user001"),
        }


def test_what_accounts_share_is_asked_at_a_gate(tmp_path: Path) -> None:
    made = planned()
    with standin_box(made.site, tmp_path) as box:
        share(box)
        with (
            Runner(made, box.target, box.outside, Listener(), lambda *_: "") as running,
            pytest.raises(Waiting, match="lose what they share") as caught,
        ):
            running.apply()
        assert "user001 /usr/home/user001/old belongs to user002" in caught.value.evidence
        assert host(box).run("ugidfw list").returncode == 1


def share(box: Box) -> None:
    home = "/usr/home/user001"
    typed(box, f"touch {home}/old && chown user002 {home}/old && ln -s ../user003/x {home}/link")
    typed(
        box,
        f"printf '<?php\\n// /usr/home/user003/x\\ninclude \"/home/user002/x\";\\n' > {home}/a.php",
    )
    typed(box, f"chown -h user001 {home}/link {home}/a.php && mkdir -p /var/cron/tabs")
    typed(box, f"echo '* * * * * cat {home}/x' > /var/cron/tabs/user002")


def test_a_rule_that_does_not_come_into_force_undoes_the_step(tmp_path: Path) -> None:
    """ugidfw ends with 0 whatever happens, so what it did is read back."""
    made = planned()
    with standin_box(made.site, tmp_path) as box:
        with runner(made, box) as running:
            running.apply("network")
            before = typed(box, STATE)
            typed(box, "sysctl -i security.mac.bsdextended.enabled; mv /usr/sbin/ugidfw /root/u")
            typed(
                box, "printf '#!/bin/sh\\nexit 0\\n' > /usr/sbin/ugidfw; chmod 755 /usr/sbin/ugidfw"
            )
            with pytest.raises(RolledBack, match="mac"):
                running.apply()
        assert typed(box, STATE) == before
