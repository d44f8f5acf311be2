"""On a real FreeBSD: a person with only the runbook moves MySQL by hand, and back.

The lines are typed into an interactive /bin/sh on root's terminal, one after the other.
"""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from box.qemu.guest import Guest
from rollout.runbook.pages import SHELL
from tests.lab.operator import PROJECT, Operator
from tests.rehearsal.test_typed import Person, pages
from tests.rehearsal.typist import Line, Typist, items, seen

pytestmark = [pytest.mark.guest, pytest.mark.timeout(3600)]

ORDER = ("preflight", "base", "network", "mysql")


@pytest.fixture
def operator(fresh_guest: Guest, tmp_path: Path) -> Operator:
    return Operator(fresh_guest, tmp_path, ORDER)


@pytest.fixture
def terminal(operator: Operator) -> Iterator[Typist]:
    """At a terminal: root's login shell is csh, and the runbook's shell is started from there."""
    login = ["-tt" if word == "-T" else word for word in operator.guest.ssh_argv("")[:-1]]
    assert "-tt" in login
    pipe = subprocess.PIPE
    shell = subprocess.Popen(login, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
    assert shell.stdout is not None
    said = b""
    while not said.endswith(b"# "):  # csh drops what is typed before its prompt
        said += (more := os.read(shell.stdout.fileno(), 65536))
        assert more, said
    typist = Typist(shell, f"{SHELL}\nstty -echo")
    yield typist
    typist.close()


class AtGuest(Person):
    """Types the lines for another machine there, and the lines to type meanwhile right after."""

    def __init__(self, typist: Typist, guest: Guest) -> None:
        super().__init__(typist)
        self.guest = guest

    def looks(self, lines: list[Line]) -> None:
        for line in lines:
            if line.title.startswith("on another machine: "):
                done = subprocess.run(
                    self.guest.argv("sh", "-c", f"{line.text}\nsleep 1"),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,  # a background process would hold it open
                    text=True,
                    timeout=120,
                    check=False,
                )
                assert seen(str(line.sees), done.stdout), self.told(line, done.stdout)
                continue
            printed, _ = self.typist.type(line.text)
            assert seen(str(line.sees), printed), self.told(line, printed)


def asked(operator: Operator, done: int) -> None:
    """Run the checks of these steps, as an apply does."""
    answer = subprocess.run(
        operator.guest.argv(
            sys.executable, "-m", "tests.lab.run_checks", str(operator.site), str(done)
        ),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    *failed, last = answer.stdout.splitlines() or [""]
    assert (failed, answer.returncode) == ([], 0), answer.stdout + answer.stderr
    assert int(last.split()[0]) > 3


def test_mysql_moves_by_hand_and_back(operator: Operator, terminal: Typist, tmp_path: Path) -> None:
    if not shutil.which("nc"):
        pytest.skip("the page's other machine, which is this one, has no nc (netcat-openbsd)")
    steps = pages(operator.site, tmp_path / "pages")
    person = AtGuest(terminal, operator.guest)
    before = []
    for done, section in enumerate(steps, 1):
        before.append(operator.fingerprint())
        person.looks(section.before)
        person.types(section.typed)
        asked(operator, done)
        person.looks(section.checks)
    assert before[-1] != before[0]
    for done, section in reversed(list(enumerate(steps))):
        person.types(section.back)
        assert operator.fingerprint() == before[done], section.step
        if done:
            asked(operator, done)


def test_apply_by_hand_waits_at_a_terminal_and_remembers_the_way_back(
    operator: Operator, terminal: Typist
) -> None:
    """deploy.py on a terminal of the operator's; the typing on another one, on the server."""
    before = operator.fingerprint()
    ours, theirs = pty.openpty()
    words = ["deploy.py", "apply", "--by-hand", "--to", "network", "--site", str(operator.site)]
    running = subprocess.Popen(
        operator.guest.argv(sys.executable, *words),
        cwd=PROJECT,
        env={**os.environ, "HOME": str(operator.home)},
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert running.stderr is not None
    try:
        for step in ("base", "network"):
            told = ""
            while "say what: " not in told:
                letter = running.stderr.read(1)
                assert letter, told
                told += letter
            block = told[told.index("\n# 1. ") + 1 :].rpartition("\n\n")[0]
            Person(terminal).types(items(block))
            assert f"{step}: Enter when all of it is typed" in told
            os.write(ours, b"\n")
        assert running.wait(timeout=900) == 0, running.stderr.read()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
        os.close(ours)
        os.close(theirs)
    status = operator.deploy("status")
    assert status.stdout.count("by hand: ") == 2, status.stdout
    done = operator.deploy("rollback")
    assert done.returncode == 0, done.stdout + done.stderr
    assert operator.fingerprint() == before
