"""What a survey asks itself: read from what a real FreeBSD printed, and without secrets."""

from __future__ import annotations

import subprocess
from pathlib import Path

from survey import facts
from survey.facts import Account, OfAccount, Script
from tests.unit.operations.asking import DASH, recorded


def test_what_the_host_is() -> None:
    system, release, name = (recorded(each)[0] for each in ("uname -s", "uname -r", "hostname"))
    jailed = recorded("sysctl -n security.jail.jailed")[0]
    said = [f"system {system}", f"release {release}", "uid 0", f"name {name}", f"jailed {jailed}"]
    found = facts.System().process(said)
    assert found == ("FreeBSD", "13.2-RELEASE", "0", "dcserver.example.org", False)
    assert facts.System().process(["system Linux", "uid 0", "jailed "]).system == "Linux"
    assert facts.System().process(["jailed 1"]).jailed


def test_scripts_have_the_variables_that_they_print() -> None:
    """`service cron rcvar` as a FreeBSD 15.0 printed it; sendmail's script prints several."""
    said = """\
= cron
# cron : Daemon to execute scheduled commands
#
cron_enable="YES"
#   (default: "")

= sendmail
# sendmail
#
sendmail_enable="NO"
#   (default: "NO")
sendmail_submit_enable="YES"
= silent
"""
    cron, sendmail = facts.Scripts().process(said.splitlines())
    assert (cron.name, cron.rcvar) == ("cron", "cron_enable")
    assert sendmail.rcvar == "sendmail_submit_enable"
    assert Script("x", (("x_enable", False), ("y_enable", False))).rcvar == "x_enable"


def test_rc_conf_is_asked_for_places_and_never_for_values(tmp_path: Path) -> None:
    (tmp_path / "rc.conf").write_text(
        '# a_enable="NO"\nhostname="x"\n export b="s3cret"\nb="t0p"\n'
    )
    (tmp_path / "rc.conf.d").mkdir()
    (tmp_path / "rc.conf.d" / "named").write_text('named_flags="-4"\n')
    typed = facts.Assigned().command().replace("/etc/", f"{tmp_path}/")
    done = subprocess.run([DASH, "-c", typed], capture_output=True, text=True, check=False)
    assert "s3cret" not in done.stdout
    assert facts.Assigned().process(done.stdout.splitlines()) == {
        "hostname": f"{tmp_path}/rc.conf:2",
        "b": f"{tmp_path}/rc.conf:4",
        "named_flags": f"{tmp_path}/rc.conf.d/named:1",
    }


def test_routes_are_the_default_and_networks() -> None:
    """The columns of usr.bin/netstat/route.c."""
    said = """\
Routing tables

Internet:
Destination        Gateway            Flags     Netif Expire
default            203.0.113.1        UGS      vtnet0
10.8.0.0/24        link#3             U          tun0
127.0.0.1          link#2             UH          lo0
"""
    assert facts.Routes().process(said.splitlines()) == (
        ("default", "vtnet0"),
        ("10.8.0.0/24", "tun0"),
        ("127.0.0.1", "lo0"),
    )


def test_people_have_homes_with_their_true_path() -> None:
    said = ["anna:1001:/home/anna:/usr/home/anna", "odd:1002:/home/o:dd:/home/o:dd", "x:1003:/x:"]
    assert facts.People().process(said) == (Account("anna", 1001, "/home/anna", "/usr/home/anna"),)


def test_what_accounts_have_mail_in_or_name() -> None:
    """The lines of mailers.HOMES; a port that a .procmailrc names is no path."""
    said = ["bob 1777 /data/bob/Maildir", "eve 1003 /opt/v .forward", "eve 1003 127.0.0.1:783 .x"]
    box, program = facts.Mailed().process(said)
    assert box == OfAccount("bob", "/data/bob/Maildir", "")
    assert program.said == "~eve/.forward, of eve"


def test_zones_are_those_of_this_server() -> None:
    """As named-checkconf -l prints them: NAME CLASS VIEW TYPE."""
    said = [
        "example.org IN _default primary",
        "example.net IN _default secondary",
        ". IN _default hint",
    ]
    assert facts.Zones().process(said) == ("example.org", "example.net")


def test_of_grants_only_whether_they_suffice_leaves_the_host(tmp_path: Path) -> None:
    """SHOW GRANTS of MariaDB has the password's hash."""
    grant = "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` IDENTIFIED BY PASSWORD '*81F5E2'"
    typed = facts.RootsMySQL().command().replace(facts.CLIENT, "client")
    for said, answer in ((grant, "yes"), ("GRANT USAGE ON *.* TO `x`@`%`", "no")):
        done = subprocess.run(
            [DASH, "-c", f'client() {{ echo "$said"; }}; {typed}'],
            env={"said": said, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == f"{answer}\n"
