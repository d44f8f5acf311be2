"""Whole rollouts on a real FreeBSD, under clients that do not know of them."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab import baseline
from tests.lab.clients.results import Got, Inserted, Resolved
from tests.lab.guest import Guest
from tests.lab.operator import Operator
from tests.lab.running import getting, inserting, resolving, verify

pytestmark = [pytest.mark.guest, pytest.mark.measured, pytest.mark.timeout(3600)]

# Of clients a second; an emulated processor has no more to give beside the rollout itself.
INSERTS = 50.0
GETS = 2.0  # each of eight
QUESTIONS = 5.0  # over each transport
ALLOWED = 1.2  # times the gap of the same stop and start, typed as one ssh command


@pytest.fixture
def operator(fresh_guest: Guest, tmp_path: Path) -> Operator:
    return Operator(fresh_guest, tmp_path)


@dataclass(frozen=True)
class Seen:
    """What deploy.py printed, and what the clients saw meanwhile."""

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


def test_the_services_move_under_clients_and_back(operator: Operator) -> None:
    guest = operator.guest
    checked = operator.deploy("check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    before = operator.fingerprint()
    figures: dict[str, float] = {"typed before": typed_gap(guest)}
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
            # The machine is noisy: the same is typed once more, in the middle of the run.
            figures["typed again"] = typed_gap(guest)
        print(seen.out)
    assert operator.deploy("verify").returncode == 0
    print(json.dumps(figures, indent=2))
    typed = max(figures["typed before"], figures["typed again"])
    for name in ("apply", "rollback", "apply again"):
        assert figures[name] <= ALLOWED * typed, figures


def typed_gap(guest: Guest) -> float:
    """Seconds without an acknowledged row when stop and start are typed as one ssh command.

    Under the same clients as the tool's own: on an emulated processor their load is most of a gap.
    """
    stop, start = "service mysql-server onestop", "service mysql-server onestart"
    with (
        getting(guest, rate=GETS) as reader,
        resolving(guest, "example.org", rate=QUESTIONS) as asker,
    ):
        reader.wait_ready()
        asker.wait_ready()
        return baseline.type_stop_and_start(guest, stop, start, INSERTS).gap.seconds


def test_names_are_answered_all_the_way_at_fifty_a_second(operator: Operator) -> None:
    before = operator.fingerprint()
    figures: dict[str, int] = {}
    for name, words in (
        ("apply", ("apply", "--yes", "--to", "bind.retire")),
        ("rollback", ("rollback",)),
    ):
        with resolving(operator.guest, "example.org", rate=50.0) as asker:
            asker.wait_ready()
            done = operator.deploy(*words)
            resolved = asker.stop()
        assert done.returncode == 0, done.stdout + done.stderr
        failed = f"{len(resolved.failures)} unanswered: {resolved.failures[:3]}"
        assert not resolved.failures, failed
        figures[f"{name}: over UDP"] = resolved.over_udp
        figures[f"{name}: over TCP"] = resolved.over_tcp
    assert operator.fingerprint() == before
    print(json.dumps(figures, indent=2))
