"""MySQL's data directory is the running server's own, and the same one in the jail."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from operations.needs import Daemons
from rollout import site
from rollout.site import Site
from tests.checks import test_mysql as mysql
from tests.rehearsal.sites import SAMPLE

SERVER = "mysql    mariadbd   918   21 tcp4   *:3306                *:*\n"
ROOT = "/usr/jails/mysql/root"
HEADER = "  PID COMM                FD T V FLAGS    REF  OFFSET PRO NAME        \n"


def has_open(cwd: str, file: str = "/dev/null") -> str:
    return (
        f"{HEADER}  918 mariadbd           cwd v d r-------   -       - -   {cwd} \n"
        f"  918 mariadbd             9 v r rw------   1       0 -   {file} \n"
    )


class Host:
    """Answers each command by its first word; realpath(1) by its argument."""

    def __init__(self, **answers: str) -> None:
        self._answers: Mapping[str, str] = {"jexec": SERVER, "ls": "ibdata1\n", **answers}

    def run(self, command: str, *values: str) -> SimpleNamespace:
        word = command.split(maxsplit=1)[0].rpartition("/")[2]
        said = values[0] if word == "realpath" else self._answers[word]
        return SimpleNamespace(rc=0, stdout=said)

    def check_output(self, command: str, *values: str) -> str:
        return str(self.run(command, *values).stdout).rstrip("\n")


@pytest.fixture(scope="module")
def sample() -> Site:
    return site.read(SAMPLE)


def uses(host: Host, there: Site) -> None:
    said = [SERVER, "= unix", "= first", "918 918 99 ", "= opened", host.run("procstat").stdout]
    running = Daemons().process("\n".join(said).splitlines())
    mysql.test_server_uses_the_data_of_the_site_file(host, running, there, "mysql")


@pytest.mark.parametrize(
    "said",
    [
        has_open("/var/db/mysql"),
        has_open("/var/db/mysql/data"),
        has_open("-", "/var/db/mysql/ibdata1"),
    ],
)
def test_data_of_the_site_file(sample: Site, said: str) -> None:
    uses(Host(procstat=said), sample)


@pytest.mark.parametrize(
    "said", [has_open("/var/db/mariadb"), has_open("-", "/var/db/mariadb/aria_log_control")]
)
def test_other_data_is_refused_with_its_directory(sample: Site, said: str) -> None:
    with pytest.raises(AssertionError) as told:
        uses(Host(procstat=said), sample)
    assert 'set services.mysql.data = ["/var/db/mariadb"]' in str(told.value)


def test_a_server_that_shows_nothing_is_asked_by_the_client(sample: Site) -> None:
    with pytest.raises(AssertionError, match=r"set services\.mysql\.client"):
        uses(Host(procstat=HEADER), sample)
    mysql_ = sample.services["mysql"].model_copy(update={"client": "/usr/local/bin/mysql"})
    asked = sample.model_copy(update={"services": {**sample.services, "mysql": mysql_}})
    uses(Host(procstat=HEADER, mysql="/var/db/mysql/\n"), asked)
    with pytest.raises(AssertionError, match="has its data in /data"):
        uses(Host(procstat=HEADER, mysql="/data/\n"), asked)


def test_the_jails_server_on_the_hosts_directory(sample: Site) -> None:
    host = Host(procstat=has_open(f"{ROOT}/var/db/mysql"), stat="7\n7\n")
    mysql.test_jails_server_uses_the_hosts_data(host, sample, "mysql")


@pytest.mark.parametrize(
    ("host", "why"),
    [
        (Host(procstat=has_open(f"{ROOT}/var/db/other")), "procstat -f shows .*/var/db/other"),
        (Host(procstat=HEADER), "procstat -f shows no data directory"),
        (Host(procstat=has_open(f"{ROOT}/var/db/mysql"), stat="7\n8\n"), "inodes 7 and 8"),
        (Host(procstat=has_open(f"{ROOT}/var/db/mysql"), stat="7\n7\n", ls=""), "is empty"),
    ],
)
def test_other_data_in_the_jail_is_no_success(sample: Site, host: Host, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        mysql.test_jails_server_uses_the_hosts_data(host, sample, "mysql")


def test_a_policy_that_denies_mysql_is_told(sample: Site) -> None:
    assert mysql._denied(sample, "web") == ""
    allow = tuple(each for each in sample.policy.allow if each.to != "mysql")
    policy = sample.policy.model_copy(update={"allow": allow})
    there = sample.model_copy(update={"policy": policy})
    line = '{ from = "web", to = "mysql", ports = ["3306/tcp"] }'
    assert mysql._denied(there, "web") == f"[policy] denies it: add {line} to `allow` there"
    order = tuple(each for each in sample.order if each != "policy")
    assert mysql._denied(there.model_copy(update={"order": order}), "web") == ""


@pytest.mark.parametrize(
    "asked",
    [
        mysql.test_names_of_clients_are_found,
        mysql.test_accounts_known_by_the_socket_are_in_the_jail,
        mysql.test_files_by_path_are_in_the_jail,
    ],
)
def test_a_client_that_is_not_let_in_does_not_pass(sample: Site, asked: Any) -> None:
    service = sample.services["mysql"].model_copy(update={"client": "mysql -u ann"})
    there = sample.model_copy(update={"services": {**sample.services, "mysql": service}})
    denied = SimpleNamespace(rc=1, stdout="", stderr="ERROR 1045 (28000): Access denied\n")
    with pytest.raises(AssertionError, match=r'"mysql -u ann" cannot .* \(ERROR 1045'):
        asked(SimpleNamespace(run=lambda command: denied), there, "mysql")
