"""Injected faults, and what they leave."""

from __future__ import annotations

import time
from pathlib import Path
from shlex import quote

import pytest

from standin import BaseHost, StandIn


def test_fail_does_not_run_it_and_happens_once(server: StandIn) -> None:
    server.break_at("sysrc *", nth=2)
    assert server.run("sysrc a=1").returncode == 0
    done = server.run("sysrc a=2")
    assert (done.returncode, done.stderr) == (1, "sysrc: broken on request\n")
    assert server.run("sysrc -n a").stdout == "1\n"


def test_fail_after_runs_it(server: StandIn) -> None:
    server.break_at("sysrc a=*", mode="fail-after")
    assert server.run("sysrc a=1").returncode == 1
    assert server.run("sysrc -n a").stdout == "1\n"


def test_a_file_that_sh_runs_can_be_named(server: StandIn) -> None:
    server.run("mkdir -p /steps; echo 'echo ran >>/root/ran' >/steps/001.sh")
    server.break_at("sh -eu /steps/001.sh", nth=2)
    loop = "sh -eu /steps/001.sh; sh -eu /steps/001.sh; echo $?; sh -eu /steps/001.sh"
    assert server.run(loop).stdout == "1\n"
    assert (server.root / "root/ran").read_text() == "ran\nran\n"


def test_sh_checks_for_faults_only_while_one_may_match(server: StandIn) -> None:
    plain = (server.root / "libexec/standin/sh").stat().st_ino

    def is_plain() -> bool:
        return (server.root / "bin/sh").stat().st_ino == plain

    assert is_plain()
    server.break_at("fsync *", mode="fail")
    assert is_plain()
    server.break_at("sh /two.sh", mode="fail")
    assert not is_plain()
    server.run("sh /one.sh; fsync /etc/hosts")
    assert not is_plain()
    server.run("echo echo two >/two.sh; sh /two.sh")
    assert is_plain()
    assert server.run("sh /two.sh").stdout == "two\n"
    server.break_at("sh /two.sh", mode="fail")
    server.power_off()
    assert not is_plain()
    server.boot()
    assert is_plain()


def test_a_sh_that_starts_as_a_fault_strikes_is_not_hit(server: StandIn) -> None:
    """The kernel opens a script by its name a second time, and another sh may be there by then."""
    server.run("echo true >/one.sh; echo true >/two.sh")
    shell = server.shell()
    assert shell.stdin is not None
    shell.stdin.write(b"while [ ! -e /stop ]; do sh /one.sh || echo hit; done\nexit\n")
    shell.stdin.flush()
    for _ in range(60):
        server.break_at("sh /two.sh", mode="fail")
        assert server.run("sh /two.sh").returncode == 1
    server.run(": >/stop")
    out, err = shell.communicate(timeout=30)
    assert (out, err) == (b"", b"")


def test_power_at_a_line_leaves_what_was_written_before(server: StandIn) -> None:
    server.run("echo 'echo two >>/root/log' >/two.sh")
    server.break_at("sh /two.sh", mode="power")
    done = server.run("echo one >>/root/log; sh /two.sh; echo three >>/root/log")
    assert done.returncode != 0
    assert not server.is_up
    assert (server.root / "root/log").read_text() == "one\n"
    server.boot()
    assert server.run("sh /two.sh; cat /root/log").stdout == "one\ntwo\n"


def test_power_during_the_boot(server: StandIn) -> None:
    server.run("sysrc firewall_enable=YES firewall_type=/etc/ipfw.rules")
    server.power_off()
    server.break_at("ipfw *", mode="power")
    server.boot()
    assert not server.is_up
    server.boot()
    assert server.is_up
    assert "192.0.2.66" in server.run("ipfw list").stdout


def test_a_cut_ends_connections_and_what_was_not_detached(server: StandIn) -> None:
    shell = server.shell()
    assert shell.stdin is not None
    assert shell.stdout is not None
    shell.stdin.write(b"daemon -f sleep 78; echo detached; sleep 77\n")
    shell.stdin.flush()
    assert shell.stdout.readline() == b"detached\n"
    server.cut()
    assert shell.poll() is not None
    shell.communicate()
    running = server.run("ps -axo command=").stdout
    assert "sleep 78" in running
    assert "sleep 77" not in running


