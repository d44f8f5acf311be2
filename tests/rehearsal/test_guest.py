"""Whole rollouts on a real FreeBSD, whose clients do not notice them."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest

from box.clients.results import Got, Inserted, Resolved
from box.qemu.guest import Guest
from box.run_clients import getting, inserting, resolving, verify
from rollout import site
from rollout.site import Site
from tests.lab import baseline
from tests.lab.operator import Operator

pytestmark = [pytest.mark.guest, pytest.mark.measured, pytest.mark.timeout(3600)]

# Requests of clients per second; an emulated processor has no room for more beside the rollout.
INSERTS = 50.0
GETS = 2.0  # each of eight
QUESTIONS = 5.0  # over each transport
TURNS = 5
ALLOWED = 1.2  # times the gap of the same stop and start, typed as one ssh command


FIRST = ("preflight", "base", "network")


@dataclass(frozen=True)
class Seen:
    """The output of deploy.py, and what its clients noticed."""

    out: str
    inserted: Inserted
    got: Got
    resolved: Resolved


def under_clients(operator: Operator, *words: str) -> Seen:
    """One run of deploy.py under clients of all moved services. No service may fail them."""
    guest = operator.guest
    with ExitStack() as clients:
        writer = clients.enter_context(inserting(guest, INSERTS)).wait_ready()
        reader = clients.enter_context(getting(guest, rate=GETS)).wait_ready()
        asker = clients.enter_context(resolving(guest, "example.org", rate=QUESTIONS)).wait_ready()
        done = operator.deploy(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        inserted, got, resolved = writer.stop(), reader.stop(), asker.stop()
        verdict = verify(guest, writer)
    assert verdict.is_whole, f"lost {verdict.lost[:5]}, doubled {verdict.doubled[:5]}"
    failed = f"{len(got.failures)} of {got.requests} GETs failed: {got.failures[:3]}"
    assert not got.failures, failed
    assert not resolved.failures, f"{len(resolved.failures)} questions: {resolved.failures[:3]}"
    return Seen(done.stdout, inserted, got, resolved)


def test_the_services_move_under_clients_and_back(fresh_guest: Guest, tmp_path: Path) -> None:
    operator = Operator(fresh_guest, tmp_path, (*FIRST, "bind", "mysql", "web"))
    checked = operator.deploy("check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    before = operator.fingerprint()
    figures: dict[str, float] = {}
    for name, words in (
        ("apply", ("apply", "--yes")),
        ("rollback", ("rollback",)),
        ("apply again", ("apply", "--yes")),
    ):
        seen = under_clients(operator, *words)
        figures[name] = seen.inserted.longest_gap.seconds
        figures[f"{name}: GETs"] = seen.got.requests
        figures[f"{name}: answers over UDP"] = seen.resolved.over_udp
        figures[f"{name}: answers over TCP"] = seen.resolved.over_tcp
        if name == "rollback":
            assert operator.fingerprint() == before
        print(seen.out)
    assert operator.deploy("verify").returncode == 0
    print(json.dumps(figures, indent=2))


def test_the_gap_of_mysql_is_that_of_stop_and_start_typed(
    fresh_guest: Guest, tmp_path: Path
) -> None:
    """Alternating, since the machine is noisy; the typed turns run under the same clients.

    The inserting client measures the gap, not the prober, which does not run in the typed turns.
    The host's own restart, which moves nothing, is printed for comparison.
    """
    operator = Operator(fresh_guest, tmp_path, (*FIRST, "mysql"), probes=0.5)
    guest = operator.guest
    forward, back = cutover_typed(site.read(operator.site))
    restart = ("service mysql-server onestop", "service mysql-server onestart")
    done = operator.deploy("apply", "--to", "mysql.jail")
    assert done.returncode == 0, done.stdout + done.stderr
    gaps: dict[str, list[float]] = defaultdict(list)
    with getting(guest, rate=GETS) as readers:
        readers.wait_ready()
        for _ in range(TURNS):
            gaps["restart, typed"].append(typed_gap(guest, restart))
            gaps["forward"].append(gap(operator, "apply", "--yes"))
            gaps["back, typed"].append(typed_gap(guest, back))
            gaps["forward, typed"].append(typed_gap(guest, forward))
            gaps["back"].append(gap(operator, "rollback", "--to", "mysql.jail"))
    print(json.dumps(gaps, indent=2))
    for way in ("forward", "back"):
        assert median(gaps[way]) <= ALLOWED * median(gaps[f"{way}, typed"]), gaps


def cutover_typed(made: Site) -> tuple[tuple[str, str], tuple[str, str]]:
    """The lines that a person types to move MySQL with its clients: stop and start, and back."""
    sets = f"{made.places['mysql'].set} {made.places['localhost'].set}"
    socket = made.services["mysql"].socket
    here, there = "service mysql-server", "service -j mysql mysql-server"
    link = f"ln -sfh {made.root('mysql')}{socket} {socket}"
    return (
        (f"{here} onestop", f"ipfw -q set enable {sets} && {link} && {there} onestart"),
        (f"{there} onestop", f"rm {socket} && ipfw -q set disable {sets} && {here} onestart"),
    )


def gap(operator: Operator, *words: str) -> float:
    """Seconds without an acknowledged row in one run of deploy.py."""
    with inserting(operator.guest, INSERTS) as writer:
        writer.wait_ready()
        done = operator.deploy(*words)
        inserted = writer.stop()
        verdict = verify(operator.guest, writer)
    assert done.returncode == 0, done.stdout + done.stderr
    assert verdict.is_whole, f"lost {verdict.lost[:5]}, doubled {verdict.doubled[:5]}"
    return inserted.longest_gap.seconds


def typed_gap(guest: Guest, lines: tuple[str, str]) -> float:
    """The same when a stop and a start are typed as one ssh command."""
    return baseline.type_stop_and_start(guest, *lines, INSERTS).gap.seconds
