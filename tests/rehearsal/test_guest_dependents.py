"""References to Apache on a real FreeBSD: crontab, newsyslog and a renewal hook keep working."""

from __future__ import annotations

from pathlib import Path

import pytest

from box.qemu.guest import Guest
from tests.lab.operator import Operator

pytestmark = [pytest.mark.guest, pytest.mark.measured, pytest.mark.timeout(3600)]

ACCESS, SLOW = "/var/log/httpd-access.log", "/usr/local/www/logs/slow.log"
HOOK = "/usr/local/etc/letsencrypt/renewal-hooks/deploy/apache.sh"
BEFORE = f"""
mkdir -p {HOOK.rpartition("/")[0]} /usr/local/www/logs
printf '#!/bin/sh\\nservice apache24 reload\\n' > {HOOK} && chmod 755 {HOOK}
echo '17 3 * * * root /usr/local/etc/rc.d/apache24 graceful' >> /etc/crontab
echo '{SLOW} www:www 640 7 * @T00 B /var/run/apache24/httpd.pid' >> /etc/newsyslog.conf
echo one > {SLOW}
"""


@pytest.fixture
def operator(fresh_guest: Guest, tmp_path: Path) -> Operator:
    order = ("preflight", "base", "network", "mysql", "web")
    return Operator(fresh_guest, tmp_path, order, probes=0.5)


def typed(guest: Guest, command: str) -> str:
    done = guest.sh(command)
    assert done.exit == 0, done.stdout + done.stderr
    return done.stdout


def test_references_to_apache_work_after_the_move(operator: Operator) -> None:
    guest = operator.guest
    typed(guest, BEFORE)
    before = operator.fingerprint()
    planned = operator.deploy("plan")
    assert planned.returncode == 0, planned.stderr
    for place in ("/etc/crontab:", f"{HOOK}:", "/etc/newsyslog.conf:"):
        assert place in planned.stdout
    done = operator.deploy("apply", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr

    for line in (HOOK, "/usr/local/etc/rc.d/apache24 graceful", "service apache24 restart"):
        typed(guest, line)
        assert typed(guest, "service apache24 status") == typed(
            guest, "service -j web apache24 status"
        )
    assert guest.sh("service apache24 onestatus").exit != 0
    typed(guest, "fetch -qo /dev/null http://203.0.113.2/index.html")
    guest.wait_until(lambda: "GET /index.html" in typed(guest, f"cat {ACCESS}"), "logged", 60.0)
    assert guest.sh(f"echo x >> {ACCESS}").exit != 0

    typed(guest, "newsyslog -F")
    assert guest.sh(f"ls {SLOW}.0 {ACCESS}.0").exit != 0
    typed(guest, "jexec web newsyslog -F")
    typed(guest, f"ls {SLOW}.0 && jexec web ls {ACCESS}.0")
    typed(guest, "fetch -qo /dev/null http://203.0.113.2/index.html?anew")
    guest.wait_until(lambda: "?anew" in typed(guest, f"cat {ACCESS}"), "logged", 60.0)

    typed(guest, f"jexec web sh -c 'mv {ACCESS} {ACCESS}.x && ln -s /etc/motd.template {ACCESS}'")
    assert guest.sh(f"cat {ACCESS}").exit != 0
    typed(guest, f"jexec web mv {ACCESS}.x {ACCESS}")

    done = operator.deploy("rollback")
    assert done.returncode == 0, done.stdout + done.stderr
    assert operator.fingerprint() == before
