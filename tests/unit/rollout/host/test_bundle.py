"""A step compiled to sh: what is printed is what runs, and it arrives unchanged."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import operation
from pyinfra.api.command import StringCommand

from operations import address, daemon, data, files, firewall, rc
from operations.command import NewFile, Reversible
from operations.facts import Interfaces, RcConf, ServiceRuns
from operations.facts import Path as At
from rollout.errors import Refused
from rollout.host import bundle
from rollout.host.bundle import Bundle
from rollout.host.session import Answers, Session
from rollout.plan.step import Gate, Step, Use, check, use

DASH = shutil.which("dash") or "sh"


def step(*operations: Use, **more: Any) -> Step:
    return Step("network", "Jails need it.", operations, (check("jail::runs"),), **more)


def compiled(made: Step, answers: Answers | None = None) -> Bundle:
    return bundle.compile_step(3, made, answers)


@pytest.fixture
def dash(tmp_path: Path) -> Callable[..., str]:
    """Runs sh text, with stubs before PATH, in a directory of its own; it must succeed."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()

    def run(text: str, **stubs: str) -> str:
        for name, body in stubs.items():
            (bin_ / name).write_text(f"#!/bin/sh\n{body}\n")
            (bin_ / name).chmod(0o755)
        done = subprocess.run(
            [DASH],
            input=text.encode(),
            env={"PATH": f"{bin_}:{os.environ['PATH']}", "LC_ALL": "C"},
            cwd=tmp_path,
            capture_output=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.decode(errors="replace")

    return run


Dash = Callable[..., str]


# Compiling.


def test_questions_are_found_without_a_host_and_each_is_asked_once() -> None:
    asked = bundle.fact_commands(
        step(
            use(address.cloned_interface, interface="lo1"),
            use(address.aliases, interface="lo1", addresses=["10.80.0.2"]),
            use(rc.variable, name="a", value="b"),
        )
    )
    assert asked == (RcConf().command(), Interfaces().command())


def test_questions_are_those_of_an_operation_that_will_refuse_too() -> None:
    wanted = step(use(rc.variable, name="bad-name", value="x"), use(daemon.stop, script="x"))
    assert bundle.fact_commands(wanted) == (RcConf().command(), ServiceRuns().command("x"))


def test_a_step_without_operations_asks_nothing() -> None:
    def run(text: str) -> str:
        raise AssertionError(text)

    assert bundle.gather_facts([step()], run) == {}


def test_without_answers_a_bundle_is_for_a_host_that_has_nothing_of_ours() -> None:
    made = compiled(step(use(rc.variable, name="a", value="b")))
    assert made.directory == "003-network"
    assert [command.do for command in made.commands] == ["sysrc a=b && fsync /etc/rc.conf*"]


def test_answers_decide_what_is_still_needed_and_what_the_undo_restores() -> None:
    question = RcConf().command()
    wanted = step(use(rc.variable, name="a", value="b"))
    assert compiled(wanted, {question: ['a="b"']}).commands == ()
    [command] = compiled(wanted, {question: ['a="old"']}).commands
    assert command.undo == "sysrc a=old && fsync /etc/rc.conf*"


def test_an_operation_that_refuses_is_told_with_its_step() -> None:
    question = At().command("/etc/x")
    with pytest.raises(Refused) as caught:
        compiled(
            step(use(files.put, path="/etc/x", content="y\n")), {question: ["directory - - -"]}
        )
    told = str(caught.value)
    assert "step network: /etc/x is a directory: expected a file or nothing" in told
    assert "put(" not in told, "a Python repr"


@operation()
def one_way() -> Any:
    """An operation without an undo."""
    yield Reversible("newfs /dev/x", undo=None, says="make a file system")


@pytest.mark.parametrize(
    "more",
    [{}, {"point_of_no_return": True}, {"gate": Gate("Sure?", ())}],
    ids=["neither", "no gate", "not marked"],
)
def test_no_undo_is_refused_unless_marked_and_behind_a_gate(more: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        compiled(step(use(one_way), **more))
    assert "step network: make a file system has no undo" in str(caught.value)
    assert "newfs /dev/x" in str(caught.value)


def test_a_marked_step_behind_a_gate_may_have_no_undo() -> None:
    made = compiled(step(use(one_way), point_of_no_return=True, gate=Gate("Sure?", ())))
    assert made.commands[0].undo is None


@operation()
def foreign() -> Any:
    """An operation as pyinfra's own are."""
    yield StringCommand("reboot")


def test_a_command_that_knows_no_undo_at_all_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="neither Reversible nor NewFile"):
        compiled(step(use(foreign)))


# Facts, read by one script.


@dataclass(frozen=True)
class Here:
    """A shell of this machine in place of a host's, in a directory of its own."""

    where: Path
    name: str = "here"

    def shell(self) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen([DASH], cwd=self.where, stdin=pipe, stdout=pipe, stderr=pipe)


PLAIN: list[tuple[bytes, list[str]]] = [
    (b"", []),
    (b"one\n", ["one"]),
    (b"one\ntwo\n", ["one", "two"]),
    (b"\n\nthree\n\n", ["", "", "three", ""]),
    (b"no newline at the end", ["no newline at the end"]),
    (b"  spaces \t and tabs\t\n", ["  spaces \t and tabs\t"]),
    (b"100% \\n $x `y` \"q\" 'p'\n", ["100% \\n $x `y` \"q\" 'p'"]),
    ("gr\u00fc\u00dfe\n".encode(), ["gr\u00fc\u00dfe"]),
]
ODD = {
    "latin-1, as in an old rc.conf": b'# gr\xfc\xdfe\na="1"\n',
    "line ends of DOS": b"one\r\ntwo\r\n",
    "a form feed": b"one\x0ctwo\n",
    "a next-line of Unicode": "one\u0085two\u2028three\n".encode(),
}


def asked_twice(tmp_path: Path, output: bytes) -> tuple[Answers, str, str]:
    """The facts, the sum in the bundle, and the sum that the host computes (facts_hold)."""
    (tmp_path / "answer").write_bytes(output)
    lines = ("cat answer", "false", "echo other", "cat nosuch; exit 3")
    with Session(Here(tmp_path)) as session:
        answers = bundle.read_answers(lines, session.output(bundle.facts_script(lines)))
    found = bundle.files(Bundle("001-x", step(), (), answers), "token")
    again = subprocess.run(
        [DASH, "-c", found["facts.sh"]], cwd=tmp_path, capture_output=True, check=True
    )
    return answers, found["facts.sum"], sha256(again.stdout).hexdigest() + "\n"


@pytest.mark.parametrize(("output", "rows"), PLAIN, ids=[repr(output) for output, _ in PLAIN])
def test_answers_survive_the_way(tmp_path: Path, output: bytes, rows: list[str]) -> None:
    answers, ours, hosts = asked_twice(tmp_path, output)
    assert answers["cat answer"] == rows
    assert answers["echo other"] == ["other"]
    assert answers["false"] == answers["cat nosuch; exit 3"] == []
    assert ours == hosts


@pytest.mark.parametrize("output", ODD.values(), ids=ODD)
def test_a_host_that_did_not_change_is_not_said_to_have(tmp_path: Path, output: bytes) -> None:
    """Otherwise no step could ever run there."""
    _, ours, hosts = asked_twice(tmp_path, output)
    assert ours == hosts


def test_facts_are_asked_in_one_round_trip(dash: Dash) -> None:
    scripts: list[str] = []

    def run(text: str) -> str:
        scripts.append(text)
        awk = 'case $2 in /etc/*) echo "a=\\"b\\"" ;; *) exec /usr/bin/awk "$@" ;; esac'
        return dash(text, awk=awk, ifconfig="echo 'lo0: flags=8049'; echo '\tether 58:9c:fc'")

    wanted = step(use(address.cloned_interface, interface="lo1"))
    answers = bundle.gather_facts([wanted], run)
    assert len(scripts) == 1
    assert answers == {RcConf().command(): ['a="b"'], Interfaces().command(): ["lo0:"]}
    assert len(compiled(wanted, answers).commands) == 2


def test_a_fact_that_is_known_is_not_asked_again(dash: Dash) -> None:
    wanted = step(use(address.cloned_interface, interface="lo1"))
    known = {RcConf().command(): ['a="b"'], "uname": ["FreeBSD"]}

    def run(text: str) -> str:
        assert RcConf().command() not in text
        return dash(text, ifconfig="echo 'lo0: flags=8049'")

    answers = bundle.gather_facts([wanted], run, known)
    assert answers == {RcConf().command(): ['a="b"'], Interfaces().command(): ["lo0:"]}


def test_one_question_that_fails_or_shouts_does_not_disturb_the_others(dash: Dash) -> None:
    lines = ("echo loud >&2", "exit 9", "echo well")
    assert bundle.read_answers(lines, dash(bundle.facts_script(lines))) == {
        "echo loud >&2": [],
        "exit 9": [],
        "echo well": ["well"],
    }


def test_a_change_of_the_host_changes_the_sum(dash: Dash, tmp_path: Path) -> None:
    sums = set()
    for content in ("a\n", "a\na\n", "", "\n"):
        (tmp_path / "f").write_text(content)
        answers = bundle.read_answers(("cat f",), dash(bundle.facts_script(("cat f",))))
        sums.add(bundle.files(Bundle("1", step(), (), answers), "")["facts.sum"])
    assert len(sums) == 4


# Content of new files.


@operation()
def laid(path: str, content: str) -> Any:
    """A new file, and nothing else."""
    yield NewFile(path, content)


CONTENTS = {
    "plain": "one\ntwo\n",
    "quotes": 'it\'s "quoted"\n',
    "expansions": "$HOME ${x} $(reboot) `reboot` \\$x \\\\ \\\n",
    "blank lines at both ends": "\n\nx\n\n\n",
    "percent and tab": "100%s\t%d\n",
    "not ASCII": "Gr\u00fc\u00dfe \u2028 \x0c\n",
    "no newline at the end": "no newline",
    "empty": "",
    "a newline": "\n",
    "a line like the marker of a here-document": "one\nEND-OF-FILE\ntouch escaped\n",
    "a marker as its last line": "one\nEND-OF-FILE",
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_new_content_arrives_byte_for_byte(dash: Dash, tmp_path: Path, content: str) -> None:
    """The undo identifies the file by its hash: one more newline would make it foreign."""
    path = tmp_path / "it's.conf"
    [command] = compiled(step(use(laid, path=str(path), content=content))).commands
    dash(f"set -eu\n{command.do}\n")
    staged = tmp_path / ".it's.conf.cellblock"
    assert staged.read_bytes() == content.encode()
    assert staged.stat().st_mode & 0o077 == 0, "until it is in place it is root's alone"
    assert not (tmp_path / "escaped").exists()
    for _ in range(2):
        dash(f"set -eu\n{command.undo}\n")
        assert not staged.exists()


# The files of a step in the journal, and how they get there.


def four() -> Bundle:
    operations = (
        use(rc.variable, name="a", value='it\'s "b" $c'),
        use(files.put, path="/etc/x.conf", content="one\n\ttwo $x\n"),
        use(firewall.switch, set=20),
    )
    answers = {
        RcConf().command(): ["# a comment"],
        At().command("/etc/x.conf"): ["file 644 root:wheel 1234"],
    }
    return compiled(step(*operations, confirm_within=77), answers)


def test_the_files_of_a_step_are_those_that_host_sh_reads() -> None:
    found = bundle.files(four(), "secret")
    assert set(found) == {
        *("why", "hash", "token", "confirm_within", "facts.sh", "facts.planned", "facts.sum"),
        *("owns", "live/004"),
        *(f"{kind}/00{n}{'.sh' if kind in ('do', 'undo') else ''}"
          for kind in ("do", "undo", "keep", "limit") for n in (1, 2, 3, 4)),
    }  # fmt: skip # a row a kind
    assert found["why"] == "Jails need it.\n"
    assert (found["hash"], found["token"], found["confirm_within"]) == (
        f"{four().step.hash}\n",
        "secret\n",
        "77\n",
    )
    assert found["keep/003"] == "/etc/x.conf\n"
    assert found["keep/001"] == ""
    assert (found["limit/001"], found["limit/004"]) == ("60\n", "10\n")


def test_the_first_line_of_a_command_says_what_it_is_and_the_rest_is_as_printed() -> None:
    made = four()
    found = bundle.files(made, "t")
    for number, command in enumerate(made.commands, 1):
        assert found[f"do/{number:03}.sh"] == f"# {command.says}\n{command.do}\n"
        assert found[f"undo/{number:03}.sh"] == f"# undo: {command.says}\n{command.undo}\n"
        assert "\n" not in command.says


def laid_down(root: Path) -> dict[str, str]:
    return {
        str(each.relative_to(root)): each.read_text()
        for each in sorted(root.rglob("*"))
        if each.is_file()
    }


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    where = tmp_path / "db"
    (where / "steps").mkdir(parents=True)
    (where / "host.sh").write_text('echo "$*" >>"${0%/*}/called"\n')
    return where


FSYNC = 'for each; do test -e "$each" || exit 66; echo "$each"; done >>fsynced'


def test_an_upload_lays_everything_down_and_starts_the_run(
    dash: Dash, tmp_path: Path, journal: Path
) -> None:
    dash(bundle.upload_script(four(), "secret", str(journal)), fsync=FSYNC)
    there = journal / "steps" / "003-network"
    assert laid_down(there) == {**bundle.files(four(), "secret"), "state.prepared": ""}
    assert (journal / "called").read_text() == "start 003-network\n"
    assert [each.name for each in (journal / "steps").iterdir()] == ["003-network"]
    opened = [str(each) for each in there.rglob("*") if each.stat().st_mode & 0o077]
    assert opened == [], "root's alone"
    synced = (tmp_path / "fsynced").read_text()
    for name in bundle.files(four(), "secret"):
        assert f"/{name}\n" in synced, f"{name} may be lost with the power"


def test_a_second_upload_moves_the_first_into_history(dash: Dash, journal: Path) -> None:
    dash(bundle.upload_script(four(), "first", str(journal)), fsync=FSYNC)
    dash(bundle.upload_script(four(), "second", str(journal)), fsync=FSYNC)
    assert (journal / "steps" / "003-network" / "token").read_text() == "second\n"
    [old] = (journal / "history").iterdir()
    assert old.name.startswith("003-network.")
    assert (old / "token").read_text() == "first\n"


def test_uploads_within_one_second_are_all_kept(dash: Dash, journal: Path) -> None:
    for token in ("first", "second", "third", "fourth"):
        dash(bundle.upload_script(four(), token, str(journal)), fsync=FSYNC, date="echo 7")
    kept = {old.name: (old / "token").read_text() for old in (journal / "history").iterdir()}
    assert kept == {
        "003-network.7.0": "first\n",
        "003-network.7.1": "second\n",
        "003-network.7.2": "third\n",
    }


def test_what_an_upload_that_broke_off_left_is_swept_away(dash: Dash, journal: Path) -> None:
    broken = journal / "steps" / ".new-003-network"
    broken.mkdir()
    (broken / "rubbish").write_text("x")
    dash(bundle.upload_script(four(), "t", str(journal)), fsync=FSYNC)
    assert not (journal / "steps" / "003-network" / "rubbish").exists()


def test_an_upload_that_fails_starts_nothing_and_leaves_the_old_one(
    dash: Dash, journal: Path
) -> None:
    dash(bundle.upload_script(four(), "first", str(journal)), fsync=FSYNC)
    (journal / "called").unlink()
    again = bundle.upload_script(four(), "second", str(journal))
    dash(f"( {again} ) || true", fsync="exit 66")
    assert (journal / "steps" / "003-network" / "token").read_text() == "first\n"
    assert not (journal / "called").exists()


def test_a_step_of_more_than_a_hundred_commands_is_one_upload(dash: Dash, journal: Path) -> None:
    many = step(*(use(data.flushed, client=f"client{n}") for n in range(120)))
    dash(bundle.upload_script(compiled(many), "t", str(journal)), fsync="")
    names = [each.name for each in (journal / "steps" / "003-network" / "do").iterdir()]
    assert sorted(names)[-1] == "120.sh"


def test_every_script_of_a_bundle_is_sh(tmp_path: Path) -> None:
    scripts: Sequence[str] = [
        text for name, text in bundle.files(four(), "t").items() if re.search(r"\.sh$", name)
    ]
    assert len(scripts) == 9
    for text in scripts:
        checked = subprocess.run(
            [DASH, "-n"], input=text, cwd=tmp_path, text=True, capture_output=True, check=False
        )
        assert checked.returncode == 0, checked.stderr
