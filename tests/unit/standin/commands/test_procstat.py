"""procstat(1): where a daemon works, as the host sees it."""

from __future__ import annotations

from standin import StandIn
from tests.unit.standin.conftest import add_thin_jail


def test_the_data_directory_of_mysql_is_its_working_directory(server: StandIn) -> None:
    line = "procstat -f $(cat /var/run/mysql/mysqld.pid) | awk '$3 == \"cwd\" {print $10}'"
    assert server.run(line).stdout == "/var/db/mysql\n"


def test_a_process_that_is_not_there_is_an_error(server: StandIn) -> None:
    done = server.run("procstat -f 1999999")
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 1)


def test_a_jails_daemon_has_the_hosts_paths(server: StandIn) -> None:
    add_thin_jail(server, "web", "10.80.0.4")
    server.run("service jail onestart web")
    said = server.run("procstat -f $(jexec web cat /var/run/syslog.pid)").stdout
    assert "root v d r-------   -       - -   /usr/jails/web \n" in said
