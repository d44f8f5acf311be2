"""What decides at the next boot and at night, from files and tables as a host may have them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from rollout import site
from tests.checks.test_boot import test_backups_do_not_read_jails_again as spare
from tests.checks.test_boot import test_jails_are_on_a_disk as kept
from tests.checks.test_boot import test_rc_conf_decides as decides
from tests.checks.test_boot import test_rules_are_flushed_by_rc_alone as flushed
from tests.rehearsal.sites import SAMPLE
from tests.unit.checks.telling import tells


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("etc/rc.conf", 'jail_list="old"\nifconfig_em0_name="wan0"\n', ""),
        ("etc/rc.conf", 'ifconfig_lo1_name="bastille0"\n', "give lan.interface another one"),
        ("etc/rc.conf.d/jail", 'jail_conf="/j"\n# jail_list="old"\n', ""),
        ("etc/rc.conf.d/jail", 'jail_list="old"\n', "/etc/rc.conf.d/jail:1:jail_list="),
        ("etc/rc.conf.d/netif", 'ifconfig_vtnet0="DHCP"\n', ""),
        ("etc/rc.conf.d/netif", 'x=1\ncloned_interfaces="vlan7"\n', "netif:2:cloned_interfaces="),
        (
            "etc/rc.conf.d/network/lo",
            'ifconfig_lo1_alias0="inet 10.9.0.1/32"\n',
            "lo:1:ifconfig_lo1",
        ),
        ("usr/local/etc/rc.conf.d/ipfw", "firewall_coscripts=/x\n", "ipfw:1:firewall_coscripts="),
        ("usr/local/etc/rc.conf.d/named", 'named_enable="YES"\n', "named:1:named_enable="),
        ("usr/local/etc/rc.conf.d/named", 'named_flags="-4"\n', ""),
        (
            "etc/rc.conf.d/mysql",
            'named_enable="YES"\njail_list="old"\n',
            "",
        ),  # nobody reads it there
        ("etc/rc.conf.d/jail/named", 'named_enable="YES"\n', ""),
        ("usr/local/etc/rc.conf.d/sshd", 'named_enable="YES"\n', ""),
    ],
)
def test_what_comes_after_rc_conf_is_told(tmp_path: Path, file: str, text: str, told: str) -> None:
    there = Tree(tmp_path, {file: text})
    with tells(told):
        decides(there, site.read(SAMPLE))


@pytest.mark.parametrize(
    ("mount", "line", "told"),
    [
        ("/dev/da3p1 /usr/jails ufs rw 2 2", "/dev/da3p1 /usr/jails ufs rw 2 2", ""),
        ("zroot/jails /usr/jails zfs rw 0 0", "", ""),
        ("/dev/da3p1 /usr/other ufs ro,noexec 2 2", "", ""),
        ("/dev/da3p1 /usr/jails ufs rw 2 2", "", "(ufs), which does not come at boot"),
        (
            "/dev/da3p1 /usr/jails ufs rw 2 2",
            "/dev/da3p1 /usr/jails ufs rw,noauto 2 2",
            "which does not come at boot",
        ),
        ("tmpfs /usr/jails tmpfs rw 0 0", "tmpfs /usr/jails tmpfs rw 0 0", "(tmpfs), which is in"),
        ("/dev/md0 /usr/jails ufs rw 2 2", "md /usr/jails mfs rw,-s1g 0 0", "which is in memory"),
        ("zroot/jails /usr zfs ro,noexec 0 0", "", "which is read only; /usr/jails is on /usr"),
        ("/dev/md0 /var ufs rw 2 2", "", "/var/db is on /var (ufs), which does not come"),
        ("zroot/var /var/db zfs rw,noexec 0 0", "", ""),
    ],
)
def test_jails_in_memory_or_mounted_by_hand_are_told(mount: str, line: str, told: str) -> None:
    said = f"/usr/jails\n/var/db\n==\n/dev/da0p2 / ufs rw 1 1\n{mount}\n==\n{line}\n"
    there = SimpleNamespace(check_output=lambda command: said)
    with tells(told):
        kept(there, site.read(SAMPLE))


class Tree:
    """A host with these files, below a directory, read by a local sh."""

    def __init__(self, root: Path, files: dict[str, str]) -> None:
        self.root = root
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text.replace(" /etc/", f" {root}/etc/"))

    def run(self, command: str) -> SimpleNamespace:
        """`^/(etc` of a pattern, too."""
        here = re.sub(r"(?<= )/(?=((usr/local/)?etc|var)/)", f"{self.root}/", command)
        here = f'service() {{ [ "$1" != off ]; }}; {here}'
        here = here.replace("'^/(etc", f"'^{self.root}/(etc")
        done = subprocess.run(["/bin/sh", "-c", here], capture_output=True, text=True, check=False)
        return SimpleNamespace(stdout=done.stdout.replace(str(self.root), ""))


RULES = "#!/bin/sh\nipfw -q -f flush\nipfw -q add 100 allow ip from any to any via lo0\n"


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"etc/ipfw.rules": RULES}, ""),  # of firewall_script
        ({"etc/ipfw.rules": RULES, "etc/rc.local": "sh /etc/ipfw.rules\n"}, "ipfw.rules:2:ipfw"),
        ({"etc/ipfw.rules": RULES, "var/cron/tabs/root": "@daily /etc/ipfw.rules\n"}, "rules:2:"),
        ({"usr/local/etc/rc.d/mine": "x=1\nipfw -q flush\n"}, "/usr/local/etc/rc.d/mine:2:ipfw"),
        ({"usr/local/etc/rc.d/off": "x=1\nipfw -q flush\n"}, ""),
        ({"etc/crontab": "0 * * * * root service ipfw restart\n"}, ""),
        ({"etc/crontab": "0 * * * * root ipfw -q table 22 flush\n"}, ""),
        ({"etc/rc.local": "# ipfw -q flush\n"}, ""),
        ({"usr/local/etc/rc.d/cellblock_firewall": "ipfw -f flush\n"}, ""),
    ],
)
def test_what_flushes_rules_besides_rc_is_told(
    tmp_path: Path, files: dict[str, str], told: str
) -> None:
    with tells(told):
        flushed(Tree(tmp_path, files))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("rsync -aH --delete / backup:/full", "/etc/crontab:1: rsync of /: it would copy"),
        ("/usr/local/bin/rsync -a /usr/ /mnt/usr", "/etc/crontab:1: rsync of /usr/"),
        ("tar czf /backup/all.tgz / >/dev/null", "/etc/crontab:1: tar of /"),
        ("rsync -aHx / backup:/full", ""),
        ("rsync -a --one-file-system / b:/", ""),
        ("rsync -a --exclude=/usr/jails / b:/", ""),
        ("rsync -a --exclude-from /root/no / b:/", ""),
        ("restic -r sftp:b:/r backup -x /", ""),
        ("rsync -a /usr/home b:/home", ""),
        ("rsync -a /backup/ /", ""),
        ("rsync $OPTS / b:/", ""),
        ("rsync -a / $TO", "/etc/crontab:1: rsync of /"),
        ("rsync -a / b:/ \\", ""),
        ("tar -czf /backup/etc.tgz -C / etc", ""),
        ("tar czf /backup/etc.tgz /etc /usr/local/etc", ""),
        ("echo start", ""),
    ],
)
def test_a_backup_of_all_is_told(tmp_path: Path, line: str, told: str) -> None:
    there = Tree(tmp_path, {"etc/crontab": f"0 3 * * * root {line}\n# tar cf x /\n"})
    with tells(told):
        spare(there, site.read(SAMPLE))
