"""Thin jails: their mounts, their commands, their daemons, and what a stop leaves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from standin import BaseHost, StandIn
from tests.unit.standin.conftest import Boot, add_thin_jail

ADDRESS = "10.80.0.2"


@pytest.fixture(scope="module")
def jailed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """The sample server with a thin jail `web` whose Apache runs beside the host's."""
    with StandIn.build(tmp_path_factory.mktemp("jailed") / "s", BaseHost.sample()) as standin:
        standin.boot()
        rc_conf = "'apache24_enable=\"YES\"' 'syslogd_flags=\"-ss\"'"
        add_thin_jail(standin, "web", ADDRESS, rc_conf)
        assert standin.run("service jail onestart web").stdout == "Starting jails: web.\n"
        yield standin


def test_the_jails_own_services_were_started(jailed: StandIn) -> None:
    assert jailed.run("service -j web apache24 onestatus").returncode == 0
    assert jailed.run("jexec web service apache24 status").returncode == 0
    assert jailed.run("service -j web named onestatus").returncode == 1


def test_sockstat_shows_them_at_the_jails_address(jailed: StandIn) -> None:
    lines = jailed.run("sockstat -4l -j web").stdout.splitlines()[1:]
    # sendmail's submission means 127.0.0.1, which is the jail's address there.
    assert {line.split()[5] for line in lines} == {f"{ADDRESS}:80", f"{ADDRESS}:25"}


def test_commands_inside_answer_for_the_jail(jailed: StandIn) -> None:
    assert jailed.run("jexec web hostname").stdout == "web.example.org\n"
    assert jailed.run("jexec web sysctl -n security.jail.jailed").stdout == "1\n"
    assert jailed.run("sysrc -j web -n apache24_enable").stdout == "YES\n"
    assert jailed.run("jexec web sysrc -n apache24_enable").stdout == "YES\n"
    assert jailed.run("jexec web pwd").stdout == "/\n"


def test_the_base_is_read_only_inside(jailed: StandIn) -> None:
    done = jailed.run("jexec web touch /bin/x")
    assert (done.returncode, done.stderr) == (1, "touch: /bin/x: Read-only file system\n")


def test_the_tree_of_the_jail_shows_nothing_of_ours(jailed: StandIn) -> None:
    names = jailed.run("ls -a /usr/jails/web").stdout.split()
    ours = {"dev", "etc", "root", "tmp", "var"} | {"bin", "lib", "libexec", "sbin", "usr"}
    assert set(names) == {".", ".."} | ours


def test_processes_show_their_jail(jailed: StandIn) -> None:
    inside = jailed.run("ps -J web -o pid=").stdout.split()
    assert inside
    assert jailed.run(f"ps -o jail= -p {inside[0]}").stdout == "web\n"
    everywhere = jailed.run("ps -ax -o pid= -o jail=").stdout.splitlines()
    assert len(inside) == sum(line.split()[1] == "web" for line in everywhere)


def test_what_runs_inside_keeps_the_jails_file_systems_busy(jailed: StandIn) -> None:
    done = jailed.run("umount /usr/jails/web/libexec")
    assert (done.returncode, done.stderr) == (
        1,
        "umount: unmount of /usr/jails/web/libexec failed: Device busy\n",
    )


def test_every_command_was_known(jailed: StandIn) -> None:
    assert jailed.strange == []


def test_a_stop_ends_processes_and_mounts(server: StandIn) -> None:
    add_thin_jail(server, "web", ADDRESS, "'apache24_enable=\"YES\"'")
    before = server.run("mount -p").stdout
    server.run("service jail onestart web")
    assert len(server.run("mount -p").stdout.splitlines()) == len(before.splitlines()) + 12
    server.run("service jail onestop web")
    assert server.run("mount -p").stdout == before
    assert server.run("jls -j web jid").returncode == 1
    assert server.run("ls /usr/jails/web/bin").stdout == ""
    assert len(server.run("pgrep -x apache2").stdout.split()) == 2  # the host's own


def test_an_address_that_jail_conf_adds_is_gone_at_the_stop(server: StandIn) -> None:
    server.run("ifconfig lo1 create; ifconfig lo1 inet 10.80.0.9/32 alias; mkdir -p /usr/jails/x")
    conf = "x { path=/usr/jails/x; host.hostname=x; ip4.addr='lo1|10.80.0.9'; persist; }"
    server.run(f'echo "{conf}" >/etc/jail.conf')
    for _ in range(2):
        assert server.run("service jail onestart x").stdout == "Starting jails: x.\n"
        server.run("service jail onestop x")
    assert "10.80.0.9" not in server.run("ifconfig lo1").stdout


def test_jail_r_of_a_jail_that_jail_conf_does_not_know_leaves_its_mounts(server: StandIn) -> None:
    add_thin_jail(server, "web", ADDRESS)
    server.run("service jail onestart web; jail -r web")
    assert server.run("jls -j web jid").returncode == 1
    assert "/usr/jails/web/bin" in server.run("mount -p").stdout


def test_a_failing_exec_start_undoes_everything(server: StandIn) -> None:
    add_thin_jail(server, "web", ADDRESS)
    server.run("sed -i '' -e 's,/bin/sh /etc/rc\",/usr/bin/false\",' /etc/jail.conf.d/web.conf")
    done = server.run("service jail onestart web")
    assert done.returncode == 0
    assert 'cannot start jail  "web"' in done.stdout
    assert "/usr/jails/web" not in server.run("mount -p").stdout


def test_jails_start_at_boot_where_rc_conf_says_so(boot: Boot) -> None:
    standin = boot(BaseHost.busy())
    assert standin.run("jls -n name ip4.addr").stdout == "name=old ip4.addr=10.99.0.1\n"
