"""What Apache's and PHP's configuration names beside the site file arrives, or is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.engine.listener import Listener
from rollout.errors import Refused
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from rollout.rehearsal.rehearsal import Rehearsal
from tests.rehearsal.on_standin import runner, typed
from tests.rehearsal.sites import ordered

CONF = "/usr/local/etc/apache24/httpd.conf"
FPM = (
    "sysrc php_fpm_enable=YES; "
    "printf '[www]\\nuser = www\\ngroup = www\\nlisten = /var/run/php-fpm.sock\\n"
    "listen.allowed_clients = 127.0.0.1\\n' > /usr/local/etc/php-fpm.conf; "
    "service php-fpm start; "
    f"echo 'ProxyPass /x unix:/var/run/php-fpm.sock|fcgi://localhost/' >> {CONF}"
)


@pytest.fixture(scope="module")
def made() -> Plan:
    return ordered("web")


@pytest.fixture
def box(made: Plan, tmp_path: Path) -> Iterator[Box]:
    with standin_box(made.site, tmp_path) as box:
        yield box


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("SSLCertificateKeyFile /root/key.pem", f"{CONF}:[0-9]+: /root/key.pem: add each to"),
        ("ProxyPass /x unix:/var/run/app.sock|http://x/", f"{CONF}:[0-9]+: /var/run/app.sock: add"),
        ("ProxyPass /x http://127.0.0.1:3000/", f"{CONF}:[0-9]+: http://127.0.0.1:3000: describe"),
        ("DocumentRoot /etc/pages", f"{CONF}:[0-9]+: /etc/pages: add each to"),
        (
            "ErrorLog /data/logs/error.log",
            "newsyslog rotates .*/data/logs/error.log.*services.web.logs",
        ),
    ],
)
def test_what_cannot_arrive_is_refused_with_its_line(
    line: str, says: str, made: Plan, box: Box
) -> None:
    typed(box, "touch /root/key.pem /var/run/app.sock; mkdir -p /etc/pages /data/logs")
    typed(box, "echo '/data/logs/error.log 644 7 100 * J' >> /etc/newsyslog.conf")
    typed(box, f"echo '{line}' >> {CONF}")
    with runner(made, box) as there, pytest.raises(Refused) as refused:
        there.apply()
    assert re.search(says, refused.value.evidence or ""), refused.value.evidence


INI = "/usr/local/etc/php.ini"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("auto_prepend_file = /root/first.php", f"{INI}:1: auto_prepend_file: /root/first.php: "),
        ('session.save_path = "2;/tmp/php"', f"{INI}:1: session.save_path: /tmp/php: add each to"),
        (
            "error_log = /var/log/php.log",
            f"PHP could not write these in jail web.*{INI}:1: error_log = /var/log/php.log: put",
        ),
    ],
)
def test_what_php_would_miss_is_refused_with_its_line(
    line: str, says: str, made: Plan, box: Box
) -> None:
    typed(box, "mkdir /tmp/php; touch /root/first.php /var/log/php.log")
    typed(box, f"echo '{line}' > {INI}")
    with runner(made, box) as there, pytest.raises(Refused) as refused:
        there.apply()
    assert re.search(says, refused.value.evidence or ""), refused.value.evidence


def test_people_stay_logged_in_if_their_sessions_are_not_in_tmp(made: Plan, box: Box) -> None:
    """The directory is the same in both, so what one PHP writes the other reads."""
    at = "/var/lib/php/sessions"
    typed(box, f"mkdir -p {at}; chown www {at}; chmod 700 {at}; echo a > {at}/sess_a")
    typed(box, f"echo 'session.save_path = \"{at}\"' > {INI}")
    with runner(made, box) as there:
        assert there.gate(made.steps[made.position("web.standby")]) is None
        there.apply("web.cutover")
        assert typed(box, f"jexec web cat {at}/sess_a") == "a\n"
        typed(box, f"jexec web sh -c 'echo b > {at}/sess_b'")
        assert typed(box, f"jexec web stat -f '%Su %Lp' {at}") == "www 700\n"
        there.rollback()
    assert typed(box, f"cat {at}/sess_a {at}/sess_b") == "a\nb\n"


def test_a_gate_says_who_must_log_in_again(made: Plan, box: Box) -> None:
    typed(box, "touch /tmp/sess_0123456789")
    with runner(made, box) as there:
        gate = there.gate(made.steps[made.position("web.standby")])
    assert gate is not None
    assert "/tmp/sess_0123456789" in " ".join(gate.look_at)


def test_php_fpm_moves_along_and_back(made: Plan, box: Box, tmp_path: Path) -> None:
    typed(box, FPM)
    before = Rehearsal(made, box, Listener(), tmp_path).fingerprint()
    with runner(made, box) as there:
        there.apply()
        assert all(verdict.passed for verdict in there.verify())
        assert "is running" in typed(box, "service -j web php-fpm onestatus")
        assert typed(box, "service php-fpm onestatus || true").startswith("php_fpm is not running")
        allowed = typed(box, "jexec web grep allowed /usr/local/etc/php-fpm.conf")
        assert allowed == "listen.allowed_clients = 127.0.0.1,10.80.0.4\n"
        typed(box, "service php-fpm onestart")
        [failed] = [verdict for verdict in there.verify() if not verdict.passed]
        assert failed.message == "php-fpm still runs on the host"
        typed(box, "service php-fpm onestop; service -j web php-fpm onestop")
        [failed] = [verdict for verdict in there.verify() if not verdict.passed]
        assert failed.message == "php-fpm does not run in jail web"
        typed(box, "service -j web php-fpm onestart")
        there.rollback()
    assert "is running" in typed(box, "service php-fpm status")
    assert Rehearsal(made, box, Listener(), tmp_path).fingerprint() == before


def test_pages_elsewhere_are_mounted_and_lost_ones_are_told(made: Plan, box: Box) -> None:
    typed(
        box,
        f"mkdir -p /data/pages; echo here > /data/pages/a; echo 'Alias /d /data/pages' >> {CONF}",
    )
    typed(box, "echo x=1 > /usr/local/etc/php.ini")
    with runner(made, box) as there:
        there.apply("web.standby")
        assert typed(box, "jexec web cat /data/pages/a /usr/local/etc/php.ini") == "here\nx=1\n"
        typed(box, "jexec web rm /usr/local/etc/php.ini")
        [failed] = [verdict for verdict in there.verify() if not verdict.passed]
        assert (
            "jail web does not have these: PHP's own configuration: /usr/local/etc/php.ini"
            in failed.message
        )
        there.rollback()
    assert typed(box, "cat /data/pages/a") == "here\n"
