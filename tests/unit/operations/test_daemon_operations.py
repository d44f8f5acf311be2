"""Daemons started, stopped and handed over by their rc scripts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from operations import daemon, files, firewall
from operations.facts import Replaceable, ServiceRuns, State, comes_up, runs
from tests.unit.operations.asking import pairs, reversible, typed

STOPPED = 'rm -f "$KEEP/told"'


def noted(script: str) -> str:
    return f'service {script} onestatus > "$KEEP/told" 2>/dev/null || true'


def back(script: str, start: str) -> str:
    """The undo of a stop: who was told to stop is gone before anything starts."""
    pid = r"""sed -n 's/.* is running as pid \([0-9 ]*\).*/\1/p' "$KEEP/told" """
    pid += "2>/dev/null | head -n 1"
    return (
        f'{{ old=$({pid}); if [ -n "$old" ] && kill -0 $old 2>/dev/null; then '
        f"service {script} onestop || true; while kill -0 $old 2>/dev/null; do sleep 0.2; done; "
        f"fi; }} && {{ {start}; }}"
    )


@pytest.mark.parametrize("operation", ["stop", "handover"])
def test_an_undo_waits_for_the_end_of_a_daemon_that_is_still_dying(
    tmp_path: Path, operation: str
) -> None:
    """While it dies rc.subr says that it runs already, and starts nothing."""
    jail = {"jail": "db"} if operation == "handover" else {}
    [command] = reversible(
        getattr(daemon, operation), {ServiceRuns: True}, script="mysql-server", **jail
    )
    dying = subprocess.Popen(["sleep", "1"])
    reaper = threading.Thread(target=dying.wait)
    reaper.start()
    (tmp_path / "pid").write_text(f"{dying.pid}")
    service = f"""
case $2 in
onestatus) if kill -0 $(cat {tmp_path}/pid) 2>/dev/null
    then echo "mysql is running as pid $(cat {tmp_path}/pid)."
    else echo 'mysql is not running.'; fi;;
onestop) [ -e {tmp_path}/again ] || {{ : > {tmp_path}/again; exit 1; }};;
onestart) kill -0 $(cat {tmp_path}/pid) 2>/dev/null || {{ sleep 30 >/dev/null 2>&1 &
    echo $! > {tmp_path}/pid; }};;
