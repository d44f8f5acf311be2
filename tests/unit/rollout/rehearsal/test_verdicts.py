from __future__ import annotations

from pathlib import Path

from rollout import plan, site
from rollout.engine import checks
from rollout.engine.checks import Verdict
from rollout.rehearsal import verdicts
from rollout.rehearsal.verdicts import COLUMNS, Column, Verdicts

PLAN = plan.make(site.read(Path(__file__).parents[4] / "site.example.toml"))


def row(found: Verdicts, step: str) -> dict[str, str]:
    return next(each for each in found.rows if each["step"] == step)


def test_what_was_not_tried_is_not_said_to_be_well() -> None:
    found = Verdicts(PLAN)
    assert list(row(found, "base").values()) == ["base", *["-"] * len(COLUMNS)]
    assert not found.proven
    assert "preflight" not in {each["step"] for each in found.rows}  # it has only checks


def test_a_failure_stays_one() -> None:
    found = Verdicts(PLAN)
    for ok in (True, False, True):
        found.say("base", "apply", ok)
    assert row(found, "base")["apply"] == "FAILED"


def test_a_step_that_was_only_stopped_did_not_fail() -> None:
    found = Verdicts(PLAN)
    found.ran("base", "apply", "confirmed", "confirmed")
    found.ran("base", "apply", "interrupted", "confirmed")
    found.ran("network", "apply", "rolledback", "confirmed")
    found.ran("traffic", "undo", "undone", "undone")
    assert row(found, "base")["apply"] == "interrupted"
    assert row(found, "network")["apply"] == "FAILED"
    assert row(found, "traffic")["undo"] == "ok"


def test_a_step_answers_for_its_own_checks() -> None:
    """Checks of other steps neither fail it nor make it pass."""
    found = Verdicts(PLAN)
    mine = {checks.named(check) for check in PLAN.steps[PLAN.position("mysql.cutover")].checks}
    others = {
        checks.named(check) for step in PLAN.steps for check in step.checks if not check.until
    } - mine
    failed = sorted(mine)[0]
    asked = [Verdict(name, name != failed, 0.1) for name in sorted(mine | others)]
    found.checked("reboot", asked)
    assert row(found, "mysql.cutover")["reboot"] == "FAILED"
    assert row(found, "base")["reboot"] == "ok"


def test_the_names_are_those_that_verdicts_have() -> None:
    """As the checks' own names are made by pytest (see rollout/engine/checks.py)."""
    check = PLAN.steps[PLAN.position("mysql.jail")].checks[0]
    assert ": mysql" in checks.named(check)


def test_there_and_back_is_proof_and_a_failure_elsewhere_undoes_it() -> None:
    found = Verdicts(PLAN)
    there: tuple[Column, ...] = ("apply", "verify", "undo", "baseline")
    for column in there:
        found.say("base", column, True)
        found.say("network", column, True)
    found.say("network", "again", False)
    assert [step.name for step in found.proven] == ["base"]


def test_the_table_has_a_row_a_step() -> None:
    lines = verdicts.table(Verdicts(PLAN).rows).splitlines()
    assert lines[0].split() == ["step", *COLUMNS]
    assert len(lines) == 2 + len([step for step in PLAN.steps if step.operations])
