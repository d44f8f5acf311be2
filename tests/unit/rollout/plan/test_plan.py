"""The plan: a valid order, or one that is refused before anything happens."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import steps
from rollout import plan, site
from rollout.errors import Refused
from rollout.plan import Plan
from rollout.plan.step import Step, check
from rollout.site import Site

SAMPLE = site.read(Path(__file__).parents[4] / "site.example.toml")

Subject = Callable[[str, str], None]


@pytest.fixture
def subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    """Adds a module to `steps` for one test: its name and its text."""
    monkeypatch.setattr(steps, "__path__", [*steps.__path__, str(tmp_path)])
    added: list[str] = []

    def add(name: str, text: str) -> None:
        imports = (
            "from rollout.plan.step import Step, check, use\nfrom operations import daemon, rc\n"
        )
        (tmp_path / f"{name}.py").write_text(imports + text)
        importlib.invalidate_caches()
        added.append(name)

    yield add
    for name in added:
        sys.modules.pop(f"steps.{name}", None)
        vars(steps).pop(name, None)


def ordered(*order: str) -> Site:
    return SAMPLE.model_copy(update={"order": order})


def test_the_sample_plan_begins_with_questions_and_numbers_its_steps() -> None:
    made = plan.make(SAMPLE)
    assert [step.name for step in made.steps[:3]] == ["preflight", "base", "network"]
    assert made.directory(0) == "001-preflight"
    assert made.position("network") == 2


def test_an_unknown_subject_is_named_with_those_that_there_are() -> None:
    with pytest.raises(Refused) as caught:
        plan.make(ordered("preflight", "postgres"))
    told = str(caught.value)
    assert "site.example.toml: order: 'postgres' is unknown" in told
    assert 'order = ["preflight", "postgres"]' in told
    known = (
        "base, bind, egress, mac, mail, mysql, mysql_by_name, mysql_quota, network, policy, "
        "preflight, traffic, web"
    )
    assert known in told


def test_a_module_of_steps_that_is_no_subject_is_unknown_too() -> None:
    with pytest.raises(Refused, match="'render' is unknown"):
        plan.make(ordered("preflight", "render"))


@pytest.mark.parametrize(
    ("order", "told"),
    [
        (("base",), "'base' needs 'preflight' before it"),
        (("preflight", "network", "base"), "'network' needs 'base' before it"),
        (("preflight", "base", "mysql", "network"), "'mysql' needs 'network' before it"),
    ],
)
def test_an_order_that_breaks_a_requirement(order: tuple[str, ...], told: str) -> None:
    with pytest.raises(Refused, match=f"order: {told}"):
        plan.make(ordered(*order))


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(Refused) as caught:
        plan.make(ordered("mysql_quota", "web"))
    told = str(caught.value)
    assert "'mysql_quota' needs 'preflight', 'base', 'network', 'mysql' before it; 'web'" in told
    assert "'web' needs 'preflight', 'base', 'network' before it" in told
    assert "add what is missing: preflight, base, network, mysql" in told


def test_where_nothing_is_missing_the_order_is_wrong() -> None:
    with pytest.raises(Refused) as caught:
        plan.make(ordered("network", "base", "preflight"))
    assert "'network' needs 'preflight', 'base' before it; 'base' needs" in caught.value.what
    assert caught.value.todo == "change their order"


def test_all_that_nobody_knows_is_named_at_once() -> None:
    with pytest.raises(Refused, match="order: 'a' is unknown; 'base' is named twice; 'b' is unk"):
        plan.make(ordered("a", "base", "b", "base"))


def test_a_subject_that_is_named_twice() -> None:
    with pytest.raises(Refused, match="order: 'base' is named twice"):
        plan.make(ordered("preflight", "base", "base"))


def test_a_step_without_a_check_is_refused(subject: Subject) -> None:
    subject(
        "blind",
        "REQUIRES = ()\n"
        "def steps(site): return (Step('blind', 'why', (use(daemon.stop, script='x'),), ()),)\n",
    )
    with pytest.raises(Refused, match="step blind has no check: nothing would show"):
        plan.make(ordered("blind"))


def test_a_new_subject_is_one_file_and_its_name_in_the_order(subject: Subject) -> None:
    subject(
        "lonely",
        "REQUIRES = ('preflight',)\n"
        "def steps(site): return (Step('lonely', 'why', (), (check('jail::runs', jail='x'),)),)\n",
    )
    made = plan.make(ordered("preflight", "lonely"))
    assert [step.name for step in made.steps] == ["preflight", "lonely"]


def without(where: Path, *tables: str, **changes: str) -> Site:
    """The sample without some of its tables."""
    parts = re.split(r"^(?=\[)", SAMPLE.path.read_text(), flags=re.MULTILINE)
    text = "".join(part for part in parts if part.partition("\n")[0] not in tables)
    for old, new in changes.items():
        text = text.replace(f'services = ["{old}"]', new)
    path = where / "my-site.toml"
    path.write_text(text)
    return site.read(path)


def test_an_order_with_a_service_that_the_site_does_not_have_is_refused(tmp_path: Path) -> None:
    """Not a StopIteration: the message names the file and the service."""
    with pytest.raises(Refused, match=r"(?s)my-site\.toml.*web"):
        plan.make(without(tmp_path, "[jails.web]", "[services.web]"))


def test_a_jail_with_two_services_is_built_once(tmp_path: Path) -> None:
    """Two steps that build one tree would stop in the middle of the rollout."""
    made = plan.make(
        without(tmp_path, "[jails.web]", "[policy]", mysql='services = ["mysql", "web"]')
    )
    built = [str(used) for step in made.steps for used in step.operations]
    trees = [each for each in built if each.startswith("jail.tree(home='/usr/jails/mysql'")]
    assert len(trees) == 1


def hashes(*order: str) -> list[str]:
    return [step.hash for step in plan.make(ordered(*order)).steps]


def test_a_changed_step_changes_its_own_hash_and_none_after_it(subject: Subject) -> None:
    text = (
        "REQUIRES = ()\n"
        "def one(n, value): return Step(\n"
        "    n, 'why', (use(rc.variable, name='a', value=value),), (check('x::y'),))\n"
    )
    subject("first", text + "def steps(site): return (one('f1', '1'), one('f2', '1'))\n")
    subject("second", text + "def steps(site): return (one('s', '1'),)\n")
    before = hashes("first", "second")
    sys.modules.pop("steps.first")
    changed = text + "def steps(site): return (one('f1', '1'), one('f2', 'now two'))\n"
    subject("first", changed)
    after = hashes("first", "second")
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]


def of(*steps_: Step) -> Plan:
    return Plan(SAMPLE, steps_)


A, B, C, LASTING, AHEAD = (
    check("x::a", until="two"),
    check("x::b"),
    check("x::c"),
    check("x::d", until="no"),
    check("x::e", until="three", ahead=True),
)
THREE = of(
    Step("one", "", (), (A, LASTING, AHEAD)), Step("two", "", (), (B,)), Step("three", "", (), (C,))
)


@pytest.mark.parametrize(
    ("done", "expected"),
    [(0, []), (1, [A, LASTING, AHEAD]), (2, [LASTING, AHEAD, B]), (3, [LASTING, B, C])],
)
def test_a_check_is_asked_after_its_step_and_until_the_one_that_ends_it(
    done: int, expected: list[object]
) -> None:
    assert list(THREE.checks(done)) == expected
    assert list(THREE.checks(done, back=True)) == [each for each in expected if each is not AHEAD]


def test_to_names_the_last_step_of_a_run() -> None:
    assert [THREE.upto(name) for name in (None, "one", "three")] == [3, 1, 3]


def test_to_an_unknown_step_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(Refused, match=r"no step 'tow' in this plan; did .*\n.*one, two, three"):
        THREE.upto("tow")


def test_steps_are_numbered_in_their_order() -> None:
    assert [THREE.directory(n) for n in range(3)] == ["001-one", "002-two", "003-three"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("mysql.cutovr", "did you mean mysql.cutover?"),
        ("mysql", "did you mean mysql.jail or mysql.cutover"),
        ("nosuch", "in this plan"),
        ("", "in this plan"),
    ],
)
def test_a_misspelt_step_gets_the_one_that_was_meant(typed: str, meant: str) -> None:
    with pytest.raises(Refused) as caught:
        plan.make(SAMPLE).upto(typed)
    assert meant in caught.value.what
    assert ("did you mean" in caught.value.what) == ("did you mean" in meant)
