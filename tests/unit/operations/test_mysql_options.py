"""The paths in MySQL's option files: those of the server, with the place that names them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from operations.mysql import Option, Options, Setting, Settings, Tables, named

AWKS = [awk for awk in ("awk", "mawk", "gawk", "original-awk") if shutil.which(awk)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("awk", AWKS)
def test_what_the_server_reads(tmp_path: Path, awk: str, end: str) -> None:
    """Editors of Windows leave other line ends, which MySQL takes for blanks (my_default.cc)."""
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "my.cnf").write_text(
        f"[client]\npassword = {data}\n[mysqld]\ntmpdir = {data}:/nosuch/at/all\n"
        f'ssl_cert="{data}/new.pem"\n# datadir = {data}\nbasedir = /usr\nskip-networking\n'
        f"!includedir {data}\n[mysqldump]\nssl-ca = {data}\n"
        f"[galera]\nwsrep_cluster_address=gcomm://198.51.100.1:4567\n",
        newline=end,
    )
    asked = Options().command(places=[str(tmp_path)]).replace("-exec awk", f"-exec {awk}")
    said = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, check=True).stdout
    there = [each for each in Options().process(said.splitlines()) if each.path == str(data)]
    assert there == [
        Option(str(data), f"{tmp_path}/my.cnf:4", "tmpdir"),
        Option(str(data), f"{tmp_path}/my.cnf:5", "ssl_cert"),
        Option(str(data), f"{tmp_path}/my.cnf:9", "!includedir"),
    ]
    assert "/ " not in said, "of gcomm://198.51.100.1"
    assert [each.is_written for each in there] == [True, False, False]
    assert not Option("/usr/local/lib/libgalera_smm.so", "my.cnf:1", "wsrep_provider").is_written
    assert "/usr" not in said.split()[0]


@pytest.mark.parametrize("awk", AWKS)
def test_addresses_and_the_names_of_logs(tmp_path: Path, awk: str) -> None:
    conf = tmp_path / "extra.conf"
    conf.write_text(
        "[client]\nbind-address = 192.0.2.1\n[mysqld]\nbind_address=127.0.0.1 # local\nlog-bin\n"
        'loose-mysqlx-bind-address = "*"\nrelay_log = /var/db/mysql/relay\nlog_bin_index = x\n'
    )
    asked = Settings().command(places=[str(conf)]).replace("-exec awk", f"-exec {awk}")
    said = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, check=True).stdout
    assert Settings().process(said.splitlines()) == (
        Setting(f"{conf}:4", "bind-address", "127.0.0.1"),
        Setting(f"{conf}:5", "log-bin", ""),
        Setting(f"{conf}:6", "mysqlx-bind-address", "*"),
        Setting(f"{conf}:7", "relay-log", "/var/db/mysql/relay"),
    )


def test_rc_variables_name_option_files() -> None:
    assert named("/var/db/extra.cnf", "mysql_optfile") == ["/var/db/extra.cnf"]
    assert named("--defaults-file=/a.cnf --x=/b", "mysql_args") == ["/a.cnf"]


def test_a_table_with_a_directory_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "orders.isl").write_text("/data/big/shop/orders.ibd")
    asked = Tables().command(data=[str(tmp_path)])
    said = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, check=True).stdout
    found = Tables().process(said.splitlines())
    assert found == ((f"{tmp_path}/shop/orders.isl", "/data/big/shop/orders.ibd"),)
