"""The sample site's steps: every command has an undo, every check exists."""

from __future__ import annotations

import ast
import re
from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal

import pytest

from rollout import plan, site
from rollout.host import bundle
from rollout.host.bundle import Command
from rollout.plan.step import Step
from rollout.site import Listen
from rollout.site.limits import Limits
from rollout.site.mac import Mac
from rollout.site.model import Jail, Login, Service

PROJECT = Path(__file__).parents[3]
SAMPLE = site.read(PROJECT / "site.example.toml")
_WEB = SAMPLE.services["web"]
_SECURE = _WEB.model_copy(update={"ports": (*_WEB.ports, Listen(port=443, probe="https"))})
_JAIL = SAMPLE.jails["web"]
_LIMITED = _JAIL.model_copy(
    update={
        "limits": Limits(processes=99, cpus="0", disk=256 << 20),
        "mounts": (_JAIL.mounts[0].model_copy(update={"nosuid": True}), *_JAIL.mounts[1:]),
    }
)
# With what the sample leaves out, so that all steps are covered.
PLAN = plan.make(
    SAMPLE.model_copy(
        update={
            "order": (*SAMPLE.order, "mysql_by_name", "mysql_quota", "mac"),
            "mac": Mac(shared="team", watchers="wheel"),
            "services": {**SAMPLE.services, "web": _SECURE},
            "accounts": SAMPLE.accounts.model_copy(update={"handler": "fpm"}),
            "jails": {**SAMPLE.jails, "web": _LIMITED},
        }
    )
)
# One in which services stay on the host.
STAYING = plan.make(
    SAMPLE.model_copy(update={"order": ("preflight", "base", "network", "web", "policy")})
)
_MAIL = SAMPLE.services["mail"]
_MTA = _MAIL.model_copy(update={"rc": "postfix", "rcvar": "postfix_enable"})
_ACCOUNT = Login(name="ann", password_file="/root/ann")  # noqa: S106 # a path
_IMAP = _MAIL.model_copy(
    update={
        "rc": "dovecot",
        "rcvar": "dovecot_enable",
        "ports": (Listen(port=143), Listen(port=4190, public=False)),
        "data": (),
        "test_account": _ACCOUNT,
    }
)
_BOX = SAMPLE.jails["mail"].model_copy(update={"services": ("imap", "mail")})
# One whose mail is Postfix with Dovecot.
DOVECOT = plan.make(
    SAMPLE.model_copy(
        update={
            "services": {**SAMPLE.services, "mail": _MTA, "imap": _IMAP},
            "jails": {**SAMPLE.jails, "mail": _BOX},
        }
    )
)
_MOVES: tuple[tuple[str, int, Literal["overlap", "handover"]], ...] = (
    ("cache", 6379, "handover"),
    ("feed", 8080, "overlap"),
)
# One with services that only the site file describes.
DESCRIBED = plan.make(
    SAMPLE.model_copy(
        update={
            "services": {
                **SAMPLE.services,
                **{
                    name: Service(
                        rc=name,
                        rcvar=f"{name}_enable",
                        user=name,
                        ports=(Listen(port=port, public=False),),
                        data=("/var/db/cache",),
                        socket="/var/run/cache.sock" if move == "handover" else None,
                        configtest="cache-test",
                        move=move,
                        questions=("cache-cli count",),
                    )
                    for name, port, move in _MOVES
                },
            },
            "jails": {
                **SAMPLE.jails,
                "cache": Jail(
                    address=IPv4Address("10.80.0.9"),
                    hostname="cache.example.org",
                    services=("cache", "feed"),
                ),
            },
            "order": ("preflight", "base", "network", "cache", "feed"),
        }
    )
)
NAMES = [step.name for step in PLAN.steps]
CHECKS = {
    f"{file.stem.removeprefix('test_')}::{node.name.removeprefix('test_')}": {
        argument.arg for argument in node.args.args
    }
    for file in (PROJECT / "tests" / "checks").glob("test_*.py")
    for node in ast.parse(file.read_text()).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
}
_FORWARDED = ("10.80.0.2,53", "10.80.0.3,3306", "10.80.0.4,80", "10.80.0.4,443", "10.80.0.5,25")
SHARED = {"host", "site", "outside"} | {
    node.name
    for node in ast.parse((PROJECT / "tests" / "checks" / "conftest.py").read_text()).body
    if isinstance(node, ast.FunctionDef) and node.decorator_list
}

