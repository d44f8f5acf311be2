"""What is found to name a daemon that moves, and what is not told of it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from rollout import site
from tests.checks import test_dependents as dependents

SAMPLE = site.read(Path(__file__).parents[3] / "site.example.toml")


class Host:
    """A tree below a directory, asked by a local sh in place of FreeBSD's."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def holds(self, path: str, text: str) -> None:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def run(self, command: str) -> Any:
        for place in dependents.PLACES.split():
            command = command.replace(f" {place}", f" .{place}")
        done = subprocess.run(
            ["sh", "-c", command], cwd=self.root, capture_output=True, text=True, check=False
        )
        stdout = "".join(line[1:] for line in done.stdout.splitlines(keepends=True))
        return subprocess.CompletedProcess(command, done.returncode, stdout, done.stderr)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def found(host: Host, service: str = "web") -> list[str]:
    try:
        dependents.test_nothing_names_the_daemon(host, SAMPLE, service)
    except AssertionError as error:
        return str(error).partition("\nassert ")[0].splitlines()
    return []


@pytest.mark.parametrize(
    ("path", "text", "word"),
    [
        ("/etc/crontab", "5 4 * * * root service apache24 graceful", "service apache24"),
        ("/var/cron/tabs/root", "@daily /usr/local/sbin/apachectl -k graceful", "apachectl"),
        (
            "/etc/newsyslog.conf.d/a.conf",
            "/var/log/x 640 7 * @T00 B /var/run/apache24/httpd.pid 30",
            "/var/run/apache24/httpd.pid",
        ),
        ("/usr/local/etc/letsencrypt/renewal-hooks/deploy/x.sh", "apachectl restart", "apachectl"),
        ("/root/bin/save", "tar -cf /b.tar /usr/local/etc/apache24", "/usr/local/etc/apache24"),
        ("/etc/crontab", "# service apache24 graceful", ""),
        ("/etc/crontab", "@daily root service apache24-exporter start", ""),
        ("/etc/crontab", "@daily root /home/x/my-apachectl", ""),
        ("/usr/local/etc/apache24/httpd.conf", "PidFile /var/run/apache24/httpd.pid", ""),
        ("/usr/local/etc/rc.d/apache24", "/usr/local/etc/apache24", ""),
        ("/usr/local/etc/cellblock/x", "service apache24 stop", ""),
        ("/etc/passwd", "service apache24", ""),
    ],
)
def test_what_means_the_daemon(host: Host, path: str, text: str, word: str) -> None:
    host.holds(path, f"first line\n{text}\n")
    assert found(host) == ([f"{path}:2: {word}"] if word else [])


def test_a_password_in_the_same_line_is_not_told(host: Host) -> None:
    host.holds("/var/cron/tabs/root", "@daily mysqld_safe --password=tell-nobody\n")
    [line] = found(host, "mysql")
    assert "tell-nobody" not in line
