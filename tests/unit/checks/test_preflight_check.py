"""The check reports a port that would stop answering, and nothing else."""

from __future__ import annotations

import re
import shlex
import subprocess
from types import SimpleNamespace

import pytest

from operations.needs import Listener, Running, Variable, listeners
from rollout import site
from rollout.site import Site
from tests.checks import test_preflight as preflight
from tests.checks.manual.preflight import all_ports_are_in_the_site_file
from tests.rehearsal.sites import SAMPLE
from tests.unit.checks.telling import tells

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
LOCAL = "bind     named      746   43 tcp4   127.0.0.1:8053        *:*\n"
MORE = "bind     named      746   42 tcp4   203.0.113.2:8053      *:*\n"


@pytest.fixture(scope="module")
def sample() -> Site:
    return site.read(SAMPLE)


def sockets(said: str) -> list[Listener]:
    return list(listeners(said.splitlines()))


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
def test_rndcs_port_and_what_has_no_port_are_passed_over(sample: Site, service: str) -> None:
    preflight.test_all_ports_are_in_the_site_file(sockets(SERVED), sample, service)
    assert by_hand(SERVED, sample, service) == ""


def test_another_port_of_the_daemon_is_told(sample: Site) -> None:
    with pytest.raises(AssertionError, match="bind: its daemon also listens on 8053/tcp"):
        preflight.test_all_ports_are_in_the_site_file(sockets(SERVED + MORE), sample, "bind")
    assert by_hand(SERVED + MORE, sample, "bind") == MORE
    preflight.test_all_ports_are_in_the_site_file(sockets(SERVED + MORE), sample, "web")


def test_another_port_for_programs_of_the_host_is_told(sample: Site) -> None:
    with pytest.raises(AssertionError, match=r"8053/tcp at 127\.0\.0\.1.*public = false"):
        preflight.test_all_ports_are_in_the_site_file(sockets(SERVED + LOCAL), sample, "bind")
    assert by_hand(SERVED + LOCAL, sample, "bind") == LOCAL


class Linked:
    """A host on which what links lead to exists."""

    def check_output(self, command: str) -> str:
        return "\n".join(shlex.split(command.partition("; do")[0])[3:])


def links_in_data(sample: Site, link: str) -> None:
    """With this one on the host, as `stat -f '%N%t%Y'` prints it, and one in another service's."""
    links = ["/var/db/mysql/shop\t/data/shop", link]
    preflight.test_links_in_data_lead_into_the_jail(Linked(), links, sample, "web")


@pytest.mark.parametrize(
    "link",
    [
        "/usr/local/www/new\told",
        "/usr/local/www/shop\t/usr/home/user001/public_html",
        "/usr/local/www/shop\t../../../home/user001/public_html",
        "/usr/local/www/a/up\t../../www/b",
        "/usr/local/www/php\t/usr/local/bin/php",
    ],
)
def test_a_link_to_what_the_jail_has_works_there(sample: Site, link: str) -> None:
    links_in_data(sample, link)


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("/usr/local/www/files\t/data/files", "/usr/local/www/files leads to /data/files"),
        ("/usr/local/www/files\t../../../data", "/usr/local/www/files leads to /data"),
        ("/usr/local/www/mail\t/var/db/mysql", "/usr/local/www/mail leads to /var/db/mysql"),
        ("/usr/local/www/two", "/usr/local/www/two: a name with a line break"),
    ],
)
def test_a_link_to_what_the_jail_lacks_is_refused(sample: Site, link: str, leads: str) -> None:
    with pytest.raises(AssertionError) as told:
        links_in_data(sample, link)
    assert leads in str(told.value)
    assert "add the directories to jails.web.mounts" in str(told.value)


MOUNTED = """\
/dev/da0p2\t/\tufs\trw\t1 1
/dev/da1p1\t/usr/home\tufs\trw\t2 2
/dev/da2p1\t/usr/home/big\tufs\trw\t2 2
zroot/mysql\t/var/db/mysql\tzfs\trw\t0 0
tmpfs\t/usr/home/old/tmp\ttmpfs\trw\t0 0
/usr/home\t/usr/jails/web/root/usr/home\tnullfs\trw\t0 0
"""


class Mounts:
    """A host with these mounts, this fstab, and this answer of zfs(8); and a jail in somebody's
    home, whose mounts come with it.
    """

    def __init__(self, fstab: str, told: str = "zroot/mysql\ton\nzroot\tfile:///root/key") -> None:
        self.fstab, self.told = fstab, told

    def check_output(self, command: str) -> str:
        places = shlex.split(command.partition("; do")[0])[3:]
        return "\n".join([*places, "==", MOUNTED + "==", "/usr/home/old", "==", self.fstab])

    def run(self, command: str) -> SimpleNamespace:
        assert command.count(" zroot/mysql") == 2
        return SimpleNamespace(stdout=self.told)


