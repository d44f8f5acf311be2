"""Services that Cellblock has no knowledge of its own of: the site file says how each moves."""

from __future__ import annotations

from dataclasses import dataclass

from operations import asked, rc
from rollout.plan.step import Check, Gate, Step, check, use
from rollout.site import Site
from steps import forward, handover, overlap
from steps.thin import jail_steps


@dataclass(frozen=True)
class Described:
    """One of them, as a subject. It moves as `move` in its table says."""

    name: str
    REQUIRES: tuple[str, ...] = ("network",)

    def preflight(self, site: Site) -> tuple[Check, ...]:
        """Its questions must have answers that stay, or a comparison would say nothing; and the
        daemon must be able to run in a jail, and beside its twin where it will.
        """
        tests = [
            "described::questions_have_answers",
            "described::daemon_listens_where_its_jail_can",
        ]
        if site.services[self.name].move == "overlap":
            tests.append("described::daemon_writes_nothing_that_two_would")
        return tuple(check(each, until=f"{self.name}.cutover", service=self.name) for each in tests)

    def steps(self, site: Site) -> tuple[Step, ...]:
        moves = self._overlapping if site.services[self.name].move == "overlap" else self._handed
        return (*jail_steps(site, self.name), *moves(site))

    def _same(self) -> Check:
        return check("described::jail_gives_the_same_answers", service=self.name)

    def _overlapping(self, site: Site) -> tuple[Step, ...]:
        name = self.name
        return (
            overlap.standby(
                site,
                name,
                why=f"The jail's {name} answers on its own address while the host's keeps serving.",
                until=f"{name}.retire",
                checks=(self._same(),),
            ),
            overlap.cutover(
                site,
                name,
                why="New connections go to the jail from one moment on; open connections continue.",
            ),
            overlap.retire(
                site,
                name,
                why=f"The host's {name} stops, and no longer starts at boot.",
                tell=(f"who edits {name}'s configuration: from now on edit the jail's copy",),
                gate=Gate(
                    question=f"Does {name} do what it did, served by the jail?",
                    look_at=("its clients, from outside and on the host", "its log in the jail"),
                ),
            ),
        )

    def _handed(self, site: Site) -> tuple[Step, ...]:
        name, service, jail = self.name, site.services[self.name], site.jail_of(self.name)
        test = service.configtest
        return (
            handover.cutover(
                site,
                name,
                does=f"{name} stops here, starts in its jail",
                why="Two daemons cannot share the data, so the host's stops and the jail's starts "
                "on the same files, on the host itself, without waiting for the network.",
                rules=forward.rules(site, name),
                sets=[site.places[name].set],
                before=[use(rc.configuration_is_right, jail=jail, command=test)] if test else [],
                twin=asked.same_answers(service.questions, jail),
                checks=(*forward.checks(site, name, forward.ways(site, name)), self._same()),
                outage=15.0,
                tell=(f"owners of backups and jobs on the host: {name} now runs in its jail",),
            ),
        )


def subjects(site: Site) -> dict[str, Described]:
    """Those of a site, by their names."""
    return {name: Described(name) for name, table in site.services.items() if table.move}
