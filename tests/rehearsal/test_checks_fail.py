"""Every check says no where what it claims is not so: a check that cannot fail shows nothing.

Most claim what a step has made, so a host on which none has run is enough. The others hold there,
and something is broken for each.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pytest

from rollout import site
from rollout.engine import checks
from rollout.host.session import Session
from rollout.plan.step import Check, check
from rollout.probe.transfer import Transfer
from rollout.rehearsal.box import Box, standin_box
from rollout.site import Site
from tests.rehearsal.sites import SAMPLE
from tests.rehearsal.test_bad_hosts import Lying

RULES = "/usr/local/etc/cellblock/rules"
UIDS = (1001, 1999)
PLACE = site.read(SAMPLE).places["mysql"]
LOADED = "kenv net.inet.ip.fw.default_to_accept=1 >/dev/null; kldload ipfw"
MYSQL = {"name": "mysql.example.org", "address": "10.80.0.3"}


@dataclass(frozen=True)
class Case:
    """`broken` is typed on the host; `functions` make its commands lie; `site` changes the site."""

    check: Check
    broken: str = ""
    functions: str = "sleep() { :; }"
    site: Any = None

    def __str__(self) -> str:
        return self.check.test.replace("::", " ")


def lacking(test: str, **values: Any) -> Case:
    return Case(check(test, **values))


def broken(test: str, by: str, **values: Any) -> Case:
    return Case(check(test, **values), broken=by)


def _account(line: str) -> str:
    return f"echo '{line}' >> /etc/passwd"


def _no_room(site: Site) -> Site:
    return site.model_copy(update={"run": site.run.model_copy(update={"free_space_mib": 10**9})})


def _elsewhere(site: Site) -> Site:
    host = site.host.model_copy(update={"wan_address": "203.0.113.77"})
    return site.model_copy(update={"host": host})


def _with_public_address(site: Site) -> Site:
    more = {"outbound": "public", "public_addresses": ("203.0.113.99",)}
    jails = {**site.jails, "web": site.jails["web"].model_copy(update=more)}
    return site.model_copy(update={"jails": jails})


CASES = [
    broken("accounts::have_a_uid_of_their_own", _account("x:*:1001:1::/x:/bin/sh"), uids=UIDS),
    broken("accounts::have_plain_names", _account("a b:*:1500:1::/x:/bin/sh"), uids=UIDS),
    broken("accounts::have_homes", "rm -r /usr/home/user001", uids=UIDS),
    lacking("accounts::are_in_the_configuration", service="web"),
    lacking("accounts::pools_run", service="web"),
    lacking("accounts::scripts_run_as_their_owners", service="web"),
    broken(
        "dependents::nothing_names_the_daemon",
        "echo '* * * * * root rndc reload' >> /etc/crontab",
        service="bind",
    ),
    broken(
        "dependents::nothing_is_to_be_told",
        "echo '* * * * * root service named reload' >> /etc/crontab",
        service="bind",
    ),
    lacking("dependents::service_is_asked_in_jail", service="web"),
    lacking("dependents::logs_are_rotated_once", service="web"),
    lacking("dependents::logs_are_read_on_the_host", service="web"),
    lacking("egress::offload_is_off", at_boot=f"{RULES}/egress.ifconfig"),
    lacking("egress::nat_leaves_the_hosts_own_alone"),
    lacking("egress::upload_flows"),
    lacking("egress::download_flows"),
    lacking("files::is_directory", path="/usr/jails"),
    lacking("files::is_enabled_script", script="cellblock"),
    lacking("files::is_there", path=RULES),
    lacking("files::is_absent", path="/etc/rc.conf"),
    lacking("jail::runs", jail="web"),
    lacking("jail::has_its_address", jail="web"),
    lacking("jail::base_is_read_only", jail="web"),
    lacking("jail::has_no_passwords", jail="web"),
    lacking("jail::returns_at_boot", jail="web"),
    broken("mail::maps_are_right", "echo 'no colon' >> /etc/mail/aliases"),
    broken("mail::queue_can_be_moved", "mv /var/spool/mqueue /x && ln -s /x /var/spool/mqueue"),
    lacking("mail::names_are_the_hosts"),
    broken("mail::accounts_are_there", "touch /var/mail/user001"),
    lacking("mail::host_takes_nothing", service="mail"),
    broken("mail::host_queue_is_empty", "touch /var/spool/mqueue/dfA1 /var/spool/mqueue/qfA1"),
    lacking("mail::from_the_host_arrives"),
    broken("names::host_resolves", "service named onestop", name="example.org"),
    lacking("names::resolves_on_host", **MYSQL),
    lacking("names::resolves_in_jail", jail="web", **MYSQL),
    lacking("names::answers", name="mysql.example.org", port=3306),
    lacking("names::localhost_is_closed", port=3306),
    lacking("network::has_address", interface="lo1", address="10.80.0.2"),
    broken(
        "network::has_address",
        "ifconfig vtnet0 inet 203.0.113.2 -alias",
        interface="vtnet0",
        address="203.0.113.2",
    ),
    broken(
        "network::has_address",
        "ifconfig lo1 create && ifconfig lo1 inet 10.80.0.2/32 alias",
        interface="lo1",
        address="10.80.0.2",
    ),
    lacking("network::ipfw_is_loaded"),
    broken("network::set_is_on", LOADED, set=20),
    broken(
        "network::rules_return_at_boot",
        f"{LOADED}; ipfw -q add {PLACE.number} set {PLACE.set} count ip from any to any; "
        f"mkdir -p {RULES}; echo 'add {PLACE.number} set {PLACE.set} deny ip from any to any' "
        f"> {RULES}/mysql.rules",
        part="mysql",
        path=f"{RULES}/mysql.rules",
    ),
    lacking("policy::pairs_are_as_the_site_says"),
    replace(lacking("preflight::is_a_freebsd_that_we_know"), functions="uname() { echo Linux 6; }"),
    replace(lacking("preflight::we_are_root"), functions="id() { echo 1001; }"),
    replace(lacking("preflight::has_the_wan_address"), site=_elsewhere),
    replace(lacking("preflight::has_the_public_addresses_of_jails"), site=_with_public_address),
    broken("preflight::daemon_runs", "service apache24 onestop", service="web"),
    broken("preflight::listens", "service apache24 onestop", service="web"),
    broken(
        "preflight::no_port_is_left_behind",
        "echo 'Listen 8080' >> /usr/local/etc/apache24/httpd.conf && service apache24 onerestart",
        service="web",
    ),
    broken(
        "preflight::no_ipv6_clients_are_left_behind",
        "ifconfig vtnet0 inet6 2001:db8::2/64",
        service="web",
    ),
    replace(lacking("preflight::data_has_room", directory="/usr/local/www"), site=_no_room),
    broken(
        "preflight::configuration_is_right",
        "echo 'options {' >> /usr/local/etc/namedb/named.conf",
        service="bind",
    ),
    lacking("preflight::configuration_is_there", path="/etc/nosuch"),
    broken(
        "quota::databases_have_accounts",
        "mkdir /var/db/mysql/nobodys_shop",
        directory="/var/db/mysql",
    ),
    lacking(
        "quota::databases_belong_to_their_accounts", script="/usr/local/etc/cellblock/mysql.quota"
    ),
    lacking("service::runs_in_jail", service="web"),
    lacking("service::does_not_run_on_host", service="web"),
    lacking("service::returns_at_boot_in_jail", service="web"),
    lacking("service::answers_on_the_lan", service="web"),
    broken(
        "service::host_leaves_the_jails_address",
        "ifconfig lo1 create && ifconfig lo1 inet 10.80.0.2/32 alias && sed -i '' -e "
        "'s/listen-on {/listen-on { 10.80.0.2;/' /usr/local/etc/namedb/named.conf && "
        "service named onerestart",
        service="bind",
    ),
    lacking("service::answers_from_jail", service="web"),
    lacking("service::socket_leads_into_jail", service="mysql"),
]


class NoTransfer:
    """Nothing ever comes, and nobody waits for it."""

    address = "192.0.2.1"
    port = 9

    def received(self, limit: float) -> Transfer | None:
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None: ...


@dataclass(frozen=True)
class Outside:
    box: Box

    def who(self, address: str, port: int, proto: str) -> str | None:
        return self.box.outside.who(address, port, proto)

    def sink(self) -> NoTransfer:
        return NoTransfer()

    def read(self, address: str, port: int, limit: float) -> Transfer:
        return Transfer(0, 0.0)


@pytest.fixture(scope="module")
def sample() -> Site:
    return site.read(SAMPLE)


@pytest.fixture(scope="module")
def fresh(sample: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with standin_box(sample, tmp_path_factory.mktemp("fresh")) as box:
        yield box


@pytest.fixture
def spoilt(sample: Site, tmp_path: Path) -> Iterator[Box]:
    with standin_box(sample, tmp_path) as box:
        yield box


def asked(box: Box, case: Case, there: Site, functions: str) -> checks.Verdict:
    with Session(Lying(box.target, functions)) as session:
        [verdict] = checks.run([case.check], session, there, Outside(box))
    return verdict


@pytest.mark.parametrize("case", [each for each in CASES if not each.broken], ids=str)
def test_a_check_of_what_is_not_there_fails(fresh: Box, sample: Site, case: Case) -> None:
    there = case.site(sample) if case.site else sample
    assert not asked(fresh, case, there, case.functions).passed


@pytest.mark.parametrize("case", [each for each in CASES if each.broken], ids=str)
def test_a_check_of_what_was_broken_fails(
    fresh: Box, spoilt: Box, sample: Site, case: Case
) -> None:
    before = asked(fresh, case, sample, ":")
    done = spoilt.target.run(case.broken)  # type: ignore[attr-defined] # the stand-in's own
    assert done.returncode == 0, done.stderr
    verdict = asked(spoilt, case, sample, case.functions)
    assert not verdict.passed
    assert before.passed or before.message != verdict.message, "it failed before, too"


def test_every_check_is_among_them() -> None:
    there = {
        f"{path.stem.removeprefix('test_')}::{node.name.removeprefix('test_')}"
        for path in checks.CHECKS.glob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and re.match("test_", node.name)
    }
    assert {case.check.test for case in CASES} == there
