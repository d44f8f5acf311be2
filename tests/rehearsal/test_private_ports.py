"""The choice of public ports changes who can reach a service, not whether it moves."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import combinations
from pathlib import Path

import pytest

from rollout import plan, site
from rollout.host import bundle
from rollout.plan import Plan
from rollout.rehearsal.box import standin_box
from rollout.site import Listen
from tests.rehearsal.on_standin import host, runner
from tests.rehearsal.sites import FIRST, SAMPLE

WHOLE = site.read(SAMPLE)
PORTS = [(name, one.port, one.proto) for name, each in WHOLE.services.items() for one in each.ports]
Port = tuple[str, int, str]
SUBSETS = [each for n in range(len(PORTS) + 1) for each in combinations(PORTS, n)]


def planned(private: Collection[Port], *subjects: str) -> Plan:
    """The plan of the sample with these ports private to the host and the jails."""

    def kept(name: str, listen: Listen) -> Listen:
        public = (name, listen.port, listen.proto) not in private
        return listen.model_copy(update={"public": public})

    services = {
        name: each.model_copy(update={"ports": tuple(kept(name, one) for one in each.ports)})
        for name, each in WHOLE.services.items()
    }
    order = (*FIRST, *subjects) if subjects else WHOLE.order
    return plan.make(WHOLE.model_copy(update={"services": services, "order": order}))


@pytest.mark.parametrize("private", SUBSETS, ids=lambda each: "+".join(f"{p}" for _, p, _ in each))
def test_every_set_that_is_switched_has_rules(private: Collection[Port]) -> None:
    made = planned(private)
    for position, step in enumerate(made.steps):
        compiled = bundle.compile_step(position + 1, step, None)
        text = "\n".join(command.do for command in compiled.commands)
        for name in WHOLE.services:
            set_ = made.site.places[name].set
            if step.name == f"{name}.cutover":
                assert re.search(rf"ipfw -q add \d+ set {set_} ", text), f"{name}: an empty set"


@pytest.mark.parametrize(
    "private", [[each] for each in PORTS] + [PORTS], ids=lambda each: "+".join(p[0] for p in each)
)
def test_a_service_with_private_ports_moves_and_comes_back(
    private: Collection[Port], tmp_path: Path
) -> None:
    subjects = list(dict.fromkeys(name for name, _, _ in private))
    if "web" in subjects and "mysql" not in subjects:
        subjects.insert(0, "mysql")  # the web's jail mounts its socket
    made = planned(private, *subjects)
    with standin_box(made.site, tmp_path) as box:
        assert {each.source for each in box.watches} >= {"host"}
        with runner(made, box) as there:
            there.apply()
            assert all(verdict.passed for verdict in there.verify())
        for name, port, proto in private:
            asked = (str(made.site.host.wan_address), port, proto)
            assert host(box).who_answers(*asked, "host") == made.site.jail_of(name)
            assert host(box).who_answers(*asked) != made.site.jail_of(name)
        with runner(made, box) as back:
            back.connection.connect()
            back.rollback()
        assert host(box).strange == []
