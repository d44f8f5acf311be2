"""What a jail's root writes there counts, as on FreeBSD: rc scripts, code in rc.conf, FIFOs."""

from __future__ import annotations

from standin import BaseHost
from tests.unit.standin.conftest import Boot, add_thin_jail

NAMED = "/usr/local/etc/rc.d/named"


def test_an_rc_script_that_a_jail_has_rewritten_runs_in_the_jail(boot: Boot) -> None:
    standin = boot(BaseHost.sample())
    add_thin_jail(standin, "x", "10.0.0.9")
    script = "#!/bin/sh\\necho $1 in $(hostname)\\nexit 3\\n"
    assert standin.run("service jail onestart x; jls -j x jid").returncode == 0
    standin.run(f"printf '{script}' | jexec x sh -c 'cat > {NAMED}'")
    for command in ("service -j x named onestatus", "jexec x service named onestatus"):
        done = standin.run(command)
        assert (done.returncode, done.stdout.split()[0]) == (3, "onestatus"), done
    assert "is running as pid" in standin.run("service named onestatus").stdout


def test_sysrc_lets_sh_read_a_file_that_has_code(boot: Boot) -> None:
    """f_sysrc_get in sysrc.subr (FreeBSD 14)."""
    standin = boot(BaseHost.sample())
    standin.run("echo ': > /root/ran' > /tmp/x.conf")
    assert standin.run("sysrc -f /tmp/x.conf a=b").stdout == "a:  -> b\n"
    assert standin.run("test -e /root/ran").returncode == 0


def test_a_fifo_in_the_place_of_rc_conf_hangs_its_reader_alone(boot: Boot) -> None:
    standin = boot(BaseHost.sample())
    standin.run("mkfifo /tmp/x.conf")
    assert standin.run("timeout 1 sysrc -f /tmp/x.conf a=b").returncode == 124
    assert standin.run("echo on").stdout == "on\n"
