"""Checks run through pytest: each has a result, and a check without a result has failed."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import pytest

from rollout import site
from rollout.engine import checks, collecting
from rollout.engine.checks import Verdict
from rollout.host.session import Session
from rollout.plan.step import Check, check
from tests.unit.rollout.unreachable import Unreachable

SITE = site.read(Path(__file__).parents[4] / "site.example.toml")


@dataclass(frozen=True)
class Here:
    name: str = "here"

    def shell(self) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen(["sh"], stdin=pipe, stdout=pipe, stderr=pipe)


class Users(Unreachable):
    """Needs no network: the jail answers port 80, the host all other ports."""

    def who(self, address: str, port: int, proto: str) -> str | None:
        return "web" if port == 80 else "host"


Ask = Callable[..., list[Verdict]]


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """pytest runs the garbage collector at its end, which is slow inside another pytest."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """Writes a file of checks, `claims`, and runs some of them."""
    with Session(Here()) as session:

        def run(text: str, *wanted: Check) -> list[Verdict]:
            (tmp_path / "test_claims.py").write_text(f"import pytest\n{text}")
            monkeypatch.setattr(collecting, "CHECKS", tmp_path)
            asked = [replace(each, test=f"claims::{each.test}") for each in wanted]
            return checks.run(asked, session, SITE, Users())

        yield run


def passed(verdicts: list[Verdict]) -> list[bool]:
    return [verdict.passed for verdict in verdicts]


def test_a_check_that_holds_is_a_yes(ask: Ask) -> None:
    [verdict] = ask("def test_holds(): pass\n", check("holds"))
    assert verdict.passed
    assert verdict.message == ""
    assert verdict.name.endswith("holds")


def test_another_module_of_the_same_file_name_is_not_taken_for_it(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under pytest itself: its test_files.py is not that of tests/checks."""
    monkeypatch.setitem(sys.modules, "test_claims", ModuleType("test_claims"))
    assert passed(ask("def test_holds(): pass\n", check("holds"))) == [True]


def test_a_check_that_fails_says_what_was_found(ask: Ask) -> None:
    [verdict] = ask("def test_no(): assert 1 == 2, 'jail web does not run'\n", check("no"))
    assert not verdict.passed
    assert verdict.message == "jail web does not run"


def test_a_message_of_several_lines_is_told_whole(ask: Ask) -> None:
    [verdict] = ask("def test_no(): assert 1 == 2, 'first\\nsecond'\n", check("no"))
    assert [line.strip() for line in verdict.message.splitlines()] == ["first", "second"]


def test_a_check_that_breaks_is_a_no_with_its_error(ask: Ask) -> None:
    [verdict] = ask("def test_no(): {}['x']\n", check("no"))
    assert not verdict.passed
    assert "could not be completed" in verdict.message
    assert "'x' (test_claims.py, line 2)" in verdict.message


def test_a_command_that_fails_in_a_check_is_a_no(ask: Ask) -> None:
    text = "def test_no(host): host.check_output('echo no such jail >&2; exit 3')\n"
    [verdict] = ask(text, check("no"))
    assert not verdict.passed
    assert "no such jail" in verdict.message


def test_a_check_looks_at_the_host_the_site_and_from_outside(ask: Ask) -> None:
    text = (
        "def test_all(host, site, outside):\n"
        "    assert host.check_output('echo %s', site.name) == 'dcserver'\n"
        "    assert outside.who('203.0.113.2', 80, 'tcp') == 'web'\n"
    )
    assert passed(ask(text, check("all"))) == [True]


def test_a_check_is_asked_once_for_each_of_its_values(ask: Ask) -> None:
    text = "def test_small(jail, number): assert number < 2, f'{jail} has {number}'\n"
    verdicts = ask(
        text,
        check("small", jail="web", number=1),
        check("small", jail="mysql", number=2),
        check("small", jail="web", number=1),
    )
    assert passed(verdicts) == [True, False]
    assert verdicts[1].message == "mysql has 2"
    assert "mysql" in verdicts[1].name


def test_odd_values_are_values(ask: Ask) -> None:
    paths = ["/a b/[x]::y", "/", ""]
    text = f"def test_is(path): assert path in {paths!r}\n"
    assert passed(ask(text, *(check("is", path=path) for path in paths))) == [True] * 3


def test_only_what_is_wanted_is_asked(ask: Ask) -> None:
    text = "def test_a(): pass\ndef test_b(): assert False\n"
    assert passed(ask(text, check("a"))) == [True]


# A check without a result has failed.


