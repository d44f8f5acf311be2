"""Mail moves on a real FreeBSD while a client sends all the time: each message arrives once."""

from __future__ import annotations

from pathlib import Path

import pytest

from box.clients.results import Sent
from box.qemu.guest import Guest
from box.run_clients import sending
from tests.lab.operator import Operator
from tests.rehearsal.mailed import must_have_arrived

pytestmark = [pytest.mark.guest, pytest.mark.measured, pytest.mark.timeout(3600)]

# Per second. Each message and each probe (of two ports) is a process of sendmail's, and an emulated
# processor has no room for more beside the rollout.
MESSAGES = 0.5
PROBES = 0.5
FAR = "root@[192.0.2.9]"  # no server there: the message stays in the queue


@pytest.fixture
def operator(fresh_guest: Guest, tmp_path: Path) -> Operator:
    return Operator(fresh_guest, tmp_path, ("preflight", "base", "network", "mail"), PROBES)


def under_mail(operator: Operator, *words: str) -> Sent:
    with sending(operator.guest, "alice@example.org", rate=MESSAGES) as client:
        client.wait_ready(60.0)
        done = operator.deploy(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        print(done.stdout)
        return client.stop()


def waiting(operator: Operator, folder: str) -> list[str]:
    said = operator.guest.sh(f"cd {folder} 2>/dev/null && grep -l '192.0.2.9' qf* || true").stdout
    return said.split()


def test_each_message_arrives_once_there_and_back(operator: Operator) -> None:
    guest = operator.guest
    before = operator.fingerprint()
    guest.sh(f"echo far | sendmail {FAR}")
    guest.wait_until(lambda: bool(waiting(operator, "/var/spool/mqueue")), "with a message", 60.0)
    [far] = waiting(operator, "/var/spool/mqueue")
    sent = []
    for words, where in (
        (("apply", "--yes"), "/var/spool/mqueue-mail"),
        (("rollback",), "/var/spool/mqueue"),
    ):
        sent.append(under_mail(operator, *words))
        assert waiting(operator, where) == [far]
        guest.sh(f"echo mark-{words[0]} | mail -s cron alice")
    guest.wait_until(
        lambda: guest.sh("grep -c ^mark- /var/mail/alice").stdout == "2\n", "with both", 120.0
    )
    assert operator.fingerprint() == before
    mailbox = guest.sh("cat /var/mail/alice").stdout
    for each in sent:
        must_have_arrived(each, mailbox)
    print([(len(each.acknowledged), each.longest_gap.seconds) for each in sent])
