"""Stand-ins for the tests: one shared by a module, and a fresh one for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from standin import BaseHost, StandIn

Boot = Callable[[BaseHost], StandIn]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """The sample server, booted; tests that use it leave it as they found it."""
    place = tmp_path_factory.mktemp("standin") / "s"
    with StandIn.build(place, BaseHost.sample()) as standin:
        standin.boot()
        yield standin


@pytest.fixture(scope="session")
def reused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """One machine, with a new tree for each test: starting the machine is the slow part."""
    place = tmp_path_factory.mktemp("reused") / "s"
    with StandIn.build(place, BaseHost.sample()) as standin:
        yield standin


@pytest.fixture
def boot(reused: StandIn) -> Boot:
    """Boots a fresh host for this test only."""

    def fresh(base: BaseHost) -> StandIn:
        reused.rebuild(base)
        reused.boot()
        return reused

    return fresh


@pytest.fixture
def server(boot: Boot) -> StandIn:
    """The sample server, for this test only."""
    return boot(BaseHost.sample())


THIN = "bin lib libexec sbin usr/bin usr/include usr/lib usr/libexec usr/sbin usr/share usr/libdata"


def add_thin_jail(standin: StandIn, name: str, address: str, rc_conf: str = "") -> None:
    """Install and configure a thin jail of the usual kind; it is not started."""
    done = standin.run(
        f"""set -eu
ifconfig lo1 >/dev/null 2>&1 || ifconfig lo1 create
ifconfig lo1 inet {address}/32 alias
root=/usr/jails/{name}
mkdir -p $root/etc $root/var/run $root/var/log $root/var/db $root/tmp $root/root $root/dev
mkdir -p $root/usr/local /etc/jail.conf.d
for part in {THIN}; do
    mkdir -p $root/$part
    echo "/$part $root/$part nullfs ro 0 0"
done >/etc/fstab.{name}
cp -R /etc/rc /etc/rc.subr /etc/rc.shutdown /etc/rc.d /etc/defaults /etc/mail $root/etc/
cp /etc/master.passwd /etc/passwd /etc/group /etc/syslog.conf $root/etc/
cp -R /usr/local/ $root/usr/local/
printf '%s\\n' {rc_conf} >$root/etc/rc.conf
cat >/etc/jail.conf.d/{name}.conf <<CONF
{name} {{
    path = "$root";
    host.hostname = "{name}.example.org";
    ip4.addr = {address};
    mount.fstab = "/etc/fstab.{name}";
    mount.devfs;
    exec.start = "/bin/sh /etc/rc";
    exec.stop = "/bin/sh /etc/rc.shutdown";
    persist;
}}
CONF
"""
    )
    assert done.returncode == 0, done.stderr