def test_a_function_that_is_not_there(ask: Ask) -> None:
    verdicts = ask("def test_a(): pass\n", check("a"), check("nosuch"))
    assert not all(passed(verdicts))


def test_a_file_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "CHECKS", tmp_path)
    with Session(Here()) as session:
        verdicts = checks.run([check("nosuch::a")], session, SITE, Users())
    assert passed(verdicts) == [False]
    assert "0 verdicts for 1 checks" in verdicts[0].message


def test_a_file_that_cannot_be_read_as_python(ask: Ask) -> None:
    verdicts = ask("def test_a(: pass\n", check("a"))
    assert not any(passed(verdicts))
    assert "SyntaxError" in verdicts[-1].message


@pytest.mark.parametrize(
    "text",
    [
        "def test_a(): pytest.skip('not here')\n",
        "@pytest.mark.skip(reason='later')\ndef test_a(): pass\n",
        "@pytest.mark.skipif(True, reason='later')\ndef test_a(): pass\n",
        "pytest.skip('all of it', allow_module_level=True)\ndef test_a(): pass\n",
        "@pytest.fixture\ndef x(): pytest.skip('no x')\ndef test_a(x): pass\n",
        "@pytest.mark.xfail\ndef test_a(): assert False\n",
    ],
    ids=["skips", "is marked", "is marked if", "its file skips", "its fixture skips", "xfails"],
)
def test_a_check_that_is_skipped(ask: Ask, text: str) -> None:
    assert not all(passed(ask(f"{text}def test_b(): pass\n", check("a"), check("b"))))


@pytest.mark.parametrize(
    "wanted",
    [check("a"), check("a", jale="web"), check("a", jail="web", more=1)],
    ids=["no value", "another name", "one too many"],
)
def test_a_check_whose_values_are_not_those_of_its_function(ask: Ask, wanted: Check) -> None:
    assert not all(passed(ask("def test_a(jail): pass\n", wanted)))


def test_a_fixture_that_breaks_is_a_no(ask: Ask) -> None:
    text = "@pytest.fixture\ndef x(): assert False, 'left'\ndef test_a(x): pass\n"
    [verdict] = ask(text, check("a"))
    assert (verdict.passed, verdict.message) == (False, "left")


def test_a_fixture_that_yields_is_a_no(ask: Ask) -> None:
    """Nothing would come back to it."""
    text = "@pytest.fixture\ndef x():\n    yield 1\ndef test_a(x): pass\n"
    assert not all(passed(ask(text, check("a"))))


# Checks run side by side.


def test_what_checks_ask_next_is_one_round_trip(ask: Ask) -> None:
    text = (
        "@pytest.fixture(scope='session')\ndef x(host): return host.check_output('echo x')\n"
        "def test_a(host, x): assert host.check_output('echo a') + x == 'ax'\n"
        "def test_b(host, x): assert x + host.check_output('echo b') == 'xb'\n"
        "def test_c(host): assert host.backend.session.trips == 0\n"
        "def test_d(host, x):\n"
        "    host.run('true')\n"
        "    assert host.backend.session.trips == 2\n"
    )
    assert passed(ask(text, *map(check, "abcd"))) == [True] * 4


def test_what_several_checks_ask_at_once_runs_once(ask: Ask, tmp_path: Path) -> None:
    text = f"def test_a(host, n): host.check_output('echo >> {tmp_path}/ran')\n"
    assert all(passed(ask(text, *(check("a", n=n) for n in range(3)))))
    assert (tmp_path / "ran").read_text() == "\n"


def test_what_is_met_from_outside_does_not_wait_for_the_others(ask: Ask, tmp_path: Path) -> None:
    """A listener for twenty seconds was gone before anybody asked it (seen on a slow 15.0)."""
    file = tmp_path / "ran"
    text = (
        "from tests.checks.asking import at_once\n"
        f"def test_a(host): host.run('echo a >> {file}')\n"
        f"def test_b(host): at_once(host, 'echo b >> {file}')\n"
    )
    assert all(passed(ask(text, check("a"), check("b"))))
    assert file.read_text().split() == ["b", "a"]


def test_what_checks_asked_last_is_known_by_its_command(ask: Ask) -> None:
    text = "def test_a(host): assert checks.answers(host.backend.session) == {}\n"
    text += "def test_b(host): host.run('printf \"a\\\\nb\\\\n\"; exit 3')\n"
    text += "def test_c(host):\n    host.run('true')\n"
    text += "    assert list(checks.answers(host.backend.session).values()) == [['a', 'b'], []]\n"
    said = ask(f"from rollout.engine import checks\n{text}", *map(check, "abc"))
    assert [each.message for each in said] == ["", "", ""]


