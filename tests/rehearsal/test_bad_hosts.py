"""A host that differs from the site file gets one clear message, and stays unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout import plan, site
from rollout.engine.listener import Listener
from rollout.engine.runner import Runner
from rollout.errors import Refused, Unreachable
from rollout.host.session import Ssh, Target
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from tests.rehearsal.on_standin import Lying

SAMPLE = Path(__file__).parents[2] / "site.example.toml"


@pytest.fixture(scope="module")
def made() -> Plan:
    return plan.make(site.read(SAMPLE))


@pytest.fixture
def box(made: Plan, tmp_path: Path) -> Iterator[Box]:
    with standin_box(made.site, tmp_path) as box:
        yield box


def refusal(made: Plan, box: Box, target: Target) -> str:
    with (
        pytest.raises((Refused, Unreachable)) as refused,
        Runner(made, target, box.outside, Listener()) as runner,
    ):
        runner.connection.connect()
        runner.apply()
    untouched = box.target.run("ls -d /var/db/cellblock /usr/jails 2>/dev/null; ifconfig -l")  # type: ignore[attr-defined] # the stand-in's own
    assert untouched.stdout == "vtnet0 lo0\n"
    return str(refused.value)


@pytest.mark.parametrize(
    ("lie", "expected"),
    [
        ("uname() { echo Linux 6.1; }", "the host is Linux: expected FreeBSD"),
        ("uname() { echo FreeBSD 12.4-RELEASE; }", "12.4-RELEASE: expected 13 or later"),
        (
            'test() { [ "$2" != /usr/home ] && command test "$@"; }',
            "jails.web.mounts: /usr/home is not a directory of the host: create it, or remove the",
        ),
        ("id() { echo 1001; }", "uid 1001: expected root (0); see host.user"),
        (
            "df() { echo Filesystem; echo /dev/vtbd0p3 1000 900 100 90% /; }",
            "/usr/local/etc/namedb/primary: 0 MiB are free; expected at least 200 MiB",
        ),
    ],
)
def test_an_unsuitable_host_is_refused(made: Plan, box: Box, lie: str, expected: str) -> None:
    assert expected in refusal(made, box, Lying(box.target, lie))


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("service mysql-server onestop", 'services.mysql.rc = "mysql-server": expected its daemon'),
        ("service apache24 onestop; rm /usr/local/etc/rc.d/apache24", "apache24 does not exist"),
        (
            "rm -r /usr/local/etc/apache24",
            "/usr/local/etc/apache24: the site file names it as configuration",
        ),
        (
            "echo 'options {' >> /usr/local/etc/namedb/named.conf",
            'services.bind.configtest = "named-checkconf -z" fails: ',
        ),
        (
            "echo 'Listen 8080' >> /usr/local/etc/apache24/httpd.conf; service apache24 onerestart",
            "services.web: its daemon also listens on 8080/tcp, which would not answer after the",
        ),
        (
            "ifconfig vtnet0 inet6 2001:db8::2/64",
            "services.web: serves IPv6 clients at 2001:db8::2, port 80/tcp: only IPv4 is moved",
        ),
        (
            "mkdir /usr/local/etc/rc.conf.d; echo 'a=1' > /usr/local/etc/rc.conf.d/named",
            "step bind.cutover: /usr/local/etc/rc.conf.d/named exists already: expected nothing "
            "there, since that file is to redirect `service` on the host to the jail; move its "
            "settings into rc.conf",
        ),
        (
            "echo 'www IN NOSUCH x' > /usr/local/etc/namedb/primary/example.org.db",
            'services.bind.configtest = "named-checkconf -z" fails: ',
        ),
        (
            "echo 'no colon' >> /etc/mail/aliases",
            "mail maps that are not in order",
        ),
    ],
)
def test_a_daemon_that_is_not_as_described(
    made: Plan, box: Box, before: str, expected: str
) -> None:
    box.target.run(before)  # type: ignore[attr-defined]
    assert expected in refusal(made, box, box.target)


def test_a_public_address_that_the_host_does_not_have(made: Plan, box: Box) -> None:
    more = {"outbound": "public", "public_addresses": ("203.0.113.99",)}
    jails = {**made.site.jails, "web": made.site.jails["web"].model_copy(update=more)}
    elsewhere = made.site.host.model_copy(update={"wan_address": "203.0.113.77"})
    for changed, expected in (
        (
            {"jails": jails},
            "has these addresses: jails.web.public_addresses: 203.0.113.99",
        ),
        (
            {"host": elsewhere},
            'host.wan_address = "203.0.113.77": interface vtnet0 does not have it; it has 203.0',
        ),
    ):
        other = plan.make(made.site.model_copy(update=changed))
        assert expected in refusal(other, box, box.target)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("web.rcvar", "web_enable", "apache24_enable"),
        ("mysql.socket", "/tmp/mysql.sock", "/var/run/mysql/mysql.sock"),
    ],
)
def test_a_wrong_value_is_named_with_its_key_and_what_was_expected(
    made: Plan, box: Box, name: str, value: str, expected: str
) -> None:
    service, _, key = name.partition(".")
    other = made.site.services[service].model_copy(update={key: value})
    services = {**made.site.services, service: other}
    told = refusal(plan.make(made.site.model_copy(update={"services": services})), box, box.target)
    assert f'services.{name} = "{value}"' in told
    assert f"expected {expected}" in told
    assert "CommandResult" not in told


def test_a_database_without_an_account(made: Plan, box: Box) -> None:
    order = ("preflight", "base", "network", "mysql", "mysql_quota")
    quota = plan.make(made.site.model_copy(update={"order": order}))
    box.target.run("mkdir /var/db/mysql/user001_shop /var/db/mysql/nobodys_shop")  # type: ignore[attr-defined]
    expected = (
        "databases that belong to no account, so no quota would count them: nobodys_shop; list"
    )
    assert expected in refusal(quota, box, box.target)


def test_ssh_refused(made: Plan, box: Box) -> None:
    nobody = Ssh("127.0.0.1", port=1)
    said = refusal(made, box, nobody)
    assert f"(port 22; [host] in {SAMPLE})" in said
    assert "the connection was refused" in said
