"""After the move `cellblock watch` is silent, tells what breaks, and tells when it is mended."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import deploy
from rollout import plan, site
from rollout.engine.listener import Listener
from rollout.engine.runner import Runner
from rollout.monitoring import looking, state
from rollout.plan import Plan
from rollout.probe import certificates
from rollout.rehearsal.box import Box, standin_box
from rollout.site import JOURNAL
from standin import BaseHost
from tests.rehearsal.https import CERTIFICATE, HTTPD, new_certificate
from tests.rehearsal.on_standin import Lying, runner, typed
from tests.rehearsal.sites import SAMPLE, written

DF = (
    'df() { case "$*" in (*tmpfs*) if [ -e /root/df ]; then cat /root/df; fi ;; '
    '(*) command df "$@" ;; esac; }'
)
"""The stand-in has the file system of this machine, whose room is no matter here."""


@dataclass
class Lab:
    box: Box
    file: Path
    text: str
    trips: list[int] = field(default_factory=list)

    @property
    def plan(self) -> Plan:
        return plan.make(site.read(self.file))

    def watch(self, *words: str) -> Result:
        done = CliRunner().invoke(deploy.main, ["watch", "--site", str(self.file), *words])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    def found(self) -> dict[str, dict[str, str]]:
        """All that is found, by id, whether it was told before or not."""
        return {each["id"]: each for each in json.loads(self.watch("--json").stdout)["findings"]}

    def says(self, **keys: str) -> None:
        """The site file has these values for the watch."""
        text = self.text
        for key, value in keys.items():
            text, count = re.subn(rf"(?m)^(# )?{key} = .*$", f"{key} = {value}", text)
            assert count == 1, key
        self.file.write_text(text, encoding="utf-8")

    def heard(self) -> list[dict[str, Any]]:
        """The events that the hook got since the last time."""
        events = self.file.with_name("events")
        lines = events.read_text().splitlines() if events.exists() else []
        events.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]


def described(where: Path) -> Path:
    """The site file."""
    file = written(where, "mysql", "web")
    text = file.read_text(encoding="utf-8")
    for old, new in {
        r"# limits = .*": 'limits = { memory = "8G", processes = 30 }',
        r"# command = .*": f'command = "cat >> {where}/events"',
        r"queue = 100 .*": "queue = 3",
        r"(ports = \[)(\{ port = 80, .* \})\]": r'\1\2, { port = 443, probe = "https" }]',
    }.items():
        text, count = re.subn(f"(?m)^{old}$", new, text)
        assert count == 1, old
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A host whose MySQL and web run in jails."""
    where = tmp_path_factory.mktemp("watched")
    more = {
        "/usr/local/etc/apache24/httpd.conf": HTTPD,
        CERTIFICATE: new_certificate(where),
        "/boot/loader.conf": "kern.racct.enable=1\n",
    }
    file = described(where)
    planned = plan.make(site.read(file))
    with standin_box(planned.site, where, BaseHost.sample().with_files(more)) as box:
        with runner(planned, box) as run:
            run.outside.certificates.watch(box.watches)
            run.apply()
        yield Lab(box, file, file.read_text(encoding="utf-8"))


