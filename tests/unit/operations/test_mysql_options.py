"""The paths in MySQL's option files: those of the server, with the place that names them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from operations.mysql import Option, Options

AWKS = [awk for awk in ("awk", "mawk", "gawk", "original-awk") if shutil.which(awk)]


@pytest.mark.parametrize("awk", AWKS)
def test_what_the_server_reads(tmp_path: Path, awk: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "my.cnf").write_text(
        f"[client]\npassword = {data}\n[mysqld]\ntmpdir = {data}:/nosuch/at/all\n"
        f'ssl_cert="{data}/new.pem"\n# datadir = {data}\nbasedir = /usr\nskip-networking\n'
        f"!includedir {data}\n[mysqldump]\nssl-ca = {data}\n"
    )
    asked = Options().command(places=[str(tmp_path)]).replace("-exec awk", f"-exec {awk}")
    said = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, check=True).stdout
    there = [each for each in Options().process(said.splitlines()) if each.path == str(data)]
    assert there == [
        Option(str(data), f"{tmp_path}/my.cnf:4", "tmpdir"),
        Option(str(data), f"{tmp_path}/my.cnf:5", "ssl_cert"),
        Option(str(data), f"{tmp_path}/my.cnf:9", "!includedir"),
    ]
    assert [each.is_written for each in there] == [True, False, False]
    assert "/usr" not in said.split()[0]