def test_cut_as_a_fault(server: StandIn) -> None:
    server.break_at("hostname", mode="cut")
    assert server.run("hostname; echo still here").stdout == ""
    assert server.run("hostname").returncode == 0


def test_hang_waits_until_it_is_killed(server: StandIn) -> None:
    server.break_at("hostname", mode="hang")
    assert server.run("timeout --foreground 0.3 hostname; echo $?").stdout == "124\n"


def test_a_command_is_held_before_it_acts_until_it_is_released(server: StandIn) -> None:
    server.break_at("sysrc a=1", mode="hold")
    server.run("daemon -f sysrc a=1")
    assert server.held(5)
    assert server.run("sysrc -n a").returncode == 1
    server.release()
    assert not server.held(0.3)
    assert server.run("sysrc -n a").stdout == "1\n"


def test_a_command_is_held_after_it_acted(server: StandIn) -> None:
    server.run("echo 'echo ran >>/root/ran; exit 3' >/one.sh")
    server.break_at("sh /one.sh", mode="hold-after")
    server.run("daemon -f sh -c 'sh /one.sh; echo $? >/root/code'")
    assert server.held(5)
    assert (server.root / "root/ran").read_text() == "ran\n"
    assert not (server.root / "root/code").exists()
    server.release()
    deadline = time.monotonic() + 5
    while not (server.root / "root/code").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.run("cat /root/code").stdout == "3\n"


SHARED = """
hostname >/root/first 2>&1 & first=$!
until [ "$((second % 256))" = "$((first % 256))" ]; do
    last=$first
    until [ "$(((last + 1) % 256))" = "$((first % 256))" ]; do
        /usr/bin/true & last=$!
        wait "$last"
    done
    sysrc -n hostname >/root/second & second=$!
    wait "$second"
done
"""


def test_two_callers_in_one_slot_each_get_their_own_reply(server: StandIn) -> None:
    """A slot is a pid modulo 256. The first waits longer, and takes the line of the second."""
    server.break_at("hostname", mode="hold")
    done = server.run(f"timeout 60 sh -c {quote(SHARED)}")
    assert done.returncode == 0, done.stderr
    server.release()
    server.run("timeout 20 sh -c 'until [ -s /root/first ]; do sleep 0.05; done'")
    assert (server.root / "root/first").read_text() == (server.root / "root/second").read_text()


def test_nothing_is_held_that_was_not_reached(server: StandIn) -> None:
    server.break_at("hostname", mode="hold")
    assert not server.held(0.1)


def test_kill_9_by_command_line(server: StandIn) -> None:
    server.run("daemon -f sleep 78; daemon -f sleep 79")
    assert server.kill("*sleep 78") == 1
    running = server.run("ps -axo command=").stdout
    assert "sleep 78" not in running
    assert "sleep 79" in running


def test_the_model_says_what_a_command_says(server: StandIn) -> None:
    assert server.says("mount", "-p") == server.run("mount -p").stdout
    assert server.says("ipfw", "list") == server.run("ipfw list").stderr


def test_a_wrong_fault_is_refused(shared: StandIn) -> None:
    with pytest.raises(ValueError, match="expected one of fail"):
        shared.break_at("x", mode="explode")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ValueError, match="counts from 1"):
        shared.break_at("x", nth=0)


def test_unknown_commands_and_options_are_noted(server: StandIn) -> None:
    assert server.run("ifconfig lo0 frobnicate").returncode == 1
    assert server.run("nosuchcommand").returncode == 127
    assert server.run("ipfw frobnicate").returncode == 64
    assert [line.partition(":")[0] for line in server.strange if ": " in line] == [
        "ifconfig lo0 frobnicate",
        "ipfw frobnicate",
    ]


def test_nothing_is_left_when_its_machine_is_killed(tmp_path: Path) -> None:
    standin = StandIn.build(tmp_path / "s", BaseHost.sample())
    standin.boot()
    pid, shell = standin._pid, standin.shell()
    standin._machine.kill()
    standin._machine.communicate()
    shell.communicate()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}/root").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not standin.is_up
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
