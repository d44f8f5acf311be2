"""Files that refer to a service, on the stand-in: they keep working, or the plan names them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout import plan, site
from rollout.engine.listener import Listener
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from rollout.rehearsal.rehearsal import Rehearsal
from tests.rehearsal.on_standin import host, runner, typed
from tests.rehearsal.sites import written

ACCESS, ERRORS = "/var/log/httpd-access.log", "/var/log/httpd-error.log"
CERTIFICATES = "/usr/local/etc/letsencrypt"
HOOK = f"{CERTIFICATES}/renewal-hooks/deploy/apache.sh"
SLOW = "/usr/local/www/logs/slow.log"
BEFORE = f"""
mkdir -p {CERTIFICATES}/live {HOOK.rpartition("/")[0]} /usr/local/www/logs
echo certificate > {CERTIFICATES}/live/cert.pem
echo 'SSLCertificateFile "{CERTIFICATES}/live/cert.pem"' >> /usr/local/etc/apache24/httpd.conf
printf '#!/bin/sh\\nservice apache24 reload\\n' > {HOOK} && chmod 755 {HOOK}
echo '0 4 * * * root /usr/local/etc/rc.d/apache24 graceful' >> /etc/crontab
echo '{SLOW} www:www 640 7 * @T00 B /var/run/apache24/httpd.pid' >> /etc/newsyslog.conf
echo one > {SLOW}; echo before > {ACCESS}
"""


@pytest.fixture
def made(tmp_path: Path) -> Plan:
    file = written(tmp_path, "web")
    text = file.read_text()
    mount = '    { source = "/usr/jails/mysql/root/var/run/mysql", target = "/var/run/mysql" },'
    assert mount in text
    file.write_text(text.replace(mount, f'    {{ source = "{CERTIFICATES}" }},'))
    return plan.make(site.read(file))


@pytest.fixture
def box(made: Plan, tmp_path: Path) -> Iterator[Box]:
    with standin_box(made.site, tmp_path / "box") as box:
        typed(box, BEFORE)
        yield box


def test_a_crontab_a_newsyslog_entry_and_a_renewal_hook_work_after_the_move(
    made: Plan, box: Box, tmp_path: Path
) -> None:
    before = Rehearsal(made, box, Listener(), tmp_path).fingerprint()
    with runner(made, box) as run:
        cutover = made.steps[made.position("web.cutover")]
        listed = "\n".join(run.found(cutover))
        for place, becomes in (
            ("/etc/crontab", "it is redirected to jail web"),
            (HOOK, "it is redirected to jail web"),
            (f"{CERTIFICATES}/live/cert.pem", "jail web mounts it"),
            (SLOW, "newsyslog in jail web rotates it"),
            (ACCESS, "newsyslog in jail web rotates it"),
        ):
            assert [row for row in listed.splitlines() if place in row and becomes in row], listed
        assert run.gate(cutover) is None, "nothing of it needs a person"
        run.apply()

        _the_jail_is_asked(box)
        _the_log_is_read_where_it_was(box)
        _rotated_in_one_place(box)
        _nobody_follows_a_planted_link(box)

        run.rollback()
    Rehearsal(made, box, Listener(), tmp_path).must_equal(before, "after the rollback")
    assert typed(box, f"cat {ACCESS}") == "before\n"
    typed(box, "newsyslog -F")
    assert typed(box, f"cat {ACCESS}.0") == "before\n"
    assert host(box).strange == []


def _the_jail_is_asked(box: Box) -> None:
    for line in (HOOK, "/usr/local/etc/rc.d/apache24 graceful"):
        asked = len(host(box).calls)
        typed(box, line)
        verb = line.split()[-1] if " " in line else "reload"
        assert f"service -j web apache24 {verb}" in host(box).calls[asked:], line
    typed(box, "service apache24 restart")
    assert typed(box, "service apache24 status") == typed(box, "service -j web apache24 status")
    assert host(box).run("service apache24 onestatus").returncode == 1
    assert typed(box, f"jexec web cat {CERTIFICATES}/live/cert.pem") == "certificate\n"
    typed(box, f"echo renewed > {CERTIFICATES}/live/cert.pem")
    assert typed(box, f"jexec web cat {CERTIFICATES}/live/cert.pem") == "renewed\n"
    typed(box, f"echo certificate > {CERTIFICATES}/live/cert.pem")


def _the_log_is_read_where_it_was(box: Box) -> None:
    typed(box, f"jexec web sh -c 'echo after >> {ACCESS}'")
    assert typed(box, f"cat {ACCESS} {ACCESS}.host") == "after\nbefore\n"
    assert host(box).run(f"echo host >> {ACCESS}").returncode != 0


def _rotated_in_one_place(box: Box) -> None:
    """Rotated by the jail's newsyslog with the jail's pid file, which the jail's cron runs."""
    typed(box, "newsyslog -F")
    assert typed(box, f"ls {SLOW}* {ACCESS}*").split() == [SLOW, ACCESS, f"{ACCESS}.host"]
    assert typed(box, "jexec web cat /etc/cron.d/cellblock-newsyslog").endswith("newsyslog\n")
    typed(box, "jexec web newsyslog -F")
    assert typed(box, f"cat {SLOW}.0; jexec web cat {ACCESS}.0") == "one\nafter\n"
    typed(box, f"jexec web sh -c 'echo anew >> {ACCESS}'")
    assert typed(box, f"cat {ACCESS}") == "anew\n"


def _nobody_follows_a_planted_link(box: Box) -> None:
    typed(box, "echo secret > /root/secret")
    typed(box, f"jexec web sh -c 'rm {ACCESS} && ln -s /root/secret {ACCESS}'")
    assert host(box).run(f"cat {ACCESS}").returncode != 0
    assert host(box).run(f"echo x >> {ACCESS}").returncode != 0
    assert typed(box, "cat /root/secret") == "secret\n"
    typed(box, f"jexec web rm {ACCESS}")


def test_the_gate_names_what_stops_working(made: Plan, box: Box) -> None:
    typed(box, "echo '@daily root kill -HUP $(cat /var/run/apache24/httpd.pid)' >> /etc/crontab")
    with runner(made, box) as run:
        gate = run.gate(made.steps[made.position("web.cutover")])
    assert gate is not None
    [row] = [row for each in gate.look_at for row in each.splitlines() if "/etc/crontab" in row]
    assert "/var/run/apache24/httpd.pid: gate: it will not find the daemon" in row


def test_all_of_it_holds_after_a_reboot(made: Plan, box: Box) -> None:
    with runner(made, box) as run:
        run.apply()
    host(box).power_off()
    host(box).boot()
    with runner(made, box) as run:
        failed = [each for each in run.verify() if not each.passed]
    assert failed == []
    _the_jail_is_asked(box)
    _the_log_is_read_where_it_was(box)