esac"""
    stubs = {"service": service, "jexec": 'shift; exec "$@"', "jls": "exit 1"}
    assert typed(command.do, tmp_path, tmp_path, **stubs).returncode != 0
    undone = typed(str(command.undo), tmp_path, tmp_path, **stubs)
    reaper.join()
    new = int((tmp_path / "pid").read_text())
    assert (undone.returncode, new != dying.pid) == (0, True)
    os.kill(new, signal.SIGTERM)


def test_a_daemon_is_stopped_and_started_again() -> None:
    [command] = reversible(daemon.stop, {ServiceRuns: True}, script="mysql-server", limit=99)
    assert command.do == f"{noted('mysql-server')}; service mysql-server onestop && {STOPPED}"
    up = comes_up("mysql-server")
    assert command.undo == back("mysql-server", f"service mysql-server onestart || true; {up}")
    assert (command.live, command.limit) == (True, 99)


# The real rows of 15.0, of a daemon with two ports, and of its addresses.
LISTENS = """\
root  sendmail    998  4 tcp4  *:25                  *:*
root  sendmail    998  5 tcp6  *:25                  *:*
root  sendmail    998  6 tcp4  203.0.113.2:587       *:*
root  sendmail    998  7 tcp4  203.0.113.9:587       *:*
"""
HAS = "\tinet 203.0.113.2 netmask 0xffffff00 broadcast 203.0.113.255\n"


@pytest.mark.parametrize("awk", [a for a in ("awk", "mawk", "original-awk") if shutil.which(a)])
@pytest.mark.parametrize(
    ("now", "closed"),
    [
        (LISTENS, ""),
        (LISTENS.replace("203.0.113.9:587", "203.0.113.8:587"), ""),
        (LISTENS.replace("203.0.113.2:587", "127.0.0.1:587"), "203.0.113.2:587"),
        (LISTENS.replace("*:25 ", "127.0.0.1:25 "), "*:25"),
        ("", "*:25 203.0.113.2:587"),
    ],
)
def test_the_undo_of_a_stop_finds_a_port_that_stays_closed(
    tmp_path: Path, awk: str, now: str, closed: str
) -> None:
    [command] = reversible(daemon.stop, {ServiceRuns: True}, script="sendmail", ports=[25, 587])
    listens = tmp_path / "listens"
    stubs = {
        "service": "echo 'sendmail is running as pid 998.'",
        "sockstat": f'[ "$*" = "-46lq -j 0 -P tcp -p 25,587" ] && cat {listens}',
        "ifconfig": f"cat {tmp_path}/has",
        "awk": f'exec {shutil.which(awk)} "$@"',
        "kill": "exit 1",
        "sleep": "",
    }
    (tmp_path / "has").write_text(HAS)
    listens.write_text(LISTENS)
    done = typed(command.do, tmp_path, tmp_path, **stubs)
    assert done.returncode == 0, done.stderr
    listens.write_text(now)
    undone = typed(str(command.undo), tmp_path, tmp_path, **stubs)
    assert (undone.returncode == 0) is not bool(closed), undone.stderr
    told = f"sendmail on the host listened here before, and does not any more: {closed}\n"
    assert (told in undone.stdout) is bool(closed)


def test_a_graceful_stop_is_waited_for_since_it_only_asks() -> None:
    [command] = reversible(daemon.stop, {ServiceRuns: True}, script="apache24", stop="gracefulstop")
    assert command.do == (
        f"{noted('apache24')}; service apache24 gracefulstop "
        f"&& while {runs('apache24')}; do sleep 0.2; done && {STOPPED}"
    )


def test_what_starts_again_can_be_left_to_rc_conf() -> None:
    """After a failed undo of rc.conf, the daemon that the wrong value started is stopped first."""
    [command] = reversible(
        daemon.stop, {ServiceRuns: True}, script="sendmail", back=("stop", "start")
    )
    both = "service sendmail stop || true; service sendmail start || true"
    assert command.undo == back("sendmail", f"{both}; {comes_up('sendmail')}")


def test_a_daemon_that_does_not_run_is_neither_stopped_nor_ever_started() -> None:
    assert reversible(daemon.stop, {ServiceRuns: False}, script="apache24") == []


def test_a_daemon_of_a_jail_is_started_and_seen_to_run() -> None:
    [command] = reversible(daemon.start, script="mysql-server", jail="db")
    up = comes_up("mysql-server", "db")
    assert command.do == f"service -j db mysql-server onestart && {up}"
    assert command.undo == (
        "if jls -j db jid >/dev/null 2>&1; "
        "then timeout -k 5 120 service -j db mysql-server onestop "
        f"|| {ended('mysql-server', 'db', 5)}; fi"
    )
    assert command.live


def ended(script: str, jail: str, tries: int) -> str:
    """What the host does about a jail that does not end its daemon."""
    return (
        f"{{ i=0; while timeout -k 5 20 {runs(script, jail)}; do if [ $i -ge {tries} ]; then "
        f"echo 'notice: {script} in jail {jail} does not stop: the whole jail is stopped'; "
        f"{daemon.jail_stopped(jail)}; break; fi; sleep 0.2; i=$((i + 1)); done; }}"
    )


LYING = """
case "$*" in
'-j db x onestop') {stops};;
'-j db x onestatus') echo 'x is running as pid 1.';;
'jail onestop db') : > {at}/gone;;
'x onestart') [ ! -e {at}/gone ] || : > {at}/up;;
'x onestatus') if [ -e {at}/up ]; then echo 'x is running as pid 2.'; fi;;
esac"""


@pytest.mark.parametrize(
    ("operation", "stops"),
    [
        (daemon.start, "exit 1"),  # of one that says that it stopped, nothing else is known
        (daemon.start, "exec sleep 99"),
        (daemon.handover, "exit 1"),
        (daemon.handover, "exit 0"),
        (daemon.handover, "exec sleep 99"),
    ],
)
def test_a_jail_that_lies_about_its_daemon_is_stopped(
    tmp_path: Path, operation: object, stops: str
) -> None:
    """Its rc scripts are its root's. The host's daemon comes up as soon as nobody has the data."""
    back = operation is daemon.handover
    [command] = reversible(operation, {ServiceRuns: True}, script="x", jail="db", limit=1)
    done = typed(
        str(command.undo),
        tmp_path,
        tmp_path,
        service=LYING.format(at=tmp_path, stops=stops),
        jls=f"[ ! -e {tmp_path}/gone ]",
        timeout='shift 3; exec /usr/bin/timeout -k 1 0.5 "$@"',
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "gone").exists()
    assert (tmp_path / "up").exists() is back


def test_a_daemon_of_a_jail_lets_its_requests_end_where_it_can() -> None:
    [command] = reversible(daemon.start, script="apache24", jail="web", stop="gracefulstop")
    assert command.undo == (
        "if jls -j web jid >/dev/null 2>&1; then timeout -k 5 60 service -j web apache24 "
        f"gracefulstop || :; {ended('apache24', 'web', 600)}; fi"
    )


def test_a_daemon_whose_stop_cuts_off_what_is_under_way_is_ended_by_a_command_of_its_own() -> None:
    [stop] = reversible(daemon.stop, {ServiceRuns: True}, script="postfix", ends="postfix drain")
    assert stop.do == (
        f"{noted('postfix')}; postfix drain && while {runs('postfix')}; do sleep 0.2; done "
        f"&& {STOPPED}"
    )
    [start] = reversible(daemon.start, script="postfix", jail="mail", ends="postfix drain")
    assert start.undo == (
        "if jls -j mail jid >/dev/null 2>&1; then timeout -k 5 60 jexec mail postfix drain || :; "
        f"{ended('postfix', 'mail', 600)}; fi"
    )


def test_a_daemon_is_handed_over_by_one_command() -> None:
    [command] = reversible(
        daemon.handover, {ServiceRuns: True}, script="mysql-server", jail="db", limit=99
    )
    up = comes_up("mysql-server", "db")
    assert command.do == (
        f"{{ {noted('mysql-server')}; service mysql-server onestop >&2 && echo go && {STOPPED}; }} "
        "| jexec db sh -c "
        f"'read go && exec service mysql-server onestart </dev/null' && {up}"
    )
    here = f"service mysql-server onestart || true; {comes_up('mysql-server')}"
    assert command.undo == (
        "if jls -j db jid >/dev/null 2>&1; then timeout -k 5 99 service -j db mysql-server onestop "
        f"|| {ended('mysql-server', 'db', 5)}; fi; {{ {back('mysql-server', here)}; }} || "
        f"{{ jls -j db jid >/dev/null 2>&1 && {daemon.jail_stopped('db')} && {{ {here}; }}; }}"
    )
    assert (command.live, command.limit) == (True, 99 + 49 + 240)


def test_who_connects_anew_meets_the_daemon_that_is_there() -> None:
    [command] = reversible(
        daemon.handover,
        {ServiceRuns: True, Replaceable: State("absent")},
        script="mysql-server",
        jail="db",
        sets=[7, 8],
        link=("/s", "/j/s"),
    )
    [switch] = reversible(firewall.switch, set=7, more=[8])
    [link] = reversible(files.link, {Replaceable: State("absent")}, path="/s", target="/j/s")
    assert f"onestop >&2 && {switch.do} && {link.do} && echo go && " in command.do
    assert f"; {{ {link.undo} && {switch.undo} && {{ old=$(sed" in str(command.undo)


def test_a_daemon_that_does_not_stop_is_not_started_in_its_jail(tmp_path: Path) -> None:
    [command] = reversible(daemon.handover, {ServiceRuns: True}, script="mysql-server", jail="db")
    started = tmp_path / "started"
    for stops in (False, True):
        service = (
            f"case $2 in (onestop) {'exit 0' if stops else 'exit 1'};; "
            f'(onestart) : > {started};; esac; echo "x is running"'
        )
        ran = typed(command.do, tmp_path, tmp_path, service=service, jexec='shift; exec "$@"')
        assert (ran.returncode == 0) is stops
        assert started.exists() is stops


SLOW = """
case "$*" in
'mysql-server onestop') : > {at}/stopped;;
*onestart) : > {at}/began;;
*onestatus) if [ ! -e {at}/stopped ]; then echo 'mysql is running as pid 1.'
    elif [ -e {at}/up ]; then echo 'mysql is running as pid 2.'
    else echo 'mysql is not running.'; fi;;
