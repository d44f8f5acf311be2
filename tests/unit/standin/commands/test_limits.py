"""rctl(8), cpuset(1), and the tunable that lets the kernel count."""

from __future__ import annotations

import pytest

from standin import StandIn
from tests.unit.standin.conftest import add_thin_jail

COUNTS = "echo kern.racct.enable=1 >> /boot/loader.conf"
DISABLED = "rctl: RACCT/RCTL present, but disabled; enable using kern.racct.enable=1 tunable\n"


@pytest.fixture
def counting(server: StandIn) -> StandIn:
    server.run(COUNTS)
    server.power_off()
    server.boot()
    return server


def test_generic_counts_nothing_and_only_the_loader_changes_that(server: StandIn) -> None:
    for line in ("rctl", "rctl -a jail:web:maxproc:deny=1", "rctl -u jail:web"):
        done = server.run(line)
        assert (done.returncode, done.stderr) == (1, DISABLED), line
    done = server.run("sysctl kern.racct.enable=1")
    assert done.returncode == 1
    assert done.stderr == (
        "sysctl: oid 'kern.racct.enable' is a read only tunable\n"
        "sysctl: Tunable values are set in /boot/loader.conf\n"
    )
    assert server.run("sysctl -n kern.racct.enable").stdout == "0\n"


def test_rules_are_printed_in_the_kernels_words(counting: StandIn) -> None:
    counting.run("rctl -a j:web:memoryuse:deny=2g jail:web:maxproc:log=7/user user:www:pcpu:deny=5")
    assert counting.run("rctl jail:web").stdout == (
        "jail:web:maxproc:log=7/user\njail:web:memoryuse:deny=2147483648\n"
    )
    counting.run("rctl -a jail:web:memoryuse:deny=1m")
    assert "memoryuse:deny=1048576\n" in counting.run("rctl").stdout
    assert len(counting.run("rctl").stdout.splitlines()) == 3, "of two that deny the later is kept"


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("jail:web:readbps:deny=1", "Operation not supported"),
        ("jail:web:maxproc:throttle=1", "Operation not supported"),
        ("jail:web:nosuch:deny=1", "Invalid argument"),
        ("jail:web:maxproc:deny", "Invalid argument"),
    ],
)
def test_what_the_kernel_does_not_take(counting: StandIn, rule: str, why: str) -> None:
    done = counting.run(f"rctl -a {rule}")
    assert (done.returncode, done.stderr) == (1, f"rctl: failed to add rule '{rule}': {why}\n")


def test_a_rule_is_removed_by_amount_and_by_what_it_is_for(counting: StandIn) -> None:
    counting.run("rctl -a jail:web:maxproc:deny=7")
    done = counting.run("rctl -r jail:web:maxproc:deny=8/jail jail:web:maxproc:deny=7/user")
    assert done.returncode == 2
    assert "'jail:web:maxproc:deny=8/jail': No such process\n" in done.stderr
    assert counting.run("rctl -r jail:web:maxproc:deny=7/jail").returncode == 0
    assert counting.run("rctl").stdout == ""


def test_a_jail_has_cpus_of_its_own(server: StandIn) -> None:
    add_thin_jail(server, "web", "10.80.0.4")
    server.run("service jail onestart web")
    asked = "cpuset -g -j web | sed 's/^jail [0-9]*//'"
    assert server.run(asked).stdout == " mask: 0, 1\n domain policy: first-touch mask: 0\n"
    assert server.run("cpuset -l 1 -j web").returncode == 0
    assert " mask: 1\n" in server.run(asked).stdout
    assert server.run("cpuset -l 0,5 -j web").stderr == "cpuset: setaffinity: Invalid argument\n"
    assert server.run("cpuset -g -j nosuch").stderr == 'cpuset: jail "nosuch" not found\n'


def test_a_jail_stays_if_it_does_not_want_to_stop(server: StandIn) -> None:
    add_thin_jail(server, "web", "10.80.0.4")
    server.run(
        "sed -i '' -e 's/persist;/persist; exec.prestop = false;/' /etc/jail.conf.d/web.conf"
    )
    server.run("sed -i '' -e 's/exec.stop = .*/exec.stop = false;/' /etc/jail.conf.d/web.conf")
    server.run("service jail onestart web")
    done = server.run("service jail onestop web")
    assert (done.returncode, server.run("jls name").stdout) == (0, "web\n")
    assert ": failed\n" in done.stdout
    assert server.run("jail -R web; jls name").stdout == ""
