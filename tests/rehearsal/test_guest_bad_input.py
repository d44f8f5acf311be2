"""A real FreeBSD that differs from the site file gets one clear message, and stays unchanged."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from box.qemu.guest import Guest
from rollout.site import JOURNAL
from tests.lab import wire
from tests.lab.operator import Operator
from tests.rehearsal.mailed import has_postfix, let_postfix_serve

pytestmark = [pytest.mark.guest, pytest.mark.measured, pytest.mark.timeout(3600)]

ORDER = ("preflight", "base", "network", "bind", "mysql", "web", "mail", "policy")
HTTPD = "/compat/linux/usr/sbin/apache2 -f /usr/local/etc/apache24/httpd.conf -t"
WEB = 'rc = "apache24"\n'
ACCOUNTS = '\n[accounts]\nshared_databases = ["shop", "test"]\n'
GUEST6, CLIENT6 = "2001:db8::2", "2001:db8::1"
CLIENT_OF_6 = f"""
import sys, threading, time, http.client
import dns.message, dns.query
stopped = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stopped.set())).start()
good, failed = 0, []
while not stopped.wait(0.2):
    try:
        web = http.client.HTTPConnection("{GUEST6}", 80, 10)
        web.request("GET", "/index.html")
        answer = web.getresponse()
        assert answer.status == 200 and answer.read(), answer.status
        for ask in (dns.query.udp, dns.query.tcp):
            assert ask(dns.message.make_query("example.org", "SOA"), "{GUEST6}", 10).answer, ask
        good += 1
    except Exception as error:
        failed.append(repr(error))
print(good, failed)
"""


def refused(operator: Operator, expected: str) -> None:
    """Apply prints that, and the host's fingerprint stays the same."""
    before = operator.fingerprint()
    done = operator.deploy("apply", "--yes")
    print(done.stderr)
    assert done.returncode == 1, done.stdout + done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert operator.fingerprint() == before
    assert operator.guest.sh(f"ls -d {JOURNAL} /usr/jails").exit != 0


def changed(operator: Operator, old: str, new: str) -> None:
    text = operator.site.read_text(encoding="utf-8")
    assert old in text
    operator.site.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (
            "for zone in /usr/local/etc/namedb/primary/*; do echo 'www IN NOSUCH x' >> $zone; done",
            'services.bind.configtest = "named-checkconf -z" fails: ',
        ),
        (
            "echo 'no colon' >> /etc/mail/aliases",
            "mail maps that are not in order",
        ),
        (
            "echo 'NoSuchDirective on' >> /usr/local/etc/apache24/httpd.conf",
            f'services.web.configtest = "{HTTPD}" fails: ',
        ),
        (
            "echo 'twin:*:1001:1001::/usr/home/alice:/bin/sh' >> /etc/passwd",
            "each needs its own: 1001 belongs to alice and twin",
        ),
        (
            "mv /usr/home/alice /usr/home/elsewhere",
            "accounts whose home directory does not exist: alice (/home/alice)",
        ),
    ],
    ids=["zone", "mail map", "httpd -t", "uid twice", "home"],
)
def test_what_a_daemon_or_an_account_lacks(
    fresh_guest: Guest, tmp_path: Path, before: str, expected: str
) -> None:
    operator = Operator(fresh_guest, tmp_path, ORDER)
    changed(operator, WEB, f'{WEB}configtest = "{HTTPD}"\n')
    assert fresh_guest.sh(before).exit == 0
    refused(operator, expected)


def test_a_map_that_postmap_refuses(fresh_guest: Guest, tmp_path: Path) -> None:
    if not has_postfix(fresh_guest):
        pytest.skip("this image has no Postfix")
    operator = Operator(fresh_guest, tmp_path, ("preflight", "base", "network", "mail"))
    let_postfix_serve(operator)
    done = fresh_guest.sh(
        "postconf -e virtual_alias_maps=hash:/usr/local/etc/postfix/virtual &&"
        "echo one-word > /usr/local/etc/postfix/virtual"
    )
    assert done.exit == 0, done.stderr
    refused(operator, "mail maps that are not in order")


def test_a_database_without_an_account(fresh_guest: Guest, tmp_path: Path) -> None:
    order = ("preflight", "base", "network", "mysql", "mysql_quota")
    operator = Operator(fresh_guest, tmp_path, order)
    with operator.site.open("a", encoding="utf-8") as file:
        file.write(ACCOUNTS)
    fresh_guest.sh("/usr/local/bin/mysql -e 'CREATE DATABASE nobodys_shop'")
    refused(operator, "databases of no account, which no quota would count: nobodys_shop; name")


def test_an_address_that_the_host_does_not_have(fresh_guest: Guest, tmp_path: Path) -> None:
    operator = Operator(fresh_guest, tmp_path, ORDER)
    changed(
        operator,
        'services = ["bind"]\noutbound = "nat"\n',
        'services = ["bind"]\noutbound = "public"\npublic_addresses = ["203.0.113.99"]\n',
    )
    refused(operator, "jails.bind.public_addresses: 203.0.113.99")


def test_a_policy_with_an_unknown_jail(fresh_guest: Guest, tmp_path: Path) -> None:
    operator = Operator(fresh_guest, tmp_path, ORDER)
    changed(operator, '{ from = "web", to = "mysql"', '{ from = "web", to = "nowhere"')
    refused(operator, "nowhere")


@contextmanager
def served_over_ipv6(guest: Guest) -> Iterator[subprocess.Popen[str]]:
    """A client that uses BIND over both transports and Apache, all over IPv6, during the test."""
    assert isinstance(guest.network, wire.Wire)
    here = ["ip", "-n", guest.network.name, "address"]
    subprocess.run([*here, "add", f"{CLIENT6}/64", "dev", wire.NEAR, "nodad"], check=True)
    try:
        done = guest.sh(
            f"ifconfig vtnet0 inet6 {GUEST6}/64 -ifdisabled up no_dad && "
            "sed -i '' 's/listen-on-v6.*/listen-on-v6 { any; };/' "
            "/usr/local/etc/namedb/named.conf && service named restart >/dev/null 2>&1 </dev/null"
        )
        assert done.exit == 0, done.stderr
        with subprocess.Popen(
            guest.argv(sys.executable, "-c", CLIENT_OF_6),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as client:
            yield client
    finally:
        subprocess.run([*here, "del", f"{CLIENT6}/64", "dev", wire.NEAR], check=True)


def test_a_host_that_serves_ipv6_is_refused_and_its_clients_notice_nothing(
    fresh_guest: Guest, tmp_path: Path
) -> None:
    operator = Operator(fresh_guest, tmp_path, ORDER)
    with served_over_ipv6(fresh_guest) as client:
        refused(operator, f"serves IPv6 clients at {GUEST6}, port 53/")
        told, _ = client.communicate("", timeout=60)
    good, _, failed = told.strip().partition(" ")
    print(told)
    assert int(good) > 20
    assert failed == "[]"