esac"""


@pytest.mark.parametrize(
    ("lives", "up_after", "tries", "ok"),
    [
        pytest.param("true", 70, 71, True, id="it recovers"),
        pytest.param("false", 70, 50, False, id="it has ended"),
        pytest.param("kill $(cat {at}/timer); true", 70, 50, False, id="the limit ends"),
    ],
)
def test_a_daemon_that_starts_slowly_is_waited_for(
    tmp_path: Path, lives: str, up_after: int, tries: int, ok: bool
) -> None:
    [command] = reversible(
        daemon.handover,
        {ServiceRuns: True},
        script="mysql-server",
        jail="db",
        user="mysql",
        logs=[f"{tmp_path}/*.err"],
    )
    (tmp_path / "old.err").write_text("InnoDB: Starting crash recovery\nA password is secret\n")
    sleeps = f"""
case $1 in
0.2) echo >> {tmp_path}/tries; [ $(wc -l < {tmp_path}/tries) -lt {up_after} ] || : > {tmp_path}/up;;
*) echo $$ > {tmp_path}/timer; exec /bin/sleep 20;;
esac"""
    done = typed(
        command.do,
        tmp_path,
        tmp_path,
        service=SLOW.format(at=tmp_path),
        sleep=sleeps,
        pgrep=f'[ "$*" = "-q -j db -U mysql" ] && {lives.format(at=tmp_path)}',
        jexec='shift; exec "$@"',
    )
    assert (done.returncode == 0) is ok, done.stderr
    assert abs(len((tmp_path / "tries").read_text()) - tries) <= 1
    wanted = (
        "mysql-server did not come up in jail db\n"
        f"its log, {tmp_path}/old.err, ends with:\nInnoDB: Starting crash recovery\n"
    )
    assert (done.stdout == wanted) is not ok


def test_a_daemon_that_still_starts_in_the_jail_is_ended_before_the_hosts_starts(
    tmp_path: Path,
) -> None:
    """It has no pid file yet, so the rc script does not find it; it has the data open."""
    [command] = reversible(
        daemon.handover, {ServiceRuns: True}, script="mysql-server", jail="db", user="mysql"
    )
    stubs = {
        "service": f"""case "$*" in
'-j db mysql-server onestop') exit 1;;
'-j db mysql-server onestatus') echo 'mysql is not running.';;
'mysql-server onestart') [ -e {tmp_path}/gone ] && : > {tmp_path}/up;;
'mysql-server onestatus') [ ! -e {tmp_path}/up ] || echo 'mysql is running as pid 3.';;
esac""",
        "pgrep": f'[ "$*" = "-q -j db -U mysql" ] && [ ! -e {tmp_path}/gone ]',
        "pkill": f'[ "$*" = "-j db -U mysql" ] && : > {tmp_path}/told',
        "jls": "",
        "sleep": f"case $1 in (0.2) [ ! -e {tmp_path}/told ] || : > {tmp_path}/gone;; esac",
    }
    done = typed(str(command.undo), tmp_path, tmp_path, **stubs)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "up").exists()


def test_a_daemon_that_ran_nowhere_is_only_started_in_its_jail() -> None:
    facts = {ServiceRuns: False}
    assert pairs(reversible(daemon.handover, facts, script="mysql-server", jail="db")) == pairs(
        reversible(daemon.start, script="mysql-server", jail="db", limit=240)
    )
