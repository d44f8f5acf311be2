"""A base host is installed on FreeBSD's own directories."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from standin import BaseHost
from standin.machine import install


def test_a_link_in_the_place_of_a_directory_has_its_content(tmp_path: Path) -> None:
    links = {"/var/db": "/data/db", "/var/spool": "../data/spool"}
    install.lay(tmp_path, replace(BaseHost.sample(people=0), links=links))
    root = tmp_path / "root"
    assert (root / "var/db").readlink() == Path("/data/db")
    assert (root / "data/db/pkg").is_dir()
    assert (root / "data/spool/clientmqueue").is_dir()
