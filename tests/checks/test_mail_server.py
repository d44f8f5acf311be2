"""What a jail would change of a mail server: the address that it sends from, and its chroots."""

from __future__ import annotations

from typing import Any

from operations.queues import POSTFIX
from rollout.site import Site

# The address from which it sends: FILE:NUMBER or a setting's name, and the address.
_FROM = {
    "sendmail": (
        "awk '/^O ClientPortOptions=/ {text = $0; while (match(text, /Addr(ess)?=[0-9.]+/)) "
        '{said = substr(text, RSTART, RLENGTH); sub(/.*=/, "", said); '
        'print FILENAME ":" FNR ": ClientPortOptions", said; '
        "text = substr(text, RSTART + RLENGTH)}}' /etc/mail/sendmail.cf"
    ),
    "postfix": (
        "{ postconf -nx | grep '^smtp_bind_address ' | sed -e 's/^/main.cf: /'; "
        "postconf -M | grep smtp_bind_address | sed -e 's/^/master.cf: /'; } | "
        "sed -nE 's/^([a-z.]+): .*(smtp_bind_address) *= *([0-9.]+).*/\\1: \\2 \\3/p'"
    ),
}


def sent_from(script: str) -> str:
    """sh that prints where an MTA is told the address from which it sends, and that address."""
    return _FROM[script]


def test_sends_from_an_address_that_it_will_have(host: Any, site: Site) -> None:
    """Others know the server by it: SPF, its name in DNS, the allow list of a smart host."""
    name = site.jail_of("mail")
    jail = site.jails[name]
    here = jail.public_addresses if jail.outbound == "public" else (site.host.wan_address,)
    has = [*map(str, here), "0.0.0.0"]  # noqa: S104 # means any
    rows = host.check_output(sent_from(site.services["mail"].rc)).splitlines()
    wrong = [row for row in rows if row.split()[-1] not in has and not row.endswith(" 127.0.0.1")]
    assert not wrong, (
        f"{'; '.join(wrong)}: jail {name} would send from {', '.join(map(str, here))} instead, "
        f'which others may refuse: set outbound = "public" and public_addresses in [jails.{name}] '
        "to an address that only mail uses, or take the setting out"
    )


_OWN = (
    "active|bounce|corrupt|defer|deferred|flush|hold|incoming|maildrop|pid|private|public|saved|"
    "trace"
)
# Before compatibility_level 1 a dash means yes (postconf(5), master(5)).
CHROOTED = (
    "old=$(postconf -h compatibility_level | awk '{print $1 < 1}'); postconf -M | "
    'awk -v old="$old" \'$5 == "y" || ($5 == "-" && old) {print $1 "/" $2}\''
)
IN_CHROOT = f"ls {POSTFIX.directory} | grep -vxE '{_OWN}'"
"""What an administrator has put there: etc/resolv.conf, libraries, devices."""


def test_needs_no_chroot(host: Any, site: Site) -> None:
    """A service with chroot = y has the queue's directory as its root, of which a jail has its own.

    Without files of the administrator there a service finds as little in the jail as on the host.
    """
    services = host.check_output(CHROOTED).splitlines()
    there = host.run(IN_CHROOT).stdout.splitlines() if services else []
    places = ", ".join(f"{POSTFIX.directory}/{each}" for each in there[:5])
    jail = site.jail_of("mail")
    assert not there, (
        f"master.cf: {', '.join(services[:5])}: chroot = y, and jail {jail} would not have "
        f"{places}, which they use: postconf -F '*/*/chroot=n' and postfix reload (the jail "
        "confines them, too)"
    )
