"""An operator's machine that dies in the middle, and foreign changes to the host meanwhile."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.engine.listener import Listener
from rollout.errors import CellblockError, Locked, Stuck
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from rollout.rehearsal.rehearsal import Rehearsal
from rollout.report import status
from tests.rehearsal.on_standin import runner
from tests.rehearsal.sites import ordered

SAMPLE = Path(__file__).parents[2] / "site.example.toml"


@pytest.fixture(scope="module")
def made() -> Plan:
    return ordered("mysql", "web")


@pytest.fixture
def box(made: Plan, tmp_path: Path) -> Iterator[Box]:
    with standin_box(made.site, tmp_path) as box:
        yield box


@pytest.fixture(scope="module")
def littered(made: Plan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """One box for all planted files: each test looks for what it has planted itself."""
    with standin_box(made.site, tmp_path_factory.mktemp("littered")) as box:
        yield box


def apply_all(made: Plan, box: Box) -> None:
    with runner(made, box) as run:
        run.apply()


def states(made: Plan, box: Box) -> list[str]:
    with runner(made, box) as run:
        data = status.data(made, run.known())
    return [each["state"] for each in data["steps"]]


def test_the_next_apply_goes_on_after_kill_9_at_any_moment(made: Plan, box: Box) -> None:
    seed = random.randrange(10**6)
    print("seed", seed)
    moments = random.Random(seed)
    for _ in range(3):
        operator = multiprocessing.get_context("fork").Process(target=apply_all, args=(made, box))
        operator.start()
        time.sleep(moments.uniform(0.1, 6.0))
        operator.kill()
        operator.join()
    with runner(made, box) as run:
        run.apply()
        assert all(verdict.passed for verdict in run.verify())
    assert states(made, box)[1:] == ["confirmed"] * (len(made.steps) - 1)


def test_two_operators_do_not_get_in_each_others_way(made: Plan, box: Box) -> None:
    with runner(made, box) as first:
        first.apply("base")
        with pytest.raises(Locked, match="another run"), runner(made, box) as second:
            second.apply()
    with runner(made, box) as second:
        second.apply("network")


@pytest.mark.parametrize(
    "planted",
    [
        "echo >> /etc/motd.template",
        "chmod 600 /etc/ssh/sshd_config",
        "chown www /etc/crontab",
        "sysrc dumpdev=AUTO",
        "ifconfig lo0 inet 127.0.0.9/32 alias",
        "mkdir -p /mnt/a && mount -t nullfs /etc /mnt/a",
        "kenv net.inet.ip.fw.default_to_accept=1 && kldload ipfw",
        "mkdir -p /usr/j && jail -c name=j path=/usr/j persist",
        "service named onestop",
        "chmod 777 /var/db/mysql",
        "rm /etc/newsyslog.conf",
    ],
)
def test_a_planted_difference_is_found(
    made: Plan, littered: Box, tmp_path: Path, planted: str
) -> None:
    rehearsal = Rehearsal(made, littered, Listener(), tmp_path)
    before = rehearsal.fingerprint()
    rehearsal.must_equal(before, "with nothing planted")
    done = littered.target.run(planted)  # type: ignore[attr-defined] # the stand-in's own
    assert done.returncode == 0, done.stderr
    with pytest.raises(Stuck, match="not as before"):
        rehearsal.must_equal(before, "with something planted")


def test_foreign_changes_survive_a_rollback(made: Plan, box: Box) -> None:
    with runner(made, box) as run:
        run.apply("mysql.cutover")
    box.target.run("sysrc dumpdev=AUTO; echo '# mine' >> /etc/rc.conf; echo x > /etc/mine.conf")  # type: ignore[attr-defined]
    with runner(made, box) as run:
        run.rollback()
    kept = box.target.run("sysrc -n dumpdev; tail -1 /etc/rc.conf; cat /etc/mine.conf")  # type: ignore[attr-defined]
    assert kept.stdout == "AUTO\n# mine\nx\n"


def test_a_file_of_cellblock_with_foreign_changes_is_not_overwritten(made: Plan, box: Box) -> None:
    with runner(made, box) as run:
        run.apply("network")
    box.target.run("echo '# mine' >> /usr/local/etc/rc.d/cellblock_firewall")  # type: ignore[attr-defined]
    with pytest.raises(CellblockError, match="others changed"), runner(made, box) as run:
        run.rollback()
    left = box.target.run("tail -1 /usr/local/etc/rc.d/cellblock_firewall")  # type: ignore[attr-defined]
    assert left.stdout == "# mine\n"
