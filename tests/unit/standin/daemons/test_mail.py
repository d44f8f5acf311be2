"""Mail in the stand-in: which server accepts it, whose mailbox gets it, and what is queued."""

from __future__ import annotations

import pytest

from standin import StandIn


def test_mail_of_the_hosts_own_programs_is_delivered(server: StandIn) -> None:
    done = server.run("printf 'Subject: a\\n\\nhello\\n' | sendmail user001")
    assert done.returncode == 0, done.stderr
    assert "hello" in server.run("cat /var/mail/user001").stdout
    assert server.run("stat -f '%Su %Lp' /var/mail/user001").stdout == "user001 600\n"


def test_without_a_server_it_waits_for_the_next_run(server: StandIn) -> None:
    server.run("service sendmail onestop")
    server.run("echo | sendmail user001@example.org")
    assert server.run("ls /var/mail").stdout == ""
    assert "Total requests: 1" in server.run("mailq -Ac").stdout
    server.run("service sendmail onestart; sendmail -q -Ac")
    assert "Total requests: 0" in server.run("mailq -Ac").stdout
    assert server.run("ls /var/mail").stdout == "user001\n"


def test_what_cannot_be_delivered_stays_in_the_queue(server: StandIn) -> None:
    server.run("echo | sendmail somebody@far.example; sendmail -q")
    assert "Total requests: 1" in server.run("mailq").stdout
    assert len(server.run("ls /var/spool/mqueue").stdout.split()) == 2


def test_a_message_without_its_text_is_no_message(server: StandIn) -> None:
    server.run("echo | sendmail somebody@far.example; rm /var/spool/mqueue/df*")
    assert "Total requests: 0" in server.run("mailq").stdout


def test_the_names_that_it_takes_mail_for(server: StandIn) -> None:
    names = server.run("echo '$=w' | sendmail -bt | sed -e 's/^> //'").stdout.splitlines()
    assert {"example.org", "dcserver.example.org", "dcserver", "[203.0.113.2]"} <= set(names)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("a b\n# c\n", 0, ""),
        ("a b\nnokey\n", 74, "makemap: /tmp/m: line 2: no RHS for LHS nokey\n"),
        ("a b\na c\n", 74, "makemap: /tmp/m: line 2: key a: put error: Operation not permitted\n"),
    ],
)
def test_makemap_refuses_as_on_13_2(server: StandIn, text: str, code: int, said: str) -> None:
    done = server.run(f"printf '{text}' | makemap hash /tmp/m")
    assert (done.returncode, done.stderr) == (code, said)


def test_an_option_without_a_model_is_an_error(server: StandIn) -> None:
    assert server.run("echo | sendmail -t").returncode == 64
    assert any("sendmail -t" in line for line in server.strange)
