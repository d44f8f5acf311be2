"""Secrets that a host prints are named in a survey, and are not in it."""

from __future__ import annotations

import pytest

from rollout.host.survey import Answer
from survey.secrets import Secrets


def kept(out: str, **others: str) -> tuple[str, Secrets, dict[str, Answer]]:
    secrets = Secrets()
    found = {"cat x": Answer(code=0, out=out)} | {
        name: Answer(code=0, out=text) for name, text in others.items()
    }
    answers = secrets.answers(found)
    return answers["cat x"].out, secrets, answers


@pytest.mark.parametrize(
    ("line", "secret", "named"),
    [
        ("SetEnv DB_PASSWORD Tr0ub4dor", "Tr0ub4dor", "DB_PASSWORD"),
        ('/usr/local/etc/x.conf:7: password = "two words"', "two words", "password"),
        ("$db = array('db_pass' => 'x');", "'x'", "db_pass"),
        ('\tsecret "c2VjcmV0IQ==";', "c2VjcmV0IQ==", "secret"),
        ("requirepass foobared", "foobared", "requirepass"),
        ('php_admin_value mysqli.default_pw "hunter2"', "hunter2", "mysqli.default_pw"),
        ("wpa_psk=correcthorse", "correcthorse", "wpa_psk"),
        ("tcp://u:pw123@10.0.0.1:6379", "pw123", "the password in a URL"),
        ("tcp://10.0.0.1:6379?auth=abc123", "abc123", "the password in a URL"),
        ("ann:$6$salt$ABCDEFGHIJKL:1001", "$6$salt$ABCDEFGHIJKL", "the hash of a password"),
        ("'*" + "0A" * 20 + "'", "0A0A", "the hash of a password"),
        ("ann:{SSHA512}aGFzaGhhc2g=:1001", "aGFzaGhhc2g=", "the hash of a password"),
        (" anna|smtp.example.org:hunter2", "hunter2", "a password for mail"),
        ('AuthInfo:x.example.org "U:anna" "P:hunter2"', "hunter2", "a password for mail"),
        ("smtp_sasl_password_maps = static:anna:hunter2", "hunter2", "a password for mail"),
        (" [relay]:587 anna:pw", "pw", "a password for mail"),
        ("0 3 * * * mysqldump -uroot -phunter2 --all", "hunter2", "a password of a command"),
        ("0 3 * * * root x --password=12345", "12345", "a password of a command"),
        ("0 3 * * * x --db-pass hunter2", "hunter2", "a password of a command"),
        ("0 3 * * * curl -u anna:hunter2 http://x/", "hunter2", "a password of a command"),
        (" anna:the realm:" + "0a" * 16, "0a0a", "the hash of a password"),
        (" anna:rl3hdJkUxJ7Xk", "rl3hdJkUxJ7Xk", "the hash of a password"),
        ("anna:rl3hdJkUxJ7Xk:1001:1001", "rl3hdJkUxJ7Xk", "the hash of a password"),
        ("anna:$1$salt$ABCDEFGH", "ABCDEFGH", "the hash of a password"),
        ("anna:$2y$05$ABCDEFGH", "ABCDEFGH", "the hash of a password"),
        ("anna:$5$salt$ABCDEFGH", "ABCDEFGH", "the hash of a password"),
        ("anna:$apr1$salt$ABCDEFGH", "ABCDEFGH", "the hash of a password"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabcd\n-----END RSA PRIVATE KEY-----",
            "MIIE",
            "a private key",
        ),
    ],
)
def test_a_secret_is_left_out_and_named(line: str, secret: str, named: str) -> None:
    out, secrets, _ = kept(f"before = 1\n{line}\nafter = 2\n")
    assert secret not in out
    assert (out.startswith("before = 1\n"), out.endswith("\nafter = 2\n")) == (True, True)
    [told] = secrets.left_out
    assert (told.what, told.command) == (named, "cat x")
    assert told.word in out


@pytest.mark.parametrize(
    "line",
    [
        "passwd: files ldap",
        "/etc/nsswitch.conf:4:passwd:\t\tfiles",
        "password_file = /root/check.password",
        "PasswordAuthentication yes",
        "AuthUserFile /usr/local/etc/passwd",
        "/etc/passwd:4:ann:*:1001",
        "ssl_key = </usr/local/etc/ssl/x.key",
        'key "rndc-key" {',
        "pass = $PASS",
        "ipfw add 100 allow tcp from any to me 80",
        "Subject: reset your password",
        "virtual_transport = static:lmtp:unix:private/dovecot",
        "example.org smtp:[203.0.113.7]:587",
        "[203.0.113.7] relay:mail.example.org",
        "find -H /var/db/mysql -path /etc -print",
        "mysql --defaults-file=/root/.my.cnf -p",
        "0 3 * * * root date -u +%H:%M && docker run -u 80:80 x",
        "postmaster:administrator",
    ],
)
def test_what_is_no_secret_stays_for_the_checks_to_read(line: str) -> None:
    out, secrets, _ = kept(line)
    assert (out, secrets.left_out) == (line, [])


def test_a_secret_is_left_out_wherever_else_it_stands_and_has_one_word() -> None:
    _, secrets, answers = kept("password = Tr0ub4dor", other="it says Tr0ub4dor", third="Tr0ub4dor")
    word = secrets.left_out[0].word
    assert answers["other"].out == f"it says {word}"
    assert answers["third"].out == word
    assert secrets.text("refused: Tr0ub4dor") == f"refused: {word}"


def test_a_secret_that_is_a_common_word_is_left_out_where_it_was_seen_alone() -> None:
    out, _, answers = kept("password = mysql", other="mysql mysqld_safe /var/db/mysql")
    assert "mysql" not in out
    assert answers["other"].out == "mysql mysqld_safe /var/db/mysql"


def test_equal_secrets_stay_equal_and_others_do_not() -> None:
    out, _, _ = kept("a_secret = one1one\nb_secret = one1one\nc_secret = two2two\n")
    values = [row.partition(" = ")[2] for row in out.splitlines()]
    assert values[0] == values[1] != values[2]
