"""A path that Apache's configuration names and the jail would not have is told, with its place."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout import site
from rollout.site import Mount, Site
from tests.checks import test_web as web
from tests.rehearsal.sites import SAMPLE


@dataclass
class Here:
    """This machine, whose files below `root` are the host's."""

    root: Path

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        command = command.replace("/usr/local/etc/apache24", f"{self.root}/usr/local/etc/apache24")
        command = command.replace("ls -d ", f"cd {self.root} && ls -d ").replace(
            " /data", " ./data"
        )
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        text = done.stdout.replace(str(self.root), "").replace("./data", "/data")
        return subprocess.CompletedProcess(command, done.returncode, text, "")

    def says(self, conf: str, other: str = "") -> str:
        """What the check finds on a host with this httpd.conf, and extra/other.conf."""
        folder = self.root / "usr/local/etc/apache24/extra"
        folder.mkdir(parents=True, exist_ok=True)
        (folder.parent / "httpd.conf").write_text('ServerRoot "/usr/local"\n' + conf)
        (folder / "other.conf").write_text(other)
        for each in ("pages", "logs", "run"):
            (self.root / "data" / each).mkdir(parents=True, exist_ok=True)
        (self.root / "data" / "run" / "sock").touch()
        try:
            web.test_named_paths_are_in_the_jail(self, site.read(SAMPLE), "web")
        except AssertionError as error:
            return str(error)
        return ""


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ('DocumentRoot "/data/pages"', "/data/pages"),
        ("  alias /x /data/pages", "/data/pages"),
        ("CustomLog /data/logs/a.log combined", "/data/logs"),
        ('SetHandler "proxy:unix:/data/run/sock|fcgi://localhost"', "/data/run/sock"),
        ("ProxyPass / unix:/data/run/sock|http://x/", "/data/run/sock"),
    ],
)
def test_a_path_that_the_jail_lacks_is_told_with_its_line(
    line: str, path: str, tmp_path: Path
) -> None:
    place = "/usr/local/etc/apache24/httpd.conf:2"
    assert f"would not have these: {place}: {path}: add" in Here(tmp_path).says(f"{line}\n")


@pytest.mark.parametrize(
    "line",
    [
        "# DocumentRoot /data/pages",
        "DocumentRoot /data/gone",
        "DocumentRoot /usr/local/www/x",
        "ErrorLog /var/log/some.log",
        'CustomLog "|/data/pages/rotate" combined',
    ],
)
def test_what_does_not_count_is_not_told(line: str, tmp_path: Path) -> None:
    assert Here(tmp_path).says(f"{line}\n") == ""


def test_only_what_httpd_conf_includes_counts(tmp_path: Path) -> None:
    """The port has samples in extra/, whose directories are made up."""
    here, other = Here(tmp_path), "DocumentRoot /data/pages\n"
    assert here.says("", other) == ""
    for include in ("Include etc/apache24/extra/*.conf", "IncludeOptional etc/apache24/extra"):
        assert "extra/other.conf:1: /data/pages" in here.says(f"{include}\n", other)


def test_home_may_be_a_link_to_usr_home() -> None:
    sample: Site = site.read(SAMPLE)
    assert web.in_jail(sample, "web", "/home/user001/public_html")
    assert web.in_jail(sample, "web", "/usr/home/user001/public_html")
    assert not web.in_jail(sample, "web", "/usr/homes/user001")
    homes = sample.jails["web"].model_copy(update={"mounts": (Mount(source="/home"),)})
    moved = sample.model_copy(update={"jails": {**sample.jails, "web": homes}})
    assert web.in_jail(moved, "web", "/home/user001/public_html")
