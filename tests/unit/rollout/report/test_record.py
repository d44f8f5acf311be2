"""The report of a run, however it ended; and writing it never changes how the run ends."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from click import Abort

from rollout import errors
from rollout.errors import Refused, RolledBack, Unreachable, Waiting
from rollout.probe.prober import ProberDied
from rollout.report import page, record
from rollout.report.evidence import Evidence
from rollout.report.record import ENDS, Record
from tests.unit.rollout.reported import (
    AFTER,
    PLAN,
    SAMPLE,
    act,
    broken,
    checks,
    left,
    names,
    presented,
    results,
    timeline,
)


def test_the_page_is_made_from_the_json_alone(tmp_path: Path) -> None:
    data, text = left(tmp_path, act())
    assert page.render(data) == text


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (None, 0, "done"),
        (Refused("no"), 1, "refused"),
        (RolledBack("it failed", evidence="the log", todo="read it"), 2, "rolled back"),
        (ProberDied("not watched"), 1, "failed"),
        (Waiting("a question"), 4, "waiting at a gate"),
        (Unreachable("gone"), 5, "host unreachable"),
        (ZeroDivisionError("x"), None, "interrupted"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (Abort(), 130, "interrupted"),
    ],
)
def test_it_says_how_the_run_ended(
    tmp_path: Path, error: BaseException | None, code: int | None, word: str
) -> None:
    data, text = left(tmp_path, act(), error=error)
    assert (data["end"]["code"], data["end"]["word"]) == (code, word)
    assert word in text
    assert data["end"]["evidence"] in text


@pytest.mark.parametrize(
    ("error", "said"),
    [(KeyboardInterrupt(), "you pressed ^C"), (KeyboardInterrupt("SIGTERM came"), "SIGTERM came")],
)
def test_an_interrupt_is_told_in_words(tmp_path: Path, error: KeyboardInterrupt, said: str) -> None:
    data, text = left(tmp_path, act(), error=error)
    assert data["end"]["what"] == said
    assert "KeyboardInterrupt" not in text


def test_the_page_has_a_title_in_words(tmp_path: Path) -> None:
    data, text = left(tmp_path, act())
    assert "<h1>Apply to dcserver</h1>" in text
    assert "<title>Apply to dcserver: done</title>" in text
    assert "<h1>Rehearsal of dcserver</h1>" in page.render({**data, "command": "rehearse"})
    assert "<h1>Rollback of dcserver</h1>" in page.render({**data, "command": "rollback"})


def test_every_exit_code_has_a_word() -> None:
    assert set(ENDS) == {0} | {each.code for each in all_errors()}


def all_errors() -> list[type[errors.CellblockError]]:
    found = [each for each in vars(errors).values() if isinstance(each, type)]
    return [each for each in found if issubclass(each, errors.CellblockError)]


def test_a_run_that_stuck_half_way_has_its_failures_and_its_figures(tmp_path: Path) -> None:
    stuck, error = broken()
    data, _ = left(tmp_path, stuck, error=error)
    [told] = data["acts"]
    assert told["outcomes"] == {"confirmed": len(names()) - 1, "stuck": 1}
    assert told["checks_passed"] == told["checks_asked"] - 2 * len(names())
    failures = [each for each in told["checks"] if each["failures"]]
    assert [each["name"] for each in failures] == ["jail claim 0", "jail claim 1"]
    assert [(each["passed"], each["asked"]) for each in failures] == [(0, len(names()))] * 2
    assert {each["found"] for check in failures for each in check["failures"]} == {"it does not"}


def test_a_host_that_could_not_be_asked_is_not_drawn_from_memory(tmp_path: Path) -> None:
    lost = act(before=[], after=[], missing="it does not answer")
    data, text = left(tmp_path, lost, error=Unreachable("gone"))
    assert data["acts"][0]["after"] == {"missing": "it does not answer"}
    assert "it does not answer" in text


def test_who_answered_a_probe_first_and_last_stands_at_the_port(tmp_path: Path) -> None:
    data, _ = left(tmp_path, act())
    [told] = data["acts"]
    seen = {
        when: {port["service"]: port["seen"] for port in told[when]["ports"]}
        for when in ("before", "after")
    }
    assert (seen["before"]["mysql"], seen["after"]["mysql"]) == ("host", "mysql")
    assert seen["after"]["mail"] is None


def test_a_check_that_was_asked_often_stands_there_once(tmp_path: Path) -> None:
    done = results(names(), verdicts=checks(100))
    data, _ = left(tmp_path, act(done=done))
    [told] = data["acts"]
    assert len(told["checks"]) == 100
    assert {each["asked"] for each in told["checks"]} == {len(names())}
    assert (told["checks"][0]["first"], told["checks"][0]["last"]) == ("base", "mysql.cutover")


def test_what_no_utf_8_can_say_is_written_all_the_same(tmp_path: Path) -> None:
    data, text = left(tmp_path, act(missing="b\udcffd"))
    assert data["acts"][0]["before"]["missing"] == "b?d"
    assert "b?d" in text


def test_a_run_without_an_act_leaves_nothing() -> None:
    where = record.folder("dcserver", "apply")
    with pytest.raises(Refused), Record(PLAN, "apply", "nowhere", where, print):
        raise Refused("the host cannot be reached")
    assert not where.exists()


def test_a_report_that_cannot_be_written_is_told_and_changes_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    kept = Record(PLAN, "apply", "x", tmp_path / "gone", said.append)
    kept.add(act())
    with pytest.raises(RolledBack), kept:
        raise RolledBack("it failed")
    assert len(said) == 1
    assert said[0].startswith("the report could not be written: FileNotFoundError")


def test_it_is_told_where_the_report_is(tmp_path: Path) -> None:
    said: list[str] = []
    with Record(PLAN, "apply", "x", tmp_path, said.append) as kept:
        kept.add(act())
    assert said == [f"report: {tmp_path}/report.html"]
    assert json.loads((tmp_path / "report.json").read_text())["format"] == record.FORMAT


def test_each_run_has_a_directory_of_its_own_that_others_may_not_read() -> None:
    one, other = (record.folder("dcserver", "apply") for _ in range(2))
    assert one != other
    assert stat.S_IMODE(one.stat().st_mode) == 0o700
    assert one.parent == Path(os.environ["XDG_STATE_HOME"], "cellblock", "dcserver")


def test_a_directory_that_cannot_be_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(Refused, match="no directory for the report"):
        record.folder("dcserver", "apply")


def test_what_the_rehearsal_asked_afterwards_belongs_to_its_act(tmp_path: Path) -> None:
    kept = Record(PLAN, "rehearse", "x", tmp_path, lambda text: None)
    with kept:
        kept.add(act())
        kept.verified(checks(3))
        kept.compared("after the rollback", 312, ["+rule 500"])
    [told] = json.loads((tmp_path / "report.json").read_text())["acts"]
    assert [each["passed"] for each in told["verified"]] == [1, 1, 1]
    assert told["compared"] == {
        "when": "after the rollback",
        "facts": 312,
        "differences": ["+rule 500"],
    }
    assert Evidence().missing == ""


def test_what_the_site_file_has_in_confidence_is_not_in_the_report(tmp_path: Path) -> None:
    services = {
        name: service.model_copy(update={"client": "mysql -u root -pPLANTED"})
        for name, service in SAMPLE.services.items()
    }
    stuck, error = broken()
    left(tmp_path, stuck, error=error, services=services)
    for file in ("report.json", "report.html"):
        assert "PLANTED" not in (tmp_path / file).read_text(encoding="utf-8")


def keys(value: Any) -> set[str]:
    """Every key of ours; "outcomes", "outage" and "expected_outage" hold foreign keys."""
    if isinstance(value, list):
        return {key for each in value for key in keys(each)}
    if not isinstance(value, dict):
        return set()
    foreign = {"outcomes", "expected_outage"}
    within = [
        list(each.values()) if key == "outage" and isinstance(each, dict) else each
        for key, each in value.items()
        if key not in foreign
    ]
    return set(value) | keys(within)


def test_every_key_is_in_the_documentation(tmp_path: Path) -> None:
    stuck, error = broken()
    limited = f"rule 00002 set 21 deny ip from {SAMPLE.jails['bind'].address} to any"
    imaps = timeline("imaps", 9, certificates=[presented(1, "mail.example.org")])
    limits = act(after=[*AFTER, limited], timelines=[imaps])
    data, _ = left(tmp_path, limits, act(), stuck, error=error)
    assert data["acts"][0]["after"]["reach"]
    text = (Path(__file__).parents[4] / "docs" / "report.md").read_text(encoding="utf-8")
    missing = {key for key in keys(data) if f"`{key}`" not in text}
    assert not missing
