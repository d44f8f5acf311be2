"""Variables that another file than rc.conf decides on: rc.subr(8) reads rc.conf.d after it."""

from __future__ import annotations

import re
import subprocess
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from rollout import site
from tests.checks.test_boot import test_jails_are_on_a_disk as kept
from tests.checks.test_boot import test_rc_conf_decides as decides
from tests.rehearsal.sites import SAMPLE


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
        ("usr/local/etc/rc.conf.d/sshd", 'named_enable="YES"\n', ""),
    ],
)
def test_what_comes_after_rc_conf_is_told(tmp_path: Path, file: str, text: str, told: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(text)

    def run(command: str) -> SimpleNamespace:
        here = re.sub(r"(?<= )/(?=(usr/local/)?etc/)", f"{tmp_path}/", command)
        done = subprocess.run(["/bin/sh", "-c", here], capture_output=True, text=True, check=False)
        return SimpleNamespace(stdout=done.stdout.replace(str(tmp_path), ""))

    with pytest.raises(AssertionError, match=re.escape(told)) if told else nullcontext():
        decides(SimpleNamespace(run=run), site.read(SAMPLE))


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
    with pytest.raises(AssertionError, match=re.escape(told)) if told else nullcontext():
        kept(there, site.read(SAMPLE))
