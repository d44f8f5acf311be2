"""What survives a power cut: the disk, and nothing else."""

from __future__ import annotations

import pytest

from standin import BaseHost, StandIn
from tests.unit.standin.conftest import Boot, add_thin_jail

RC_SCRIPT = """#!/bin/sh
# PROVIDE: early
# REQUIRE: FILESYSTEMS
# BEFORE: netif
. /etc/rc.subr
name="early"
rcvar="early_enable"
start_cmd="early_start"
early_start()
{
    echo "vtnet0: $(ifconfig vtnet0 | grep -c 'inet ')" >/var/log/early
}
load_rc_config $name
: ${early_enable:="NO"}
run_rc_command "$1"
"""


def install(standin: StandIn, name: str, text: str) -> None:
    place = standin.root / f"usr/local/etc/rc.d/{name}"
    place.write_text(text)
    place.chmod(0o755)


def again(standin: StandIn) -> None:
    standin.power_off()
    standin.boot()


def test_files_stay_and_the_model_goes(server: StandIn) -> None:
    server.run("echo kept >/root/kept; mkdir /mnt/a; mount -t nullfs /etc /mnt/a")
    server.run("ifconfig lo1 create; kldload ipfw; service apache24 onestop; kenv a=1")
    server.power_off()
    assert not server.is_up
    assert server.run("true").returncode == 255
    assert server.who_answers("203.0.113.2", 80) is None
    server.boot()
    assert server.run("cat /root/kept").stdout == "kept\n"
    assert server.run("ls /mnt/a").stdout == ""
    assert server.run("ifconfig -l").stdout == "vtnet0 lo0\n"
    assert server.run("kldstat -q -m ipfw").returncode == 1
    assert server.run("kenv a").returncode == 255
    assert server.who_answers("203.0.113.2", 80) == "host"


def test_rc_conf_is_read_at_boot(server: StandIn) -> None:
    server.run(
        "sysrc cloned_interfaces+=lo1 ifconfig_lo1_alias0='inet 10.80.0.2/32'"
        " ifconfig_lo1_alias1='inet 10.80.0.3 netmask 255.255.255.255' kld_list+=ipfw_nat"
        " kld_list+=linux64"
        " apache24_enable=NO ifconfig_vtnet0='inet 203.0.113.2/24 -tso -lro'"
    )
    add_thin_jail(server, "web", "10.80.0.2")
    server.run("sysrc jail_enable=YES jail_list=web")
    again(server)
    assert "inet 10.80.0.3 netmask 0xffffffff" in server.run("ifconfig lo1").stdout
    assert "TSO4" not in server.run("ifconfig vtnet0").stdout
    assert server.run("kldstat -q -m ipfw").returncode == 0
    assert server.run("service apache24 onestatus").returncode == 1
    assert server.run("jls -j web name").stdout == "web\n"


def test_aliases_end_at_the_first_gap(server: StandIn) -> None:
    server.run("sysrc cloned_interfaces=lo1 ifconfig_lo1_alias1='inet 10.80.0.3/32'")
    again(server)
    assert "10.80.0.3" not in server.run("ifconfig lo1").stdout


def test_a_local_script_runs_in_its_place(server: StandIn) -> None:
    install(server, "early", RC_SCRIPT)
    again(server)
    assert not (server.root / "var/log/early").exists()
    server.run("sysrc early_enable=YES")
    again(server)
    assert (server.root / "var/log/early").read_text() == "vtnet0: 0\n"


CHANGES = RC_SCRIPT.replace(
    "    echo", "    sysrc cloned_interfaces+=lo1 apache24_enable=NO\n    $tells\n    echo"
)


@pytest.mark.parametrize("tells", [":", 'kill -ALRM "$RC_PID"'])
def test_rc_conf_is_read_once_at_boot_and_again_on_sigalrm(server: StandIn, tells: str) -> None:
    install(server, "early", CHANGES.replace("$tells", tells))
    server.run("sysrc early_enable=YES")
    again(server)
    is_old = tells == ":"
    assert ("lo1" in server.run("ifconfig -l").stdout) is not is_old
    assert (server.run("service apache24 onestatus").returncode == 0) is is_old
    assert server.strange == []


def test_a_local_script_under_service(server: StandIn) -> None:
    install(server, "early", RC_SCRIPT)
    assert "Set early_enable to YES" in server.run("service early start").stdout
    assert server.run("service early onestart").returncode == 0
    assert (server.root / "var/log/early").read_text() == "vtnet0: 1\n"
    assert server.run("service early enabled").returncode == 1
    assert server.run("service early onenosuch").returncode == 1


def test_the_busy_host_loads_its_own_rules(boot: Boot) -> None:
    standin = boot(BaseHost.busy())
    before = standin.run("ipfw -S list").stdout
    assert "00200 set 1 deny ip from 192.0.2.66 to any" in before
    assert standin.who_answers("203.0.113.2", 80, source="192.0.2.66") is None
    assert standin.who_answers("203.0.113.20", 25) is None
    assert standin.who_answers("203.0.113.20", 80) == "host"
    again(standin)
    assert standin.run("ipfw -S list").stdout == before
    assert standin.strange == []


def test_a_loader_that_accepts_and_loads(boot: Boot) -> None:
    lines = 'ipfw_load="YES"\nnet.inet.ip.fw.default_to_accept=1\n'
    standin = boot(BaseHost.sample().with_files({"/boot/loader.conf": lines}))
    assert standin.run("ipfw list").stdout == "65535 allow ip from any to any\n"
