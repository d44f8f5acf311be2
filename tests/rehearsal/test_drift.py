"""Foreign changes to the host between steps are shown and kept, never undone by accident."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from operations.host_decisions import LATEST
from rollout import plan, site
from rollout.engine import drift
from rollout.engine.listener import Listener
from rollout.errors import Refused
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from rollout.rehearsal.rehearsal import Rehearsal
from tests.rehearsal.on_standin import Notes, runner, typed
from tests.rehearsal.sites import SAMPLE, ordered

JAIL_CONF = "/etc/jail.conf.d/mysql.conf"
MY_CNF = "/usr/jails/mysql/local-etc/mysql/my.cnf"


@pytest.fixture(scope="module")
def made() -> Plan:
    return ordered("mysql")


@pytest.fixture
def box(made: Plan, tmp_path: Path) -> Iterator[Box]:
    with standin_box(made.site, tmp_path) as box:
        yield box


@pytest.fixture
def told() -> Notes:
    return Notes()


THEIRS = (
    "sysrc dumpdev=AUTO",
    "echo '# by hand' >> /etc/rc.conf",
    "sysrc jail_list+=shop",
    "ifconfig lo1 inet 10.99.0.1/32 alias",
    "ipfw -q add 60000 deny ip from 192.0.2.66 to any",
    "echo '192.0.2.9 backup.example.org' >> /etc/hosts",
    "echo 'shop { persist; }' > /etc/jail.conf.d/shop.conf",
)


def test_foreign_additions_are_shown_by_apply_and_kept_by_a_rollback(
    made: Plan, box: Box, told: Notes, tmp_path: Path
) -> None:
    before = Rehearsal(made, box, Listener(), tmp_path).fingerprint()
    with runner(made, box, told) as run:
        run.apply("mysql.jail")
    assert not any("by others" in note for note in told.notes)
    for command in THEIRS:
        typed(box, command)
    with runner(made, box, told) as run:
        run.apply()
    [shown] = [note for note in told.notes if "changed by others since" in note]
    for what in (
        "rc.conf dumpdev",
        "# by hand",
        "rc.conf jail_list",
        "address 10.99.0.1 on lo1",
        "ipfw rule 60000 set 0",
        "a line of /etc/hosts",
        "/etc/jail.conf.d/shop.conf",
    ):
        assert what in shown, shown
    with runner(made, box, told) as run:
        trips = run.connection.trips
        found = drift.read(run.session)
        assert run.connection.trips == trips + 1
        assert {change.place for change in found.changes} >= {"rc.conf dumpdev"}
        run.rollback()
    after = Rehearsal(made, box, Listener(), tmp_path).fingerprint()
    gone = set(before) - set(after)
    assert not gone
    left = "\n".join(sorted(set(after) - set(before)))
    for theirs in (
        'dumpdev="AUTO"',
        "# by hand",
        "jail_list shop",
        "10.99.0.1",
        "60000",
        "backup.example.org",
        "shop.conf",
    ):
        assert theirs in left
    assert "10.80.0.3" not in left
    assert "mysql" not in left


def test_a_rollback_stops_before_it_destroys_foreign_changes(
    made: Plan, box: Box, told: Notes
) -> None:
    place = made.site.places["mysql"]
    rule = f"{LATEST} set {place.set}"
    edits = {
        f"echo '# mine' >> {JAIL_CONF}": JAIL_CONF,
        f"chmod 600 {JAIL_CONF}": JAIL_CONF,
        "sysrc mysql_enable=AUTO": "rc.conf mysql_enable",
        f"ipfw -q add {rule} deny ip from 192.0.2.1 to any": f"ipfw rule {rule}",
        f"sleep 1.1; echo 'port = 3307' >> {MY_CNF}": MY_CNF,
    }
    with runner(made, box, told) as run:
        run.apply()
    shown: set[str] = set()
    for edit, changed in edits.items():
        typed(box, edit)
        shown.add(changed)
        with runner(made, box, told) as run:
            state = run.session.output("sh /var/db/cellblock/host.sh fingerprint")
            with pytest.raises(Refused, match="others changed what the rollback would") as refused:
                run.rollback()
            assert run.session.output("sh /var/db/cellblock/host.sh fingerprint") == state
            assert run.results == []
        assert [each for each in shown if each not in refused.value.evidence] == []
        assert len(refused.value.evidence.splitlines()) == 2 + len(shown)
        assert "--set-aside" in refused.value.todo
    with runner(made, box, told) as run:
        run.rollback(set_aside=True)
        assert [entry.state for entry in run.known().entries if entry.state != "undone"] == []
    kept = typed(box, "cd /var/db/cellblock/aside && ls && cat *.txt")
    assert [each for each in shown if each not in kept] == []
    listed = typed(box, "tar -tf /var/db/cellblock/aside/*.tar")
    assert set(listed.split()) == {JAIL_CONF[1:], MY_CNF[1:]}
    assert typed(box, "ls -l /var/db/cellblock/aside | awk 'NR > 1 {print $1}' | sort -u") == (
        "-rw-------\n"
    )


def test_a_rollback_to_a_step_checks_only_what_it_undoes(made: Plan, box: Box, told: Notes) -> None:
    with runner(made, box, told) as run:
        run.apply()
    typed(box, f"echo '# mine' >> {JAIL_CONF}")
    with runner(made, box, told) as run:
        run.rollback("mysql.jail")
    assert typed(box, f"tail -n 1 {JAIL_CONF}") == "# mine\n"


@pytest.mark.whole
def test_a_whole_rollout_causes_no_false_drift(tmp_path: Path) -> None:
    """After each step of the whole sample, and again after a restart of the server."""
    made = plan.make(site.read(SAMPLE))
    told = Notes()
    with standin_box(made.site, tmp_path) as box:
        with runner(made, box, told) as run:
            run.apply()
            assert drift.read(run.session).changes == ()
        box.target.power_off()  # type: ignore[attr-defined]
        box.target.boot()  # type: ignore[attr-defined]
        with runner(made, box, told) as run:
            assert drift.read(run.session).changes == ()
            run.rollback("mysql.cutover")
            assert drift.read(run.session).changes == ()
    assert not any("by others" in note for note in told.notes)
