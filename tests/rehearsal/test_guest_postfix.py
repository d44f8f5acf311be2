"""Postfix and Dovecot move on a real FreeBSD while clients send mail and log in."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from box.clients.results import LoggedIn, Sent
from box.qemu.guest import Guest
from box.run_clients import logging_in, sending
from tests.lab.operator import Operator
from tests.rehearsal.mailed import has_postfix, let_postfix_serve, must_have_arrived

pytestmark = [pytest.mark.guest, pytest.mark.measured, pytest.mark.timeout(7200)]

# Per second. The prober probes six ports, and most probes are a new process of Dovecot's.
MESSAGES = 5.0
LOGINS = 1.0
PROBES = 0.2
EACH_WAY = 500 / MESSAGES  # minimum seconds that the clients run
FAR = "root@[192.0.2.9]"  # no server there: the message stays in the queue


@pytest.fixture
def operator(fresh_guest: Guest, tmp_path: Path) -> Operator:
    if not has_postfix(fresh_guest):
        pytest.skip("this image has no Postfix")
    operator = Operator(fresh_guest, tmp_path, ("preflight", "base", "network", "mail"), PROBES)
    let_postfix_serve(operator)
    return operator


def under_mail(operator: Operator, *words: str) -> tuple[Sent, LoggedIn]:
    guest = operator.guest
    with (
        sending(guest, "alice@example.org", rate=MESSAGES) as sender,
        logging_in(guest, "alice", "alice-secret", rate=LOGINS) as reader,
    ):
        sender.wait_ready(120.0)
        reader.wait_ready(120.0)
        until = time.monotonic() + EACH_WAY
        done = operator.deploy(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        print(done.stdout)
        time.sleep(max(0.0, until - time.monotonic()))
        return sender.stop(), reader.stop()


def waiting(guest: Guest, queue: str) -> list[str]:
    """Names of the messages to FAR anywhere in that queue."""
    asked = f"cd {queue} && grep -rl '192[.]0[.]2[.]9' active deferred incoming maildrop"
    return [line.rpartition("/")[2] for line in guest.sh(asked).stdout.split()]


def queued(guest: Guest) -> int:
    asked = "cd /var/spool/postfix && find active deferred incoming maildrop -type f | wc -l"
    return int(guest.sh(asked).stdout)


def test_each_message_arrives_once_and_each_login_is_answered(operator: Operator) -> None:
    guest = operator.guest
    before = operator.fingerprint()
    guest.sh(f"echo far | sendmail {FAR}")
    guest.wait_until(lambda: bool(waiting(guest, "/var/spool/postfix")), "with a message", 120.0)
    [far] = waiting(guest, "/var/spool/postfix")
    seen = []
    for words, queue in (
        (("apply", "--yes"), "/var/spool/postfix-mail"),
        (("rollback",), "/var/spool/postfix"),
    ):
        seen.append(under_mail(operator, *words))
        assert waiting(guest, queue) == [far]
        guest.sh(f"echo mark-{words[0]} | mail -s cron alice")
    guest.wait_until(
        lambda: guest.sh("grep -c ^mark- /var/mail/alice").stdout == "2\n", "with both", 300.0
    )
    guest.wait_until(lambda: queued(guest) == 1, "through with its queue", 300.0)
    assert operator.fingerprint() == before
    mailbox = guest.sh("cat /var/mail/alice").stdout
    print([(len(s.acknowledged), s.longest_gap.seconds, s.ended - s.started) for s, _ in seen])
    print([(r.answered, r.messages, r.longest_gap.seconds, r.slowest) for _, r in seen])
    for sent, read in seen:
        must_have_arrived(sent, mailbox)
        assert not read.failures, f"{len(read.failures)} not let in: {read.failures[:3]}"