def test_of_one_without_which_nothing_is_known_the_failure_alone_is_told(ask: Ask) -> None:
    text = "def test_root(n): assert n, 'not root'\ndef test_b(): assert 0, 'noise'\n"
    [verdict] = ask(text, check("b"), check("root", n=0, first=True), check("root", n=1))
    assert verdict.message == "not root"
    assert passed(ask(text, check("b"), check("root", n=1, first=True))) == [False, True]


def test_a_check_that_ends_does_not_end_the_others(ask: Ask) -> None:
    text = (
        "def test_a(host):\n    host.run('true')\n    assert 0, 'this'\n"
        "def test_b(host): assert [host.run(f'exit {n}').rc for n in range(3)] == [0, 1, 2]\n"
    )
    assert passed(ask(text, check("a"), check("b"))) == [False, True]


def test_a_connection_that_ends_is_told_by_each_check_that_waits(ask: Ask) -> None:
    text = "def test_a(host, n): host.run('kill -9 $$')\n"
    verdicts = ask(text, check("a", n=1), check("a", n=2))
    assert [each.message for each in verdicts] == ["here: the connection ended"] * 2


def test_the_time_of_a_check_is_that_of_its_questions(ask: Ask) -> None:
    text = "def test_a(host): host.run('sleep 1')\ndef test_b(host): host.run('true')\n"
    slow, quick = ask(text, check("a"), check("b"))
    assert slow.seconds >= 0.5 > quick.seconds, "it is taken where the answers come in"


def test_pytest_finds_a_check_once_and_keeps_nothing_of_a_host(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        f"def ran(what):\n    with open('{tmp_path}/ran', 'a') as f: f.write(f'{{what}} ')\n"
        "@pytest.fixture(scope='session')\ndef all_(host): ran('all')\n"
        "@pytest.fixture\ndef own(host, n): ran(n)\n"
        "def test_a(all_, own, n): assert n < 2, f'{n}'\ndef test_b(all_): pass\n"
    )
    wanted = [check("a", n=1), check("a", n=2), check("b")]
    first = ask(text, *wanted)
    monkeypatch.setattr(pytest, "main", lambda *_, **more: pytest.fail("pytest ran again"))
    again = ask(text, *wanted)
    assert [(each.name, each.message) for each in first] == [
        (each.name, each.message) for each in again
    ]
    assert passed(first) == passed(again) == [True, False, True]
    assert sorted((tmp_path / "ran").read_text().split()) == [*"1122", "all", "all"]


def test_a_fixture_that_wants_pytest_is_a_no(ask: Ask) -> None:
    """pytest has ended by the time that a check runs."""
    text = "@pytest.fixture\ndef x(request): return request.node\ndef test_a(x): pass\n"
    assert not all(passed(ask(text, check("a"))))


def test_asking_leaves_no_files_behind(ask: Ask, tmp_path: Path) -> None:
    ask("def test_a(): pass\n", check("a"))
    assert not (tmp_path / ".pytest_cache").exists()


def test_ctrl_c_among_the_checks_is_no_failed_check(ask: Ask) -> None:
    """pytest swallows it; the step would be undone, and reported as failed."""
    text = "def test_stops(): raise KeyboardInterrupt\ndef test_other(): pass\n"
    with pytest.raises(KeyboardInterrupt):
        ask(text, check("stops"), check("other"))


SENT = "os.kill(os.getpid(), signal.SIGINT)\n"


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Path]:
    """As at a terminal: processes in the background of a shell ignore ^C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield tmp_path / "asked"
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_in_a_check_ends_it_there(ask: Ask, asked: Path) -> None:
    text = f"import os, signal\ndef test_a():\n    {SENT}    open({str(asked)!r}, 'w')\n"
    with pytest.raises(KeyboardInterrupt):
        ask(text, check("a"))
    assert not asked.exists()


def test_ctrl_c_while_pytest_is_at_its_own_work_waits_for_the_next_check(
    ask: Ask, asked: Path
) -> None:
    """Elsewhere it would leave output captured, and print a traceback."""
    text = "import os, signal\n"
    text += f"try:\n    {SENT}except KeyboardInterrupt:\n    raise SystemExit('too early')\n"
    text += f"def test_a(): open({str(asked)!r}, 'w')\n"
    with pytest.raises(KeyboardInterrupt):
        ask(text, check("a"))
    assert not asked.exists()


def test_signals_do_afterwards_what_they_did(ask: Ask) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    ask("def test_a(): pass\n", check("a"))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
