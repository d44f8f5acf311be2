"""Questions of the site file, asked of a shell of this machine: what is told, and what is not."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rollout import site
from rollout.site import Site
from tests.checks.test_described import test_jail_gives_the_same_answers as same
from tests.checks.test_described import test_questions_have_answers as answered
from tests.rehearsal.sites import SAMPLE
from tests.unit.checks.telling import tells

SHA = 'sha256() { sha256sum | cut -d " " -f 1; }; '


class Shell:
    """Its jail is what `jexec` is here."""

    def __init__(self, where: Path, jexec: str) -> None:
        self.where, self.jexec = where, jexec

    def check_output(self, command: str) -> str:
        functions = f"{SHA}jexec() {{ shift; {self.jexec}; }}; "
        done = subprocess.run(
            ["sh", "-c", functions + command],
            cwd=self.where,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout


def asking(*questions: str) -> Site:
    sample = site.read(SAMPLE)
    cache = sample.services["web"].model_copy(update={"questions": questions, "move": "overlap"})
    return sample.model_copy(update={"services": {**sample.services, "web": cache}})


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("echo a", ""),
        ("printf 'a\\n\\n\\n'", ""),
        ("echo a=1", ""),
        ("exit 3", "`exit 3` ends with exit code 3 on the host"),
        ("true", "`true` prints nothing on the host"),
        ("echo . >> n; wc -l < n", "prints something else each time"),
        ("echo secret; exit 4", "ends with exit code 4"),
    ],
)
def test_a_question_that_compares_nothing_is_told(tmp_path: Path, question: str, told: str) -> None:
    with tells(told):
        answered(Shell(tmp_path, '"$@"'), asking("echo first", question), "web")


@pytest.mark.parametrize(
    ("jexec", "told"),
    [
        ('"$@"', ""),
        ("echo other", "prints something else in jail web (6 bytes) than on the host (12 bytes)"),
        ("return 127", "`cat data` ends with exit code 127 in jail web"),
        ("yes", "`cat data` prints more than 1000000 bytes in jail web"),
        ("cat data; echo more >> data", ""),  # clients write
    ],
)
def test_an_answer_that_is_another_in_the_jail_is_told(
    tmp_path: Path, jexec: str, told: str
) -> None:
    (tmp_path / "data").write_text("secret\nkeys\n")
    with tells(told) as message:
        same(Shell(tmp_path, jexec), asking("cat data"), "web")
    assert "secret" not in str(message)


def test_a_daemon_that_serves_the_jail_alone_is_told(tmp_path: Path) -> None:
    host: Any = SimpleNamespace(check_output=Shell(tmp_path, "echo well").check_output)
    with tells("`exit 1` ends with exit code 1 on the host"):
        same(host, asking("exit 1"), "web")
