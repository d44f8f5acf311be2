"""The zones that clients get are compared, serial and content, before and after they are moved."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.engine.runner import Runner
from rollout.errors import RolledBack
from rollout.rehearsal.box import standin_box
from tests.rehearsal.on_standin import host, runner, typed
from tests.rehearsal.sites import ordered

NAMEDB = "/usr/local/etc/namedb"
ZONE = f"{NAMEDB}/primary/example.org.db"
JAILS = "/usr/jails/bind/local-etc/namedb"
SERIAL = "2023042701"


def other_zone(change: str) -> str:
    """Lets the jail's named read a copy of the zone, changed by sed, in place of the host's."""
    return (
        f"sed -e '{change}' {ZONE} > {JAILS}/old.db && "
        f"sed -i '' -e 's,primary/example.org.db,old.db,' {JAILS}/named.conf"
    )


def fails(there: Runner, step: str) -> str:
    with pytest.raises(RolledBack) as undone:
        there.apply(step)
    return str(undone.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (f"s/{SERIAL}/2023042601/", f"serial {SERIAL} on the host, 2023042601 in jail bind"),
        ("/^www/d", "only on the host: www.example.org."),
        ("s/^shop.*/shop IN A 192.0.2.7/", "shop.example.org."),
    ],
)
def test_a_jail_with_another_zone_does_not_come_to_serve(
    tmp_path: Path, change: str, told: str
) -> None:
    made = ordered("bind")
    with standin_box(made.site, tmp_path) as box, runner(made, box) as there:
        there.apply("bind.jail")
        typed(box, other_zone(change))
        message = fails(there, "bind.standby")
        assert "zone example.org: serial" in message
        assert told in message
        assert host(box).who_answers("203.0.113.2", 53, "udp") == "host"


def test_a_zone_that_was_changed_meanwhile_is_read_before_the_switch(tmp_path: Path) -> None:
    made = ordered("bind")
    asked = "drill -Q example.org SOA @203.0.113.2"
    with standin_box(made.site, tmp_path) as box, runner(made, box) as there:
        there.apply("bind.resolver")
        typed(box, f"sed -i '' -e 's/{SERIAL}/2026112899/' {ZONE} && service named reload")
        there.apply()
        assert "2026112899" in typed(box, asked)
        typed(box, f"sed -i '' -e 's/2026112899/2026112900/' {ZONE}; service -j bind named reload")
        there.rollback()
        assert "2026112900" in typed(box, asked)
        assert host(box).strange == []
