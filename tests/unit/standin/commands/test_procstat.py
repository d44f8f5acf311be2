"""procstat(1): where a daemon works, as the host sees it."""

from __future__ import annotations

from standin import StandIn
from tests.unit.standin.conftest import add_thin_jail


def test_the_data_directory_of_mysql_is_its_working_directory(server: StandIn) -> None:
    line = "procstat -f $(cat /var/run/mysql/mysqld.pid) | awk '$3 == \"cwd\" {print $10}'"
    assert server.run(line).stdout == "/var/db/mysql\n"


def test_a_process_that_is_not_there_is_an_error(server: StandIn) -> None:
    """And ends it: those behind it are not shown (usr.bin/procstat/procstat.c, seen on 15.0)."""
    pid = "$(cat /var/run/mysql/mysqld.pid)"
    done = server.run(f"procstat -f 1999999 {pid}")
    assert (done.returncode, done.stdout) == (1, "")
    done = server.run(f"procstat -f {pid} 1999999")
    assert done.returncode == 1
    assert "/var/run/mysql/mysql.sock" in done.stdout


def test_a_jails_daemon_has_the_hosts_paths(server: StandIn) -> None:
    add_thin_jail(server, "web", "10.80.0.4")
    server.run("service jail onestart web")
    said = server.run("procstat -f $(jexec web cat /var/run/syslog.pid)").stdout
    assert "root v d r-------   -       - -   /usr/jails/web \n" in said


def test_a_socket_has_both_ends_and_a_local_one_its_path(server: StandIn) -> None:
    said = server.run("procstat -f $(cat /var/run/mysql/mysqld.pid)").stdout
    assert "21 s - rw------   1       0 TCP 0.0.0.0:3306 0.0.0.0:0\n" in said
    assert "22 s - rw------   1       0 UDS /var/run/mysql/mysql.sock\n" in said


def test_a_worker_has_what_its_daemon_has(server: StandIn) -> None:
    worker = "sockstat -4lq -p 80 | awk '$1 == \"www\" {print $3; exit}'"
    assert "/usr/local/sbin/httpd" in server.run(f"procstat -f $({worker})").stdout