EACH = pytest.mark.parametrize("step", PLAN.steps, ids=NAMES)


def commands(step: Step) -> tuple[Command, ...]:
    return bundle.compile_step(1, step, None).commands


@EACH
def test_every_command_has_a_title_and_a_way_back(step: Step) -> None:
    assert bool(commands(step)) == bool(step.operations)
    for command in commands(step):
        assert command.says.strip()
        assert "\n" not in command.says
        assert command.do.strip()
        assert command.undo is not None
        assert command.undo.strip()
        assert command.limit > 0


@EACH
def test_a_command_is_one_line_so_that_csh_can_be_given_it(step: Step) -> None:
    """The content of a new file aside, which pyinfra sends as a file (docs/decisions/0003)."""
    for command in commands(step):
        if "<<" not in command.do:
            assert "\n" not in command.do + str(command.undo), command.says


@EACH
def test_an_undo_that_reads_what_was_kept_has_where_it_is_kept(step: Step) -> None:
    for command in commands(step):
        assert ("$KEEP/" not in str(command.undo)) or command.kept, command.says


@EACH
def test_every_step_says_why_and_is_checked(step: Step) -> None:
    assert step.why.endswith(".")
    assert step.checks
    assert step.confirm_within == PLAN.site.run.confirm_within


def test_names_of_steps_are_all_different_and_fit_into_a_path() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert all(name.replace(".", "").isalnum() and name.islower() for name in NAMES)


@EACH
def test_every_check_that_a_step_names_is_there_and_takes_its_values(step: Step) -> None:
    for check in step.checks:
        assert check.test in CHECKS, f"tests/checks has no {check.test}"
        assert {name for name, _ in check.values} == CHECKS[check.test] - SHARED, check.test


@EACH
def test_a_check_ends_with_a_later_step_of_the_plan(step: Step) -> None:
    for check in step.checks:
        if check.until is not None:
            assert check.until in NAMES[NAMES.index(step.name) + 1 :], (
                f"{check.test}: {check.until}"
            )


def test_every_check_that_is_written_is_asked_by_a_step() -> None:
    made = (*PLAN.steps, *STAYING.steps, *DOVECOT.steps, *DESCRIBED.steps)
    asked = {check.test for step in made for check in step.checks}
    asked |= {check.test for step in made if step.gate for check in step.gate.unless}
    asked |= {check.test for step in PLAN.steps for check in step.finds}
    assert set(CHECKS) - asked == set()


def test_described_services_move_by_their_site_lines() -> None:
    moves = [step.name for step in DESCRIBED.steps if step.operations][2:]
    assert moves == [
        *("cache.jail", "cache.cutover"),
        *("feed.standby", "feed.cutover", "feed.retire"),
    ]
    handed = next(step for step in DESCRIBED.steps if step.name == "cache.cutover")
    [command] = [each for each in commands(handed) if "stop cache on the host" in each.says]
    assert command.says.endswith("start it in jail cache, with the answers that it had")
    does = [each.do for each in commands(handed)]
    [tested] = [n for n, each in enumerate(does) if "cache-test" in each]
    assert tested < does.index(command.do), "in the jail, before the host's is stopped"
    assert command.do.index("cache-cli count") < command.do.index("onestop")
    assert "ls -t" not in command.do, "it has no log that could be shown"
    assert command.undo is not None
    assert command.undo.rindex("cache-cli count") > command.undo.rindex("onestart")


