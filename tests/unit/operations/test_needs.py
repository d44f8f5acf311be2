"""What running daemons have open, asked of all of them in one command; and their rc variables.

The rows of sockstat and procstat are what a FreeBSD 15.0 printed for its sendmail, and in the forms
of 13.2's usr.bin/procstat/procstat_files.c where that is said.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from operations.needs import Daemons, Need, Running, Variables, opened, used
from tests.unit.operations.asking import DASH

SOCKETS = """\
www   apache2    1118  3 tcp46 *:80                  *:*
www   apache2    1118  4 tcp4  *:*                   *:*
root  sendmail    998  4 tcp4  *:25                  *:*
root  sendmail    998  5 tcp6  *:25                  *:*
root  sendmail    998  6 tcp4  *:587                 *:*
bind  named       911 41 tcp6  ::1:953               *:*
"""
UNIX = """\
root  syslogd     873  8 dgram   /var/run/log          <- [998 3],[911 3]
mysql mariadbd   1024 22 stream  /var/run/mysql/mysql.sock ??
root  sendmail    998  3 dgram   ??                    -> /var/run/log
"""
HEADER = "  PID COMM                FD T V FLAGS    REF  OFFSET PRO NAME        \n"
FILES = """\
  998 sendmail          text v r r-------   -       - -   /usr/libexec/sendmail/sendmail
  998 sendmail           cwd v d r-------   -       - -   /var/spool/mqueue
  998 sendmail          root v d r-------   -       - -   /
  998 sendmail             0 v c r-------   1       0 -   /dev/null
  998 sendmail             3 s - rw------   1       0 UDD /var/run/log
  998 sendmail             4 s - rw------   1       0 TCP 0 0 *:25 *:0
  998 sendmail             5 s - rw------   1       0 TCP 0 0 ::.25 ::.0
  998 sendmail             7 v r -w-----l   1      43 -   /var/run/sendmail.pid
  998 sendmail             8 v r -w-----l   1      43 -   -
"""
WORKER = FILES.replace("  998 ", " 1001 ")
PROCESSES = "1 0 99\n998 1 99\n1001 998 99\n1118 1 99\n974 1 99\n1268 974 3\n1270 1268 2\n"
STATUS = """\
php_fpm) echo php_fpm is not running.;;
redis) echo redis is running as pid 974.;;
*) echo "$1 does not exist in /etc/rc.d" >&2;;
"""
ROWS = f"""\
998) printf %s {shlex.quote(HEADER + FILES)};;
1001) printf %s {shlex.quote(WORKER)};;
974|1268)
    echo " $1 redis-server  text v r r-------   -       - -   /usr/local/bin/redis";;
1270)
    echo " $1 sendmail          text v r r-------   -       - -   /usr/libexec/sendmail/sendmail"
    echo " $1 sendmail           cwd v d r-------   -       - -   /var/spool/clientmqueue";;
*) echo "procstat: procstat_getprocs()" >&2; return 1;;
"""


def asked(
    ports: list[int], scripts: list[str], places: list[str], processes: str = PROCESSES
) -> Running:
    """The command under sh, with these answers of its programs."""
    programs = (
        f"sockstat() {{ case $1 in -46*) printf %s {shlex.quote(SOCKETS)};; "
        f"*) printf %s {shlex.quote(UNIX)};; esac; }}; "
        f"service() {{ case $1 in {STATUS} esac; }}; "
        f"ps() {{ printf %s {shlex.quote(processes)}; }}; "
        f"procstat() {{ shift; while [ $# -gt 0 ]; do case $1 in {ROWS} esac; shift; done; }}; "
    )
    command = Daemons().command(ports, scripts, places)
    done = subprocess.run(
        [DASH, "-euc", programs + command], capture_output=True, text=True, check=True
    )
    return Daemons().process(done.stdout.splitlines())


def test_daemons_and_their_children_are_asked_at_once(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    found = asked([25, 53], ["php-fpm"], [f"{tmp_path}/link", f"{tmp_path}/real", "/nosuch"])
    assert sorted(found.first) == [("1001", "998"), ("998", "998")]
    assert {each.pid for each in found.opened} == {"998"}, "the worker's rows are the same"
    assert found.unix[0] == ("873", "/var/run/log")
    assert found.led == ((f"{tmp_path}/link", f"{tmp_path}/real"),)
    assert found.of([53]) == ()
    assert [each.fd for each in found.of([25])][:3] == ["text", "cwd", "root"]


def test_a_companion_is_known_by_what_its_rc_script_says() -> None:
    """Its program is called otherwise: redis-server, php-fpm8.2 on a real 15.0."""
    found = asked([25], ["redis", "php-fpm", "memcached"], [])
    assert set(found.processes([], ["redis"])) == {"974", "1268", "1270"}
    assert found.processes([], ["php-fpm", "memcached"]) == ()
    assert set(found.processes([25])) == {"998", "1001"}


def test_a_process_that_is_gone_by_then_hides_no_other() -> None:
    """procstat -f ends at the first pid that is not there: mariadbd was not asked (on 15.0)."""
    gone = PROCESSES.replace("1268 974 3", "1268 974 3\n1200 998 1\n999 998 1")
    found = asked([25], ["redis"], [], gone)
    assert {"1200", "999"} <= {pid for pid, _ in found.first}
    assert {each.pid for each in found.opened} == {"998", "974", "1270"}


def test_what_a_page_runs_for_a_moment_is_known() -> None:
    """sendmail, by PHP's mail(): new, and another program than what it descends from."""
    assert asked([25], ["redis"], []).passing == {"1270"}
    old = PROCESSES.replace("1270 1268 2", "1270 1268 61")
    assert asked([25], ["redis"], [], old).passing == set()


