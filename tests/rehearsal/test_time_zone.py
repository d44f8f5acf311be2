"""A jail whose time zone or name service switch is not the host's is told."""

from __future__ import annotations

from pathlib import Path

from rollout.rehearsal.box import standin_box
from tests.rehearsal.on_standin import runner, typed
from tests.rehearsal.sites import ordered


def test_a_jail_with_another_name_service_switch_is_told(tmp_path: Path) -> None:
    made = ordered("bind")
    with standin_box(made.site, tmp_path) as box, runner(made, box) as there:
        there.apply("bind.jail")
        assert all(verdict.passed for verdict in there.verify())
        typed(box, "echo 'passwd: files nis' >> /etc/nsswitch.conf")
        [failed] = [verdict for verdict in there.verify() if not verdict.passed]
        assert "/etc/nsswitch.conf of jail bind differs from the host's" in failed.message
