"""Changes to rc.conf and rc scripts, and their undo."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from pyinfra.api.exceptions import OperationError

from operations import files, firewall, rc
from operations.command import NewFile, Reversible
from operations.facts import Path as PathFact
from operations.facts import RcConf, Replaceable, ServiceRuns, State, comes_up, runs
from tests.unit.operations.asking import DASH, pairs, reversible, typed, unset, yielded


def test_a_variable_that_was_not_set_is_removed_again_if_it_is_still_ours() -> None:
    assert pairs(reversible(rc.variable, {RcConf: {}}, name="a_enable", value="NO")) == [
        (
            "sysrc a_enable=NO && fsync /etc/rc.conf*",
            unset("a_enable", "NO"),
        )
    ]


def test_a_variable_that_was_set_gets_its_value_back() -> None:
    before = {"a_flags": "-j '60' $x"}
    assert pairs(reversible(rc.variable, {RcConf: before}, name="a_flags", value="-l 8")) == [
        (
            "sysrc a_flags='-l 8' && fsync /etc/rc.conf*",
            "sysrc a_flags='-j '\"'\"'60'\"'\"' $x' && fsync /etc/rc.conf*",
        )
    ]


def test_a_variable_that_was_set_to_nothing_gets_nothing_back() -> None:
    [command] = reversible(rc.variable, {RcConf: {"jail_list": ""}}, name="jail_list", value="a")
    assert command.undo == "sysrc jail_list='' && fsync /etc/rc.conf*"


SYSRC = (  # over files with one variable per line
    'files="@/rc.conf @/rc.conf.local"; while :; do case $1 in -f) files=$2; shift 2 ;; '
    "-n | -ni | -c | -x | -ix) how=$1; shift ;; *) break ;; esac; done; name=${1%%[-+=]*}; "
    'old=$(cat $files 2>/dev/null | sed -n "s/^$name=//p" | tail -1); '
    'has() { cat $files 2>/dev/null | grep -q "^$name="; }; '
    'case ${how-} in -n) has && echo "$old" ;; -ni) echo "$old" ;; '
    '-c) [ "$old" = "${1#*=}" ] ;; -x | -ix) has && sed -i "/^$name=/d" @/rc.conf ;; '
    '*) new=${1#*=}; case $1 in *-=*) new=$(echo $old | tr " " "\\n" | grep -vx "$new" | '
    'tr "\\n" " "); new=${new% } ;; *+=*) case " $old " in *" $new "*) new=$old ;; '
    '*) new="${old:+$old }$new" ;; esac ;; esac; '
    'sed -i "/^$name=/d" @/rc.conf; echo "$name=$new" >> @/rc.conf ;; esac'
)


@pytest.mark.parametrize("ran", [False, True])
@pytest.mark.parametrize(
    ("of", "before"),
    [
        ((rc.variable, "a_enable", "NO"), ""),
        ((rc.variable, "a_enable", "NO"), "a_enable=YES\n"),
        ((rc.variable, "a_enable", "NO"), "a_enable=NO\n"),
        ((rc.variable, "a_enable", "NO"), "a_enable=\n"),
        ((rc.word, "jail_list", "web"), ""),
        ((rc.word, "jail_list", "web"), "jail_list=mysql\n"),
        ((rc.word, "jail_list", "web"), "jail_list=web mysql\n"),
        ((rc.word, "jail_list", "web"), "jail_list=webmail\n"),
        ((rc.word, "jail_list", "web"), "jail_list=\n"),
    ],
)
def test_where_nobody_could_read_rc_conf_the_undo_reads_its_before_image(
    tmp_path: Path, of: tuple[object, str, str], before: str, ran: bool
) -> None:
    """As in a runbook: the administrator's value is not known when the page is written."""
    operation, name, value = of
    [command] = reversible(operation, {RcConf: None}, name=name, value=value)
    assert command.keep == ("/etc/rc.conf", "/etc/rc.conf.local")
    etc, keep = tmp_path / "etc", tmp_path / "keep"
    etc.mkdir()
    keep.mkdir()
    (etc / "rc.conf").write_text(f"x=1\n{before}")
    (keep / "1").write_text(f"x=1\n{before}")
    stub = SYSRC.replace("@", str(etc))
    if ran:
        assert typed(command.do, etc, keep, sysrc=stub, fsync="").returncode == 0
        assert value in (etc / "rc.conf").read_text().split(f"{name}=")[1].split()
    undo = str(command.undo).replace("/etc/rc.conf", f"{etc}/rc.conf")
    for _ in range(2):
        done = typed(undo, etc, keep, sysrc=stub, fsync="")
        assert done.returncode == 0, done.stderr
        assert sorted((etc / "rc.conf").read_text().split("\n")) == sorted(
            f"x=1\n{before}".split("\n")
        )


def test_without_a_before_image_nothing_was_begun_and_nothing_is_undone(tmp_path: Path) -> None:
    for operation in (rc.variable, rc.word):
        [command] = reversible(operation, {RcConf: None}, name="a", value="b")
        assert typed(str(command.undo), tmp_path, sysrc="exit 9", fsync="").returncode == 0


