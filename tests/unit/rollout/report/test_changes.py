"""What a plan adds, changes and removes is what the commands do: counted, and held to a host."""

from __future__ import annotations

import pytest

from operations import address, firewall, jail, mount, rc
from operations.facts import RcConf
from operations.mount import Nullfs
from rollout.host import bundle
from rollout.host.bundle import Command
from rollout.plan.step import Step, Use, check, use
from rollout.report import changes


def counted(*used: Use, rc_conf: list[str] | None = None) -> dict[changes.How, object]:
    step = Step("one", "Because.", used, (check("jail::runs"),))
    answers = None if rc_conf is None else {RcConf().command(): rc_conf}
    return dict(changes.count(bundle.compile_step(1, step, answers).commands))


def only(how: changes.How, kind: str, number: int = 1) -> dict[str, object]:
    return {"added": {}, "changed": {}, "removed": {}, how: {kind: number}}


@pytest.mark.parametrize(
    ("used", "kind", "number"),
    [
        (use(jail.started, name="web", root="/usr/jails/web/root"), "jail", 1),
        (
            use(firewall.rules, number=50, set=20, bodies=("allow ip from any to any",)),
            "ipfw rule",
            1,
        ),
        (use(firewall.nat, number=52, config="ip 203.0.113.2"), "ipfw nat instance", 1),
    ],
)
def test_what_an_operation_adds_is_counted(used: Use, kind: str, number: int) -> None:
    assert counted(used) == only("added", kind, number)


def test_an_address_is_one_and_its_variable_in_rc_conf_another() -> None:
    found = counted(use(address.aliases, interface="lo1", addresses=("10.0.0.2", "10.0.0.3")))
    assert found["added"] == {"address": 2, "rc.conf variable": 2}


def test_each_line_of_a_jails_fstab_is_a_mount() -> None:
    mounts = [Nullfs(f"/{name}", f"/usr/jails/web/root/{name}") for name in ("bin", "lib")]
    assert counted(use(mount.table, path="/usr/jails/web/fstab", mounts=mounts)) == only(
        "added", "mount", 2
    )


def test_a_variable_that_was_there_is_changed_and_others_are_added() -> None:
    used = use(rc.variable, name="named_enable", value="NO")
    assert counted(used, rc_conf=[]) == only("added", "rc.conf variable")
    assert counted(used, rc_conf=['named_enable="YES"']) == only("changed", "rc.conf variable")


def test_a_list_that_several_steps_extend_is_one_variable() -> None:
    used = [use(rc.word, name="jail_list", value=name) for name in ("a", "b")]
    assert counted(*used, rc_conf=[]) == only("added", "rc.conf variable")
    assert counted(*used, rc_conf=['jail_list="c"']) == only("changed", "rc.conf variable")


def test_a_variable_of_a_jail_is_not_one_of_the_host() -> None:
    used = use(rc.jail_variable, name="a_enable", value="YES", jail="a", root="/r", before="NO")
    assert counted(used) == {"added": {}, "changed": {}, "removed": {}}


def test_rules_that_are_switched_off_are_removed_and_a_set_that_is_filled_is_not() -> None:
    assert counted(use(firewall.switched_off, set=26, file="/x")) == only(
        "removed", "ipfw rule set"
    )
    assert not counted(use(firewall.rules, number=5, set=26, bodies=("count ip from any to any",)))[
        "removed"
    ]


def test_the_last_lines_of_a_plan_name_all_three() -> None:
    text = changes.text({"added": {"jail": 1, "mount": 83}, "changed": {}, "removed": {}})
    assert text == "added:   1 jail, 83 mounts\nchanged: nothing\nremoved: nothing"


def test_nothing_that_a_command_only_writes_about_is_counted() -> None:
    says = "service jail onestart web"
    command = Command(says, f"echo '{says}'\nsysrc -j web a=b", None)
    assert changes.count([command]) == {"added": {}, "changed": {}, "removed": {}}