def needed(*rows: str) -> list[tuple[str, str]]:
    running = Running(tuple(SOCKETS.splitlines()), (("873", "/var/run/log"), ("998", "/own")))
    return [each[:2] for each in used(opened("".join(rows).splitlines()), running)]


def test_files_directories_and_sockets_are_needs() -> None:
    assert needed(HEADER, FILES) == [
        ("path", "/usr/libexec/sendmail/sendmail"),
        ("working directory", "/var/spool/mqueue"),
        ("socket", "/var/run/log"),
        ("path", "/var/run/sendmail.pid"),
    ]


@pytest.mark.parametrize(
    ("row", "need"),
    [
        (
            "998 sendmail   9 s - rw------   1   0 TCP 0 0 127.0.0.1:4021 127.0.0.1:8891",
            "tcp 127.0.0.1:8891",
        ),
        (
            "998 sendmail   9 s - rw------   1   0 TCP 127.0.0.1:4021 127.0.0.1:8891",
            "tcp 127.0.0.1:8891",
        ),
        ("998 sendmail   9 s - rw------   1   0 TCP ::1.4021 ::1.8891", "tcp ::1:8891"),
        (
            "998 sendmail   9 s - rw------   1   0 UDP 0 0 127.0.0.1:4021 127.0.0.1:53",
            "udp 127.0.0.1:53",
        ),
        (
            "998 sendmail   9 s - rw------   1   0 UDS /var/run/clamav/milter.sock",
            "/var/run/clamav/milter.sock",
        ),
        (
            "998 sendmail   9 f - rw------   1   0 -   /var/spool/postfix/public/qmgr  ",
            "/var/spool/postfix/public/qmgr",
        ),
        ("998 a program  9 v r rw------   1   0 -   /data/a b  ", "/data/a b"),
    ],
)
def test_what_else_is_a_need(row: str, need: str) -> None:
    assert [what for _, what in needed(f"  {row}\n")] == [need]


@pytest.mark.parametrize(
    "row",
    [
        "998 sendmail   9 s - rw------   1   0 TCP 0 0 127.0.0.1:25 127.0.0.1:4021",
        "998 sendmail   9 s - rw------   1   0 TCP 0 0 203.0.113.2:25 198.51.100.7:4021",
        "998 sendmail   9 s - rw------   1   0 TCP 0 0 2001:db8::2.4021 2001:db8::7.25",
        "998 sendmail   9 s - rw------   1   0 UDS /own",
        "998 sendmail   9 s - rw------   1   0 UDS -",
        "998 sendmail   9 s - rw------   1   0",
        "998 sendmail   9 p - rw------   1   0 -   -                 ",
        "998 sendmail   9 v c rw------   1   0 -   /dev/urandom      ",
    ],
)
def test_what_it_serves_itself_is_none(row: str) -> None:
    """Accepted connections, IPv6 to other machines, its own sockets, pipes, devices."""
    assert needed(f"  {row}\n") == []


def test_rc_variables_of_all_scripts_with_the_line_that_sets_them(tmp_path: Path) -> None:
    conf = tmp_path / "rc.conf"
    conf.write_text(
        "named_enable=YES\nmysql_enable=YES\n"
        "# mysql_dbdir=/old\nmysql_dbdir='/data/a b'\nmysql_args=\"--x='1'\"\n"
        "apache24limits_args='-C web'\n"
    )
    command = Variables().command(["named_enable", "mysql_enable", "apache24_enable"])
    command = command.replace("/etc/rc.conf ", f"{conf} ")
    done = subprocess.run([DASH, "-c", command], capture_output=True, text=True, check=True)
    found = Variables().process(done.stdout.splitlines())
    assert found == (
        ("mysql_enable", "mysql_args", "--x='1'", f"{conf}:5"),
        ("mysql_enable", "mysql_dbdir", "/data/a b", f"{conf}:4"),
        ("apache24_enable", "apache24limits_args", "-C web", f"{conf}:6"),
    )


def test_a_need_says_which_process_has_it() -> None:
    [first, *_] = used(opened(FILES.splitlines()), Running())
    assert first == Need(
        "path", "/usr/libexec/sendmail/sendmail", "procstat -f 998 (sendmail, text)"
    )


def test_what_is_open_for_writing_is_told() -> None:
    running = Running(unix=(("873", "/var/run/log"),))
    written = [each.what for each in used(opened(FILES.splitlines()), running) if each.written]
    assert written == ["/var/run/sendmail.pid"]