@pytest.fixture
def lab(moved: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The command reaches the stand-in in the place of a server, and nothing was told yet."""

    @contextmanager
    def connected(planned: Plan, *, silent: bool) -> Iterator[Runner]:
        assert silent, "cron would send a mail each time that a connection takes a second"
        target = Lying(moved.box.target, DF)
        with Runner(planned, target, moved.box.outside, Listener()) as run:
            run.outside.certificates.watch(moved.box.watches)
            yield run
            moved.trips.append(run.connection.trips)

    monkeypatch.setattr("rollout.terminal.server.connected", connected)
    monkeypatch.setattr(certificates, "_ANSWER_WITHIN", 0.1)
    moved.says()
    state.place(moved.plan.site).unlink(missing_ok=True)
    moved.heard()
    moved.trips.clear()
    return moved


def test_it_is_silent_while_all_is_well_and_changes_nothing(lab: Lab) -> None:
    look = f"sh {JOURNAL}/host.sh fingerprint; ls -lR {JOURNAL} /var/mail"
    before = typed(lab.box, look)
    done = lab.watch()
    assert (done.exit_code, done.output) == (0, "")
    assert typed(lab.box, look) == before
    assert lab.heard() == []
    with runner(lab.plan, lab.box) as run:
        run.outside.certificates.watch(lab.box.watches)
        run.verify()
        assert lab.trips == [run.connection.trips + 2]


QUEUE = "/var/spool/clientmqueue-mysql"
BREAKS = {
    "a jail that is stopped": (
        "service jail onestop web",
        "service jail onestart web",
        {"jail/web"},
    ),
    "a daemon that is stopped": (
        "service -j mysql mysql-server onestop",
        "service -j mysql mysql-server onestart",
        {"check/service runs in jail: mysql", "check/service answers from jail: mysql"},
    ),
    "rules that are flushed": (
        "ipfw -q delete set 24",
        "service cellblock_firewall onestart",
        {"drift", "check/service answers from jail: web", "certificate/443"},
    ),
    "a disk, a queue and a limit": (
        "echo '/dev/ada0p4 1000000 965000 35000 97% /var' > /root/df; "
        f"cd {QUEUE} && touch dfA qfA dfB qfB dfC qfC; "
        "for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27; "
        "do jexec mysql sleep 300 >/dev/null 2>&1 & done; "
        "until [ $(pgrep -j mysql -x sleep | wc -l) -ge 27 ]; do sleep 0.1; done",
        f"rm /root/df; cd {QUEUE} && rm dfA qfA dfB qfB dfC qfC; pkill -j mysql -x sleep; "
        "while pgrep -j mysql -x sleep >/dev/null; do sleep 0.1; done",
        {"disk/var", "queue/mysql", "limit/mysql/maxproc"},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", BREAKS)
def test_what_breaks_is_told_once_and_when_it_is_mended(lab: Lab, what: str) -> None:
    breaks, mends, wanted = BREAKS[what]
    typed(lab.box, breaks)
    first, second = lab.watch(), lab.watch()
    found = set(lab.found())
    typed(lab.box, mends)
    third, fourth = lab.watch(), lab.watch()
    assert wanted <= found, first.output
    assert "jail/web" not in found or found == wanted, "what goes with the jail was listed, too"
    assert [each.exit_code for each in (first, second, third, fourth)] == [3, 3, 0, 0]
    assert first.output.count("new: ") == len(found)
    assert all(f"({each})\n" in first.output for each in found), first.output
    assert [second.output, fourth.output] == ["", ""]
    assert {line.split(" (since ")[0] for line in third.output.splitlines()} == {
        f"recovered: {each}" for each in found
    }
    new, over = lab.heard()
    assert {each["id"] for each in new["new"]} == found
    assert {each["id"] for each in over["recovered"]} == found
    assert (new["recovered"], over["new"]) == ([], [])
    assert new["event"] == "watch"
    assert new["text"].startswith("dcserver: the ")


def test_a_certificate_that_ends_soon_and_what_is_not_to_be_told(lab: Lab) -> None:
    lab.says(certificate_days="3000")
    [(id, found)] = lab.found().items()
    assert id == "certificate/443"
    assert re.fullmatch(
        r"the certificate at port 443 \(web 443/tcp\) ends in less than \d+ days", found["says"]
    )
    assert "www.example.org, ends 2031-05-06T07:08:09Z" in found["evidence"]
    lab.says(certificate_days="3000", ignore='["certificate/*"]')
    done = lab.watch()
    assert (done.exit_code, done.output) == (0, "")


def test_a_step_that_was_left_in_the_middle(lab: Lab) -> None:
    """Its deadline is over, and no guard is there to undo it."""
    there = f"{JOURNAL}/steps/{lab.plan.directory(lab.plan.position('web.retire'))}"
    typed(lab.box, f"mv {there}/state.confirmed {there}/state.applied")
    found = lab.found()
    typed(lab.box, f"mv {there}/state.applied {there}/state.confirmed")
    assert "step/web.retire" in found
    assert "cellblock apply" in found["step/web.retire"]["todo"]


def test_a_site_file_that_is_not_that_of_the_host(lab: Lab) -> None:
    """The checks cannot be run then, and all else is asked."""
    lab.file.write_text(lab.text.replace("www.example.org", "web.example.org"), encoding="utf-8")
    typed(lab.box, f"cd {QUEUE} && touch dfA qfA dfB qfB dfC qfC")
    found = lab.found()
    typed(lab.box, f"cd {QUEUE} && rm dfA qfA dfB qfB dfC qfC")
    assert set(found) == {"site", "queue/mysql"}
    assert "would do something else by this site file" in found["site"]["evidence"]


def test_while_a_run_is_under_way_only_what_is_not_its_own_is_told(lab: Lab) -> None:
    lab.watch()
    with runner(lab.plan, lab.box) as run:
        run.connection.take()
        typed(lab.box, f"service jail onestop web; cd {QUEUE} && touch dfA qfA dfB qfB dfC qfC")
        found = lab.found()
        typed(lab.box, f"service jail onestart web; cd {QUEUE} && rm dfA qfA dfB qfB dfC qfC")
    assert set(found) == {"queue/mysql"}


def test_an_answer_that_is_none_is_no_good_news(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "_JAILS", "nosuch-jls name")
    done = lab.watch()
    assert done.exit_code == 5
    assert "new: the host could not be asked: stand-in " in done.stdout
    assert "nosuch-jls name: exit code 127 (host)\n" in done.stdout


@pytest.mark.whole
def test_a_whole_rollout_causes_no_false_alarm(tmp_path: Path) -> None:
    """Before it, in the middle, after it and after a restart; and nobody gets a message."""
    whole = plan.make(site.read(SAMPLE))
    trips = []
    with standin_box(whole.site, tmp_path) as box:

        @contextmanager
        def reach() -> Iterator[Runner]:
            with Runner(whole, Lying(box.target, DF), box.outside, Listener()) as run:
                run.outside.certificates.watch(box.watches)
                yield run
                trips.append(run.connection.trips)

        assert looking.look(reach).findings == ()
        for to in ("mysql.jail", None):
            with runner(whole, box) as run:
                run.outside.certificates.watch(box.watches)
                run.apply(to)
            spools = typed(box, "ls -lR /var/mail /var/spool")
            assert looking.look(reach).findings == ()
            assert typed(box, "ls -lR /var/mail /var/spool") == spools
        assert trips[2] == trips[1], "with four jails as with two"
        box.reboot()
        assert looking.look(reach).findings == ()
