"""The zones that clients get are compared, serial and content, before and after they are moved."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout import plan
from rollout.engine.runner import Runner
from rollout.errors import RolledBack
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
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


WRITTEN = {
    "takes dynamic updates": 'type primary; file "{}"; allow-update {{ any; }};',
    "is signed by named": 'type primary; file "{}"; inline-signing yes;',
    "is secondary": 'type secondary; file "{}"; primaries {{ 192.0.2.1; }};',
}


def written(box: Box, kind: str) -> None:
    """Makes the sample's zone one that named writes itself."""
    zone = f'zone "example.org" {{ {WRITTEN[kind].format(ZONE)} }};'
    conf = f"{NAMEDB}/named.conf"
    typed(box, f"sed -i '' -e '/^zone/,$d' {conf} && echo '{zone}' >> {conf}")
    typed(box, "service named onerestart")


def handed_over() -> Plan:
    made = ordered("bind").site
    bind = made.services["bind"].model_copy(update={"overlap": False})
    return plan.make(made.model_copy(update={"services": {**made.services, "bind": bind}}))


def added(box: Box, name: str) -> None:
    typed(
        box,
        f"printf 'server 203.0.113.2\\nupdate add {name}.example.org. 300 A 192.0.2.9\\nsend\\n' "
        "| nsupdate",
    )


@pytest.mark.parametrize("kind", WRITTEN)
def test_what_a_named_writes_itself_is_refused_while_two_would_write_it(
    tmp_path: Path, kind: str
) -> None:
    made = ordered("bind")
    with standin_box(made.site, tmp_path) as box, runner(made, box) as there:
        written(box, kind)
        [failed] = [verdict for verdict in there.verify() if not verdict.passed]
        assert f'{NAMEDB}/named.conf:7: zone "example.org" {kind}' in failed.message
        assert "services.bind.overlap = false" in failed.message


@pytest.mark.parametrize("kind", WRITTEN)
def test_what_a_named_writes_itself_moves_there_and_back_and_nothing_is_lost(
    tmp_path: Path, kind: str
) -> None:
    made = handed_over()
    with standin_box(made.site, tmp_path) as box:
        written(box, kind)
        names = ["before", "meanwhile", "after"] if "dynamic" in kind else []
        with runner(made, box) as there:
            for name in names[:1]:
                added(box, name)
            there.apply("bind.jail")
            for name in names[1:2]:
                added(box, name)
            there.apply()
            assert host(box).who_answers("203.0.113.2", 53, "udp") == "bind"
            for name in names[2:]:
                added(box, name)
            for _ in range(2):
                for name in (*names, "www"):
                    found = typed(box, f"drill -Q {name}.example.org A @203.0.113.2")
                    assert found.strip(), name
                box.reboot()
        with runner(made, box) as back:
            assert [each.message for each in back.verify() if not each.passed] == []
            back.rollback()
        assert host(box).who_answers("203.0.113.2", 53, "udp") == "host"
        for name in (*names, "www"):
            assert typed(box, f"drill -Q {name}.example.org A @203.0.113.2").strip(), name
        assert host(box).strange == []


def test_a_jail_without_the_journal_is_undone(tmp_path: Path) -> None:
    made = handed_over()
    with standin_box(made.site, tmp_path) as box, runner(made, box) as there:
        written(box, "takes dynamic updates")
        there.apply("bind.jail")
        typed(box, other_zone("s/x/x/"))
        added(box, "new")
        fails(there, "bind.cutover")
        log = typed(box, "cat /var/db/cellblock/steps/*-bind.cutover/log")
        assert "zone example.org: serial 2023042702 on the host, 2023042701 in jail bind" in log
        assert host(box).who_answers("203.0.113.2", 53, "udp") == "host"
        assert typed(box, "drill -Q new.example.org A @203.0.113.2").strip() == "192.0.2.9"
