"""The documentation covers all that a user can type, set, or read as a message."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import click
import pytest
from pydantic import BaseModel

import deploy
import steps
from rollout import errors, plan, site
from rollout.plan.step import Step
from rollout.site import Policy, Site
from rollout.terminal import events, hooks, monitor

PROJECT = Path(__file__).parents[2]
COMMANDS_PAGE = (PROJECT / "docs" / "commands.md").read_text(encoding="utf-8")
STEPS_PAGE = (PROJECT / "docs" / "steps.md").read_text(encoding="utf-8")
HOOKS_PAGE = (PROJECT / "docs" / "hooks.md").read_text(encoding="utf-8")
README = (PROJECT / "README.md").read_text(encoding="utf-8")
SAMPLE_TEXT = (PROJECT / "site.example.toml").read_text(encoding="utf-8")
SAMPLE = site.read(PROJECT / "site.example.toml")

COMMANDS = sorted(deploy.main.commands)
SUBJECTS = sorted(
    module.name
    for module in pkgutil.iter_modules(steps.__path__)
    if hasattr(importlib.import_module(f"steps.{module.name}"), "REQUIRES")
)
# With what the sample leaves out, so that all steps are covered.
ALL = plan.make(
    SAMPLE.model_copy(
        update={
            "order": (*SAMPLE.order, "mysql_by_name", "mysql_quota", "mac"),
            "accounts": SAMPLE.accounts.model_copy(update={"handler": "fpm"}),
        }
    )
)


def section(page: str, title: str) -> str:
    """The text below a heading of the second level."""
    found = re.search(rf"(?ms)^## `?{re.escape(title)}`?\n(.*?)(?=^## |\Z)", page)
    assert found, f"there is no section {title!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of a Markdown table's rows, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    heads = {n for n, row in enumerate(cells) if set("".join(row)) <= set("-")}
    return [row for n, row in enumerate(cells) if n not in heads and n + 1 not in heads]


# Commands and their options.


def test_the_readme_names_every_command() -> None:
    found = {row[0] for row in rows(README) if row[0].startswith("`")}
    assert found == {f"`{name}`" for name in COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_its_options_and_no_other_in_its_section(name: str) -> None:
    there = {
        word
        for option in deploy.main.commands[name].params
        for word in (*option.opts, *option.secondary_opts)
        if word.startswith("--")
    }
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", section(COMMANDS_PAGE, name))) == there


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_an_example_of_it(name: str) -> None:
    command = deploy.main.commands[name]
    text = command.get_help(click.Context(command, info_name=name))
    _, found, examples = text.partition("Example")
    assert found, f"{name} --help teaches nothing"
    assert f"cellblock {name}" in examples
    for word in re.findall(rf"cellblock {name}\b.*? (--[a-z-]+)", examples):
        assert word in {each for option in command.params for each in option.opts}, word


# The site file.


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The tables that a value of this type may be made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    if get_origin(annotation) is not None:
        for each in get_args(annotation):
            yield from models(each)


def keys(model: type[BaseModel], table: str) -> Iterator[tuple[str, str]]:
    """Every key of the site file: the top-level table that it stands in, and its name."""
    for name, field in model.model_fields.items():
        below = list(models(field.annotation))
        if not below or table:
            yield table, field.alias or name
        for each in below:
            yield from keys(each, table or name)


KEYS = sorted(set(keys(Site, "")))


def test_the_walk_over_the_site_file_sees_tables_in_tables() -> None:
    for each in [
        ("", "order"),
        ("host", "wan_address"),
        ("jails", "mounts"),
        ("jails", "source"),
        ("services", "probe"),
        ("policy", "from"),
        ("hooks", "command"),
    ]:
        assert each in KEYS


@pytest.mark.parametrize(("table", "key"), KEYS, ids=[".".join(each) for each in KEYS])
def test_a_key_of_the_site_file_is_in_the_sample_within_its_table(table: str, key: str) -> None:
    """The sample is the documentation of its keys; one with a default may stand in a comment."""
    parts = re.split(r"(?m)^\[([a-z_]+)[^\]\n]*\]\n", "[]\n" + SAMPLE_TEXT.replace("[[", "[ ["))
    there = [text for name, text in zip(parts[1::2], parts[2::2], strict=True) if name == table]
    text = "\n".join(there) if table else parts[0]
    assert re.search(rf"(?<![\w.]){key} = ", text), f"site.example.toml: [{table}] says no {key}"


# Steps and gates.


def test_the_plan_that_is_looked_at_has_every_subject() -> None:
    assert sorted(ALL.site.order) == SUBJECTS


def documented() -> dict[str, list[str]]:
    """The row of each step: subject, name, what it does, what users notice."""
    table = rows(STEPS_PAGE.partition("## The gates")[0])
    return {row[1].strip("`"): row for row in table}


def test_every_step_and_no_other_is_on_its_page_below_its_subject() -> None:
    found = documented()
    assert list(found) == [step.name for step in ALL.steps]
    assert [row[0].strip("`") for row in found.values() if row[0]] == list(ALL.site.order)


@pytest.mark.parametrize("step", ALL.steps, ids=[step.name for step in ALL.steps])
def test_what_a_step_may_cost_people_is_said(step: Step) -> None:
    _, _, does, notice = documented()[step.name]
    assert does
    assert notice
    for seconds in step.outage.values():
        assert f"up to {seconds:g} s" in notice


SHUT_IN = ALL.site.model_copy(
    update={
        "jails": {
            name: jail.model_copy(update={"outbound": "none"})
            for name, jail in ALL.site.jails.items()
        },
        "policy": Policy(),
    }
)
GATED = list(
    {step.name: step for step in (*ALL.steps, *plan.make(SHUT_IN).steps) if step.gate}.values()
)


@pytest.mark.parametrize("step", GATED, ids=[step.name for step in GATED])
def test_every_gate_is_there_with_its_question(step: Step) -> None:
    assert step.gate
    table = rows(section(STEPS_PAGE, "The gates"))
    asked = [question for before, question in table if f"`{step.name}`" in before]
    assert len(asked) == 1
    assert step.gate.question in asked[0]


def test_no_gate_is_described_that_is_not_there() -> None:
    table = rows(section(STEPS_PAGE, "The gates"))
    described = {name for before, _ in table for name in re.findall(r"`([^`]+)`", before)}
    assert described == {step.name for step in GATED}


# Output for programs.


def named(page: str) -> set[str]:
    return {row[0].strip("`") for row in rows(page) if re.fullmatch(r"`[a-z]+`", row[0])}


def test_every_event_of_json_is_described() -> None:
    source = Path(events.__file__).read_text(encoding="utf-8")
    printed = set(re.findall(r'_print\(\s*"([a-z]+)"', source))
    assert len(printed) > 5
    assert named(section(COMMANDS_PAGE, "How a run is shown")) == printed


def test_every_outcome_of_a_step_is_described() -> None:
    said = COMMANDS_PAGE.partition("An `outcome` is ")[2].partition(".")[0]
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    names = {kind.__name__.lower() for kind in kinds if issubclass(kind, errors.CellblockError)}
    assert set(re.findall(r"`([a-z]+)`", said)) == names - {"cellblockerror"} | {
        "confirmed",
        "undone",
    }


def test_every_event_that_a_hook_hears_is_described() -> None:
    assert named(HOOKS_PAGE) == {*hooks._OUTCOMES.values(), "begun", "gate", monitor.EVENT}


def test_every_page_is_led_to_from_the_readme() -> None:
    for page in (PROJECT / "docs").glob("*.md"):
        assert f"(docs/{page.name})" in README, f"README.md does not lead to {page.name}"
