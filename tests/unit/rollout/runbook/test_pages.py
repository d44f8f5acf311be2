"""The runbook: the same commands, for a person to type."""

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
from rollout import plan, site
from rollout.errors import Refused
from rollout.host import bundle
from rollout.host.bundle import Command
from rollout.plan import Plan
from rollout.plan.step import Gate, Step, check, use
from rollout.runbook import pages
from rollout.runbook.manual_checks import manual_lines

PROJECT = Path(__file__).parents[4]
SAMPLE = plan.make(site.read(PROJECT / "site.example.toml"))
PAGES = pages.pages(SAMPLE)


def commands(made: Plan, position: int) -> tuple[Command, ...]:
    step = made.steps[position]
    return bundle.compile_step(position + 1, step, None).commands


def section(name: str, pages: dict[str, str] = PAGES) -> str:
    """The text of one step."""
    text = "\n".join(pages.values())
    return re.split(rf"^## {re.escape(name)}$", text, flags=re.M)[1].split("\n## ")[0]


def blocks(text: str, part: str = "") -> list[str]:
    """The code of a page, or of one part of a step."""
    if part:
        text = text.partition(f"### {part}")[2].partition("\n### ")[0]
    return re.findall(r"```sh\n(.*?)\n```", text, flags=re.DOTALL)


TYPE, CHECK, BACK = (
    "Type these commands in this order",
    "Check the result",
    "To undo, type these commands in this order",
)


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
        for word in each.about:
            assert word in text
    for service, seconds in step.outage.items():
        assert f"{service}: up to {seconds:g} s without an answer" in text


@STEPS
def test_every_command_is_there_to_be_typed_in_its_order(position: int) -> None:
    made = commands(SAMPLE, position)
    text = "\n".join(blocks(section(SAMPLE.steps[position].name), TYPE))
    assert bool(text) == bool(made)
    at = [text.index(f"# {n}. {command.says}\n") for n, command in enumerate(made, 1)]
    assert at == sorted(at)
    for start, end, command in zip(at, [*at[1:], None][: len(at)], made, strict=True):
        assert (
            text[start:end]
            .rstrip("\n")
            .endswith(f"\n{command.do}\n# expect: {command.sees or 'nothing'}")
        )


@STEPS
def test_every_undo_is_there_last_first(position: int) -> None:
    made = [(n, each) for n, each in enumerate(commands(SAMPLE, position), 1) if each.undo != ":"]
    text = "\n".join(blocks(section(SAMPLE.steps[position].name), BACK))
    assert bool(text) == bool(made)
    at = [text.index(f"# {n}. undo: {command.says}\n") for n, command in made]
    assert at == sorted(at, reverse=True)
    for start, end, (_, command) in zip(at, [None, *at[:-1]][: len(at)], made, strict=True):
        typed = text[start:end].partition("\n\n# remove the saved copies")[0]
        assert typed.rstrip("\n").endswith(f"\n{command.undo}")


@STEPS
def test_each_check_has_a_line_to_type_and_what_to_see(position: int) -> None:
    """tests/rehearsal/test_typed.py checks that these lines are right."""
    text = "\n".join(blocks(section(SAMPLE.steps[position].name), CHECK))
    for each in SAMPLE.steps[position].checks:
        looked = manual_lines(each, SAMPLE.site)
        assert looked, each.test
        for look in looked:
            assert f"\n{look.line}\n# expect: {look.sees or 'nothing'}" in text


def test_every_check_that_there_is_has_lines_and_no_lines_are_left_over() -> None:
    folder = PROJECT / "tests" / "checks"
    checks = {
        (file.stem.removeprefix("test_"), name)
        for file in folder.glob("test_*.py")
        for name in re.findall(r"(?m)^def test_(\w+)\(", file.read_text(encoding="utf-8"))
    }
    lines = {
        (file.stem, name)
        for file in (folder / "manual").glob("*.py")
        for name in re.findall(r"(?m)^def ([a-z]\w+)\(", file.read_text(encoding="utf-8"))
    }
    assert len(checks) > 40
    assert checks == lines


def test_a_check_without_lines_is_refused_by_name() -> None:
    step = Step("one", "Because.", (), (check("jail::sings", jail="mysql"),))
    with pytest.raises(Refused, match="check jail::sings has no line"):
        pages.pages(Plan(SAMPLE.site, (step,)))


@STEPS
def test_what_a_page_takes_for_so_is_to_be_looked_at_before(position: int) -> None:
    """Without facts of the host, a file in the way of one of ours would be lost."""
    text = section(SAMPLE.steps[position].name)
    before = "\n".join(blocks(text, "Before you start"))
    for path in re.findall(r"(?m)^# \d+\. create (\S+)$", "\n".join(blocks(text, TYPE))):
        if not path.startswith("/usr/jails/"):  # the jail's directory is made here
            assert f"ls -d {path}\n# expect: ... No such file or directory" in before


def quoted_away(line: str) -> str:
    """Without quoted text, and then without what a subshell would end."""
    line = re.sub(r"'[^']*'", "", line)
    before = ""
    while before != line:
        before, line = line, re.sub(r"\([^()]*\)", "", line)
    return line


@STEPS
def test_no_line_ends_the_shell_that_it_is_typed_into(position: int) -> None:
    for command in commands(SAMPLE, position):
        for line in (command.do, command.undo or ":"):
            if "<<" not in line:
                assert not re.search(r"\bexit\b", quoted_away(line)), line


