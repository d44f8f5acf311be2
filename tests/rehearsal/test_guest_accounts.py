"""Accounts on a real FreeBSD: the handlers by real scripts, the audit, MySQL by its name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from box.qemu.guest import Guest
from tests.lab.operator import Operator

pytestmark = [pytest.mark.guest, pytest.mark.measured, pytest.mark.timeout(3600)]

PROBE = "accounts scripts run as their owners: web"
PHP = '<?php $db = new mysqli("localhost", "shop", "SECRET");\n'
AT_HAND, PEOPLE = 6, 100
PAGE = "/usr/home/alice/public_html/db.php"
# mtree(8) creates all homes and sets their owners; a chown for each took a minute.
MORE_PEOPLE = """
i=0; while [ $i -lt {number} ]; do
    echo "p$i:*:$((1100 + i)):1001::0:0:one of many:/usr/home/p$i:/bin/sh"; i=$((i + 1))
done > /tmp/people && cat /tmp/people >> /etc/master.passwd && pwd_mkdb -p /etc/master.passwd &&
awk -F: 'BEGIN {{ print ". type=dir" }} {{
    made = "type=dir mode=0755 uid=" $3 " gid=1001"
    print "./" $1, made; print "./" $1 "/public_html", made
}}' /tmp/people > /tmp/homes && mtree -deU -p /usr/home -f /tmp/homes
"""


@pytest.fixture
def operator(fresh_guest: Guest, tmp_path: Path) -> Operator:
    return Operator(fresh_guest, tmp_path)


def set_up(operator: Operator, order: str, handler: str = "", probed: int = 100) -> None:
    """The guest's site with another order, and with a handler where its programs are installed."""
    text = operator.site.read_text(encoding="utf-8")
    text = re.sub(r"(?m)^order = .*$", f"order = [{order}]", text)
    if "mysql" not in order:  # otherwise no step makes the directory of its socket
        text = "".join(
            line for line in text.splitlines(keepends=True) if "/usr/jails/mysql/" not in line
        )
    if handler:
        needed = {
            "fpm": "/usr/local/sbin/php-fpm",
            "suexec": "/compat/linux/usr/lib/apache2/suexec",
        }
        if operator.guest.sh(f"test -e {needed[handler]}").exit:
            pytest.skip(f"the guest's image has no {needed[handler]}")
        text += (
            f'\n[accounts]\nhandler = "{handler}"\nmodules = "/usr/lib/apache2/modules"\n'
            f'php_cgi = "/compat/linux/usr/bin/php-cgi"\nprobed = {probed}\n'
        )
        own = 'configuration = ["/usr/local/etc/apache24"'
        assert own in text
        text = text.replace(own, f'{own}, "/usr/local/etc/rc.d/php-fpm"')
    operator.site.write_text(text, encoding="utf-8")


def deployed(operator: Operator, *words: str, code: int = 0) -> str:
    done = operator.deploy(*words)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.mark.parametrize("handler", ["fpm", "suexec"])
def test_scripts_run_as_their_owners_there_and_back(operator: Operator, handler: str) -> None:
    set_up(operator, '"preflight", "base", "network", "web"', handler)
    guest = operator.guest
    assert guest.sh(MORE_PEOPLE.format(number=PEOPLE - AT_HAND), timeout=600).exit == 0
    before = operator.fingerprint()
    deployed(operator, "apply", "--yes", "--to", "web.standby")
    verdicts = json.loads(deployed(operator, "verify", "--json"))
    assert PROBE in {each["name"] for each in verdicts if each["passed"]}
    asked = guest.sh("jexec web grep -o 'GET [^ ]*who.php' /var/log/httpd-access.log | sort -u")
    assert len(asked.stdout.splitlines()) == PEOPLE
    deployed(operator, "rollback")
    assert operator.fingerprint() == before


def test_the_steps_of_800_accounts_cost_what_those_of_8_do(operator: Operator) -> None:
    set_up(operator, '"preflight", "base", "network", "web"', "fpm", probed=8)
    figures = {people: of_people(operator, people) for people in (8, 800)}
    print(json.dumps(figures, indent=2))
    for step, few in figures[8].items():
        many = figures[800][step]
        assert many["round_trips"] == few["round_trips"], step
        assert many["seconds"] <= 2 * few["seconds"], step


def of_people(operator: Operator, people: int) -> dict[str, dict[str, float]]:
    """How long the web's steps take with so many accounts, the six existing ones included."""
    operator.guest.restore()
    done = operator.guest.sh(MORE_PEOPLE.format(number=people - AT_HAND), timeout=600)
    assert done.exit == 0, done.stderr
    told = deployed(operator, "apply", "--yes", "--to", "web.standby", "--json")
    [act] = json.loads(told.splitlines()[-1])["acts"]
    return {
        each["step"]: {key: each[key] for key in ("seconds", "round_trips")}
        for each in act["results"]
        if each["step"].startswith("web.")
    }


def test_localhost_goes_only_when_the_audit_is_clean(operator: Operator) -> None:
    set_up(operator, '"preflight", "base", "network", "mysql", "mysql_by_name"')
    guest = operator.guest
    before = operator.fingerprint()
    guest.sh(f"printf '%s' '{PHP}' > {PAGE} && chown alice:alice {PAGE} && chmod 646 {PAGE}")
    told = deployed(operator, "apply", "--yes", code=2)
    assert "1 lines of people's files still look for MySQL on localhost" in told
    said = deployed(operator, "audit", "--json", "--fix")
    assert "SECRET" not in said
    found = json.loads(said)
    assert found["mended"] == [f"100646 {PAGE}"]
    assert [(each["account"], each["path"], each["line"]) for each in found["findings"]] == [
        ("alice", PAGE, 1)
    ]
    assert f"restored 100646 {PAGE}" in deployed(operator, "audit", "--undo")
    guest.sh(f"rm {PAGE}")
    deployed(operator, "apply", "--yes")
    assert guest.sh("nc -z -w 5 127.0.0.1 3306").exit == 1
    assert guest.sh("nc -z -w 5 mysql.example.org 3306").exit == 0
    deployed(operator, "rollback")
    assert operator.fingerprint() == before
