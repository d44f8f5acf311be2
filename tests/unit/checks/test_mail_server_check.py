"""What judges clients by their address has to know the jails: programs came from 127.0.0.1."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from rollout import site
from rollout.site import Site
from tests.checks.test_mail_server import settings_asked
from tests.checks.test_mail_server import test_settings_mean_the_same_in_a_jail as asked
from tests.rehearsal.sites import SAMPLE
from tests.unit.checks.telling import tells
from tests.unit.operations.asking import typed

DKIM = "/usr/local/etc/mail/opendkim.conf"
MILTER = "postconf::smtpd_milters = unix:/var/run/opendkim/sock\n"
SOCKET = f"{DKIM}:3:Socket local:/var/run/opendkim/sock\n"
MASTER = "master.cf::smtp inet n - n - - smtpd -o smtpd_milters=unix:/var/run/opendkim/sock\n"
ACCESS = "postconf::smtpd_client_restrictions = check_client_access hash:/m/client, reject\n"


@dataclass
class Host:
    """Daemons and milters say `said`; a file that they name says `file`."""

    said: str
    file: str = ""
    pam: str = ""

    def run(self, command: str) -> SimpleNamespace:
        if "/etc/pam.d/" in command:
            return SimpleNamespace(stdout=self.pam)
        if "passdb" in command:
            return SimpleNamespace(stdout="pam\n")
        own = "/etc/mail/sendmail.cf:1:V10/Berkeley\n"
        said = self.file if command.startswith("awk '!/^") else own + self.said
        return SimpleNamespace(stdout=said)


@pytest.fixture(scope="module")
def sample() -> Site:
    return site.read(SAMPLE)


@pytest.mark.parametrize(
    ("said", "file", "told"),
    [
        (f"{MILTER}{SOCKET}", "", f"{DKIM}:1: InternalHosts"),
        (f"{MILTER}{SOCKET}{DKIM}:5:InternalHosts 127.0.0.1\n", "", f"{DKIM}:5: InternalHosts"),
        (f"{MILTER}{SOCKET}{DKIM}:5:InternalHosts csl:127.0.0.1,10.80.0.0/24\n", "", ""),
        (f"{MILTER}{SOCKET}{DKIM}:5:InternalHosts refile:/m/own\n", "/m/own:1:10.0.0.0/8\n", ""),
        (f"{MILTER}{SOCKET}{DKIM}:5:InternalHosts /m/own\n", "/m/own:1:10.1.0.0/16\n", f"{DKIM}:5"),
        (f"postconf::smtpd_milters = inet:127.0.0.1:11332\n{SOCKET}", "", ""),
        (SOCKET, "", ""),
        (f"{MILTER}{DKIM}:3:Mode sv\n", "", ""),
        (f"{DKIM}:3:Mode sv\nXother, S=inet:8891@localhost\n", "", ""),
        (f"{MILTER}{DKIM}::Socket /var/run/opendkim/sock\n", "", f"{DKIM}:1: InternalHosts"),
        (f"{MASTER}{SOCKET}", "", f"{DKIM}:1: InternalHosts"),
        (ACCESS, "/m/client:1:127.0.0.1\n", "/m/client:1: 127.0.0.1"),
        (ACCESS, "/m/client:1:127.0.0.1\n/m/client:2:10.80.0\n", ""),
        (ACCESS, "/m/client:1:198.51.100.1\n", ""),
        (ACCESS.replace("= check", "= permit_mynetworks, check"), "/m/client:1:127.0.0.1\n", ""),
        ("postconf::smtpd_client_event_limit_exceptions = 127.0.0.0/8\n", "", "limit_exceptions"),
        (
            "postconf::smtpd_client_event_limit_exceptions = 127.0.0.0/8\n"
            "main.cf::smtpd_client_event_limit_exceptions = $mynetworks\n",
            "",
            "",
        ),
        ("doveconf::remote 127.0.0.1 {\n", "", "doveconf: remote 127.0.0.1"),
        ("doveconf::remote 198.51.100.1 {\n", "", ""),
        ("doveconf::login_trusted_networks = 127.0.0.1\n", "", "login_trusted_networks"),
        ("doveconf::  quota = fs:User quota\n", "", "quota = count"),
        ("doveconf::  quota = maildir:User quota\n", "", ""),
        ("/etc/mail/access:4:ClientRate:127.0.0.1 0\n", "", "/etc/mail/access:4"),
        ("/etc/mail/access:4:ClientRate:127 0\n/etc/mail/access:5:ClientRate:10 0\n", "", ""),
        ("/etc/mail/access:4:Connect:127.0.0.1 RELAY\n", "", ""),
    ],
)
def test_what_is_for_127_0_0_1_alone_is_told(sample: Site, said: str, file: str, told: str) -> None:
    with tells(told):
        asked(Host(said, file), sample)


def test_settings_are_asked_with_what_they_name(tmp_path: Path) -> None:
    limits = "smtpd_client_event_limit_exceptions"
    postconf = (
        "case $1 in -nx) echo 'check_client_access hash:/m/x'; echo smtpd_milters = unix:dkim/s; "
        f"echo {limits} = 127.0.0.1;; -n) echo '{limits} = $mynetworks'; "
        "echo 'smtpd_helo_restrictions = permit_mynetworks';; esac"
    )
    sysrc = 'test "$*" = "-qin milteropendkim_socket" && echo inet:8891@localhost'
    asked = f"set +e; {settings_asked(['postfix'])}"  # as checks ask
    done = typed(asked, tmp_path, None, postconf=postconf, sysrc=sysrc)
    assert done.stdout.splitlines() == [
        "postconf::check_client_access hash:/m/x",
        "postconf::smtpd_milters = unix:/var/spool/postfix/dkim/s",
        f"postconf::{limits} = 127.0.0.1",
        f"main.cf::{limits} = $mynetworks",
        f"{DKIM}::Socket inet:8891@localhost",
    ]


def test_where_mail_moves_alone_its_clients_come_from_where_they_did(sample: Site) -> None:
    alone = sample.model_copy(update={"order": ("preflight", "base", "network", "mail")})
    asked(Host(f"{MILTER}{SOCKET}"), alone)


def test_daemons_that_tell_nothing_do_not_pass(sample: Site) -> None:
    silent = SimpleNamespace(run=lambda command: SimpleNamespace(stdout=""))
    with pytest.raises(AssertionError, match="jail mail: sendmail does not tell its settings"):
        asked(silent, sample)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/etc/pam.d/system:7:auth\trequired\tpam_unix.so\tno_warn", ""),
        ("/etc/pam.d/imap:2:auth include system", ""),
        ("/usr/local/etc/pam.d/imap:2:auth required /usr/lib/pam_unix.so.6", ""),
        ("/etc/pam.d/system:4:auth sufficient pam_radius.so", "system:4: pam_radius.so"),
        (
            "/usr/local/etc/pam.d/imap:9:account\trequired\t/usr/local/lib/pam_ldap.so",
            "/usr/local/etc/pam.d/imap:9: /usr/local/lib/pam_ldap.so",
        ),
    ],
)
def test_a_module_that_asks_others_for_passwords_is_told(
    sample: Site, line: str, told: str
) -> None:
    jail = sample.jails["mail"].model_copy(update={"services": ("dovecot", "mail")})
    dovecot = sample.services["mail"].model_copy(update={"rc": "dovecot"})
    there = sample.model_copy(
        update={
            "jails": {**sample.jails, "mail": jail},
            "services": {**sample.services, "dovecot": dovecot},
        }
    )
    host = Host("doveconf::# 2.3.21\n", pam=f"{line}\n")
    with tells(told):
        asked(host, there)
