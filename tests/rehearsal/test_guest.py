"""Whole rollouts on a real FreeBSD, under clients that do not know of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.lab import baseline
from tests.lab.clients.results import Got, Inserted
from tests.lab.guest import Guest
from tests.lab.running import getting, inserting, verify

pytestmark = [pytest.mark.guest, pytest.mark.measured, pytest.mark.timeout(3600)]

PROJECT = Path(__file__).parents[2]
INSERTS = 50.0  # a second; an emulated processor has no more to give beside the rollout itself
GETS = 3.0  # a second, for each of the eight clients
ALLOWED = 1.2  # times the gap of the same stop and start, typed as one ssh command


class Operator:
    """Somebody with a clean checkout, a site file and ssh, on the guest's wire."""

    def __init__(self, guest: Guest, home: Path) -> None:
        self.guest = guest
        self.home = home
        self.site = home / "site.toml"
        text = (PROJECT / "tests" / "lab" / "site.toml").read_text(encoding="utf-8")
        text = text.replace("@KEY@", str(guest.image.key))
        self.site.write_text(text.replace("@KNOWN_HOSTS@", str(guest.image.known_hosts)))

    def deploy(self, *words: str) -> subprocess.CompletedProcess[str]:
        checkout = self.home / f"checkout-{len(list(self.home.iterdir()))}"
        subprocess.run(["git", "clone", "-q", str(PROJECT), str(checkout)], check=True)
        return subprocess.run(
            self.guest.argv(sys.executable, "deploy.py", *words, "--site", str(self.site)),
            cwd=checkout,
            env={**os.environ, "HOME": str(self.home), "PYTHONPATH": str(checkout)},
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )


@pytest.fixture
def operator(fresh_guest: Guest, tmp_path: Path) -> Iterator[Operator]:
    yield Operator(fresh_guest, tmp_path)


def under_clients(operator: Operator, *words: str) -> tuple[str, Inserted, Got]:
    """One run of deploy.py under one client that inserts and eight that GET."""
    guest = operator.guest
    with ExitStack() as clients:
        writer = clients.enter_context(inserting(guest, INSERTS)).wait_ready()
        reader = clients.enter_context(getting(guest, rate=GETS)).wait_ready()
        done = operator.deploy(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        inserted, got = writer.stop(), reader.stop()
        verdict = verify(guest, writer)
    assert verdict.is_whole, f"lost {verdict.lost[:5]}, doubled {verdict.doubled[:5]}"
    assert not got.failures, (
        f"{len(got.failures)} of {got.requests} GETs failed: {got.failures[:3]}"
    )
    return done.stdout, inserted, got


def test_mysql_and_apache_move_under_clients_and_back(operator: Operator) -> None:
    guest = operator.guest
    checked = operator.deploy("check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    before = fingerprint(guest)
    figures: dict[str, float] = {"typed before": typed_gap(guest)}
    for name, words in (
        ("apply", ("apply", "--yes")),
        ("rollback", ("rollback",)),
        ("apply again", ("apply", "--yes")),
    ):
        out, inserted, got = under_clients(operator, *words)
        figures[name] = inserted.longest_gap.seconds
        figures[f"{name}: GETs"] = got.requests
        if name == "rollback":
            assert fingerprint(guest) == before
            # The machine is noisy: the same is typed once more, in the middle of the run.
            figures["typed again"] = typed_gap(guest)
        print(out)
    assert operator.deploy("verify").returncode == 0
    print(json.dumps(figures, indent=2))
    typed = max(figures["typed before"], figures["typed again"])
    for name in ("apply", "rollback", "apply again"):
        assert figures[name] <= ALLOWED * typed, figures


def typed_gap(guest: Guest) -> float:
    """Seconds without an acknowledged row when stop and start are typed as one ssh command."""
    stop, start = "service mysql-server onestop", "service mysql-server onestart"
    return baseline.type_stop_and_start(guest, stop, start, INSERTS).gap.seconds


def fingerprint(guest: Guest) -> str:
    """The host's state, by the same text that the host uses for itself, from outside of it."""
    script = (PROJECT / "rollout" / "host.sh").read_text(encoding="utf-8")
    guest.sh(f"mkdir -p /root/print && cat > /root/print/host.sh <<'EOF'\n{script}\nEOF")
    guest.sh("printf 'service %s\\n' mysql-server apache24 named > /root/print/watch")
    return guest.sh("sh /root/print/host.sh fingerprint").stdout
