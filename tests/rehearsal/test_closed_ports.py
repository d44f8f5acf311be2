"""A port that closed is found, in the jail and on the way back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout import plan, site
from rollout.errors import RolledBack, Stuck
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from tests.rehearsal.on_standin import host, runner, typed
from tests.rehearsal.sites import written

SUBMISSION = "O DaemonPortOptions=Name=MSA, Port=587, Addr=203.0.113.2"
CLOSED = "sed -i '' -e '/Port=587/d' {}/etc/mail/sendmail.cf"


@pytest.fixture
def made(tmp_path: Path) -> Plan:
    file = written(tmp_path, "mail")
    text = file.read_text()
    one = 'ports = [{ port = 25, probe = "smtp" }]'
    assert one in text
    file.write_text(text.replace(one, 'ports = [{ port = 25, probe = "smtp" }, { port = 587 }]'))
    return plan.make(site.read(file))


@pytest.fixture
def box(made: Plan, tmp_path: Path) -> Iterator[Box]:
    with standin_box(made.site, tmp_path / "box") as box:
        typed(box, f"echo '{SUBMISSION}' >> /etc/mail/sendmail.cf && service sendmail restart")
        yield box


def test_a_port_that_the_jails_daemon_does_not_open_undoes_the_step(made: Plan, box: Box) -> None:
    with runner(made, box) as there:
        there.apply("mail.jail")
        typed(box, CLOSED.format("/usr/jails/mail/root"))
        with pytest.raises(RolledBack) as undone:
            there.apply()
        assert "nothing in jail mail listens on 10.80.0.5:587/tcp" in (undone.value.evidence or "")
        assert host(box).who_answers("203.0.113.2", 587) == "host"


def test_a_port_that_the_hosts_daemon_does_not_open_again_is_told(made: Plan, box: Box) -> None:
    with runner(made, box) as there:
        there.apply()
        assert host(box).who_answers("203.0.113.2", 587) == "mail"
        typed(box, CLOSED.format(""))
        with pytest.raises(Stuck):
            there.rollback()
        log = typed(box, "cat /var/db/cellblock/steps/*-mail.retire/log")
        assert (
            "sendmail on the host listened here before, and does not any more: 203.0.113.2:587"
            in log
        )
        typed(box, f"echo '{SUBMISSION}' >> /etc/mail/sendmail.cf")
        there.rollback()
        assert host(box).who_answers("203.0.113.2", 587) == "host"
