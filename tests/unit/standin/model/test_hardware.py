"""A host with cards, file systems and accounts of its own; and paths that would lead out of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from standin import BaseHost
from standin.model.hardware import Disk, Hardware
from standin.samples.files import Entry, folder
from tests.unit.standin.conftest import Boot

SAMPLE = BaseHost.sample(people=1)
RC_CONF = (
    (SAMPLE.entries["/etc/rc.conf"].text or "")
    .replace("vtnet0", "em0")
    .replace("inet 203.0.113.2/24", "DHCP")
)


def test_it_has_the_cards_and_what_dhcp_gives_them(boot: Boot) -> None:
    cards = Hardware({"em0": 0x80028, "em1": 0x80028}, {"em0": "inet 203.0.113.7/25"})
    standin = boot(replace(SAMPLE.with_files({"/etc/rc.conf": RC_CONF}), hardware=cards))
    said = standin.run("ifconfig em0; ifconfig -l").stdout
    assert "options=80028<" in said
    assert "inet 203.0.113.7 netmask 0xffffff80" in said
    assert said.splitlines()[-1] == "em0 em1 lo0"
    assert standin.who_answers("203.0.113.7", 80) == "host"


def test_file_systems_are_there_and_keep_their_files(boot: Boot) -> None:
    disks = (
        Disk("zroot/ROOT/default", "/", "zfs"),
        Disk("zroot/usr/home", "/usr/home", "zfs"),
        Disk("zroot/usr/home/user001", "/usr/home/user001", "zfs"),
    )
    standin = boot(replace(SAMPLE, hardware=Hardware(disks=disks)))
    page = "/usr/home/user001/public_html"
    for _ in (1, 2):
        rows = [line.split() for line in standin.run("mount -p").stdout.splitlines()]
        assert [row[:3] for row in rows if row[2] == "zfs"] == [
            [each.source, each.target, each.kind] for each in disks
        ]
        assert standin.run(f"cat {page}/index.html").stdout == "user001's page\n"
        assert standin.run("stat -f %Su:%Lp /usr/home/user001").stdout == "user001:751\n"
        standin.run(f"echo more > {page}/more")
        standin.power_off()
        standin.boot()
    assert standin.run(f"ls {page}").stdout == "index.html\nmore\n"
    standin.run(f"mkdir /mnt/x; mount -t nullfs /usr/home /mnt/x; ls {page}")
    assert standin.run("ls /mnt/x/user001").stdout == "", "nullfs shows no other file system"
    assert standin.strange == []


def test_no_path_of_a_base_host_leads_out_of_its_tree(boot: Boot, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    base = replace(
        SAMPLE,
        links={"/srv": str(outside), "/etc/motd": str(outside / "file"), "/opt": "../../../../.."},
        entries={
            **SAMPLE.entries,
            "/srv/x": Entry("x"),
            "/etc/motd": Entry("mine", owner="4711"),
            "/opt/y": folder(),
        },
    )
    standin = boot(base)
    assert list(outside.iterdir()) == []
    assert standin.run("cat /etc/motd; stat -f %u /etc/motd").stdout == "mine4711\n"
    assert standin.root.joinpath(f"{outside}/x"[1:]).read_text() == "x", "as chroot(2) sees it"
    assert standin.run("ls -d /y").stdout == "/y\n"


def test_without_takes_away_what_a_fresh_host_has(boot: Boot) -> None:
    base = replace(
        SAMPLE,
        without=("/home", "/usr/local/sbin/php-fpm", "/none"),
        entries={**SAMPLE.entries, "/home": folder(), "/home/anna": folder()},
    )
    standin = boot(base)
    assert standin.run("test -L /home; echo $?; ls /home").stdout == "1\nanna\n"
    assert standin.run("test -e /usr/local/sbin/php-fpm").returncode == 1
