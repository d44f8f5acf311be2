"""The runbook: the same commands, for a person's hands."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import operation

from operations import files, jail, rc
from operations.command import Reversible
from rollout import bundle, plan, runbook, site
from rollout.bundle import Command
from rollout.plan import Plan
from rollout.step import Gate, Step, check, use

PROJECT = Path(__file__).parents[3]
SAMPLE = plan.make(site.read(PROJECT / "site.example.toml"))
PAGES = runbook.pages(SAMPLE)


def commands(made: Plan, position: int) -> tuple[Command, ...]:
    step = made.steps[position]
    return bundle.compile_step(position + 1, step, made.hashes[position], None).commands


def section(name: str, pages: dict[str, str] = PAGES) -> str:
    """The text of one step."""
    text = "\n".join(pages.values())
    return re.split(rf"^## {re.escape(name)}$", text, flags=re.M)[1].split("\n## ")[0]


def blocks(text: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)\n```", text, flags=re.DOTALL)


STEPS = pytest.mark.parametrize(
    "position", range(len(SAMPLE.steps)), ids=[step.name for step in SAMPLE.steps]
)


def test_there_is_a_page_for_each_subject_in_the_order_of_the_plan() -> None:
    assert list(PAGES) == [f"{n:02}-{name}.md" for n, name in enumerate(SAMPLE.site.order, 1)]


@STEPS
def test_every_step_says_why_and_what_must_hold(position: int) -> None:
    step = SAMPLE.steps[position]
    text = section(step.name)
    assert step.why in text
    for each in step.checks:
        assert each.test.partition("::")[2].replace("_", " ") in text
        for _, value in each.values:
            assert str(value) in text
    for service, seconds in step.outage.items():
        assert f"{service}: up to {seconds:g} s without an answer" in text


@STEPS
def test_every_command_is_there_to_be_typed_in_its_order(position: int) -> None:
    made = commands(SAMPLE, position)
    text = "\n".join(blocks(section(SAMPLE.steps[position].name))[:1])
    assert bool(text) == bool(made)
    at = [text.index(f"# {n}. {command.says}\n") for n, command in enumerate(made, 1)]
    assert at == sorted(at)
    for start, end, command in zip(at, [*at[1:], None][: len(at)], made, strict=True):
        assert text[start:end].rstrip("\n").endswith(command.do)


@STEPS
def test_every_undo_is_there_last_first(position: int) -> None:
    made = [(n, each) for n, each in enumerate(commands(SAMPLE, position), 1) if each.undo != ":"]
    text = "\n".join(blocks(section(SAMPLE.steps[position].name))[1:])
    assert bool(text) == bool(made)
    at = [text.index(f"# {n}. take back: {command.says}\n") for n, command in made]
    assert at == sorted(at, reverse=True)
    for start, end, (_, command) in zip(at, [None, *at[:-1]][: len(at)], made, strict=True):
        assert text[start:end].rstrip("\n").endswith(str(command.undo))


@STEPS
def test_a_gate_stops_the_reader_before_the_first_command(position: int) -> None:
    step = SAMPLE.steps[position]
    text = section(step.name)
    assert ("**Stop.**" in text) == (step.gate is not None)
    if step.gate is not None:
        assert text.index("**Stop.**") < text.index("```sh")
        for word in (step.gate.question, *step.gate.look_at):
            assert word in text


@operation()
def replaced(path: str) -> Any:
    """A command whose undo wants a before-image."""
    yield Reversible(f"echo new > {path}", undo=f'cp -p "$KEEP/1" {path}', says="x", keep=(path,))


def made_of(*operations: Any, **more: Any) -> Plan:
    step = Step("one", "Because.", operations, (check("jail::runs"),), **more)
    return Plan(SAMPLE.site, (step,), ("aaaa",))


def run(text: str, where: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [shutil.which("dash") or "sh"],
        input=text,
        cwd=where,
        text=True,
        capture_output=True,
        check=False,
    )


def test_what_is_typed_can_be_taken_back_by_typing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runbook, "_KEEP", str(tmp_path / "keep"))
    path = tmp_path / "x.conf"
    path.write_text("old\n")
    forward, back = blocks(section("one", runbook.pages(made_of(use(replaced, path=str(path))))))
    assert run(forward, tmp_path).returncode == 0
    assert path.read_text() == "new\n"
    assert run(back, tmp_path).returncode == 0
    assert path.read_text() == "old\n"


@pytest.mark.parametrize(
    ("operation_", "number"), [(files.put, 1), (jail.configuration, 2)], ids=["file", "accounts"]
)
def test_typing_one_command_does_not_close_what_the_next_ones_make(
    tmp_path: Path, operation_: Any, number: int
) -> None:
    """One shell reads all of it: with a umask left behind, directories would be root's alone."""
    given = {"path": f"{tmp_path}/x.conf", "content": "x\n"}
    if operation_ is jail.configuration:
        given = {"root": str(tmp_path)}
    typed = blocks(section("one", runbook.pages(made_of(use(operation_, **given)))))[0]
    [command] = re.findall(rf"^# {number}\..*?(?=\n\n# |\Z)", typed, flags=re.DOTALL | re.MULTILINE)
    assert run(f"umask 022\n{command}\numask\n", tmp_path).stdout.split()[-1] == "0022"


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_sh(page: str, tmp_path: Path) -> None:
    for text in blocks(PAGES[page]):
        checked = subprocess.run(
            [shutil.which("dash") or "sh", "-n"],
            input=text,
            cwd=tmp_path,
            text=True,
            capture_output=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stderr


def test_a_step_that_only_asks_has_nothing_to_type() -> None:
    assert blocks(section("preflight")) == []


def test_a_gate_of_ones_own_is_printed() -> None:
    made = made_of(
        use(rc.variable, name="a", value="b"), gate=Gate("Shall it be?", ("the weather",))
    )
    text = section("one", runbook.pages(made))
    assert "**Stop.** Shall it be? Look at:\n\n- the weather\n" in text


def test_the_committed_runbooks_are_those_of_the_sample() -> None:
    committed = {
        each.name: each.read_text(encoding="utf-8") for each in (PROJECT / "runbooks").glob("*.md")
    }
    stale = sorted(name for name in {*PAGES, *committed} if PAGES.get(name) != committed.get(name))
    assert not stale, f"runbooks/ is stale ({', '.join(stale)}): run make runbooks"
