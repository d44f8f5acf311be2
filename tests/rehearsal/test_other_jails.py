"""A host with jails of its own: they go on as before, and a name of theirs is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.errors import Refused
from rollout.rehearsal.box import standin_box
from tests.rehearsal.on_standin import host, runner, typed
from tests.rehearsal.sites import ordered

JAIL = "{name} {{ path = /usr/jails/{name}; host.hostname = {name}; persist; }}"


@pytest.mark.parametrize(
    "conf",
    [
        f"{JAIL.format(name='one')} {JAIL.format(name='two')}",
        'exec.clean;\n.include "/etc/other.d/*.conf";',
    ],
    ids=["two on a line", "included"],
)
def test_jails_that_an_empty_list_started_come_up_as_before(conf: str, tmp_path: Path) -> None:
    made = ordered("mysql")
    with standin_box(made.site, tmp_path) as box:
        typed(box, f"printf '%s\\n' '{conf}' >/etc/jail.conf; mkdir -p /etc/other.d")
        for name in ("one", "two"):
            typed(box, f"echo '{JAIL.format(name=name)}' >/etc/other.d/{name}.conf")
            typed(box, f"mkdir -p /usr/jails/{name}")
        typed(box, "sysrc jail_enable=YES; service jail start")
        with runner(made, box) as there:
            there.apply()
        box.reboot()
        assert typed(box, "jls name").split() == ["one", "two", "mysql"]
        with runner(made, box) as back:
            back.rollback()
        box.reboot()
        assert typed(box, "jls name").split() == ["one", "two"]
        assert host(box).strange == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("echo 'web { path = /j; }' >/etc/jail.conf", "/etc/jail.conf:1"),
        ("touch /etc/jail.web.conf", "/etc/jail.web.conf"),
        ("mkdir -p /usr/jails/web", "/usr/jails/web"),
        ("sysrc jail_web_rootdir=/j", "jail_web_rootdir"),
        (
            "mkdir -p /j; jail -c name=web path=/j persist",
            "jls: a jail of that name runs in /j",
        ),
    ],
)
def test_a_name_that_is_taken_is_refused(line: str, said: str, tmp_path: Path) -> None:
    made = ordered("mysql", "web")
    with standin_box(made.site, tmp_path) as box:
        typed(box, line)
        with runner(made, box) as there, pytest.raises(Refused) as refused:
            there.apply()
        assert f"[jails.web]: the host has something of that name already ({said})" in str(
            refused.value
        )
