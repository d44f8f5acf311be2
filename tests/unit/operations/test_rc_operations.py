"""Changes to rc.conf and rc scripts, and their undo."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from pyinfra.api.exceptions import OperationError

from operations import rc
from operations.command import NewFile, Reversible
from operations.facts import Path as PathFact
from operations.facts import RcConf, State
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


def test_what_runs_before_a_daemon_besides_is_found(tmp_path: Path) -> None:
    """Without its values: one may be a password."""
    (tmp_path / "etc/rc.conf.d").mkdir(parents=True)
    (tmp_path / "etc/rc.conf").write_text(
        "export mysql_dbdir=/data\nexport TOKEN=tops3cret\n. /etc/rc.more\n# umask 077\nx=1\n"
    )
    (tmp_path / "etc/rc.conf.d/mysql").write_text("mysql_args=-x\n  umask 002\n")
    line = rc.statements("mysql_enable").replace(" /etc/rc.conf", f" {tmp_path}/etc/rc.conf")
    done = subprocess.run([DASH, "-c", line], capture_output=True, text=True, check=False)
    assert [each.partition("/etc/")[2] for each in done.stdout.splitlines()] == [
        "rc.conf:2:export TOKEN",
        "rc.conf:3:. /etc/rc.more",
        "rc.conf.d/mysql:2:  umask 002",
    ]


def test_variables_that_start_the_hosts_other_sendmail_daemons_stay_there() -> None:
    assert "sendmail_enable|sendmail_([a-z]+_)*enable" in rc.variables("sendmail_enable")


def test_variables_are_undone_with_the_jails_tree() -> None:
    [command] = reversible(rc.variables_in_jail, rcvar="mysql_enable", root="/j/root")
    assert command.do == f"{rc.variables('mysql_enable')} >> /j/root/etc/rc.conf"
    assert command.undo == ":"
