"""A secondary name server on the guest's network: a real BIND, if installed (Debian: bind9)."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from shlex import quote
from typing import Self

from box.qemu.guest import Guest
from tests.lab.wire import CLIENTS, GUEST

ADDRESS = CLIENTS[-1]
EVERY = 2.0  # seconds from one transfer to the next
PROGRAMS = ("named", "rndc")
CONFIGURATION = """\
key "secondary" {{ algorithm hmac-sha256; secret "bm90IGEgc2VjcmV0"; }};
controls {{ inet 127.0.0.1 port 953 allow {{ 127.0.0.1; }} keys {{ "secondary"; }}; }};
options {{
    directory "{directory}";
    pid-file none;
    session-keyfile none;
    listen-on {{ {address}; }};
    listen-on-v6 {{ none; }};
    recursion no;
    dnssec-validation no;
}};
zone "{zone}" {{
    type secondary;
    primaries {{ {primary}; }};
    transfer-source {address};
    file "zone.db";
}};
"""
CONTROL = """\
key "secondary" { algorithm hmac-sha256; secret "bm90IGEgc2VjcmV0"; };
options { default-server 127.0.0.1; default-port 953; default-key "secondary"; };
"""
SERIAL = """\
import sys, dns.message, dns.query, dns.rdatatype
asked = dns.message.make_query(sys.argv[2], dns.rdatatype.SOA)
answer = dns.query.udp(asked, sys.argv[1], timeout=5).answer
print(answer[0][0].serial if answer else 0)
"""


def missing() -> list[str]:
    """The programs of a secondary that are not installed here."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


class Secondary:
    """Transfers the zone again and again while it is open, and keeps BIND's log."""

    def __init__(self, guest: Guest, zone: str, where: Path) -> None:
        self._guest = guest
        self._zone = zone
        self._where = where
        self._log = where / "named.log"
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        words = {"directory": self._where, "address": ADDRESS, "zone": self._zone, "primary": GUEST}
        (self._where / "named.conf").write_text(CONFIGURATION.format(**words))
        (self._where / "rndc.conf").write_text(CONTROL)
        with self._log.open("wb") as log:
            self._start("named", "-g", "-c", str(self._where / "named.conf"), log=log.fileno())
        return self

    def __exit__(self, *exc: object) -> None:
        for each in reversed(self._running):
            each.terminate()
            each.wait(timeout=30)

    def take_all_the_time(self) -> None:
        """Transfer the zone repeatedly from now on until this closes."""
        rndc = f"rndc -c {quote(str(self._where / 'rndc.conf'))} retransfer {self._zone}"
        loop = f"while :; do {rndc}; sleep {EVERY}; done"
        self._start("sh", "-c", loop, log=subprocess.DEVNULL)

    def serial(self) -> int:
        """The serial of its zone; 0 without a zone."""
        told = self._guest.argv(sys.executable, "-c", SERIAL, ADDRESS, self._zone)
        done = subprocess.run(told, capture_output=True, text=True, check=False, timeout=60)
        return int(done.stdout or 0)

    def wait_for(self, serial: int, seconds: float) -> None:
        """Raises AssertionError with BIND's own words when the zone does not arrive in time."""
        deadline = time.monotonic() + seconds
        while self.serial() != serial:
            assert time.monotonic() < deadline, self._log.read_text()[-3000:]
            time.sleep(0.5)

    def transfers(self) -> list[str]:
        """The result of each transfer in BIND's words: "success", or why not."""
        return re.findall(r"Transfer status: (.*)", self._log.read_text())

    def _start(self, *command: str, log: int) -> None:
        argv = self._guest.argv(*command)
        self._running.append(subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT))
