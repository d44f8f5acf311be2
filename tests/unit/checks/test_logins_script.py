"""What logins.sh reads out of programs' configuration files: an option file of MySQL's client."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "tests" / "checks" / "logins.sh"
PROGRAM = re.search(r"(?s)read_them='(.*?)'\n\n", SCRIPT.read_text())
AWKS = [awk for awk in ("awk", "mawk", "gawk", "original-awk") if shutil.which(awk)]
# The escaped passwords were accepted by a MariaDB 10.11 client, read from such a file.
FILES = {
    """// define('DB_USER', 'no');
define( 'DB_USER', 'shop' );
define( 'DB_PASSWORD', 'a#b"c\\\\d\\'e\\f' );
define( 'DB_HOST', '127.0.0.1:3307' );
""": ("shop", '"a#b\\"c\\\\d\'e\\\\f"', "127.0.0.1", "/s", "3307"),
    """MAIL_HOST=smtp.example.org
MAIL_USERNAME=post
MAIL_PASSWORD=no
DB_HOST=localhost
DB_PORT=3306
DB_USERNAME=wiki
DB_PASSWORD="x y"
""": ("wiki", '"x y"', "localhost", "/s", "3306"),
    "[client]\nuser = root\npassword=p\nsocket=/var/x\n": ("root", '"p"', "localhost", "/s", ""),
    """class JConfig { public $user = "j"; public $password = 'p';
    public $host = 'localhost:/tmp/x.sock'; }""": ("j", '"p"', "localhost", "/tmp/x.sock", ""),
    "<?php $user = 'x'; // and no password": (),
    "$config['db_dsnw'] = 'mysql://rc:p#w@127.0.0.1:3307/roundcube';\n": (
        ("rc", '"p#w"', "127.0.0.1", "/s", "3307")
    ),
    'DATABASE_URL="mysql://app:x@localhost/app?serverVersion=8"\n': (
        ("app", '"x"', "localhost", "/s", "")
    ),
    "$dsn = 'mysqli://rc:pw@unix(/tmp/my.sock)/roundcube';": (
        ("rc", '"pw"', "localhost", "/tmp/my.sock", "")
    ),
    "$dsn = 'mysql://rc:p%40w@localhost/roundcube';": (),
    "DB_USER=x\nDB_PASSWORD=y\nDB_HOST='a;b'\n": (),
}


@pytest.mark.parametrize("awk", AWKS)
@pytest.mark.parametrize(("text", "wanted"), FILES.items())
def test_a_login_is_read(tmp_path: Path, awk: str, text: str, wanted: tuple[str, ...]) -> None:
    assert PROGRAM
    (tmp_path / "config").write_text(text)
    asked = [awk, "-v", "socket=/s", PROGRAM[1], str(tmp_path / "config")]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    found = dict(line.partition("=")[::2] for line in said.splitlines() if "=" in line)
    read = [found.get(key, "") for key in ("user", "password", "host", "socket", "port")]
    user, *rest = wanted or ("", "", "", "", "")
    assert read == [f'"{user}"' if user else "", *rest]
    assert bool(said) is bool(wanted)
