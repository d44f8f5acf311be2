"""What is nearly full, nearly at its limit, or about to end, of what the host printed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from rollout import site
from rollout.monitoring import measures
from rollout.probe.tls import Certificate
from rollout.probe.watch import Watch
from rollout.site import Site
from rollout.site.limits import Limits

SAMPLE = site.read(Path(__file__).parents[4] / "site.example.toml")
DF = """\
Filesystem          1024-blocks     Used    Avail Capacity  Mounted on
/dev/ufs/rootfs         5046812  1813264  2829804    39%    /
/dev/ada0p4             1000000   900000   100000    90%    /var
zroot/home of anna      1000000  1080000   -80000   108%    /home/my disk
tmpfs                    204800       89   204711     0%    /tmp
"""


def limited(**limits: object) -> Site:
    web = SAMPLE.jails["web"].model_copy(update={"limits": Limits.model_validate(limits)})
    return SAMPLE.model_copy(update={"jails": {**SAMPLE.jails, "web": web}})


def test_file_systems_from_the_limit_on_are_found() -> None:
    var, home = measures.full(SAMPLE, DF)
    assert (var.id, var.evidence) == ("disk/var", "90 % are taken, 97 MiB are free")
    assert home.id == "disk/home/my disk"
    assert "du -xh -d 2 '/home/my disk'" in home.todo


USED = "cputime=12\nmemoryuse=960\nmaxproc=9\npcpu=200\nopenfiles=1\nreadbps=100\n"


def test_limits_at_which_something_is_refused_are_found() -> None:
    here = limited(memory=1000, processes=10, cpu=200, open_files=10, read_bytes=100)
    memory, processes = measures.limited(here, "web", USED)
    assert (memory.id, memory.evidence) == ("limit/web/memoryuse", "960 of 1000, 96 %")
    assert (processes.id, processes.evidence) == ("limit/web/maxproc", "9 of 10, 90 %")
    assert list(measures.limited(here, "web", USED.replace("=9", "=8"))) == []
    assert list(measures.limited(here, "web", "rctl: no such jail")) == []
    assert measures.limits(here, "bind") == {}


def test_messages_are_counted_over_all_queues_of_one() -> None:
    counted = "host       60\nhost       40\nmail 99\nweb\nweb x\n"
    [found] = measures.waiting(SAMPLE, counted)
    assert (found.id, found.evidence) == ("queue/host", "100 messages")
    [found] = measures.waiting(SAMPLE, "mail 70\nmail 30\n")
    assert found.id == "queue/mail"
    assert found.todo.startswith("jexec mail mailq on the host")


NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ends", "says"),
    [
        ("2026-12-15T12:00:00Z", ""),
        ("2026-12-15T11:59:59Z", "ends in less than 14 days"),
        ("2026-12-01T12:00:01Z", "ends in less than 1 day"),
        ("2026-12-01T11:59:59Z", "has ended"),
        (None, "cannot be read"),
    ],
)
def test_certificates_that_end_soon_are_found(ends: str | None, says: str) -> None:
    watch = Watch.model_validate(
        {
            "name": "web 443/tcp",
            "kind": "https",
            "address": "192.0.2.1",
            "port": 9443,
            "behind": 443,
        }
    )
    presented = [(watch, Certificate("ab" * 32, ("www.example.org",), ends))]
    found = list(measures.certificates(SAMPLE, presented, NOW))
    expected = [("certificate/443", f"the certificate at port 443 (web 443/tcp) {says}")]
    assert [(each.id, each.says) for each in found] == (expected if says else [])


def test_a_port_without_a_certificate_is_found() -> None:
    watch = Watch.model_validate(
        {"name": "web", "kind": "https", "address": "192.0.2.1", "port": 443}
    )
    [found] = measures.certificates(SAMPLE, [(watch, "presents no certificate (x)")], NOW)
    assert found.says == "port 443 (web) presents no certificate"
    assert found.evidence == "presents no certificate (x)"
