"""The preparation of a fresh FreeBSD: every line is sh, every file is whole, nothing is extra."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from box import base_host
from box.base_host import Part
from rollout import site

SITE = site.read(Path(__file__).parents[3] / "site.example.toml")
ALL = set(SITE.services)


def named(missing: set[str]) -> dict[str, Part]:
    return {part.name: part for part in base_host.parts(SITE, missing)}


def test_only_what_is_missing_is_brought() -> None:
    assert list(named(ALL)) == ["people", "bind", "mysql", "web", "mail"]
    assert list(named({"web"})) == ["people", "web"]


@pytest.mark.parametrize("name", named(ALL))
def test_every_line_is_one_that_csh_can_hand_to_sh(name: str) -> None:
    part = named(ALL)[name]
    assert part.lines
    for line in part.lines:
        assert "\n" not in line
        subprocess.run(["sh", "-n", "-c", line], check=True)


@pytest.mark.parametrize("name", named(ALL))
def test_no_file_has_a_hole_left(name: str) -> None:
    for path, content in named(ALL)[name].files.items():
        assert not re.search(r"\{\w+\}|\{\{", content), path


def test_each_service_is_started_as_the_site_says() -> None:
    for name, part in named(ALL).items():
        if name != "people":
            service = SITE.services[name]
            assert f"sysrc {service.rcvar}=YES" in part.lines
            assert f"service {service.rc} restart" in part.lines


def test_the_zone_has_the_sites_address() -> None:
    files = named(ALL)["bind"].files
    zone = files["/usr/local/etc/namedb/primary/example.org.db"]
    assert f"@ IN A {SITE.host.wan_address}" in zone
    assert 'zone "example.org"' in files["/usr/local/etc/namedb/named.conf"]


def test_the_database_is_what_its_client_wants() -> None:
    sql = named(ALL)["mysql"].lines[-1]
    for words in ("CREATE DATABASE IF NOT EXISTS shop;", "shop.orders", "mark VARCHAR", "'shop'@"):
        assert words in sql
