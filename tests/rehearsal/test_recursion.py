"""Programs of the host and of jails look up any name as before, or the step is undone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.errors import RolledBack
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from tests.rehearsal.on_standin import host, runner, typed
from tests.rehearsal.sites import ordered

CONF = "/usr/local/etc/namedb/named.conf"
JAILS = "/usr/jails/bind/local-etc/namedb/named.conf"
RECURSES = "recursion yes; allow-recursion { any; }"


@pytest.fixture(scope="module")
def made() -> Plan:
    return ordered("egress", "bind")


@pytest.fixture
def box(made: Plan, tmp_path: Path) -> Iterator[Box]:
    with standin_box(made.site, tmp_path) as box:
        typed(box, f"sed -i '' -e 's/recursion no/{RECURSES}/' {CONF} && service named onerestart")
        yield box


def undone(made: Plan, box: Box, after: str, change: str) -> str:
    """The evidence of the step that is undone because of a change in the jail's named.conf."""
    with runner(made, box) as there:
        there.apply(after)
        typed(box, f"sed -i '' -e '{change}' {JAILS}")
        with pytest.raises(RolledBack) as failed:
            there.apply()
    assert host(box).who_answers("203.0.113.2", 53, "udp") == "host"
    return failed.value.evidence or ""


def test_a_jail_that_may_not_resolve_does_not_come_to_serve(made: Plan, box: Box) -> None:
    said = undone(made, box, "bind.jail", "s/recursion yes/recursion no/")
    assert "as the host's, which answers NOERROR, with recursion, found" in said
    assert "the host gets REFUSED, without recursion, nothing" in said


def test_of_a_jail_without_a_way_out_the_gate_says_that_it_cannot_resolve(box: Box) -> None:
    shut_in = ordered("bind")
    with runner(shut_in, box) as there:
        gate = there.gate(shut_in.steps[shut_in.position("bind.jail")])
        there.apply("bind.standby")
    assert gate is not None
    assert "it cannot fetch zones or resolve names for clients" in " ".join(gate.look_at)


def test_an_address_at_which_programs_do_not_resolve_undoes_the_switch(
    made: Plan, box: Box
) -> None:
    change = "s/allow-recursion { any; }/allow-recursion { 10.80.0.0\\/24; }/"
    said = undone(made, box, "bind.resolver", change)
    assert "the host at 127.0.0.1 gets REFUSED, without recursion, nothing" in said


def test_who_resolves_as_before_moves(made: Plan, box: Box) -> None:
    with runner(made, box) as there:
        there.apply()
        assert host(box).who_answers("203.0.113.2", 53, "udp") == "bind"
        assert all(each.passed for each in there.verify())
        there.rollback()
    assert host(box).strange == []
