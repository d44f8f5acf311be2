"""Shared by the guest's mail tests: Postfix in sendmail's place, and alice's mailbox."""

from __future__ import annotations

import re

from box.clients.results import Sent
from box.clients.send import judge
from box.qemu.guest import Guest
from tests.lab.operator import Operator
from tests.rehearsal.sites import POSTFIX

SMTPS = "{ port = 465 }, { port = 587,"  # the image's Postfix has it enabled
# As the port's message says: sendmail(8) then means Postfix's. A daemon keeps the pipes that it is
# started with, and ssh would wait for them.
_SERVED = """
service sendmail onestop
sysrc sendmail_enable=NONE postfix_enable=YES dovecot_enable=YES
mkdir -p /usr/local/etc/mail
for each in sendmail mailq newaliases; do echo "$each /usr/local/sbin/sendmail"; done \\
    > /usr/local/etc/mail/mailer.conf
{ service postfix start && service dovecot start; } >/dev/null 2>&1 </dev/null
"""


def has_postfix(guest: Guest) -> bool:
    return guest.sh("[ -x /usr/local/sbin/postfix ]").exit == 0


def let_postfix_serve(operator: Operator) -> None:
    """Postfix and Dovecot instead of sendmail, on the guest and in the operator's site file."""
    served = operator.guest.sh(_SERVED)
    assert served.exit == 0, served.stdout + served.stderr
    text = operator.site.read_text(encoding="utf-8")
    text, found = re.subn(r"(?ms)^\[services\.mail\]\n.*?(?=^\[|\Z)", POSTFIX, text)
    assert found == 1
    for old, new in (('["mail"]', '["imap", "mail"]'), ("{ port = 587,", SMTPS)):
        assert old in text
        text = text.replace(old, new)
    operator.site.write_text(text, encoding="utf-8")


def must_have_arrived(sent: Sent, mailbox: str) -> None:
    """Every message that the server accepted arrived once; and it accepted all that were sent."""
    verdict = judge(sent, mailbox)
    assert verdict.is_whole, f"lost {verdict.lost[:5]}, doubled {verdict.doubled[:5]}"
    assert not verdict.unacknowledged, verdict.unacknowledged[:5]
    assert not sent.failures, f"{len(sent.failures)} not taken: {sent.failures[:3]}"
