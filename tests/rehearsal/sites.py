"""The sample site with fewer subjects: each step costs a second, and few tests need all."""

from __future__ import annotations

import re
from pathlib import Path

from rollout import plan, site
from rollout.plan import Plan

SAMPLE = Path(__file__).parents[2] / "site.example.toml"
FIRST = ("preflight", "base", "network")
POSTFIX = """\
[services.mail]
rc = "postfix"
rcvar = "postfix_enable"
ports = [{ port = 25, probe = "smtp" }, { port = 587, probe = "smtp" }]
configuration = ["/usr/local/etc/postfix", "/etc/mail"]
data = ["/var/mail"]

[services.imap]
rc = "dovecot"
rcvar = "dovecot_enable"
ports = [
    { port = 143, probe = "imap" }, { port = 993 }, { port = 110, probe = "pop3" }, { port = 995 },
]
configuration = ["/usr/local/etc/dovecot"]
"""
"""Mail by Postfix and Dovecot, instead of a site's [services.mail]."""


def ordered(*subjects: str) -> Plan:
    """The plan of the sample with these subjects after the first ones."""
    return plan.make(site.read(SAMPLE).model_copy(update={"order": (*FIRST, *subjects)}))


def written(where: Path, *subjects: str) -> Path:
    """The same as a site file in that directory."""
    order = ", ".join(f'"{name}"' for name in (*FIRST, *subjects))
    text = SAMPLE.read_text(encoding="utf-8")
    text, found = re.subn(r"(?m)^order = .*$", f"order = [{order}]", text)
    assert found == 1
    (where / "site.toml").write_text(text, encoding="utf-8")
    return where / "site.toml"