def test_a_described_service_is_compared_from_the_moment_that_its_jail_answers() -> None:
    compared = "described::jail_gives_the_same_answers"
    asked = [
        (step.name, dict(each.values)["service"], each.until)
        for step in DESCRIBED.steps
        for each in step.checks
        if each.test == compared
    ]
    assert asked == [("cache.cutover", "cache", None), ("feed.standby", "feed", None)]
    twice = "described::daemon_writes_nothing_that_two_would"
    wrote = [dict(c.values)["service"] for c in DESCRIBED.steps[0].checks if c.test == twice]
    assert wrote == ["feed"]


def test_before_a_service_moves_it_is_shown_what_names_it() -> None:
    for name in ("bind", "mysql", "web"):
        gate = PLAN.steps[NAMES.index(f"{name}.cutover")].gate
        assert gate is not None
        assert [dict(check.values)["service"] for check in gate.unless] == [name]


def test_a_plan_lists_what_hangs_on_each_service_that_moves() -> None:
    moved = [name for name in PLAN.site.order if name in PLAN.site.services]
    for test in ("dependents::none_are_found", "needs::none_are_there"):
        finds = [each for step in PLAN.steps for each in step.finds if each.test == test]
        assert [dict(each.values)["service"] for each in finds] == moved


def test_over_udp_every_address_is_asked_from_the_cutover_on() -> None:
    """With BIND's overlap, and without."""
    test = "service::answers_from_the_address_asked"
    bind = PLAN.site.services["bind"].model_copy(update={"overlap": False})
    services = {**PLAN.site.services, "bind": bind}
    for made in (PLAN, plan.make(PLAN.site.model_copy(update={"services": services}))):
        told = [
            (step.name, each) for step in made.steps for each in step.checks if each.test == test
        ]
        assert [(name, dict(each.values)["service"]) for name, each in told] == [
            ("bind.cutover", "bind")
        ]


def test_no_step_claims_what_a_daemon_writes() -> None:
    """To host.sh a path with a / at its end is a tree of the step's own, which must be as before
    (`mentioned`). named wrote a journal while bind.jail was undone, which ended stuck (on a 15.0).
    """
    data = {f"{each}/" for one in PLAN.site.services.values() for each in (*one.data, *one.logs)}
    data = {each for each in data if each.startswith(("/etc/", "/usr/local/etc/"))}
    for step in PLAN.steps:
        for command in commands(step):
            words = set(re.split(r"[^A-Za-z0-9/._+@%:-]", f"{command.do} {command.undo}"))
            assert not words & data, (step.name, command.says)


def test_service_on_the_host_is_led_into_the_jail_but_for_what_stays() -> None:
    """And none of this runs during MySQL's gap."""
    led = {
        step.name: command.says
        for step in PLAN.steps
        for command in commands(step)
        if "/rc.conf.d/" in command.says
    }
    assert led == {
        f"{name}.cutover": f"create /usr/local/etc/rc.conf.d/{rc}"
        for name, rc in (("bind", "named"), ("mysql", "mysql"), ("web", "apache24"))
    }
    assert not [c for step in PLAN.steps for c in commands(step) if "rc.conf.d/sendmail" in c.says]


def test_logs_change_hands_only_when_the_hosts_daemon_has_stopped() -> None:
    for name, stop in (
        ("web.retire", "stop apache24 on the host"),
        ("mysql.cutover", "stop mysql"),
    ):
        says = [command.says for command in commands(PLAN.steps[NAMES.index(name)])]
        stopped = next(n for n, each in enumerate(says) if each.startswith(stop))
        logs = [n for n, each in enumerate(says) if "rotat" in each or "to the jail's log" in each]
        assert logs
        assert min(logs) > stopped


