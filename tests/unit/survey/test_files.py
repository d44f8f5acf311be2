"""What a survey reads of files: which paths, which texts, and no secret."""

from __future__ import annotations

import subprocess

import pytest

from rollout.host.survey import Answer
from survey.standin import files
from survey.standin.files import Login, Place


def answer(out: str) -> Answer:
    return Answer(code=0, out=out)


def test_paths_are_those_that_commands_and_answers_name_and_what_is_above_them() -> None:
    found = files.paths(
        {
            "cat /usr/local/etc/a.conf 2>/dev/null": answer(
                "see http://www.example.org/x, file:/srv/www/index.html; /bin/sh /opt/../etc/x\n"
                "/etc/rc.conf:7: proxy unix:/var/run/a.sock|fcgi://localhost/\n"
            )
        }
    )
    assert found == {
        *("/usr", "/usr/local", "/usr/local/etc", "/usr/local/etc/a.conf"),
        *("/srv", "/srv/www", "/srv/www/index.html", "/etc", "/etc/rc.conf"),
        *("/var", "/var/run", "/var/run/a.sock"),
    }


PLACES = """\
Directory\t0\t755\troot\twheel\t512\t/etc\t
Regular File\t0\t644\troot\twheel\t7\t/etc/rc.conf\t
Regular File\t4\t555\troot\twheel\t9\t/usr/local/bin/x\t
Symbolic Link\t0\t755\troot\twheel\t8\t/home\tusr/home
Socket\t0\t666\troot\twheel\t0\t/var/run/log\t
Regular File\t0\t644\troot\twheel\t7\t/etc/../evil\t
"""


def test_places_texts_and_accounts_are_read_back() -> None:
    asked = f"{files.PLACED} {{ printf %s '/etc/rc.conf\n/etc/none\n'; {{ find /etc; }} }}"
    found = files.kept(
        {
            asked: answer(PLACES),
            f"{files.TEXTS} find": answer("= /etc/rc.conf\n a=1\n  b\n= /etc/b\n"),
            f"{files.LOGINS} awk": answer("anna:HASH:1001:1001:staff:/home/anna:/bin/sh\nbad:x\n"),
        }
    )
    assert found.places["/usr/local/bin/x"] == Place("file", 0o4555, "root", "wheel", 9)
    assert found.places["/home"].target == "usr/home"
    assert (found.places["/var/run/log"].kind, "/etc/../evil" in found.places) == ("socket", False)
    assert "/etc/none" in found.absent
    assert "/etc/rc.conf" not in found.absent
    assert found.texts == {"/etc/rc.conf": "a=1\n b\n", "/etc/b": ""}
    assert found.logins == [Login("anna", "HASH", 1001, 1001, "staff", "/home/anna", "/bin/sh")]


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("/usr/local/etc/namedb/rndc.key", True),
        ("/etc/ssh/ssh_host_ed25519_key", True),
        ("/usr/local/etc/postfix/sasl_passwd", True),
        ("/usr/local/etc/apache24/.htpasswd", True),
        ("/root/.my.cnf", True),
        ("/usr/local/etc/mysql/my.cnf", False),
        ("/usr/local/etc/namedb/primary/example.org.db", False),
    ],
)
def test_what_is_called_like_a_secret_is_not_opened(path: str, is_one: bool) -> None:
    assert files.is_secret(path) == is_one


def test_a_private_key_does_not_leave_the_host() -> None:
    begin, end = "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"
    done = subprocess.run(
        ["awk", files.WITHOUT_KEYS],
        input=f"cert\n{begin}\nMIIsecret\nmore\n{end}\nend\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f" cert\n {begin}\n LEFT-OUT\n {end}\n end\n"
