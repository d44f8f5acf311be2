"""How a watch is shown: as text, as data, to the hook, to syslog, to Prometheus."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rollout import site
from rollout.monitoring import prometheus, shown, state
from rollout.monitoring.finding import Finding, Looked
from rollout.monitoring.state import Changes

SAMPLE = site.read(Path(__file__).parents[4] / "site.example.toml")
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
OLD = Finding("jail/web", "the jail web does not run", todo="start it")
NEW = Finding('disk/a"b\\c\nd', "a disk is nearly full", "the password is\nhunter2", "make room")
OVER = Finding("drift", "others changed 1 thing")
LOOKED = Looked((OLD, NEW))


def changes() -> Changes:
    first = state.compare(SAMPLE, {}, Looked((OLD, OVER)), NOON)
    return state.compare(SAMPLE, first.after, LOOKED, NOON + timedelta(days=1))


def test_the_text_has_evidence_and_what_to_do() -> None:
    assert shown.text(changes()) == (
        'new: a disk is nearly full (disk/a"b\\c\nd)\n'
        "    the password is\n    hunter2\n"
        "  -> make room\n"
        "still, since 2026-12-01T12:00:00Z: the jail web does not run (jail/web)\n"
        "  -> start it\n"
        "recovered: drift (since 2026-12-01T12:00:00Z: others changed 1 thing)"
    )
    assert shown.text(Changes()) == ""


def test_what_leaves_the_terminal_has_nothing_that_the_host_said() -> None:
    """Like all that a hook gets."""
    lines = list(shown.lines(SAMPLE, changes()))
    assert [level for level, _ in lines] == [logging.WARNING, logging.WARNING, logging.INFO]
    assert lines[2][1] == "dcserver: recovered: drift (it was: others changed 1 thing)"
    event = shown.event(SAMPLE, changes())
    assert "hunter2" not in f"{lines}{event}"
    assert event["text"] == (
        "dcserver: a disk is nearly full; the jail web does not run; recovered: drift"
    )
    [new] = event["new"]
    assert new["since"] == "2026-12-02T12:00:00Z"
    assert new["todo"] == "make room"
    assert [each["id"] for each in event["again"]] == ["jail/web"]
    assert [each["id"] for each in event["recovered"]] == ["drift"]


def test_many_are_told_in_one_short_line() -> None:
    many = tuple(Finding(f"check/{n}", f"check {n} fails") for n in range(9))
    found = state.compare(SAMPLE, {}, Looked(many), NOON)
    assert shown.event(SAMPLE, found)["text"] == (
        f"dcserver: {'; '.join(f'check {n} fails' for n in range(5))}; and 4 more"
    )


def test_the_data_has_all_findings() -> None:
    data = shown.data(SAMPLE, LOOKED, changes(), NOON, ["a warning"])
    assert [(each["id"], each["told"]) for each in data["findings"]] == [
        ("jail/web", "again"),
        (NEW.id, "new"),
    ]
    assert data["findings"][1]["evidence"] == NEW.evidence
    assert (data["well"], data["reached"], data["warnings"]) == (False, True, ["a warning"])
    quiet = state.compare(SAMPLE, changes().after, LOOKED, NOON + timedelta(days=1))
    told = shown.data(SAMPLE, LOOKED, quiet, NOON, [])["findings"]
    assert [each["told"] for each in told] == ["before", "before"]


def test_the_file_for_prometheus() -> None:
    looked = Looked((OLD, NEW), frozenset({"jail", "disk", "queue"}))
    lines = prometheus.text(SAMPLE, looked, changes(), NOON).splitlines()
    assert [each for each in lines if not each.startswith("#")] == [
        'cellblock_up{site="dcserver"} 1',
        'cellblock_watched_seconds{site="dcserver"} 1796126400',
        'cellblock_findings{site="dcserver",kind="jail"} 1',
        'cellblock_findings{site="dcserver",kind="disk"} 1',
        'cellblock_findings{site="dcserver",kind="queue"} 0',
        'cellblock_finding_since_seconds{site="dcserver",id="jail/web"} 1796126400',
        'cellblock_finding_since_seconds{site="dcserver",id="disk/a\\"b\\\\c\\nd"} 1796212800',
    ]
    for name in {each.partition("{")[0] for each in lines if not each.startswith("#")}:
        assert f"# TYPE {name} gauge" in lines
        assert sum(each.startswith(f"# HELP {name} ") for each in lines) == 1


def test_the_file_is_written_by_one_rename(tmp_path: Path) -> None:
    file = tmp_path / "cellblock.prom"
    assert prometheus.write(file, "a 1\n") == ""
    assert file.read_text() == "a 1\n"
    assert list(tmp_path.iterdir()) == [file]
    assert prometheus.write(tmp_path / "none" / "x.prom", "") == (
        f"{tmp_path}/none/x.prom: it cannot be written: No such file or directory"
    )
