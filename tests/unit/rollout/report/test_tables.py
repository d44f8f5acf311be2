"""What a run came to: the same values for people and for --json."""

from __future__ import annotations

import json
from pathlib import Path

from operations import rc
from operations.facts import RcConf
from rollout import plan, site
from rollout.engine.checks import Verdict
from rollout.engine.listener import Result
from rollout.host import bundle
from rollout.host.journal import Entry, Journal
from rollout.plan import Plan
from rollout.plan.step import Gate, Step, check, use
from rollout.probe.outage import Probed, Timeline
from rollout.report import tables
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
PLAN = Plan(SAMPLE, (ASKS, ACTS), ("aaaa", "bbbb"))
YES, NO = Verdict("jail runs", True, 0.1), Verdict("web answers", False, 0.1, "nobody answers")
RESULT = Result("web.retire", "confirmed", 1, (YES, NO), 2, 9, 100.0, 102.5)


def timeline(service: str, *failed: int) -> Timeline:
    """Ten probes a second from 100 s to 103 s."""
    probes = tuple(
        Probed(
            100 + n / 10,
            100 + n / 10 + 0.01,
            "refused" if n in failed else None,
            "host",
            held=False,
        )
        for n in range(30)
    )
    return Timeline(service, 10.0, (probes,))


def test_a_result_says_what_the_step_cost() -> None:
    [told] = tables.results_data([RESULT], {"web": timeline("web"), "mail": timeline("mail", 5, 6)})
    outage = told.pop("outage")
    assert told == {
        "step": "web.retire",
        "outcome": "confirmed",
        "commands": 1,
        "checks": {"passed": 1, "asked": 2},
        "channels": 2,
        "round_trips": 9,
        "seconds": 2.5,
    }
    assert outage["web"] == {"verdict": "no outage", "seconds": 0}
    assert outage["mail"]["verdict"] == "outage"
    assert 0.2 <= outage["mail"]["seconds"] <= 0.4
    json.dumps([told, outage])


def test_the_table_of_results_names_who_was_out_and_for_how_long() -> None:
    data = tables.results_data([RESULT], {"web": timeline("web"), "mail": timeline("mail", 5, 6)})
    header, _, row = tables.results_table(data).splitlines()
    for column in ("step", "result", "checks", "outage", "channels", "round trips"):
        assert column in header
    assert "web.retire" in row
    assert "1/2" in row
    assert "mail 0.3" in row or "mail 0.2" in row
    assert "web 0" not in row


def test_no_outage_is_only_said_where_somebody_looked() -> None:
    [seen] = tables.results_data([RESULT], {"web": timeline("web")})
    assert " none " in tables.results_table([seen])
    [unseen] = tables.results_data([RESULT], {})
    assert "not watched" in tables.results_table([unseen])
    blind = Timeline("web", 10.0, ())
    [nobody] = tables.results_data([RESULT], {"web": blind})
    assert "web: not watched" in tables.results_table([nobody])


def planned() -> list[dict[str, object]]:
    bundles = [
        bundle.compile_step(n + 1, step, PLAN.hashes[n], {RcConf().command(): []})
        for n, step in enumerate(PLAN.steps)
    ]
    return tables.plan_data((each, each.step.gate, ("a line\nanother",)) for each in bundles)


def test_a_plan_has_every_command_with_its_undo() -> None:
    asks, acts = planned()
    assert asks["commands"] == []
    assert acts == {
        "step": "web.retire",
        "why": "It stops.",
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
    text = tables.plan_text(planned())
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
    bundles = [
        bundle.compile_step(n + 1, step, made.hashes[n], None) for n, step in enumerate(made.steps)
    ]
    rows = tables.plan_text(tables.plan_data((each, None, ()) for each in bundles)).splitlines()
    for each in bundles:
        for command in each.commands:
            for line in command.do.splitlines():
                assert f"   {line}".rstrip() in [row.rstrip() for row in rows]


def test_a_verdict_that_failed_is_seen_at_a_glance() -> None:
    table = tables.verdicts_table([YES, NO])
    assert [row.split()[-1] for row in table.splitlines() if "jail runs" in row] == ["ok"]
    [row] = [row for row in table.splitlines() if "web answers" in row]
    assert "FAILED" in row
    assert "nobody answers" in row


def status(*entries: Entry, **more: str) -> dict[str, object]:
    return tables.status_data(PLAN, Journal(entries, **more))  # type: ignore[arg-type] # str ones


NOTHING = {"note": "", "answer": None, "by_hand": None}


def test_the_status_of_a_host_on_which_nothing_was_begun() -> None:
    assert status() == {
        "site": None,
        "steps": [
            {"step": "preflight", "state": "asks only", **NOTHING},
            {"step": "web.retire", "state": "not begun", **NOTHING},
        ],
        "lock": None,
        "abandoned_lock": None,
    }


def test_the_status_says_why_a_step_is_where_it_is() -> None:
    entry = Entry("002-web.retire", "stuck", "bbbb", reason="command 1 failed", stuck="undo failed")
    told = status(entry, lock="jane on desk", abandoned="", site="dcserver ffff")
    stuck = {**NOTHING, "step": "web.retire", "state": "stuck", "note": "undo failed"}
    assert told["steps"][1] == stuck  # type: ignore[index] # a list
    table = tables.status_table(told)
    assert "undo failed" in table
    assert "a rollout is under way: jane on desk" in table


def test_the_status_tells_of_a_run_that_ended_without_a_word() -> None:
    table = tables.status_table(status(abandoned="jane on desk"))
    assert "ended without a word: jane on desk" in table
    assert "under way" not in table
