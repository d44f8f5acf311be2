"""What a survey reads of files: which paths, which texts, and no secret."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import cast

import pytest

from rollout.host.session import Session
from rollout.host.survey import Answer
from standin import BaseHost, StandIn
from survey.secrets import Secrets
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
        ("/etc/dma/auth.conf", True),
        ("/etc/mail/authinfo", True),
        ("/usr/local/etc/postfix/saslpass", True),
        ("/usr/local/etc/apache24/.htdigest", True),
        ("/usr/local/etc/dovecot/conf.d/10-auth.conf", False),
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


def test_of_a_daemons_variables_only_paths_leave_the_host(tmp_path: Path) -> None:
    env = tmp_path / "x.env"
    env.write_text('export DB_LOGIN=hunter2\nexport DATA="/data/x"\n')
    done = subprocess.run(
        ["awk", files.WITHOUT_KEYS, str(env)], capture_output=True, text=True, check=True
    )
    assert done.stdout == ' # LEFT-OUT\n export DATA="/data/x"\n'


class Asked:
    """A session that runs nothing."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def run_all(self, commands: list[str], limit: int) -> None:
        self.commands += commands


LAID = """
cd /etc && mkdir own && ln -s own led && echo a >own/a.conf
cd /root && mkdir -p in && echo SECRET >in/x.conf
mkdir -p /home/anna /srv/open /srv/fixed /data && cd /home/anna
ln -s /etc/dma/auth.conf .forward && echo SECRET >x.conf && ln -s /root/in in
ln -s /root/in /srv/open/in && ln -s /srv/open/in /etc/by && echo SECRET >/srv/open/y.conf
mkdir -p /etc/ppp && echo SECRET >/etc/ppp/x.conf && ln -s /etc/ppp /srv/open/ppp
ln -s /home/anna/x.conf /etc/my.cnf
chmod 777 /srv/open && echo d >/data/d.conf && echo SECRET >/usr/local/www/w.conf
echo f >/srv/fixed/f.conf
"""
PLANTED = {
    "/etc/dma/auth.conf": "anna|smtp.example.org:hunter2",
    "/usr/local/etc/postfix/saslpass": "[relay]:587 anna:hunter2",
    "/usr/local/etc/postfix/main.cf": "smtp_sasl_password_maps = static:anna:hunter2",
    "/etc/mail/access": 'AuthInfo:x.example.org "U:anna" "P:hunter2"',
    "/etc/crontab": "0 3 * * * root curl -u anna:hunter2 http://x/; mysqldump -uroot -phunter2 x",
    "/var/cron/tabs/anna": "0 3 * * * x --password=hunter2",
    "/usr/local/etc/apache24/envvars.d/x.env": "export DB_LOGIN=hunter2",
    "/usr/local/etc/apache24/digests": f"anna:realm:{'0a' * 16}",
    "/usr/local/etc/apache24/users": "anna:rl3hdJkUxJ7Xk",
}
NAMED = (
    "/home/anna/.forward /home/anna/x.conf /home/anna/in/x.conf /srv/open/in/x.conf /etc/by/x.conf "
    "/srv/open/y.conf /srv/open/ppp/x.conf /etc/led/a.conf /data/d.conf "
    "/usr/local/www/w.conf /srv/fixed/f.conf"
)


def test_neither_secrets_nor_what_users_link_and_write_leave_the_host(tmp_path: Path) -> None:
    asked = Asked()
    answers = {"x": answer(NAMED)}
    files.read(cast("Session", asked), answers, ["/data"], {"/usr/home": "/home"})
    [texts] = [each for each in asked.commands if each.startswith(files.TEXTS)]
    with StandIn.build(tmp_path / "s", BaseHost.sample().with_files(PLANTED)) as standin:
        standin.boot()
        assert standin.run(f"set -e; {LAID}").stderr == ""
        done = standin.run(texts)
    said = Secrets().answers({texts: answer(done.stdout)})
    found = files.kept(said).texts
    for secret in ("hunter2", "0a0a", "rl3hdJkUxJ7Xk"):
        assert [path for path, text in found.items() if secret in text] == []
    assert found["/etc/crontab"].startswith("0 3 * * * root curl -u anna:LEFT-OUT-")
    assert (PLANTED.keys() - found.keys()) == {
        "/etc/dma/auth.conf",
        "/usr/local/etc/postfix/saslpass",
    }
    assert [path for path, text in found.items() if "SECRET" in text] == []
    assert (found["/etc/led/a.conf"], found["/etc/rc.conf"] != "") == ("a\n", True)
    assert found["/srv/fixed/f.conf"] == "f\n"
    assert "/data/d.conf" not in found
    assert "/usr/local/etc/apache24/httpd.conf" in found
