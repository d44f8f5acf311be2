"""host.sh under FreeBSD's own sh, on a real FreeBSD: as its tests under dash and bash."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from box.qemu.guest import Guest
from rollout.engine.connection import Connection
from rollout.engine.listener import Listener
from rollout.errors import Locked, RolledBack
from rollout.host.journal import Entry
from rollout.plan.step import Step, Use, use
from rollout.site import JOURNAL
from tests.lab.target import OnWire
from tests.rehearsal.test_host_sh import Run, step, typed

pytestmark = [pytest.mark.guest, pytest.mark.timeout(1800)]

HOST_SH = f"sh {JOURNAL}/host.sh"
ONE = "002-one"
LIMIT = 180.0  # seconds; emulated, on a busy machine
Begin = Callable[..., Run]


@pytest.fixture
def host(fresh_guest: Guest) -> Guest:
    assert fresh_guest.sh("uname -s; readlink -f /bin/sh").stdout == "FreeBSD\n/bin/sh\n"
    return fresh_guest


@pytest.fixture
def begin(host: Guest) -> Iterator[Begin]:
    line = OnWire(host)
    opened: list[Run] = []

    def open_(*steps: Step) -> Run:
        opened.append(Run(line, *steps))
        return opened[-1]

    yield open_
    for each in opened:
        each.connection.close()
    line.cut()


def makes(name: str, then: str = ":", undo: str = ":", limit: int = 60) -> Use:
    return use(
        typed,
        do=f"echo do-{name} >> /root/acts; touch /etc/{name}; {then}",
        undo=f"echo undo-{name} >> /root/acts; {undo}; rm -f /etc/{name}",
        limit=limit,
    )


def acts(host: Guest) -> list[str]:
    return host.sh("cat /root/acts 2>/dev/null").stdout.split()


def state(host: Guest, directory: str = ONE) -> str:
    said = host.sh(f"ls -d {JOURNAL}/steps/{directory}/state.*").stdout
    return said.strip().rpartition("/state.")[2]


def until(host: Guest, question: Callable[[], bool]) -> None:
    host.wait_until(question, "as it should be", LIMIT)


def followed(run: Run) -> Entry:
    return run.connection.follow(run.begin(1))


def test_a_failing_command_is_undone_last_first_itself_included(host: Guest, begin: Begin) -> None:
    run = begin(step("one", makes("a"), makes("b", then="false"), makes("c")))
    entry = followed(run)
    assert (entry.state, acts(host)) == ("undone", ["do-a", "do-b", "undo-b", "undo-a"])
    assert "command 002 failed (1)" in entry.reason


def test_a_command_that_hangs_is_killed_with_its_children_and_undone(
    host: Guest, begin: Begin
) -> None:
    hangs = makes("a", then="(sleep 400; touch /root/late) & sleep 500", limit=2)
    assert followed(begin(step("one", hangs))).state == "undone"
    assert host.sh("pgrep -f '[s]leep [45]00'").stdout == ""


def test_a_confirmed_step_stays_until_it_is_undone_at_the_console(
    host: Guest, begin: Begin
) -> None:
    run = begin(step("one", makes("a")), step("two", makes("b"), makes("c")))
    run.confirmed(1)
    run.confirmed(2)
    assert state(host) == "confirmed"
    run.connection.close()
    done = host.sh(f"{HOST_SH} undo")
    assert done.exit == 0, done.stdout + done.stderr
    assert acts(host)[3:] == ["undo-c", "undo-b", "undo-a"]
    assert [state(host, each) for each in ("001-base", ONE, "003-two")] == ["undone"] * 3


def test_without_a_confirm_the_host_undoes_it_and_a_late_one_says_so(
    host: Guest, begin: Begin
) -> None:
    run = begin(step("one", makes("a"), confirm_within=2))
    entry = followed(run)
    until(host, lambda: state(host) == "undone")
    with pytest.raises(RolledBack, match="too late"):
        run.connection.confirm(entry)


@pytest.mark.parametrize("killed", ["run 002", "(guard|run) 002"], ids=["run", "run and guard"])
def test_what_is_killed_in_the_middle_is_undone(host: Guest, begin: Begin, killed: str) -> None:
    """If the guard is killed, too, by the guard that the next operator starts."""
    run = begin(step("one", makes("a"), makes("b", then="sleep 500", limit=600)))
    run.begin(1)
    until(host, lambda: "do-b" in acts(host))
    assert host.sh(f"pkill -9 -f 'host.s[h] {killed}'").exit == 0
    if "guard" in killed:
        assert state(host) == "applying"
        host.sh(f"{HOST_SH} arm {ONE}")
    until(host, lambda: state(host) == "undone")
    assert acts(host) == ["do-a", "do-b", "undo-b", "undo-a"]


def test_a_killed_undo_is_continued(host: Guest, begin: Begin) -> None:
    run = begin(step("one", makes("a"), makes("b", then="false", undo="sleep 20")))
    run.begin(1)
    until(host, lambda: "undo-b" in acts(host))
    assert host.sh("pkill -9 -f 'host.sh undo-[l]ocked 002'").exit == 0
    until(host, lambda: state(host) == "undone")
    assert acts(host) == ["do-a", "do-b", "undo-b", "undo-b", "undo-a"]


def test_an_undo_that_fails_does_not_keep_the_others_and_is_tried_again(
    host: Guest, begin: Begin
) -> None:
    bad = makes("b", undo="test -e /root/mended")
    run = begin(step("one", makes("a"), bad, makes("c", then="false")))
    entry = followed(run)
    assert (entry.state, entry.stuck) == ("stuck", "the undo of 002 failed")
    assert acts(host) == ["do-a", "do-b", "do-c", "undo-c", "undo-b", "undo-a"]
    host.sh("touch /root/mended")
    assert host.sh(f"{HOST_SH} undo").exit == 0
    assert acts(host)[6:] == ["undo-b", "undo-a"]
    assert state(host) == "undone"


def test_a_second_operator_is_kept_out_until_the_first_is_gone(host: Guest, begin: Begin) -> None:
    first = begin(step("one", makes("a")))
    second = Connection(first.connection.plan, OnWire(host), Listener())
    with pytest.raises(Locked, match="another run holds the lock"):
        second.take()
    assert isinstance(first.host, OnWire)
    first.host.cut()
    until(host, lambda: "abandoned" in host.sh(f"{HOST_SH} status").stdout)
    second.take()
    assert "took over the lock" in host.sh(f"cat {JOURNAL}/log").stdout
    second.close()


def test_the_fingerprint_sees_each_of_these(host: Guest, begin: Begin) -> None:
    begin()
    before = ""
    for change in (
        "touch /etc/x",
        "chmod 600 /etc/x",
        "echo x > /etc/x",
        "sysrc x_enable=YES",
        "ifconfig lo0 inet 127.0.0.9/32 alias",
        "service apache24 onestop",
        "kenv net.inet.ip.fw.default_to_accept=1 && kldload ipfw",
        "ipfw -q add 7 set 9 count ip from any to any",
        "ipfw set disable 9",
        "mkdir -p /mnt/a && mount -t nullfs /etc /mnt/a",
    ):
        now = host.sh(f"{HOST_SH} fingerprint").stdout
        assert now != before
        assert host.sh(f"{HOST_SH} fingerprint").stdout == now, "it is not the same twice"
        done = host.sh(change)
        assert done.exit == 0, f"{change}: {done.stderr}"
        before = now
    assert host.sh(f"{HOST_SH} fingerprint").stdout != before
