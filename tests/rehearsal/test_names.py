"""Jails find names as the host does, or it is told."""

from __future__ import annotations

from pathlib import Path

from rollout.rehearsal.box import standin_box
from tests.rehearsal.on_standin import runner, typed
from tests.rehearsal.sites import ordered


def test_a_jail_without_the_hosts_names_is_told(tmp_path: Path) -> None:
    made = ordered("web")
    with standin_box(made.site, tmp_path) as box, runner(made, box) as there:
        typed(box, "echo '192.168.7.5 db2.internal' >>/etc/hosts")
        there.apply("web.jail")
        assert all(verdict.passed for verdict in there.verify())
        typed(box, "jexec web sh -c 'echo >/etc/hosts; echo >/etc/resolv.conf'")
        [failed] = [verdict for verdict in there.verify() if not verdict.passed]
        assert "db2.internal" in failed.message
        assert "search example.org" in failed.message
