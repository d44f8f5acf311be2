"""Where only one user exists (a user namespace without newuidmap), a file keeps the owners."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[4]
PROGRAM = """
import sys
from pathlib import Path
from standin import BaseHost, StandIn

with StandIn.build(Path(sys.argv[1]), BaseHost.sample()) as standin:
    standin.boot()
    for command in (
        "install -o mysql -g mysql -m 600 /etc/hosts /tmp/h; stat -f '%Su:%Sg %Lp' /tmp/h",
        "chown -R www:www /root/bin; stat -f %Su /root/bin/backup-mysql",
        "mkdir /mnt/x; mount -t nullfs -o ro /etc /mnt/x; touch /mnt/x/y",
        "service mysql-server onestatus | cut -d. -f1 | cut -c1-16",
        "service mysql-server onestop >/dev/null; chown root /var/db/mysql;"
        " service mysql-server onestart >/dev/null; service mysql-server onestatus",
    ):
        done = standin.run(command)
        print(done.stdout + done.stderr, end="")
    print(standin.strange)
"""


def test_a_rehearsal_needs_no_root(tmp_path: Path) -> None:
    unshare = shutil.which("unshare") or "unshare"
    alone = [unshare, "--user", "--map-root-user"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are not allowed here")
    done = subprocess.run(
        [*alone, sys.executable, "-c", PROGRAM, str(tmp_path / "s")],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "mysql:mysql 600",
        "www",
        "touch: /mnt/x/y: Read-only file system",
        "mysql is running",
        "mysql is not running.",
        "[]",
    ], done.stderr
