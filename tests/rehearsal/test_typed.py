"""A person with only the runbook moves the sample by hand, and back: its lines, in order."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout import plan, site
from rollout.engine import checks
from rollout.engine.listener import Listener
from rollout.host.session import Session
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from rollout.rehearsal.rehearsal import Rehearsal
from standin import StandIn
from tests.rehearsal.sites import SAMPLE
from tests.rehearsal.typist import Line, Section, Typist, sections, seen

PROJECT = Path(__file__).parents[2]


def pages(site_file: Path, where: Path) -> list[Section]:
    """The steps as deploy.py writes them for that site, in order."""
    words = ["runbook", "--site", str(site_file), "--output", str(where)]
    subprocess.run([sys.executable, "deploy.py", *words], cwd=PROJECT, check=True, timeout=120)
    found = sorted(where.glob("*.md"))
    return [section for page in found for section in sections(page.read_text(encoding="utf-8"))]


class Person:
    """Types the page's lines, and stops when the output differs from the page."""

    def __init__(self, typist: Typist) -> None:
        self.typist = typist

    def types(self, lines: list[Line]) -> None:
        for line in lines:
            printed, code = self.typist.type(f"# {line.title}\n{line.text}")
            assert code == 0, f"{line.title}: $? is {code}; it printed {printed!r}"
            if line.sees is not None:
                assert seen(line.sees, printed), self.told(line, printed)

    def looks(self, lines: list[Line]) -> None:
        for line in lines:
            if line.on_host:
                printed, _ = self.typist.type(line.text)
                assert line.sees is not None
                assert seen(line.sees, printed), self.told(line, printed)

    def told(self, line: Line, printed: str) -> str:
        return f"{line.title}: {line.text}\nprinted {printed!r}\nthe page says {line.sees!r}"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with standin_box(site.read(SAMPLE), tmp_path) as box:
        yield box


@pytest.fixture
def typist(box: Box) -> Iterator[Typist]:
    assert isinstance(box.target, StandIn)
    typist = Typist(box.target.terminal(), "exec /bin/sh -i 2>&1")
    yield typist
    typist.close()


def asked(made: Plan, done: int, box: Box) -> None:
    """Run the checks of the steps, as an apply does."""
    with Session(box.target) as session:
        verdicts = checks.run(made.checks(done), session, made.site, box.outside)
    failed = [f"{each.name}: {each.message}" for each in verdicts if not each.passed]
    assert verdicts and not failed, failed


@pytest.mark.whole
def test_everything_moves_by_hand_and_back(tmp_path: Path, box: Box, typist: Typist) -> None:
    made = plan.make(site.read(SAMPLE))
    steps = pages(SAMPLE, tmp_path / "pages")
    assert [section.step for section in steps] == [step.name for step in made.steps]
    rehearsal = Rehearsal(made, box, Listener(), tmp_path)
    person = Person(typist)
    before = []
    for done, section in enumerate(steps, 1):
        before.append(rehearsal.fingerprint())
        person.looks(section.before)
        person.types(section.typed)
        asked(made, done, box)
        person.looks(section.checks)
    assert before[-1] != before[0]
    for done, section in reversed(list(enumerate(steps))):
        person.types(section.back)
        rehearsal.must_equal(before[done], f"after {section.step} was undone")
        if done:
            asked(made, done, box)
    assert not list((tmp_path / "standin/root/root/cellblock-keep").iterdir())