HOME, BIG = "/dev/da1p1 /usr/home ufs rw 2 2\n", "/dev/da2p1 /usr/home/big ufs rw,late 2 2\n"


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (Mounts(HOME + BIG), ""),
        (Mounts(f"#{HOME}{BIG}"), "/usr/home (ufs from /dev/da1p1)"),
        (Mounts(HOME + BIG, "zroot\tprompt"), "zroot (zfs: its key is typed, keylocation=prompt)"),
        (Mounts(HOME + BIG, "zroot/mysql\tnoauto"), "zroot/mysql (zfs: canmount=noauto)"),
    ],
)
def test_a_file_system_that_is_mounted_by_hand_is_told(
    sample: Site, there: Mounts, told: str
) -> None:
    with tells(told):
        preflight.test_file_systems_come_at_boot(there, sample)


@pytest.mark.parametrize("fstab", [HOME, HOME + BIG.replace("late", "noauto")])
def test_one_below_what_a_jail_mounts_is_asked_about(sample: Site, fstab: str) -> None:
    """A home on a file system of its own: without it the daemons start all the same."""
    there = Mounts(fstab)
    preflight.test_file_systems_come_at_boot(there, sample)
    with pytest.raises(AssertionError, match=re.escape("/usr/home/big (ufs from /dev/da2p1)")):
        preflight.test_file_systems_below_come_at_boot(there, sample)


def test_an_account_that_the_jail_lacks_is_told(sample: Site) -> None:
    class Known:
        def check_output(self, command: str) -> str:
            return "ann 1001\n" if " ann" in command else "bind 53\n"

    running = Running(sockets=tuple(SERVED.splitlines()))
    preflight.test_daemon_runs_as_an_account_of_its_jail(Known(), running, sample, "bind")
    rows = SERVED.replace("bind     named", "ann      named").splitlines()
    with pytest.raises(AssertionError, match=r"ann, uid 1001: give jails\.bind\.uids"):
        preflight.test_daemon_runs_as_an_account_of_its_jail(
            Known(), Running(sockets=tuple(rows)), sample, "bind"
        )


@pytest.mark.parametrize(
    ("fib", "told"),
    [
        ("0", ""),
        ("NONE", ""),
        ("1", "rc.conf:7: named_fib=1: its daemon asks others"),
    ],
)
def test_another_routing_table_is_told(sample: Site, fib: str, told: str) -> None:
    variable = Variable("named_enable", "named_fib", fib, "/etc/rc.conf:7")
    with tells(told):
        preflight.test_daemon_uses_the_first_routing_table(
            lambda *_, **__: (variable,), sample, "bind"
        )


@pytest.mark.parametrize("more", ["", "/etc/rc.conf.d/named:2:umask 002\n"])
def test_what_is_no_variable_is_told(sample: Site, more: str) -> None:
    host = SimpleNamespace(run=lambda command: SimpleNamespace(stdout=more))
    with tells("named:2:umask 002: rc.subr" if more else ""):
        preflight.test_daemon_is_set_by_variables_alone(host, sample, "bind")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("mysql_nice", "-5", "mysql_nice=-5: nobody in a jail has the right"),
        ("mysql_nice", "5", ""),
        ("mysql_nice", "0", ""),
        ("mysql_oomprotect", "YES", "mysql_oomprotect=YES: nobody"),
        ("mysql_oomprotect", "NO", ""),
        ("mysql_cpuset", "0-1", ""),
    ],
)
def test_a_right_that_a_jail_does_not_have_is_told(
    sample: Site, name: str, value: str, told: str
) -> None:
    variable = Variable("mysql_enable", name, value, "/etc/rc.conf:7")
    with tells(told):
        preflight.test_daemon_needs_no_right_that_jails_lack(
            lambda *_, **__: (variable,), sample, "mysql"
        )


def test_two_daemons_of_one_kind_are_told(sample: Site) -> None:
    """As a second named for an inner address. Apache's workers are one with their first, and one
    of them is gone by now.
    """
    apache = SERVED.splitlines(True)[0]
    workers = SERVED + apache.replace(" 880 ", " 881 ") + apache.replace(" 880 ", " 882 ")
    first = (("880", "880"), ("881", "880"), ("746", "746"), ("801", "801"))
    listens = preflight.test_daemon_listens_on_its_ports
    for service in ("web", "bind"):
        listens(Running(first=first), sockets(workers), sample, service)
    other = "bind     named      801   29 udp4   192.168.7.1:53        *:*\n"
    with pytest.raises(AssertionError, match=r"named 746 at 203\.0\.113\.2 and named 801 at 192"):
        listens(Running(first=first), sockets(SERVED + other), sample, "bind")
    unbound = other.replace("named  ", "unbound").replace("bind ", "unbou")
    listens(Running(first=first), sockets(SERVED + unbound), sample, "bind")