@STEPS
def test_whom_to_tell_is_said(position: int) -> None:
    step = SAMPLE.steps[position]
    told = section(step.name).partition("### Notify")[2]
    assert bool(told) == bool(step.operations)
    for each in (*step.tell, *(f"the users of {name}" for name in step.outage)):
        assert each in told


def test_the_people_of_the_site_file_are_named() -> None:
    people = SAMPLE.site.run.model_copy(update={"tell": ("hostmaster@example.org",)})
    made = plan.make(SAMPLE.site.model_copy(update={"run": people}))
    assert "- hostmaster@example.org: when you start" in section("base", pages.pages(made))


@STEPS
def test_a_gate_stops_the_reader_before_the_first_command(position: int) -> None:
    step = SAMPLE.steps[position]
    text = section(step.name)
    assert ("**Stop.**" in text) == (step.gate is not None)
    if step.gate is not None:
        assert text.index("**Stop.**") < text.index(f"### {TYPE}")
        for word in (step.gate.question, *step.gate.look_at):
            assert word in text


@operation()
def replaced(path: str) -> Any:
    """A command whose undo needs a before-image."""
    yield Reversible(f"echo new > {path}", undo=f'cp -p "$KEEP/1" {path}', says="x", keep=(path,))


def made_of(*operations: Any, **more: Any) -> Plan:
    step = Step("one", "Because.", operations, (check("jail::runs", jail="mysql"),), **more)
    return Plan(SAMPLE.site, (step,))


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
    monkeypatch.setattr(pages, "_KEEP", str(tmp_path / "keep"))
    path = tmp_path / "x.conf"
    path.write_text("old\n")
    text = section("one", pages.pages(made_of(use(replaced, path=str(path)))))
    [forward], [back] = blocks(text, TYPE), blocks(text, BACK)
    assert run(forward, tmp_path).returncode == 0
    assert path.read_text() == "new\n"
    assert run(back, tmp_path).returncode == 0
    assert path.read_text() == "old\n"
    assert not (tmp_path / "keep" / "one").exists(), "taken for those of the next time"


@pytest.mark.parametrize("there", [True, False])
def test_a_page_takes_a_directory_that_is_there_and_one_that_is_not(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_KEEP", str(tmp_path / "keep"))
    path = tmp_path / "jail.conf.d"
    if there:
        path.mkdir()
    text = section("one", pages.pages(made_of(use(files.directory, path=str(path)))))
    assert "precondition" not in text
    for typed in (*blocks(text, TYPE) * 2, *blocks(text, BACK)):
        done = run(f"fsync() {{ :; }}; install() {{ :; }}; set -e\n{typed}", tmp_path)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
        if typed not in blocks(text, BACK):
            assert path.is_dir()
    assert path.is_dir() == there
    assert not (tmp_path / "keep" / "one").exists()


def test_a_line_typed_twice_does_not_lose_the_before_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_KEEP", str(tmp_path / "keep"))
    path = tmp_path / "x.conf"
    path.write_text("old\n")
    text = section("one", pages.pages(made_of(use(replaced, path=str(path)))))
    for typed in (*blocks(text, TYPE) * 2, *blocks(text, BACK)):
        assert run(typed, tmp_path).returncode == 0
    assert path.read_text() == "old\n"


@pytest.mark.parametrize(
    ("operation_", "number"), [(files.put, 1), (jail.configuration, 2)], ids=["file", "accounts"]
)
def test_typing_one_command_does_not_close_what_the_next_ones_make(
    tmp_path: Path, operation_: Any, number: int
) -> None:
    """One shell reads all of it: a changed umask would make later directories root's alone."""
    given = {"path": f"{tmp_path}/x.conf", "content": "x\n"}
    if operation_ is jail.configuration:
        given = {"root": str(tmp_path)}
    [typed] = blocks(section("one", pages.pages(made_of(use(operation_, **given)))), TYPE)
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
    text = section("preflight")
    assert (blocks(text, TYPE), blocks(text, BACK)) == ([], [])
    assert blocks(text, CHECK)


def test_a_gate_of_ones_own_is_printed() -> None:
    made = made_of(
        use(rc.variable, name="a", value="b"), gate=Gate("Shall it be?", ("the weather",))
    )
    text = section("one", pages.pages(made))
    assert "**Stop.** Shall it be? Look at:\n\n- the weather\n" in text


def test_the_committed_runbooks_are_those_of_the_sample() -> None:
    committed = {
        each.name: each.read_text(encoding="utf-8") for each in (PROJECT / "runbooks").glob("*.md")
    }
    stale = sorted(name for name in {*PAGES, *committed} if PAGES.get(name) != committed.get(name))
    assert not stale, f"runbooks/ is stale ({', '.join(stale)}): run make runbooks"


def test_every_precondition_says_what_it_shows() -> None:
    text = "\n".join(pages.pages(SAMPLE).values())
    assert "# precondition: no /usr/jails/web yet\n" in text
    assert "# precondition: apache24 runs on the host\n" in text
    assert not re.search(r"^# precondition(: *)?$", text, flags=re.MULTILINE)


@pytest.mark.parametrize("kind", ["md", "html"])
def test_a_precondition_may_end_with_another_value_than_0(kind: str) -> None:
    for name, text in pages.pages(SAMPLE, kind).items():
        said = "After each numbered command" in " ".join(text.split())
        assert said or name == "index.html"
