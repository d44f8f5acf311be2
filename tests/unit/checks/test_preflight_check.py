"""The check reports a port that would stop answering, and nothing else."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from operations.needs import Listener, listeners
from rollout import site
from rollout.site import Site
from tests.checks import test_preflight as preflight
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
