"""The results of a run: the same values in the tables and in --json."""

from __future__ import annotations

import json

from rollout.engine.checks import Verdict
from rollout.engine.listener import Result
from rollout.probe.outage import Probed, Timeline
from rollout.report import tables

YES, NO = Verdict("jail runs", True, 0.1), Verdict("web answers", False, 0.1, "nobody answers")
RESULT = Result("web.retire", "confirmed", 1, (YES, NO), 2, 9, 100.0, 102.5)
LIMITS = {"web.retire": {"web": 1.5}}


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


BOTH = {"web": timeline("web"), "mail": timeline("mail", 5, 6)}


def test_a_result_says_what_the_step_cost() -> None:
    [told] = tables.results_data(
        [RESULT], {"web": timeline("web"), "mail": timeline("mail", 5, 6)}, LIMITS
    )
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
    assert outage["web"] == {"verdict": "no outage", "seconds": 0, "limit": 1.5}
    assert outage["mail"]["verdict"] == "outage"
    assert 0.2 <= outage["mail"]["seconds"] <= 0.4
    json.dumps([told, outage])


def test_the_table_of_results_names_who_was_out_and_for_how_long() -> None:
    data = tables.results_data(
        [RESULT], {"web": timeline("web"), "mail": timeline("mail", 5, 6)}, LIMITS
    )
    header, _, *rows = tables.results_table(data).splitlines()
    row = " ".join(" ".join(rows).split())
    assert header.split() == ["step", "result", "cmds", "checks", "outage", "time"]
    assert "web.retire" in row
    assert "1/2" in row
    assert "mail 0.3" in row or "mail 0.2" in row
    assert "mail 0.30 s (not" in row
    assert "expected)" in row
    assert "web 0" not in row


def test_an_outage_stands_beside_its_limit() -> None:
    [told] = tables.results_data([RESULT], {"web": timeline("web", 5, 6)}, LIMITS)
    assert told["outage"]["web"]["limit"] == 1.5
    assert "(limit 1.5 s)" in tables.results_table([told])


def test_what_a_step_cost_in_connections_is_only_shown_on_request() -> None:
    data = tables.results_data([RESULT], {}, LIMITS)
    assert "round trips" not in tables.results_table(data)
    assert "round trips" in tables.results_table(data, cost=True)


def test_no_outage_is_only_said_where_somebody_looked() -> None:
    [seen] = tables.results_data([RESULT], {"web": timeline("web")}, LIMITS)
    assert " none " in tables.results_table([seen])
    [unseen] = tables.results_data([RESULT], {}, LIMITS)
    assert "not watched" in tables.results_table([unseen])
    blind = Timeline("web", 10.0, ())
    [nobody] = tables.results_data([RESULT], {"web": blind}, LIMITS)
    assert "web: not watched" in tables.results_table([nobody])


def test_a_verdict_that_failed_is_seen_at_a_glance() -> None:
    table = tables.verdicts_table([YES, NO])
    assert [row.split()[-1] for row in table.splitlines() if "jail runs" in row] == ["ok"]
    [row] = [row for row in table.splitlines() if "web answers" in row]
    assert "FAILED" in row
    assert "nobody answers" in row