def test_every_service_that_moves_is_checked_from_outside() -> None:
    moved = [name for name in PLAN.site.order if name in PLAN.site.services]
    asked = {
        dict(check.values)["service"]
        for check in PLAN.checks(len(PLAN.steps))
        if check.test == "service::answers_from_jail"
    }
    assert asked == set(moved)


def test_a_step_that_may_cause_an_outage_names_services_of_the_site() -> None:
    for step in PLAN.steps:
        assert set(step.outage) <= set(PLAN.site.services)


def test_the_old_daemon_goes_behind_a_gate_where_the_new_one_could_overlap() -> None:
    always = [step.name for step in PLAN.steps if step.gate and not step.gate.unless]
    assert always == ["bind.retire", "web.retire", "mail.retire", "mysql.notices", "mysql.retire"]
    for name in ("bind", "web", "mail"):
        places = [NAMES.index(f"{name}.{part}") for part in ("standby", "cutover", "retire")]
        assert places == sorted(places)


def test_questions_go_to_the_jail_only_when_its_named_has_the_zones() -> None:
    """And on rollback to the host's only when that one has them."""
    says = [command.says for command in commands(PLAN.steps[NAMES.index("bind.cutover")])]
    held = says.index(
        "freeze the dynamic zones of the host's named: written to disk, updates refused"
    )
    assert says[held : held + 4] == [
        "freeze the dynamic zones of the host's named: written to disk, updates refused",
        "restart the named of jail bind and wait until it has the current zones",
        "enable ipfw set 22",
        "note the zones of the host's named; the undo restarts it while the jail's still "
        "serves, and waits until it has them again",
    ]


def test_nothing_stands_between_the_two_daemons_of_mysql() -> None:
    """Each further command is outage."""
    [handover] = [
        command
        for command in commands(PLAN.steps[NAMES.index("mysql.cutover")])
        if "mysql-server one" in command.do
    ]
    assert handover.says == (
        "stop mysql-server on the host, enable ipfw set 23 and 26, "
        "create the link /var/run/mysql/mysql.sock -> "
        "/usr/jails/.shown/mysql/var/run/mysql/mysql.sock, "
        "start it in jail mysql"
    )


def test_the_jails_address_is_never_the_hosts_and_vice_versa() -> None:
    """Forwarding is from the public address to the jail's, in a set that is the service's alone."""
    sets: dict[str, set[str]] = {}
    for step in PLAN.steps:
        for command in commands(step):
            words = command.do.split()
            ours = step.name in ("traffic", "egress", "policy")
            if (
                words[:3] == ["ipfw", "-q", "add"]
                and not ours
                and not words[7].startswith("127.0.0.1,")
            ):
                sets.setdefault(words[5], set()).add(step.name)
                assert words[6] in ("allow", "skipto") or words[6:8] in (
                    ["nat", "3"],
                    *(["fwd", to] for to in _FORWARDED),
                )
    assert {name: len(steps) for name, steps in sets.items()} == dict.fromkeys(
        ("22", "23", "24", "25", "26", "27", "28"), 1
    )


def test_mail_leaves_a_queue_only_when_its_server_has_ended() -> None:
    says = [command.says for command in commands(PLAN.steps[NAMES.index("mail.retire")])]
    stopped = says.index("stop sendmail on the host")
    assert says[stopped + 1 : stopped + 3] == [
        "wait until messages in transfer are complete",
        "move the messages left in /var/spool/mqueue to the jail's queue",
    ]
    before_start = [c.says for c in commands(PLAN.steps[NAMES.index("mail.standby")])]
    assert before_start[0].startswith("check that the jail's queue /var/spool/mqueue-mail is empty")
    assert before_start[-1] == "start sendmail in jail mail"


def test_what_sends_a_message_is_not_for_every_hour() -> None:
    checks = [check for step in PLAN.steps for check in step.checks]
    messages = {check for check in checks if check.test.startswith("messages::")}
    assert len(messages) == 2
    assert {check for check in checks if check.leaves} == messages