def test_a_variable_that_has_the_value_is_left_alone() -> None:
    facts = {RcConf: {"a_enable": "NO"}}
    assert reversible(rc.variable, facts, name="a_enable", value="NO") == []


def test_a_variable_lives_on_the_disk() -> None:
    """A reboot does not undo it, so the undo at boot must."""
    [command] = reversible(rc.variable, {RcConf: {}}, name="a", value="b")
    assert (command.live, command.keep) == (False, ())
    assert command.says == 'set a="b" in rc.conf'


@pytest.mark.parametrize("name", ["bad-name", "", "a b", "1a", "a;b"])
@pytest.mark.parametrize("operation", [rc.variable, rc.word], ids=["variable", "word"])
def test_a_name_that_sh_could_not_assign_is_refused(operation: object, name: str) -> None:
    with pytest.raises(OperationError, match=r"not a valid name for an rc\.conf variable"):
        reversible(operation, {RcConf: {}}, name=name, value="x")


def test_a_name_that_sh_could_not_assign_is_refused_in_a_jail_too() -> None:
    with pytest.raises(OperationError, match='"bad-name"'):
        reversible(rc.jail_variable, name="bad-name", value="x", jail="web", root="/r", before="NO")


def test_the_first_word_of_a_list_takes_the_variable_with_it_when_it_goes() -> None:
    assert pairs(reversible(rc.word, {RcConf: {}}, name="jail_list", value="web")) == [
        (
            "sysrc jail_list+=web && fsync /etc/rc.conf*",
            'sysrc jail_list-=web; if [ -z "$(sysrc -ni jail_list)" ]; '
            "then sysrc -ix jail_list; fi && fsync /etc/rc.conf*",
        )
    ]


@pytest.mark.parametrize("before", ["", "mysql", "webmail"])
def test_a_further_word_of_a_list_goes_alone(before: str) -> None:
    facts = {RcConf: {"jail_list": before}}
    assert pairs(reversible(rc.word, facts, name="jail_list", value="web")) == [
        (
            "sysrc jail_list+=web && fsync /etc/rc.conf*",
            "sysrc jail_list-=web && fsync /etc/rc.conf*",
        )
    ]


def test_a_word_that_is_in_the_list_is_left_there() -> None:
    facts = {RcConf: {"jail_list": "mysql web"}}
    assert reversible(rc.word, facts, name="jail_list", value="web") == []


def test_a_running_jails_rc_conf_is_written_from_inside_it_alone() -> None:
    commands = reversible(
        rc.jail_variable, name="a_enable", value="YES", jail="web", root="/j/web", before="NO"
    )
    assert pairs(commands) == [
        (
            "sysrc -j web a_enable=YES && jexec web fsync /etc/rc.conf",
            "{ if jls -j web jid >/dev/null 2>&1; "
            "then timeout -k 5 20 sysrc -j web a_enable=NO "
            "&& timeout -k 5 20 jexec web fsync /etc/rc.conf; "
            'else if [ "$(realpath /j/web/etc/rc.conf)" = /j/web/etc/rc.conf ]; '
            "then [ -f /j/web/etc/rc.conf ] "
            "&& sed -i '' -e 's/^[[:space:]]*a_enable=.*/a_enable=\"NO\"/' /j/web/etc/rc.conf "
            "&& fsync /j/web/etc/rc.conf; else false; fi; fi; } || echo 'notice: a_enable could "
            "not be set in jail web: its rc.conf is not as it should be'",
        )
    ]


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
        getattr(rc, operation), {ServiceRuns: True}, script="mysql-server", **jail
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
    [command] = reversible(rc.stop, {ServiceRuns: True}, script="mysql-server", limit=99)
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
    [command] = reversible(rc.stop, {ServiceRuns: True}, script="sendmail", ports=[25, 587])
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
    [command] = reversible(rc.stop, {ServiceRuns: True}, script="apache24", stop="gracefulstop")
    assert command.do == (
        f"{noted('apache24')}; service apache24 gracefulstop "
        f"&& while {runs('apache24')}; do sleep 0.2; done && {STOPPED}"
    )


def test_what_starts_again_can_be_left_to_rc_conf() -> None:
    """After a failed undo of rc.conf, the daemon that the wrong value started is stopped first."""
    [command] = reversible(rc.stop, {ServiceRuns: True}, script="sendmail", back=("stop", "start"))
    both = "service sendmail stop || true; service sendmail start || true"
    assert command.undo == back("sendmail", f"{both}; {comes_up('sendmail')}")


def test_a_daemon_that_does_not_run_is_neither_stopped_nor_ever_started() -> None:
    assert reversible(rc.stop, {ServiceRuns: False}, script="apache24") == []


