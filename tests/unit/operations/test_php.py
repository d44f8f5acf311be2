"""What PHP's settings name, with the place of each; what counts, and what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from operations import php
from operations.carried import There
from operations.php import Said, Setting, Settings, kept_logs, unread
from tests.unit.operations.asking import typed

FREEBSD: dict[str, Any] = {"mount": ":", "realpath": 'echo "$1"'}


def said(root: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> Said:
    """What is found in files of this name: ini and fpm of PHP, apache."""
    monkeypatch.setattr(php, "PLACES", (f"{root}/ini", f"{root}/php-fpm.conf"))
    for name, text in files.items():
        at = root / ("php-fpm.conf" if name == "fpm" else name)
        at.write_text(text)
    command = Settings().command(places=[f"{root}/apache"])
    done = typed(command, root, **FREEBSD)
    assert done.returncode == 0, done.stderr
    return Settings().process(done.stdout.splitlines())


def test_each_kind_of_line_is_found_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sessions", "logs", "a", "b"):
        (tmp_path / name).mkdir()
    found = said(
        tmp_path,
        monkeypatch,
        ini=f'; session.save_path = "{tmp_path}/a"\nsession.save_path = "5;{tmp_path}/sessions"\n',
        fpm=f"[www]\nphp_admin_value[error_log] = {tmp_path}/logs/www.log\n",
        apache=f'  php_admin_value open_basedir "{tmp_path}/a:{tmp_path}/b"\n',
    )
    named = {each.path: (each.kind, each.said) for each in found.there.named(found.paths)}
    assert named == {
        f"{tmp_path}/sessions": ("directory", f"{tmp_path}/ini:2: session.save_path"),
        f"{tmp_path}/logs": ("directory", f"{tmp_path}/php-fpm.conf:2: error_log"),
        f"{tmp_path}/a": ("directory", f"{tmp_path}/apache:1: open_basedir"),
        f"{tmp_path}/b": ("directory", f"{tmp_path}/apache:1: open_basedir"),
    }


def test_servers_of_this_machine_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "redis.sock").touch()
    found = said(
        tmp_path,
        monkeypatch,
        ini='session.save_path = "tcp://127.0.0.1:6379?weight=1, localhost:11211"\n',
        fpm="listen = 127.0.0.1:9000\n",
        apache=f"php_value session.save_path unix://{tmp_path}/redis.sock?persistent=1\n",
    )
    place = f"{tmp_path}/ini:1: session.save_path"
    assert found.backends == (
        ("tcp://127.0.0.1:6379", "6379", place),
        ("localhost:11211", "11211", place),
    )
    assert [each.path for each in found.there.named(found.paths)] == [f"{tmp_path}/redis.sock"]


@pytest.mark.parametrize(
    "line",
    [
        "listen = /var/run/www.sock",
        "session.save_path = /tmp",
        "session.save_path = ; /data/sessions",
        "include = /usr/local/etc/php-fpm.d/*.conf",
        "sendmail_path = /usr/sbin/sendmail -t -i",
        "url_rewriter.tags = http://www.example.org/",
        "session.entropy_file = /dev/urandom",
        "open_basedir = /etc:/dev/urandom:/proc/cpuinfo:/usr/local",
        "access.log = /var/log/$pool.access.log",
    ],
)
def test_what_needs_nothing_is_left_out(line: str) -> None:
    assert list(Setting.read("/usr/local/etc/php-fpm.conf", "1", line).paths()) == []


def test_a_log_in_var_log_is_php_fpms_own_or_could_not_be_written() -> None:
    """php-fpm's master opens its log, and those of its pools, as root."""
    own = Setting.read("/usr/local/etc/php-fpm.conf", "1", "error_log = /var/log/php-fpm.log")
    assert list(own.paths()) == []
    pool = Setting.read("/x/php-fpm.d/a.conf", "2", "php_admin_value[error_log] = /var/log/a.log")
    assert list(pool.paths()) == ["/var/log/a.log"]
    whole = Said((("/var/log/a.log", pool.place),), There((("/var/log/a.log", "file"),)))
    assert kept_logs(whole) == ["/x/php-fpm.d/a.conf:2: error_log = /var/log/a.log"]
    assert kept_logs(Said(whole.paths)) == []
    folder = Setting.read("/x/php-fpm.d/a.conf", "3", "slowlog = /var/log/php/$pool.slow")
    assert list(folder.paths()) == ["/var/log/php"]
    there = There((("/var/log/php", "directory"),))
    assert kept_logs(Said((("/var/log/php", folder.place),), there)) == []


def test_pools_from_elsewhere_and_their_accounts_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = said(
        tmp_path,
        monkeypatch,
        ini="error_log = /x/a\n",
        apache="php_value error_log /x/b\n",
        fpm=f"include = /data/pools/*.conf\ninclude = {tmp_path}/ini/*.conf\n[a]\nuser = shop\n",
    )
    place = f"{tmp_path}/php-fpm.conf"
    assert found.accounts == (("shop", f"{place}:4: user"),)
    assert unread(found) == [f"{place}:1: include = /data/pools/*.conf"]
