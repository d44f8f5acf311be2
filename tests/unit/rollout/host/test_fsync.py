"""What must survive a power cut is on the disk before anything depends on it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rollout.engine.drift import Change, Drift, _set_aside
from rollout.errors import Stuck
from rollout.host import bundle
from rollout.plan.step import use
from tests.unit.rollout.lab import Lab
from tests.unit.rollout.small_host import SmallHost, small_host, typed

STATES = ("applying", "applied", "confirmed", "undoing", "undone")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHost]:
    yield from small_host(tmp_path / "h", "dash", monkeypatch)


def synced(lab: Lab) -> list[str]:
    """The arguments of fsync in order: the step's state, the path, the last line of the file."""
    return (lab.host.where / "synced").read_text().splitlines()


@pytest.fixture
def noting(lab: Lab) -> Lab:
    """fsync records its argument and the state of the step."""
    journal, note = lab.host.journal, lab.host.where / "synced"
    lines = (
        "#!/bin/sh",
        f"for state in {journal}/steps/001-one/state.*; do :; done",
        "for each; do",
        '[ -e "$each" ] || exit 66',
        "case $each in /*) ;; *) each=$PWD/$each ;; esac",
        'last=$(tail -n 1 "$each" 2>/dev/null)',
        f'echo "${{state##*/state.}} ${{each#{journal}/}} $last" >> {note}',
        "done",
    )
    (lab.host.bin / "fsync").write_text("\n".join(lines) + "\n")
    return lab


def test_what_a_run_and_its_undo_write_is_on_the_disk_in_time(noting: Lab) -> None:
    lab = noting
    conf = lab.path("conf")
    conf.write_text("before\n")
    changes = use(typed, do=f"echo x > {conf}", undo=f'cp "$KEEP/1" {conf}', keep=(str(conf),))
    with lab.runner(lab.step("one", lab.makes("a"), changes)) as run:
        run.apply()
    with lab.runner(lab.step("one", lab.makes("a"), changes)) as run:
        run.rollback()
    there = synced(lab)
    step = "steps/001-one"
    for wanted in (
        # The journal, before the first upload into it.
        r"\* host\.sh\.new ",
        r"\* watch\.new ",
        r"\* plan\.new ",
        r"\* steps ",
        # The bundle, before its directory gets its name, and that name.
        r"\* steps/\.new-001-one/do/001\.sh ",
        r"\* steps/\.new-001-one/undo/002\.sh ",
        r"\* steps/\.new-001-one/before/002 ",
        r"prepared steps ",
        # Every change of state.
        *(
            rf"{state} {step} "
            for state in ("applying", "applied", "confirmed", "undoing", "undone")
        ),
        # The before-image and the line `begun`, before the command runs.
        rf"applying {step}/before/002 ",
        rf"applying {step}/before/002/1 before",
        rf"applying {step}/progress begun 001",
        rf"applying {step}/progress begun 002",
        # All that the state "applied" promises.
        *(
            rf"applying {step}/{name} "
            for name in ("deadline", r"print\.applied\.new", r"print\.before\.new")
        ),
        rf"applying {step}/progress done 002",
        # And what the step itself wrote, sooner than UFS would write it.
        rf"applying {re.escape(str(conf))} x",
        rf"applying {re.escape(str(conf.parent))} ",
        rf"undoing {step}/progress undone 002",
        rf"undoing {step}/progress undone 001",
    ):
        assert any(re.match(wanted, line) for line in there), f"{wanted}: {there}"
    # fsync of a file does not save its name: the fingerprint's is saved before the first command.
    begun = there.index(f"applying {step}/progress begun 001")
    printed = next(n for n, line in enumerate(there) if "/print.before.new " in line)
    assert f"applying {step} " in there[printed:begun]
    # What an undo restored, and its name, before it counts; all of it once more at the end.
    counts = next(n for n, line in enumerate(there) if line.endswith("undone 002"))
    given_back = {f"undoing {conf} before", f"undoing {conf.parent} "}
    assert given_back <= set(there[:counts])
    assert given_back <= set(there[counts:])


class Typist:
    """Types nothing, and reports that the step is done."""

    def typed(self, step: str, commands: Sequence[object]) -> str:
        return ""


def test_the_way_back_of_a_person_is_on_the_disk_before_he_is_shown_a_line(noting: Lab) -> None:
    with noting.runner(noting.step("one", noting.makes("a")), typist=Typist()) as run:
        run.apply()
    there = synced(noting)
    begun = there.index("applying steps/001-one/progress.new begun 001")
    typed = next(n for n, line in enumerate(there) if "/print.applied.new " in line)
    assert "applying steps/001-one " in there[begun:typed], "the name progress, not yet"


def test_a_link_where_people_look_for_a_log_is_on_the_disk_before_a_step_is_applied(
    noting: Lab,
) -> None:
    logs = noting.root / "var" / "log"
    link = use(typed, do=f"ln -s x {logs}/link", undo=f"rm -f {logs}/link")
    with noting.runner(noting.step("one", link)) as run:
        run.apply()
    assert f"applying {logs} " in synced(noting)


def test_what_is_to_be_tried_again_is_on_the_disk_before_the_step_is_no_more_stuck(
    noting: Lab,
) -> None:
    mended = noting.where("mended")
    bad = noting.makes("a", undo=f"test -e {mended} && rm -f {noting.path('a')}")
    step = noting.step("one", bad, noting.makes("b", then="false"))
    with noting.runner(step) as run, pytest.raises(Stuck):
        run.apply()
    mended.touch()
    with noting.runner(step) as run:
        run.rollback()
    assert [each for each in synced(noting) if each.startswith("stuck steps/001-one/progress.new")]


class Typed:
    """A session that records what was typed."""

    def __init__(self) -> None:
        self.text = ""

    def output(self, command: str) -> str:
        self.text += command
        return ""


def test_what_is_set_aside_is_on_the_disk_before_it_is_removed() -> None:
    change = Change("/etc/x", "", "b", "002-base", ("hash b /etc/x",), ("b",))
    session = Typed()
    found = Drift((change,), {"002-base": {"/etc/x": ""}})
    name = _set_aside(session, found, ["002-base"])  # type: ignore[arg-type]
    lines = session.text.split(" &&\n")
    packed = next(n for n, line in enumerate(lines) if "tar -cf" in line)
    removed = next(n for n, line in enumerate(lines) if line.startswith("rm "))
    assert lines[packed + 1] == f"fsync {name}.tar"
    assert any(line.startswith(f"fsync {name}.txt") for line in lines[packed:removed])
    assert lines[removed:] == ["rm -f /etc/x"]


def test_nothing_of_a_bundle_has_its_name_before_it_is_on_the_disk(lab: Lab) -> None:
    run = lab.runner(lab.step("one", lab.makes("a")))
    run.connection.take()
    text = bundle.upload_script(run.compiled(0), "t", "/j")
    assert text.index("fsync {} +") < text.index("mv /j/steps/.new-001-one /j/steps/001-one")
    assert text.index("fsync /j/steps") < text.index("host.sh start")
