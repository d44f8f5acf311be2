"""Which daemons of the host the programs of a jail would miss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from operations.needs import Running
from rollout import site
from rollout.site import Site
from tests.checks.test_staying import test_daemons_are_found_from_the_jail as look

SAMPLE = Path(__file__).parents[3] / "site.example.toml"
NOTHING = Running(
    sockets=(
        "root     sshd       810   4  tcp4   *:22                  *:*",
        "root     sshd       955   9  tcp4   127.0.0.1:6010        *:*",
        "root     sshd-session 956 9  tcp4   127.0.0.1:6011        *:*",
        "bind     named      746   39 tcp4   127.0.0.1:953         *:*",
        "root     ntpd       600   8  udp4   *:123                 *:*",
        "root     snmpd      610   8  udp4   *:161                 *:*",
        "postgres postgres   900   8  tcp4   203.0.113.2:5432      *:*",
        "unbound  local-unbo 700   5  udp4   127.0.0.1:53          *:*",
        "root     syslogd    502   8  udp4   127.0.0.1:514         *:*",
        "postgres postgres   900   7  udp4   127.0.0.1:51234       *:*",
        "mysql    mariadbd   506   21 tcp4   127.0.0.1:3306        *:*",
        "www      php-fpm    520   9  tcp4   127.0.0.1:9000        *:*",
    ),
    unix=(
        ("502", "/var/run/log"),
        ("501", "/var/run/devd.pipe"),
        ("506", "/var/run/mysql/mysql.sock"),
        ("955", "(not connected)"),
    ),
    first=(("520", "520"),),
)
CACHE = "redis    redis-serv 530   6  tcp4   127.0.0.1:6379        *:*"
CACHE_6 = "redis    redis-serv 530   7  tcp6   ::1:6379              *:*"
OPEN = "postgres postgres   900   8  tcp4   *:5432                *:*"
STATS = "statsd   statsd     540   6  udp4   127.0.0.1:8125        *:*"


class Host:
    """On which www may write to these sockets."""

    def __init__(self, *writable: str) -> None:
        self._writable = writable

    def check_output(self, command: str) -> str:
        assert command.startswith('chroot -u www -g "$(id -gn www)"')
        return "\n".join(each for each in self._writable if each in command)


@pytest.fixture(scope="module")
def sample() -> Site:
    return site.read(SAMPLE)


def told(sample: Site, running: Running, *writable: str) -> str:
    try:
        look(Host(*writable), running, sample, "web")
    except AssertionError as error:
        return str(error).partition(": programs")[0]
    return ""


def test_what_no_program_of_a_page_asks_is_passed_over(sample: Site) -> None:
    assert told(sample, NOTHING) == ""


@pytest.mark.parametrize(
    ("row", "at"),
    [
        (CACHE, "127.0.0.1:6379/tcp"),
        (CACHE_6, "::1:6379/tcp"),
        (STATS, "127.0.0.1:8125/udp"),
        (OPEN, "*:5432/tcp"),
    ],
)
def test_a_port_that_answers_at_127_0_0_1_is_told(sample: Site, row: str, at: str) -> None:
    assert at in told(sample, replace(NOTHING, sockets=(*NOTHING.sockets, row)))


def test_a_port_at_two_addresses_is_told_once(sample: Site) -> None:
    both = replace(NOTHING, sockets=(*NOTHING.sockets, CACHE, CACHE_6))
    assert told(sample, both).count("6379") == 1


def test_a_port_that_the_site_file_names_is_left(sample: Site) -> None:
    web = sample.jails["web"].model_copy(update={"unreached": ("6379/tcp",)})
    there = sample.model_copy(update={"jails": {**sample.jails, "web": web}})
    assert told(there, replace(NOTHING, sockets=(*NOTHING.sockets, CACHE))) == ""


def test_a_socket_is_told_if_the_web_server_may_write_to_it(sample: Site) -> None:
    path = "/var/run/redis/redis.sock"
    running = replace(NOTHING, unix=(*NOTHING.unix, ("530", path)))
    assert path in told(sample, running, path)
    assert told(sample, running) == ""


def test_a_socket_in_what_the_jail_mounts_is_there(sample: Site) -> None:
    path = "/usr/home/user001/cache.sock"
    assert told(sample, replace(NOTHING, unix=(("530", path),)), path) == ""


def test_a_child_that_has_ended_since_is_known_by_what_its_parent_listens_at(sample: Site) -> None:
    """php-fpm starts one for a page, and it was in sockstat and no longer in ps (on a 15.0)."""
    gone = replace(
        NOTHING,
        sockets=(*NOTHING.sockets, NOTHING.sockets[-1].replace("520", "521")),
        unix=(*NOTHING.unix, ("520", "/var/run/php-fpm.sock"), ("521", "/var/run/php-fpm.sock")),
    )
    assert told(sample, gone, "/var/run/php-fpm.sock") == ""
