"""A plan for readers: one screen, one step, or every command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from operations import rc
from operations.facts import RcConf
from rollout import plan, site
from rollout.host import bundle
from rollout.plan import Plan
from rollout.plan.step import Gate, Step, check, use
from rollout.report import plans
from tests.unit.operations.asking import unset

SAMPLE = site.read(Path(__file__).parents[4] / "site.example.toml")
ASKS = Step("preflight", "See first.", (), (check("jail::runs"),))
ACTS = Step(
    "web.retire",
    "It stops.",
    (use(rc.variable, name="apache24_enable", value="NO"),),
    (check("service::does_not_run_on_host"), check("jail::runs")),
    gate=Gate("Is it well?", ("the log", "a\nb")),
    outage={"web": 1.5},
)
PLAN = Plan(SAMPLE, (ASKS, ACTS))


NEEDED = "needs of web: 1 carried\npath /x: carried"


def planned() -> list[plans.Ahead]:
    bundles = [
        bundle.compile_step(n + 1, step, {RcConf().command(): []})
        for n, step in enumerate(PLAN.steps)
    ]
    return [(each, each.step.gate, ("a line\nanother", NEEDED)) for each in bundles]


def test_a_plan_has_every_command_with_its_undo() -> None:
    asks, acts = plans.data(planned())
    assert asks["commands"] == []
    assert acts == {
        "step": "web.retire",
        "why": "It stops.",
        "needs": ["needs of web: 1 carried", "path /x: carried"],
        "found": ["a line", "another"],
        "gate": {"question": "Is it well?", "look_at": ("the log", "a\nb")},
        "expected_outage": {"web": 1.5},
        "point_of_no_return": False,
        "checks": ["service::does_not_run_on_host", "jail::runs"],
        "commands": [
            {
                "says": 'set apache24_enable="NO" in rc.conf',
                "do": "sysrc apache24_enable=NO && fsync /etc/rc.conf*",
                "undo": unset("apache24_enable", "NO"),
            }
        ],
    }


def test_a_plan_for_people_has_the_exact_commands_gates_and_outages() -> None:
    text = plans.full(plans.data(planned()))
    rows = [row.strip() for row in text.splitlines()]
    assert "2. web.retire: It stops." in rows
    assert "expected outage: web up to 1.5 s" in rows
    assert "expected outage: none" in rows
    assert "gate: Is it well?" in rows
    assert rows[(at := rows.index("found on the host:")) + 1 : at + 3] == ["a line", "another"]
    assert {"the log", "a", "b"} <= set(rows)
    assert "sysrc apache24_enable=NO && fsync /etc/rc.conf*" in rows


def test_every_line_of_every_command_of_the_sample_is_in_its_plan() -> None:
    made = plan.make(SAMPLE)
    bundles = [bundle.compile_step(n + 1, step, None) for n, step in enumerate(made.steps)]
    rows = plans.full(plans.data((each, None, ()) for each in bundles)).splitlines()
    for each in bundles:
        for command in each.commands:
            for line in command.do.splitlines():
                assert f"   {line}".rstrip() in [row.rstrip() for row in rows]


def sample() -> list[plans.Ahead]:
    made = plan.make(SAMPLE)
    return [
        (bundle.compile_step(n + 1, step, None), step.gate, ()) for n, step in enumerate(made.steps)
    ]


def test_the_short_plan_of_the_sample_is_one_screen_of_80_columns() -> None:
    lines = plans.short(sample()).splitlines()
    assert len(lines) <= 34
    assert max(map(len, lines)) <= 80


def test_every_step_of_the_sample_says_in_a_few_words_what_it_does() -> None:
    for made, _, _ in sample():
        assert 0 < len(made.step.does) <= 36, made.step.name


def test_the_short_plan_says_who_notices_for_how_long_and_where_it_asks() -> None:
    text = " ".join(plans.short(sample()).split())
    assert "mysql.cutover MySQL stops here, starts in its jail 20 mysql 15 s gate" in text
    assert "Users notice: mysql is down for 15 s at most, in mysql.cutover." in text
    assert "web.retire, mail.cutover, mail.retire." in text
    assert "removed: nothing" in text


def test_a_plan_that_nobody_notices_says_so() -> None:
    ahead = [each for each in sample() if not each[0].step.outage]
    assert "Users notice: nothing; no outage is expected." in plans.short(ahead)


def test_a_point_of_no_return_is_named_in_each_form() -> None:
    bundle_, gate, found = planned()[1]
    final = replace(bundle_, step=replace(bundle_.step, point_of_no_return=True))
    assert "No way back after: web.retire." in plans.short([(final, gate, found)])
    assert "no way back" in plans.full(plans.data([(final, gate, found)]))


def test_what_was_found_on_the_host_is_pointed_to() -> None:
    text = " ".join(plans.short(planned()).split())
    assert "refer to what moves: see plan web.retire." in text
    assert "Before you begin: a line another" in text, "of a step that only looks"


def test_needs_are_counted_on_the_screen_and_listed_in_full() -> None:
    text = " ".join(plans.short(planned()).split())
    counted = "What daemons need: web: 1 carried; web: 1 carried. See plan preflight, plan web."
    assert counted in text
    assert "   needs of web: 1 carried\n      path /x: carried\n" in plans.full(
        plans.data(planned())
    )


def test_nothing_left_is_said() -> None:
    assert plans.short([]) == "No step is left: all are confirmed."
