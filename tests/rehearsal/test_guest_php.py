"""Users' PHP on a real FreeBSD while MySQL and Apache move: only MySQL's gap may fail a page."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from box.clients.results import Got
from box.qemu.guest import Guest
from box.run_clients import getting, inserting, verify
from tests.lab.operator import Operator

pytestmark = [pytest.mark.guest, pytest.mark.measured, pytest.mark.timeout(3600)]

CONF = "/usr/local/etc/apache24/httpd.conf"
RATE = 2.0  # of each client per second
INSERTS = 20.0  # per second: they measure MySQL's gap
SYN_AGAIN = 3.0  # seconds: a client that connects in the gap gets in by its second SYN
HELLO = '<?php echo "hello from ", "PHP";'
SHOP = """<?php
ini_set("mysqli.default_socket", "/var/run/mysql/mysql.sock");
mysqli_report(MYSQLI_REPORT_OFF);
$db = mysqli_init();
mysqli_options($db, MYSQLI_OPT_CONNECT_TIMEOUT, 2);
if (!@mysqli_real_connect($db, $_GET["at"], "shop", "shop-secret", "shop")) {
    http_response_code(503);
    exit(mysqli_connect_error());
}
echo "a shop with ", count(mysqli_fetch_all(mysqli_query($db, "SELECT 1"))), " answer";
"""
PLACES = ("localhost", "127.0.0.1")  # the first means the socket, the second does not


@pytest.fixture
def operator(fresh_guest: Guest, tmp_path: Path) -> Operator:
    order = ("preflight", "base", "network", "mysql", "web")
    return Operator(fresh_guest, tmp_path, order, probes=0.5)


def lay(guest: Guest, name: str, text: str) -> None:
    """A page beside the one that the clients request."""
    folder = guest.sh(f"awk -F'\"' '/^DocumentRoot/ {{ print $2 }}' {CONF}").stdout.strip()
    done = guest.sh(f"cat > {folder}/{name} <<'END'\n{text}\nEND\nchmod 644 {folder}/{name}")
    assert done.exit == 0, done.stderr


def must_go_on(pages: Got) -> None:
    failed = f"{len(pages.failures)} of {pages.requests} failed: {pages.failures[:3]}"
    assert not pages.failures, failed


def must_fail_in_one_gap(pages: Got, seconds: float) -> None:
    gap = pages.longest_gap
    assert gap.seconds <= seconds, f"no page for {gap.seconds:.1f} s, MySQL's gap was less"
    outside = [one for one in pages.failures if not gap.start <= one.at <= gap.start + gap.seconds]
    assert not outside, f"{len(outside)} of {pages.requests} failed elsewhere: {outside[:3]}"


def under_pages(operator: Operator, *words: str) -> None:
    guest = operator.guest
    with ExitStack() as clients:
        writer = clients.enter_context(inserting(guest, INSERTS)).wait_ready()
        eight = [
            clients.enter_context(getting(guest, path, expect=text, rate=RATE, threads=4))
            for path, text in (("/index.html", ""), ("/hello.php", "hello from PHP"))
        ]
        shops = [
            clients.enter_context(
                getting(guest, f"/shop.php?at={at}", expect="with 1 answer", rate=RATE, threads=1)
            )
            for at in PLACES
        ]
        for client in (*eight, *shops):
            client.wait_ready()
        done = operator.deploy(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        pages = [client.stop() for client in eight]
        asked = [client.stop() for client in shops]
        inserted = writer.stop()
        verdict = verify(guest, writer)
    gap = inserted.longest_gap.seconds
    print(
        words[0], "static and PHP:", [each.requests for each in pages], f"MySQL's gap {gap:.1f} s"
    )
    print("at", PLACES, [(p.requests, len(p.failures), p.longest_gap.seconds) for p in asked])
    assert verdict.is_whole, f"lost {verdict.lost[:5]}, doubled {verdict.doubled[:5]}"
    for each in pages:
        must_go_on(each)
    for each in asked:
        must_fail_in_one_gap(each, gap + SYN_AGAIN)


def test_pages_keep_working_there_and_back(operator: Operator) -> None:
    if operator.guest.sh(f"grep -q 'LoadModule php' {CONF}").exit != 0:
        pytest.skip("this image's Apache has no PHP")
    lay(operator.guest, "hello.php", HELLO)
    lay(operator.guest, "shop.php", SHOP)
    before = operator.fingerprint()
    under_pages(operator, "apply", "--yes")
    under_pages(operator, "rollback")
    assert operator.fingerprint() == before
