"""`cellblock survey` as it is typed: what it writes and prints, and what it refuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import deploy
from rollout.errors import Refused
from rollout.host import survey as survey_files
from rollout.host.survey import Answer, Recording
from survey import summary
from survey import survey as surveys
from survey.assessment import Finding
from survey.draft import Obstacle
from survey.drafting import Way, drafted
from survey.survey import Surveyed
from tests.unit.survey.seen import host

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Typed:
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["deploy.py", "survey", *map(str, words)])
        code: Any = 0
        try:
            deploy.run()
        except SystemExit as ended:
            code = ended.code
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Surveyed:
    draft = drafted(host(), Way("203.0.113.2"))
    draft.obstacles.append(Obstacle("web.jail", "its pages are elsewhere", "web"))
    draft.put("", "order", [each for each in draft.order if each != "web"])
    recording = Recording(
        host="root@203.0.113.2",
        release="FreeBSD 13.2-RELEASE",
        made="2026-11-30T13:00:00Z",
        answers={"uname -s": Answer(code=0, out="FreeBSD\n")},
    )
    stops = Finding("web.jail", "stops", "Why.", "its pages are elsewhere", "docs/steps.md")
    came = Surveyed(draft, "name = 'x'\n", 99, recording, (stops,))
    monkeypatch.setattr(surveys, "survey", lambda *_: came)
    return came


def test_it_writes_a_folder_and_says_what_to_type_next(
    typed: Typed, found: Surveyed, tmp_path: Path
) -> None:
    code, out, err = typed("root@203.0.113.2")
    folder = Path("203.0.113.2.survey")
    file = folder / "site.toml"
    assert (code, err) == (0, "")
    assert file.read_text() == found.text
    assert survey_files.read(folder) == found.recording
    assert json.loads((folder / "assessment.json").read_text()) == found.assessment()
    assert "its pages are elsewhere" in (folder / "assessment.txt").read_text()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert out.startswith(
        f"Wrote {folder}: 3 services can move (bind, mysql, mail), and 2 questions are left.\n"
        f"1 finding stops a move, 0 to look at, 0 for information: see {folder}/assessment.txt, "
        "or assessment.html beside it.\n"
        "The draft passes `check` as it is: 99 checks.\n"
    )
    assert "  - web: its pages are elsewhere\n" in out
    assert "  - sshd at *:22/tcp4: the system's own\n" in out
    assert "  1. [policy] allow: " in out
    assert f"  cellblock rehearse --survey {folder}\n" in out


def test_it_says_when_check_does_not_pass(found: Surveyed) -> None:
    found.draft.obstacles.append(Obstacle("base", "pf is enabled"))
    said = summary.text(found, Path("site.toml"))
    assert "`check` does not pass yet:\n  - pf is enabled\n" in said
    assert "passes `check`" not in said


def test_where_nothing_can_move_the_folder_is_written_and_the_exit_code_says_so(
    typed: Typed, found: Surveyed
) -> None:
    found.draft.put("", "order", ["preflight"])
    code, out, _ = typed("203.0.113.2")
    assert code == 1
    assert "no service can move as it is" in out
    assert Path("203.0.113.2.survey/survey.json").exists()


def test_it_answers_in_json(typed: Typed, found: Surveyed) -> None:
    code, out, _ = typed("203.0.113.2", "--json", "--output", "x")
    data = json.loads(out)
    assert (code, data["file"], data["moves"]) == (0, "x/site.toml", ["bind", "mysql", "mail"])
    assert data["site"]["services"]["mysql"]["data"] == ["/var/db/mysql"]
    assert data["seen"]["host.wan_interface"] == "netstat -rn -f inet: the default route"
    assert [each["key"] for each in data["questions"]] == ["allow", "client"]
    assert data["left"] == {"web": ["its pages are elsewhere"]}
    assert data["stays"][0]["listens"] == ["*:22/tcp4"]
    assert data["check"] == {"checks": 99, "says": []}


def test_it_overwrites_nothing_and_says_so_before_it_connects(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveys, "survey", lambda *_: pytest.fail("it connected"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("mine", "link"):
        code, out, err = typed("203.0.113.2", "--output", name)
        assert (code, out) == (1, "")
        assert f"{name} exists already, and no survey overwrites one" in err
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_folder_that_has_come_meanwhile_is_left_alone(found: Surveyed, tmp_path: Path) -> None:
    (tmp_path / "late").mkdir()
    with pytest.raises(Refused, match="exists already"):
        summary.write(tmp_path / "late", found)
    assert list((tmp_path / "late").iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused(typed: Typed, found: Surveyed) -> None:
    Path("file").write_text("")
    code, out, err = typed("203.0.113.2", "--output", "file/x.survey")
    assert (code, out) == (1, "")
    assert "--output file/x.survey: the survey cannot be written there: " in err


@pytest.mark.parametrize("word", ["anna@", "-oProxyCommand=x", "a b", "root@h;x", ""])
def test_what_is_no_host_is_refused(typed: Typed, word: str) -> None:
    code, out, err = typed("--", word)
    assert (code, out) == (1, "")
    assert "expected [USER@]HOST, as root@203.0.113.2" in err


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Permission denied (publickey).", ("authentication was denied", "the user and --key")),
        ("Connection refused", ("the connection was refused", "the address and --port")),
        ("doas: Operation not permitted", ("--become was refused", "docs/commands.md")),
        ("No ED25519 host key is known", ("the host key is unknown", "--known-hosts")),
    ],
)
def test_a_host_that_is_not_reached_is_one_message_about_what_was_typed(
    typed: Typed,
    said: str,
    told: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "ssh").write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 255\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    code, out, err = typed("anna@203.0.113.2", "--become", "doas", "--port", "2222")
    assert (code, out) == (5, "")
    assert err.startswith("anna@203.0.113.2: ")
    assert all(each in err for each in told)
    assert "(port 2222)" in err
    assert "[host]" not in err
    assert not (tmp_path / "203.0.113.2.survey").exists()
