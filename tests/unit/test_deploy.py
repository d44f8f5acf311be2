"""The command line: what it offers is documented, and bad input is a message and exit code 1."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import deploy
from box.kinds import KINDS, Kind
from rollout import errors, plan, site
from rollout.engine import gates
from rollout.host.journal import Entry, Journal
from rollout.plan.step import Gate
from rollout.rehearsal import history
from rollout.rehearsal.box import Box
from rollout.terminal import server, under_prober

PROJECT = Path(__file__).parents[2]
SAMPLE = PROJECT / "site.example.toml"
Refused = Callable[..., str]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(deploy.main.commands)
WITH_SITE = [each for each in COMMANDS if each != "survey"]
"""survey makes the first site file."""
CODES = {0} | {
    each.code
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, errors.CellblockError)
}

NO_PYINFRA = "import sys; sys.modules['pyinfra'] = None; import deploy; deploy.run()"


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """What is printed on stderr for bad input. Any other exception would be a traceback."""

    def run(*words: str | Path) -> str:
        monkeypatch.setattr(sys, "argv", ["deploy.py", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            deploy.run()
        told = capsys.readouterr()
        assert ended.value.code == 1, told.err
        assert told.out == ""
        return told.err

    return run


def test_a_name_from_the_host_does_not_reach_the_terminal_as_it_is(
    refused: Refused, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused("check", "--site", tmp_path / "\x1b]0;title\x07.toml")
    assert "?]0;title?.toml" in told
    assert "\x1b" not in told
    deploy._print({}, "alice  /home/alice/\x1b[2J", as_json=False)
    assert capsys.readouterr().out == "alice  /home/alice/?[2J\n"


def test_the_commands_are_those_that_were_promised() -> None:
    assert COMMANDS == [
        "apply",
        "audit",
        "check",
        "plan",
        "rehearse",
        "rollback",
        "runbook",
        "status",
        "survey",
        "usage",
        "verify",
        "watch",
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps(command: str) -> None:
    told = CliRunner().invoke(deploy.main, [command, "--help"])
    assert told.exit_code == 0
    assert f"{command} [OPTIONS]" in told.output
    for option in deploy.main.commands[command].params:
        if isinstance(option, click.Argument):
            continue
        assert isinstance(option, click.Option)
        assert option.opts[-1] in told.output
        assert option.help, f"{command} {option.opts} says nothing"


def test_the_help_tells_every_exit_code() -> None:
    told = " ".join(CliRunner().invoke(deploy.main, ["--help"]).output.split())
    for code in CODES:
        assert re.search(rf"\b{code} (?=[a-z])", told), f"exit code {code}"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--json", "--site"])
def test_every_command_takes_a_site_file_and_answers_in_json(command: str, option: str) -> None:
    if (command, option) == ("survey", "--site"):
        option = "--output"
    assert option in {word for each in deploy.main.commands[command].params for word in each.opts}


def test_a_bad_site_file_is_a_message_and_exit_code_1(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text(SAMPLE.read_text().replace('"10.80.0.4"', '"10.80.0.3"'))
    done = subprocess.run(
        [sys.executable, "deploy.py", "plan", "--site", bad],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    assert f"{bad}: it contradicts itself" in done.stderr
    assert "jails.web.address = 10.80.0.3: jails.mysql has it already" in done.stderr


def test_notices_that_cannot_be_written_are_refused_before_the_host_is_reached(
    refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    where = tmp_path / "file" / "letters"
    told = refused("audit", "--site", SAMPLE, "--fix", "--notices", where)
    assert f"--notices {where}: the notices cannot be written there: Not a directory" in told


@pytest.mark.parametrize("command", WITH_SITE)
def test_no_site_file_is_a_message_for_every_command(
    refused: Refused, command: str, tmp_path: Path
) -> None:
    assert "nosuch.toml: cannot be read" in refused(command, "--site", tmp_path / "nosuch.toml")


@pytest.mark.parametrize("command", ["apply", "check", "plan", "rollback", "status", "verify"])
def test_an_ssh_that_is_refused_is_a_host_that_cannot_be_reached(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As the README has it: exit code 5."""
    (tmp_path / "ssh").write_text("#!/bin/sh\necho 'Host key verification failed.' >&2\nexit 255\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(sys, "argv", ["deploy.py", command, "--site", str(SAMPLE)])
    with pytest.raises(SystemExit) as ended:
        deploy.run()
    told = capsys.readouterr().err
    assert ended.value.code == errors.Unreachable.code, told
    assert f"root@203.0.113.2: the host key is unknown (port 22; [host] in {SAMPLE})" in told
    assert told.count("203.0.113.2") == 1
    assert "the host undoes by itself what was not confirmed; nothing was started from here" in told
    assert "connecting to" not in told, "it did not take a second"
    assert "  -> log in once by ssh" in told


@pytest.mark.parametrize("words", [("plan",), ("apply", "--to"), ("rollback", "--to")])
def test_a_wrong_step_is_refused_before_a_connection_is_opened(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr("rollout.host.session.Ssh.shell", _never)
    told = refused(*words, "mysql.cutovr", "--site", SAMPLE)
    assert "there is no step 'mysql.cutovr' in this plan; did you mean mysql.cutover?" in told


def _never(*_: object) -> None:
    raise AssertionError("a connection was opened")


def test_a_connection_that_takes_long_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ssh").write_text("#!/bin/sh\nsleep 1\necho 'timed out' >&2\nexit 255\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(server, "_PATIENCE", 0.05)
    monkeypatch.setattr(sys, "argv", ["deploy.py", "status", "--site", str(SAMPLE)])
    with pytest.raises(SystemExit):
        deploy.run()
    assert capsys.readouterr().err.startswith("connecting to root@203.0.113.2 (up to 30 s)\n")


@pytest.mark.parametrize("command", WITH_SITE)
def test_a_directory_as_site_file_is_a_message_for_every_command(
    refused: Refused, command: str, tmp_path: Path
) -> None:
    assert f"{tmp_path}: is a directory; expected a TOML file" in refused(
        command, "--site", tmp_path
    )


def test_answers_that_cannot_be_read_are_refused(refused: Refused, tmp_path: Path) -> None:
    told = refused("apply", "--site", SAMPLE, "--answers", tmp_path)
    assert f"{tmp_path}: is a directory; expected a TOML file" in told
    assert 'expected tables like [bind.retire] with answer = "yes"' in told


@pytest.mark.parametrize("words", [("plan", "--sit", "x"), ("aply",), ("status", "to-nowhere")])
def test_what_is_misspelt_is_refused_and_not_said_to_be_rolled_back(
    refused: Refused, words: tuple[str, ...]
) -> None:
    """click's own exit code for it is 2, which means something else here."""
    assert next(word for word in words if word not in COMMANDS) in refused(*words)


@pytest.mark.parametrize("where", ["network:x", "network:0", "network:99", "preflight", "nosuch"])
def test_a_break_that_cannot_be_is_refused_before_a_box_is_set_up(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def box(*_: object) -> AbstractContextManager[Box]:
        raise AssertionError("a box was set up")

    monkeypatch.setitem(KINDS, "standin", Kind("the stand-in", box))
    assert where.partition(":")[0] in refused("rehearse", "--quiet", "--break", where)


def test_ctrl_c_is_a_message_and_an_exit_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(site, "read", interrupted)
    monkeypatch.setattr(sys, "argv", ["deploy.py", "plan"])
    with pytest.raises(SystemExit) as ended:
        deploy.run()
    assert ended.value.code == 130
    assert capsys.readouterr().err.strip() == "interrupted"


def test_without_its_packages_it_says_how_they_are_installed() -> None:
    for words in (["-S", "deploy.py"], ["-c", NO_PYINFRA, "runbook"]):
        done = subprocess.run(
            [sys.executable, *words], cwd=PROJECT, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert "Traceback" not in done.stderr
        assert "make setup" in done.stderr
        assert ("pyinfra" if "-c" in words else "click") in done.stderr


def test_a_hook_to_try_that_is_not_there_is_refused(refused: Refused) -> None:
    assert "has no command to try" in refused("rehearse", "--hooks")


def test_a_runbook_that_cannot_be_written_is_refused(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "a-file").write_text("x")
    told = refused("runbook", "--site", SAMPLE, "--output", tmp_path / "a-file")
    assert "a-file" in told


def test_plan_writes_the_file_of_answers_and_keeps_what_is_in_it(
    tmp_path: Path, refused: Refused
) -> None:
    file = tmp_path / "said.toml"
    words = ["plan", "--offline", "--site", str(SAMPLE), "--answers", str(file)]
    assert CliRunner().invoke(deploy.main, words).exit_code == 0
    text = file.read_text()
    gated = [step.name for step in plan.make(site.read(SAMPLE)).steps if step.gate]
    assert [name for name in gated if f"\n#{name} = {{ answer = " in text] == gated
    file.write_text(text.replace("\n#bind.retire", "\nbind.retire"))
    told = CliRunner().invoke(deploy.main, words)
    assert f"wrote {file}: {len(gated) - 1} of {len(gated)} gate(s) have no answer" in told.output
    assert "\nbind.retire = { answer = " in file.read_text()
    assert "give it without STEP" in refused(*words, "bind.retire")


def test_a_plan_without_a_server_is_for_the_sample_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rollout.host.session.Ssh.shell", _never)
    told = CliRunner().invoke(deploy.main, ["plan", "--offline", "mysql.cutover"])
    assert told.exit_code == 0, told.output
    assert told.stdout.startswith("Made without a server: ")
    assert "expected outage: mysql up to 15 s" in told.stdout
    assert f"there is no site.toml here: this is for the sample site, {SAMPLE}" in told.stderr
    assert "mysql.jail" not in told.stdout
    whole = CliRunner().invoke(deploy.main, ["plan", "--offline", "--to", "mysql.cutover"])
    assert "mysql.jail" in whole.stdout
    assert "web.jail" not in whole.stdout


def test_a_plan_without_its_site_file_says_what_works_without_a_server(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = refused("plan", "mysql.cutover")
    assert told.endswith("; without a server: cellblock plan --offline mysql.cutover\n")


def test_a_plan_that_reaches_no_server_says_what_works_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ssh").write_text("#!/bin/sh\necho 'Connection timed out' >&2\nexit 255\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(sys, "argv", ["deploy.py", "plan", "--site", str(SAMPLE)])
    with pytest.raises(SystemExit) as ended:
        deploy.run()
    assert ended.value.code == errors.Unreachable.code
    told = capsys.readouterr().err
    assert told.endswith("its firewall; without a server: cellblock plan --offline\n")


def test_a_runbook_of_one_step_is_that_step_alone(refused: Refused, tmp_path: Path) -> None:
    words = ["runbook", "--site", str(SAMPLE), "mysql.cutover"]
    for kind, heading in ([], "\n## "), (["--html"], "<h2 "):
        printed = CliRunner().invoke(deploy.main, [*words, *kind]).output
        assert printed.count(heading) == 1
        assert "mysql.cutover" in printed
    assert "not both" in refused(*words, "--output", tmp_path)


def test_a_runbook_is_printed_or_written_without_a_host(tmp_path: Path) -> None:
    printed = CliRunner().invoke(deploy.main, ["runbook", "--site", str(SAMPLE)])
    assert printed.exit_code == 0
    assert "# mysql: runbook for dcserver" in printed.output
    where = tmp_path / "a" / "b"
    CliRunner().invoke(deploy.main, ["runbook", "--site", str(SAMPLE), "--output", str(where)])
    assert (where / "07-mysql.md").read_text() in printed.output


def test_the_readme_has_a_row_for_every_exit_code_and_no_other() -> None:
    rows = {int(code) for code in re.findall(r"^\| (\d+) \|", README, flags=re.MULTILINE)}
    assert rows == CODES


GATE = Gate("Go on?", ("the log", "the paper"))


def test_nobody_at_the_terminal_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert not gates.person("one", GATE)


@pytest.mark.parametrize(("typed", "yes"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_a_person_is_shown_what_to_look_at_and_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, yes: bool
) -> None:
    terminal = io.StringIO(typed)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    assert bool(gates.person("one", GATE)) is yes
    told = capsys.readouterr().err
    assert "  - the log\n  - the paper\n" in told
    assert "Go on?" in told


class Standing:
    """A runner on a host where the first steps are confirmed."""

    def __init__(self, confirmed: int) -> None:
        self.plan = plan.make(site.read(SAMPLE))
        self.notes: list[str] = []
        self.applied: list[str | None] = []
        self.listener = self
        self.session = self
        names = [step.name for step in self.plan.steps if step.operations][:confirmed]
        self._done = [Entry(f"{n:03}-{name}", "confirmed", "") for n, name in enumerate(names)]

    def known(self) -> Journal:
        return Journal(tuple(self._done))

    def output(self, command: str) -> str:
        assert command == "uname -r"
        return "15.0-RELEASE-p1\n"

    def note(self, text: str) -> None:
        self.notes.append(text)

    def apply(self, to: str | None) -> None:
        self.applied.append(to)


def test_an_apply_says_what_was_never_rehearsed_of_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    standing = Standing(2)
    under_prober.apply(standing, "egress", strict=False)  # type: ignore[arg-type]  # stands for a runner
    assert standing.notes == ["WARNING: never rehearsed in their current form: traffic, egress"]
    assert standing.applied == ["egress"]


def test_a_strict_apply_begins_nothing_that_was_never_rehearsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    standing = Standing(2)
    left = [step for step in standing.plan.steps if step.name in ("traffic", "egress")]
    history.note(left[:1], "dcserver", "a box", release="15.0-RELEASE")
    with pytest.raises(errors.Refused, match="1 of 2 steps were not rehearsed on"):
        under_prober.apply(standing, "egress", strict=True)  # type: ignore[arg-type]  # stands for a runner
    assert standing.applied == []
    history.note(left, "dcserver", "a box", release="15.0-RELEASE")
    under_prober.apply(standing, "egress", strict=True)  # type: ignore[arg-type]  # stands for a runner
    assert standing.applied == ["egress"]
