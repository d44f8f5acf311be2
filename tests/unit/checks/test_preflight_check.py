"""The check reports a port that would stop answering, and nothing else."""

from __future__ import annotations

import re
import shlex
import subprocess
from types import SimpleNamespace

import pytest

from operations import rc
from rollout import plan, site
from rollout.site import Site
from steps import carriers as carrying
from tests.checks import test_preflight as preflight
from tests.checks.conftest import sockets
from tests.checks.manual.preflight import all_ports_are_in_the_site_file
from tests.rehearsal.sites import SAMPLE

# The columns are 13.2's, where Apache has a socket *:*, too; the other values are made up.
SERVED = """\
www      apache2    880   4  tcp46  *:80                  *:*
www      apache2    880   5  tcp4   *:*                   *:*
bind     named      746   29 udp4   203.0.113.2:53        *:*
bind     named      746   31 tcp4   203.0.113.2:53        *:*
bind     named      746   39 tcp4   127.0.0.1:953         *:*
bind     named      746   40 tcp6   ::1:953               *:*
bind     named      746   41 udp4   *:50123               *:*
root     sshd       810   4  tcp4   *:22                  *:*
"""
MORE = "bind     named      746   42 tcp4   203.0.113.2:8053      *:*\n"


@pytest.fixture(scope="module")
def sample() -> Site:
    return site.read(SAMPLE)


def by_hand(told: str, there: Site, service: str) -> str:
    """What a person sees after typing the command on such a host."""
    [look] = all_ports_are_in_the_site_file(there, service)
    sockstat = """sockstat() { printf %s "$told" | grep " $5" | grep -e ":${7:+$7 }"; }"""
    return subprocess.run(
        ["/bin/sh", "-c", f"{sockstat}; {look.line}"],
        env={"told": told, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize("service", ["bind", "web"])
def test_loopback_and_what_has_no_port_are_passed_over(sample: Site, service: str) -> None:
    preflight.test_all_ports_are_in_the_site_file(sockets(SERVED), sample, service)
    assert by_hand(SERVED, sample, service) == ""


def test_another_port_of_the_daemon_is_told(sample: Site) -> None:
    with pytest.raises(AssertionError, match="bind: its daemon also listens on 8053/tcp"):
        preflight.test_all_ports_are_in_the_site_file(sockets(SERVED + MORE), sample, "bind")
    assert by_hand(SERVED + MORE, sample, "bind") == MORE
    preflight.test_all_ports_are_in_the_site_file(sockets(SERVED + MORE), sample, "web")


HEADER = "  PID COMM                FD T V FLAGS    REF  OFFSET PRO NAME        \n"
TEXT = "  506 mariadbd          text v r r-------   -       - -   /usr/local/libexec/mariadbd \n"


class Told:
    """A host whose rc variables are these, and which has these paths; mariadbd runs there.

    The rows are as usr.bin/procstat/procstat_files.c prints them.
    """

    def __init__(self, variables: str, *paths: str, more: str = TEXT) -> None:
        self._variables = variables
        self._paths = paths
        self._more = more

    def check_output(self, command: str) -> str:
        if command == rc.variables("mysql_enable"):
            return self._variables
        asked = shlex.split(command.partition(";")[0].removeprefix("for each in "))
        return "".join(f"{each}\n" for each in asked if each in self._paths)

    def run(self, command: str) -> SimpleNamespace:
        if "procstat" in command:
            return SimpleNamespace(stdout=f"{HEADER}{self._more}= sockstat\n{SERVED}")
        return SimpleNamespace(stdout="/etc/rc.conf:7:mysql_dbdir=/data/mysql\n")


def meets(host: Told, there: Site) -> None:
    carriers = carrying.of(plan.make(there).steps, there)
    preflight.test_needs_are_met(host, carriers, there, "mysql")


@pytest.mark.parametrize(
    "value",
    [
        "/var/db/mysql",
        "/var/db/mysql/more",
        "--defaults-file=/usr/local/etc/mysql/my.cnf",
        "/usr/local/libexec/mysqld",
        "/not/on/the/host",
        "a/data/mysql",
    ],
)
def test_a_variable_with_what_the_jail_has_is_carried(sample: Site, value: str) -> None:
    there = ("/data/mysql", "/usr/local/libexec/mysqld", "/var/db/mysql")
    meets(Told(f"mysql_dbdir='{value}'\n", *there), sample)


@pytest.mark.parametrize("value", ["/data/mysql", "-x --datadir=/data/mysql", "a,/data/mysql"])
def test_a_variable_with_what_the_jail_lacks_is_told_with_file_and_line(
    sample: Site, value: str
) -> None:
    with pytest.raises(AssertionError) as told:
        meets(Told(f"mysql_dbdir='{value}'\n", "/data/mysql"), sample)
    said = str(told.value)
    assert f"/etc/rc.conf:7: mysql_dbdir={value}: jail mysql will not have /data/mysql" in said
    assert "add it to services.mysql.data or configuration" in said


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (
            "  506 mariadbd            14 v r rw------   1       0 -   /data/ibdata1",
            "procstat -f 506 (mariadbd, 14): jail mysql will not have /data/ibdata1",
        ),
        (
            "  506 mariadbd            15 s - rw------   1       0 UDS /var/run/other.sock",
            "jail mysql will not have the socket /var/run/other.sock",
        ),
        (
            "  506 mariadbd            16 s - rw------   1       0 TCP 127.0.0.1:44 127.0.0.1:999",
            "in jail mysql nothing will answer at 127.0.0.1:999",
        ),
        (
            "  506 mariadbd            16 s - rw------   1       0 TCP ::1.4444 ::1.999",
            "in jail mysql nothing will answer at ::1.999",
        ),
    ],
)
def test_what_its_processes_have_open_is_told(sample: Site, row: str, says: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(says)):
        meets(Told("", more=f"{TEXT}{row} \n"), sample)


@pytest.mark.parametrize(
    "row",
    [
        "  506 mariadbd             9 v r rw------   1       0 -   -",
        "  506 mariadbd            10 v c rw------   1       0 -   /dev/null",
        "  506 mariadbd            11 v r rw------   1       0 -   /var/db/mysql/ib_logfile0",
        "  506 mariadbd            12 s - rw------   1       0 UDS /var/run/mysql/mysql.sock",
        "  506 mariadbd            13 s - rw------   1       0 TCP 127.0.0.1:5000 127.0.0.1:3306",
        "  506 mariadbd            14 s - rw------   1       0 TCP 203.0.113.2:53 127.0.0.1:4000",
        "  506 mariadbd            15 s - rw------   1       0 TCP 203.0.113.2:22 198.51.100.7:77",
    ],
)
def test_what_the_jail_has_itself_or_reaches_is_not(sample: Site, row: str) -> None:
    meets(Told("", more=f"{TEXT}{row} \n"), sample)


def test_a_port_of_another_service_is_reached_by_its_rule(sample: Site) -> None:
    """MySQL's jail is led to the jail of mail: 10.80.0.3 is its own address."""
    row = "  506 mariadbd            13 s - rw------   1       0 TCP 127.0.0.1:5000 127.0.0.1:25"
    meets(Told("", more=f"{TEXT}{row} \n"), sample)


def test_processes_that_nobody_shows_are_told(sample: Site) -> None:
    with pytest.raises(AssertionError, match="procstat -f shows no process that listens on 3306"):
        meets(Told("", more=""), sample)
