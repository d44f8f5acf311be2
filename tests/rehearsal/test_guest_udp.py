"""Over UDP the address that was asked answers, on a real FreeBSD, to a client that keeps one port.

libalias takes an answer for that of the address asked before, where both lead to one address of the
jail (docs/decisions/0033): the test sees that first.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import dns.message
import pytest

from box.qemu.box import qemu_box
from box.qemu.image import find_image
from box.requirements import Missing
from tests.cases.case import Case
from tests.cases.place import Host
from tests.cases.play import Moved

pytestmark = [pytest.mark.guest, pytest.mark.timeout(3600)]

FIRST, SECOND = "203.0.113.2", "203.0.113.3"
JAIL = "10.80.0.2"
QUERIES = 200
PATIENCE = 5.0  # seconds
LISTEN = "s/listen-on {[^}]*}/listen-on { 203.0.113.2; 127.0.0.1; 203.0.113.3; }/"
CASE = Case.model_validate(
    {
        "what": "named at two addresses",
        "order": ["egress", "bind", "policy"],
        "append": {"/etc/rc.conf": f'ifconfig_vtnet0_alias0="inet {SECOND}/32"'},
        "before": [
            f"sed -i '' '{LISTEN}' /usr/local/etc/namedb/named.conf && service named restart"
        ],
        "ask": [
            {"port": 53, "proto": "udp", "address": FIRST},
            {"port": 53, "proto": "udp", "address": SECOND},
        ],
    }
)


@pytest.fixture
def host() -> Iterator[Host]:
    try:
        find_image()
    except Missing as missing:
        pytest.skip(f"no FreeBSD guest here: {missing.what}")
    plan = CASE.plan(Path(__file__).parents[2] / "box" / "site.toml")
    with qemu_box(plan.site, None, print, [SECOND]) as box:
        host = Host(CASE, plan, box)
        host.prepare()
        assert all("NOERROR" in each for each in host.answers())
        yield host


def right(host: Host) -> int:
    """Queries that were answered by the address asked, of a client that asks both by turns."""
    doors = [host.box.door(each, 53, "udp") for each in (FIRST, SECOND)]
    count = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("127.0.0.1", 0))
        client.settimeout(PATIENCE)
        for number in range(QUERIES):
            query = dns.message.make_query(".", "NS")
            client.sendto(query.to_wire(), doors[number % 2])
            count += _answered(client, query.id) == doors[number % 2]
    return count


def _answered(client: socket.socket, query: int) -> tuple[str, int] | None:
    """Who sent the answer to this query."""
    try:
        while True:
            wire, sender = client.recvfrom(4096)
            if dns.message.from_wire(wire).id == query:
                return sender[0], sender[1]
    except TimeoutError:
        return None


def test_each_answer_comes_from_the_address_that_was_asked(host: Host) -> None:
    assert right(host) == QUERIES
    moved = Moved(host)
    moved.there()
    assert right(host) == QUERIES

    number = host.plan.site.places["bind"].number
    config = host.sh(f"ipfw nat {number} show config")[1].strip().removeprefix("ipfw ")
    as_one = re.sub(
        rf"redirect_addr \S+ {re.escape(SECOND)}", f"redirect_addr {JAIL} {SECOND}", config
    )
    assert as_one != config
    host.sh(f"ipfw -q {as_one}")
    seen = right(host)
    print(f"both at one address of the jail: {seen} of {QUERIES} from the address asked")
    assert seen < QUERIES
    host.sh(f"ipfw -q {config}")

    host.box.reboot()
    assert right(host) == QUERIES
    moved.back()
    assert right(host) == QUERIES
