"""A file system mounted below what a jail mounts: the jail has it, too, or it is told."""

from __future__ import annotations

from pathlib import Path

from rollout.rehearsal.box import standin_box
from tests.rehearsal.on_standin import host, runner, typed
from tests.rehearsal.sites import ordered

HOME = "/usr/home/user001"


def test_a_home_of_its_own_is_in_the_jail_and_one_that_comes_later_is_told(tmp_path: Path) -> None:
    made = ordered("web")
    with standin_box(made.site, tmp_path) as box:
        for home in (HOME, "/usr/home/user002"):
            typed(box, f"echo 'tmpfs {home} tmpfs rw 0 0' >> /etc/fstab")
        typed(box, f"mount {HOME} && echo mine >{HOME}/note")
        with runner(made, box) as there:
            there.apply("web.jail")
            assert typed(box, f"jexec web cat {HOME}/note") == "mine\n"
            assert all(verdict.passed for verdict in there.verify())
            typed(box, "mount /usr/home/user002")
            [failed] = [verdict for verdict in there.verify() if not verdict.passed]
            assert "mounted on the host at /usr/home/user002" in failed.message
            there.rollback()
        assert typed(box, f"cat {HOME}/note") == "mine\n"
        assert host(box).strange == []