def test_a_daemon_of_a_jail_is_started_and_seen_to_run() -> None:
    [command] = reversible(rc.start, script="mysql-server", jail="db")
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
        f"{rc.jail_stopped(jail)}; break; fi; sleep 0.2; i=$((i + 1)); done; }}"
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
        (rc.start, "exit 1"),  # of one that says that it stopped, nothing else is known
        (rc.start, "exec sleep 99"),
        (rc.handover, "exit 1"),
        (rc.handover, "exit 0"),
        (rc.handover, "exec sleep 99"),
    ],
)
def test_a_jail_that_lies_about_its_daemon_is_stopped(
    tmp_path: Path, operation: object, stops: str
) -> None:
    """Its rc scripts are its root's. The host's daemon comes up as soon as nobody has the data."""
    back = operation is rc.handover
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
    [command] = reversible(rc.start, script="apache24", jail="web", stop="gracefulstop")
    assert command.undo == (
        "if jls -j web jid >/dev/null 2>&1; then timeout -k 5 60 service -j web apache24 "
        f"gracefulstop || :; {ended('apache24', 'web', 600)}; fi"
    )


def test_a_daemon_whose_stop_cuts_off_what_is_under_way_is_ended_by_a_command_of_its_own() -> None:
    [stop] = reversible(rc.stop, {ServiceRuns: True}, script="postfix", ends="postfix drain")
    assert stop.do == (
        f"{noted('postfix')}; postfix drain && while {runs('postfix')}; do sleep 0.2; done "
        f"&& {STOPPED}"
    )
    [start] = reversible(rc.start, script="postfix", jail="mail", ends="postfix drain")
    assert start.undo == (
        "if jls -j mail jid >/dev/null 2>&1; then timeout -k 5 60 jexec mail postfix drain || :; "
        f"{ended('postfix', 'mail', 600)}; fi"
    )


def test_a_daemon_is_handed_over_by_one_command() -> None:
    [command] = reversible(
        rc.handover, {ServiceRuns: True}, script="mysql-server", jail="db", limit=99
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
        f"{{ jls -j db jid >/dev/null 2>&1 && {rc.jail_stopped('db')} && {{ {here}; }}; }}"
    )
    assert (command.live, command.limit) == (True, 99 + 49 + 240)


def test_who_connects_anew_meets_the_daemon_that_is_there() -> None:
    [command] = reversible(
        rc.handover,
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
    [command] = reversible(rc.handover, {ServiceRuns: True}, script="mysql-server", jail="db")
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
        rc.handover,
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
        rc.handover, {ServiceRuns: True}, script="mysql-server", jail="db", user="mysql"
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
    assert pairs(reversible(rc.handover, facts, script="mysql-server", jail="db")) == pairs(
        reversible(rc.start, script="mysql-server", jail="db", limit=240)
    )


def test_service_on_the_host_is_not_led_away_over_somebodys_own_settings() -> None:
    """The lines in rc.conf.d set flags, too."""
    arguments = {"path": "/usr/local/etc/rc.conf.d/apache24", "content": "exec service -j web\n"}
    with pytest.raises(OperationError, match=r"rc\.conf\.d/apache24 exists already"):
        yielded(rc.asked_in_jail, {PathFact: State("file", "644", "root:wheel", "x")}, **arguments)
    new, put = yielded(rc.asked_in_jail, {PathFact: State()}, **arguments)
    assert isinstance(new, NewFile)
    assert new.content == "exec service -j web\n"
    assert isinstance(put, Reversible)


def test_variables_are_those_of_the_last_file_that_rc_subr_reads(tmp_path: Path) -> None:
    for folder in ("etc", "usr/local/etc"):
        (tmp_path / folder / "rc.conf.d").mkdir(parents=True)
    (tmp_path / "etc/rc.conf").write_text(
        'mysql_enable="YES"\nbase=/data\nmysql_dbdir="/first"\nmysqld=1\n'
        """  mysql_args='--it'"'"'s --x="a b"' # as ever\n"""
    )
    (tmp_path / "etc/rc.conf.local").write_text('export mysql_dbdir="$base/mysql"\n')
    (tmp_path / "etc/rc.conf.d/mysql").write_text("mysql_optfile=/a\n")
    (tmp_path / "usr/local/etc/rc.conf.d/mysql").mkdir()
    (tmp_path / "usr/local/etc/rc.conf.d/mysql/site").write_text("mysql_optfile=/b\n")
    line = rc.variables("mysql_enable")
    for folder in ("/etc", "/usr/local/etc"):
        line = line.replace(f" {folder}/rc.conf", f" {tmp_path}{folder}/rc.conf")
    done = subprocess.run([DASH, "-eu", "-c", line], capture_output=True, text=True, check=True)
    assert shlex.split(done.stdout) == [
        """mysql_args=--it's --x="a b\"""",
        "mysql_dbdir=/data/mysql",
        "mysql_optfile=/b",
    ]


def test_variables_that_start_the_hosts_other_sendmail_daemons_stay_there() -> None:
    assert "sendmail_enable|sendmail_([a-z]+_)*enable" in rc.variables("sendmail_enable")


def test_variables_are_undone_with_the_jails_tree() -> None:
    [command] = reversible(rc.variables_in_jail, rcvar="mysql_enable", root="/j/root")
    assert command.do == f"{rc.variables('mysql_enable')} >> /j/root/etc/rc.conf"
    assert command.undo == ":"
