"""A site file may change between runs: what no step on the host has used is the new file's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rollout import plan
from rollout.errors import Refused
from rollout.host import journal
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from rollout.report import status
from tests.crash.view import View, differences
from tests.rehearsal.on_standin import Notes, host, runner
from tests.rehearsal.sites import ordered

FIRST = ordered("mysql")
WITH_MAIL = ordered("mysql", "mail")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with standin_box(FIRST.site, tmp_path_factory.mktemp("box")) as box:
        yield box


def waiting(made: Plan, seconds: int) -> Plan:
    """The same site, with another limit for MySQL's stop: mysql.cutover alone uses it."""
    mysql = made.site.services["mysql"].model_copy(update={"stop_within": seconds})
    services = {**made.site.services, "mysql": mysql}
    return plan.make(made.site.model_copy(update={"services": services}))


def test_a_changed_site_goes_on_where_it_can_and_says_where_it_cannot(box: Box) -> None:
    view = View(host(box))
    before = view.take()
    with runner(FIRST, box) as run:
        run.apply("mysql.jail")
    with runner(waiting(FIRST, 400), box) as run:
        run.apply()
        assert all(verdict.passed for verdict in run.verify())

    late = waiting(FIRST, 500)
    with runner(late, box) as run:
        with pytest.raises(Refused) as caught:
            run.apply()
        told = str(caught.value)
        assert "mysql.cutover is confirmed on the host, and would do something else" in told
        assert "mysql.jail" not in told.partition("->")[0]
        assert "cellblock rollback --to mysql.jail, then cellblock apply" in told
        found = status.data(late, journal.read(run.session))
        assert "has them now: mysql.cutover." in found["summary"]
        assert "rollback --to mysql.jail" in found["next"]
        run.rollback("mysql.jail")
        run.apply()

    # Another jail has another address in the network: all goes back, by the undo on the host.
    notes = Notes()
    with runner(WITH_MAIL, box, notes) as run:
        with pytest.raises(Refused, match="cellblock rollback --to base, then"):
            run.apply()
        run.rollback()
    assert any("otherwise" in each and "network" in each for each in notes.notes)
    now = view.take()
    assert now == before, differences(before, now)
