"""A session: one shell on the host, one command after the other, each with its own result."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from shlex import quote
from threading import Timer, get_ident

import pytest

from operations.facts import Interfaces, Jails
from rollout.errors import Refused, Unreachable
from rollout.host.session import BECOME as BECOMES
from rollout.host.session import Said, Session, Ssh, facts_from
from rollout.host.session import testinfra_host as as_testinfra
from rollout.host.together import Result

SHELLS = {"dash": ("dash",), "bash": ("bash", "--posix")}


@dataclass(frozen=True)
class Local:
    """A shell of this machine in place of a host's."""

    argv: tuple[str, ...]
    name: str = "here"

    def shell(self) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self.argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )


@pytest.fixture(params=SHELLS)
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    argv = SHELLS[request.param]
    if shutil.which(argv[0]) is None:
        pytest.skip(f"there is no {argv[0]}")
    with Session(Local(argv)) as opened:
        yield opened


@pytest.fixture
def sh() -> Iterator[Session]:
    with Session(Local(("sh",))) as opened:
        yield opened


@pytest.mark.parametrize("code", [0, 1, 127, 255])
def test_an_exit_code_is_the_commands_own(session: Session, code: int) -> None:
    assert session.run(f"(exit {code})").code == code


def test_what_a_command_says_does_not_hang_on_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    with Session(Local(("sh",))) as session:
        assert session.run("env | grep ^LC_ALL=").out == "LC_ALL=C\n"


def test_both_outputs_are_kept_apart_and_exact(session: Session) -> None:
    result = session.run("echo out; echo err >&2; printf 'more\\n\\n'; printf 'no end' >&2")
    assert (result.out, result.err) == ("out\nmore\n\n", "err\nno end")


@pytest.mark.parametrize(
    "text", ["", "\n", "\n\n\n", "x", "x\n", "\nx", " x ", "--", "-- 0\n", "a\tb\x07\x1b[1m\n"]
)
def test_an_output_arrives_as_it_is(session: Session, text: str) -> None:
    octal = "".join(f"\\{ord(each):03o}" for each in text)
    assert session.run(f"printf '{octal}'").out == text


def test_an_output_may_come_in_pieces() -> None:
    with Session(Local(("sh", "-c", "sh | dd bs=7 status=none"))) as session:
        for n in range(20):
            assert session.run(f"echo {n}").out == f"{n}\n"


def test_what_a_login_prints_belongs_to_no_command() -> None:
    greets = "echo Welcome; echo 'You have mail.' >&2; exec sh"
    with Session(Local(("sh", "-c", greets))) as session:
        first, second = session.run_all(["echo one; echo two >&2", "true"])
        assert (first.out, first.err, second.out, session.trips) == ("one\n", "two\n", "", 1)


def test_no_output_is_no_output(session: Session) -> None:
    result = session.run("true")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_what_is_not_utf_8_is_kept_to_the_byte_and_breaks_nothing(session: Session) -> None:
    """Otherwise a host with one such byte in rc.conf would always seem to have changed."""
    result = session.run(r"printf 'a\377\000b\200\n'; printf '\376' >&2; exit 4")
    assert (result.code, result.out, result.err) == (4, "a\udcff\x00b\udc80\n", "\udcfe")
    assert result.out.encode(errors="surrogateescape") == b"a\xff\x00b\x80\n"
    assert session.run("echo well").out == "well\n"


def test_a_megabyte_on_both_pipes_arrives_whole(session: Session) -> None:
    line = "0123456789abcdef" * 64
    command = f"i=0; while [ $i -lt 1024 ]; do echo {line}; echo {line} >&2; i=$((i + 1)); done"
    result = session.run(command)
    assert result.out == result.err == f"{line}\n" * 1024


def test_a_command_of_a_megabyte_arrives_whole(sh: Session) -> None:
    text = "it's $x `y`\n" * 90_000
    assert sh.run(f"printf %s {quote(text)} | wc -c").out.strip() == str(len(text))


@pytest.mark.parametrize(
    "command",
    [
        "exit 7",
        "cd /; X=1; exit 7",
        "set -eu; false; echo no",
        "( exit 7 ); exit 7",
        "set -u; echo $x",
    ],
)
def test_what_a_command_does_to_its_shell_stays_its_own(session: Session, command: str) -> None:
    session.run("Y=1; cd /")
    assert session.run(command).code != 0
    here = session.run('pwd; echo "${X-unset} ${Y-unset}"; echo $-')
    assert here.out.splitlines()[0] != "/"
    assert here.out.splitlines()[1] == "unset unset"
    assert not {"e", "u"} & set(here.out.splitlines()[2])


@pytest.mark.parametrize("command", ["if", "echo 'x", "fi", "echo $(", "nosuchcommand", ")"])
def test_a_command_that_is_no_sh_fails_and_the_session_goes_on(
    session: Session, command: str
) -> None:
    result = session.run(command)
    assert result.code != 0
    assert result.err
    assert session.run("echo well").out == "well\n"


def test_a_command_that_reads_stdin_finds_it_empty_and_eats_no_other(session: Session) -> None:
    assert session.run("cat; read -r x || echo nothing", limit=5).out == "nothing\n"
    assert session.run("echo well").out == "well\n"


def test_a_here_document_and_several_lines_are_one_command(session: Session) -> None:
    result = session.run("cat <<'X'\n$a 'b'\nX\necho two # a comment\n# the end")
    assert result.out == "$a 'b'\ntwo\n"


def test_a_comment_at_the_end_does_not_swallow_the_marker(session: Session) -> None:
    assert session.run("echo a # b").out == "a\n"


def test_a_background_child_does_not_hold_a_command_up(session: Session) -> None:
    before = time.monotonic()
    assert session.run("sleep 20 >/dev/null 2>&1 & echo on").out == "on\n"
    assert time.monotonic() - before < 15


def test_lines_are_told_as_they_come(session: Session) -> None:
    told: list[tuple[str, float]] = []
    result = session.run(
        "echo one; echo not this >&2; sleep 0.6; echo two; printf three",
        line=lambda text: told.append((text, time.monotonic())),
    )
    assert [text for text, _ in told] == ["one", "two", "three"]
    assert told[1][1] - told[0][1] > 0.2
    assert result.out == "one\ntwo\nthree"


def test_a_command_that_is_interrupted_ends_the_connection_at_once(session: Session) -> None:
    """Its later output belongs to no command; and ^C does not wait for its end."""

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        session.run("echo begun; sleep 30; echo late", line=interrupt)
    with pytest.raises(Unreachable):
        session.run("echo next")
    assert time.monotonic() - began < 5


def test_a_letter_that_is_cut_in_two_is_told_whole(session: Session) -> None:
    told: list[str] = []
    session.run(r"printf 'gr\303'; sleep 0.2; printf '\274n\n'", line=told.append)
    assert told == ["gr\u00fcn"]


def test_several_commands_are_one_trip_with_a_result_each(session: Session) -> None:
    asked = ["printf 'a\\n\\n'; exit 3", "cd /; echo >&2 b", "cat; true", "pwd", "fi", "echo 'c"]
    first, second, third, here, *wrong = session.run_all(asked)
    assert (first.code, first.out, first.err) == (3, "a\n\n", "")
    assert (second.code, second.out, second.err) == (0, "", "b\n")
    assert (third.code, third.out) == (0, "")
    assert here.out != "/\n"
    assert all(each.code and each.err for each in wrong)
    assert session.trips == 1
    assert session.run("echo well").out == "well\n"


def test_megabytes_of_several_commands_arrive_whole(session: Session) -> None:
    """Neither side waits for the other, though what is asked is more than a pipe holds, too."""
    filler = "#" * 100_000
    command = f"i=0; while [ $i -lt 2000 ]; do echo {'x' * 200}; i=$((i + 1)); done; {filler}"
    found = session.run_all([command] * 5)
    assert [len(each.out) for each in found] == [2000 * 201] * 5


def test_the_limit_of_several_commands_is_for_each(sh: Session) -> None:
    found = sh.run_all(["sleep 0.4; echo a", "sleep 0.4; echo b", "echo c"], limit=0.7)
    assert [each.out for each in found] == ["a\n", "b\n", "c\n"]
    assert found[1].seconds > found[2].seconds
    with pytest.raises(Unreachable, match="limit"):
        sh.run_all(["echo a", "sleep 5"], limit=0.3)


def results(said: Callable[[], Said]) -> list[Result]:
    return [each for each in said().values() if isinstance(each, Result)]


def test_what_is_begun_is_asked_at_once_and_not_waited_for(session: Session) -> None:
    before = time.monotonic()
    said = session.begin(["sleep 0.6; echo a; exit 4", "echo b >&2"])
    assert time.monotonic() - before < 0.5
    assert session.trips == 2  # with the greeting
    time.sleep(0.6)
    before = time.monotonic()
    first, second = results(said)
    assert time.monotonic() - before < 0.5
    assert (first.code, first.out, second.err) == (4, "a\n", "b\n")
    assert list(said()) == ["sleep 0.6; echo a; exit 4", "echo b >&2"]
    assert session.trips == 2


def test_a_command_meanwhile_gets_its_own_answer_and_so_does_what_was_begun(sh: Session) -> None:
    said, nothing = sh.begin(["sleep 0.2; echo a"]), sh.begin([])
    assert sh.run("echo b").out == "b\n"
    assert [each.out for each in results(said)] == ["a\n"]
    assert nothing() == {}


def test_megabytes_that_were_begun_arrive_whole(session: Session) -> None:
    said = session.begin([f"i=0; while [ $i -lt 9000 ]; do echo {'x' * 200}; i=$((i + 1)); done"])
    assert session.run("echo b").out == "b\n"
    assert [len(each.out) for each in results(said)] == [9000 * 201]


def test_what_was_begun_has_a_limit_and_is_lost_with_the_connection(sh: Session) -> None:
    slow = sh.begin(["sleep 5"], limit=0.2)
    with pytest.raises(Unreachable, match="the limit was reached"):
        sh.run("echo b")
    with pytest.raises(Unreachable, match="the connection ended"):
        slow()


def test_what_was_begun_and_is_interrupted_ends_the_connection(sh: Session) -> None:
    said = sh.begin(["sleep 30"])
    me = get_ident()
    Timer(0.3, lambda: signal.pthread_kill(me, signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        said()
    with pytest.raises(Unreachable):
        sh.run("echo next")
    assert time.monotonic() - began < 5


def test_trips_are_counted(sh: Session) -> None:
    for _ in range(3):
        sh.run("true")
    assert sh.trips == 3


def test_the_output_of_a_command_that_must_succeed(sh: Session) -> None:
    assert sh.output("echo x") == "x\n"
    with pytest.raises(Refused) as caught:
        sh.output("echo no such luck >&2; exit 5")
    told = str(caught.value)
    assert "a command failed on here (exit 5)" in told
    assert "no such luck" in told


@pytest.mark.parametrize("command", ["sleep 30", "echo x; sleep 30"])
def test_a_command_that_takes_longer_than_its_limit(session: Session, command: str) -> None:
    before = time.monotonic()
    with pytest.raises(Unreachable, match="the limit was reached before the command ended"):
        session.run(command, limit=0.3)
    assert time.monotonic() - before < 15


def test_a_command_that_never_stops_talking_is_limited_too(sh: Session) -> None:
    before = time.monotonic()
    with pytest.raises(Unreachable, match="the limit was reached before the command ended"):
        sh.run("timeout 10 yes", limit=0.2)
    assert time.monotonic() - before < 5


def test_a_shell_that_is_killed(session: Session) -> None:
    with pytest.raises(Unreachable, match="here: the connection ended"):
        session.run("echo last words >&2; kill -9 $$")
    with pytest.raises(Unreachable, match="here: the connection ended"):
        session.run("echo again")
    deadline = time.monotonic() + 5
    while session.alive and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not session.alive


def test_a_session_that_is_closed_leaves_no_shell_behind() -> None:
    session = Session(Local(("sh",)))
    session.run("true")
    assert session.alive
    session.close()
    assert not session.alive
    with pytest.raises(Unreachable, match="the connection ended"):
        session.run("true")


def test_a_target_without_pipes_is_a_mistake_of_ours() -> None:
    class Deaf:
        name = "deaf"

        def shell(self) -> subprocess.Popen[bytes]:
            return deaf

    with subprocess.Popen(["true"]) as deaf, pytest.raises(ValueError, match="must have a pipe"):
        Session(Deaf())


# ssh.

CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Host key for 203.0.113.2 has changed and you have requested strict checking.
Host key verification failed."""
UNKNOWN = """\
No ED25519 host key is known for 203.0.113.2 and you have requested strict checking.
Host key verification failed."""
CONNECT = "ssh: connect to host 203.0.113.2 port 22: "
UNREADABLE = """\
Load key "/home/op/.ssh/id_rsa": Permission denied
root@203.0.113.2: Permission denied (publickey)."""
MISSING = """\
Warning: Identity file /nosuch not accessible: No such file or directory.
root@203.0.113.2: Permission denied (publickey)."""
OPEN = """\
@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @
Permissions 0644 for '/home/op/.ssh/id_rsa' are too open.
root@203.0.113.2: Permission denied (publickey)."""
MISSING_AND_AWAY = f"{MISSING.splitlines()[0]}\n{CONNECT}Connection refused"
KEY, LOGIN, SILENT = "could not use the private key", "authentication was denied", "does not answer"
BECOME = "[host] become was refused"
NO_NAME = "sudo: unable to resolve host web: Name or service not known"
SAYS = [
    (CHANGED, "the host key has changed", "ssh-keygen -R"),
    (UNKNOWN, "the host key is unknown", "log in once"),
    (
        "root@203.0.113.2: Permission denied (publickey,keyboard-interactive).",
        LOGIN,
        "user and key",
    ),
    ("Received disconnect: Too many authentication failures", LOGIN, "ssh-add -l"),
    (UNREADABLE, KEY, "[host] key"),
    (MISSING, KEY, "[host] key"),
    (OPEN, KEY, "that you alone may read"),
    (f"{CONNECT}Connection refused", "the connection was refused", "that sshd runs"),
    (MISSING_AND_AWAY, "the connection was refused", "that sshd runs"),
    (f"{CONNECT}Connection timed out", SILENT, "address and port"),
    (f"{CONNECT}Operation timed out", SILENT, "address and port"),
    ("Connection timed out during banner exchange", SILENT, "address and port"),
    (f"{CONNECT}No route to host", SILENT, "address and port"),
    (f"{CONNECT}Network is unreachable", SILENT, "address and port"),
    (
        "ssh: Could not resolve hostname nosuch.example: Name or service not known",
        "the host name cannot be resolved",
        "[host] address",
    ),
    ("doas: Authentication required", BECOME, "permit nopass USER as root cmd /bin/sh"),
    ("doas: Operation not permitted", BECOME, "docs/commands.md"),
    (f"{NO_NAME}\nsudo: a password is required", BECOME, "USER ALL=(root) NOPASSWD: /bin/sh"),
    ("sh: 1: doas: not found", BECOME, "docs/commands.md"),
    ("doas: Command not found.", BECOME, "docs/commands.md"),
    ("fish: Unknown command: doas", BECOME, "docs/commands.md"),
    ("zsh:1: command not found: sudo", BECOME, "docs/commands.md"),
    ("Connection closed by 203.0.113.2 port 22", "the connection ended", ""),
    ("client_loop: send disconnect: Broken pipe", "the connection ended", ""),
]


@pytest.mark.parametrize(
    ("says", "told", "todo"), SAYS, ids=[row[0].splitlines()[-1][-40:] for row in SAYS]
)
def test_what_openssh_says_becomes_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, told: str, todo: str
) -> None:
    (tmp_path / "says").write_text("".join(f"{line}\r\n" for line in says.splitlines()))
    (tmp_path / "ssh").write_text(f"#!/bin/sh\ncat {tmp_path}/says >&2\nexit 255\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with Session(Ssh("203.0.113.2")) as session, pytest.raises(Unreachable) as caught:
        session.run("echo x")
    assert caught.value.what.startswith("root@203.0.113.2: ")
    assert told in caught.value.what
    assert says.splitlines()[-1] in caught.value.evidence
    assert todo in caught.value.todo


def test_a_machine_without_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refused, match="ssh cannot be started on this machine: No such file") as it:
        Session(Ssh("203.0.113.2"))
    assert "install OpenSSH's client" in it.value.todo


def test_what_a_command_said_is_not_taken_for_ssh(session: Session) -> None:
    session.run("true")
    with pytest.raises(Unreachable) as caught:
        session.run("echo 'cp: /x: Permission denied' >&2; sleep 0.2; kill -9 $$")
    assert "refused the login" not in caught.value.what


def options(argv: list[str]) -> dict[str, str]:
    given = [word for flag, word in pairwise(argv) if flag == "-o"]
    return dict(word.split("=", 1) for word in given)


def test_ssh_never_shares_a_connection_nor_asks_nor_trusts() -> None:
    argv = Ssh("203.0.113.2", known_hosts=Path("/k")).argv("/bin/sh")
    assert options(argv)["ControlMaster"] == "no"
    assert options(argv)["ControlPath"] == "none"
    assert options(argv)["BatchMode"] == "yes"
    assert options(argv)["StrictHostKeyChecking"] == "yes"
    assert options(argv)["UserKnownHostsFile"] == '"/k"'


def test_ssh_gets_a_path_with_spaces_as_one(tmp_path: Path) -> None:
    """It would split it, and replace what begins with a percent sign (ssh_config(5))."""
    known = tmp_path / "my 100% known\\hosts"
    argv = Ssh("203.0.113.2", known_hosts=known).argv()
    told = subprocess.run([*argv[:1], "-G", *argv[1:]], capture_output=True, text=True, check=True)
    assert f"\nuserknownhostsfile {known}\n" in told.stdout


def test_ssh_notices_a_dead_connection_by_itself() -> None:
    given = options(Ssh("203.0.113.2").argv())
    assert int(given["ConnectTimeout"]) <= 30
    assert int(given["ServerAliveInterval"]) * int(given["ServerAliveCountMax"]) <= 30


def test_ssh_goes_where_the_site_file_says() -> None:
    ssh = Ssh("203.0.113.2", user="toor", port=2222, key=Path("/my key"))
    argv = ssh.argv("/bin/sh")
    assert argv[-2:] == ["203.0.113.2", "/bin/sh"]
    assert argv[argv.index("-p") + 1] == "2222"
    assert argv[argv.index("-l") + 1] == "toor"
    assert argv[argv.index("-i") + 1] == "/my key"
    assert options(argv)["IdentitiesOnly"] == "yes"
    assert ssh.name == "toor@203.0.113.2"


@pytest.mark.parametrize("become", BECOMES)
def test_another_user_becomes_root_without_being_asked(become: str) -> None:
    said = Ssh("203.0.113.2", user="eve", become=become).sh()
    program, *_, shell = said[said.index("203.0.113.2") + 1 :]
    assert (program, shell) == (become, "/bin/sh")


def test_ssh_takes_what_it_would_take_by_itself_when_nothing_is_said() -> None:
    argv = Ssh("203.0.113.2").argv()
    assert "-i" not in argv
    assert "UserKnownHostsFile" not in options(argv)


# pyinfra and testinfra.


def test_testinfra_asks_through_the_session(sh: Session, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("x")
    host = as_testinfra(sh)
    assert host.run("test -e %s", str(tmp_path / "a file")).rc == 0
    assert host.check_output("echo %s", "$HOME 'x'") == "$HOME 'x'"
    assert host.run("echo err >&2; exit 3").stderr == "err\n"
    assert sh.trips == 3


def test_facts_are_answered_from_one_batch() -> None:
    with facts_from({Interfaces().command(): ["lo0:", "\tinet 127.0.0.1"]}) as host:
        assert host.get_fact(Interfaces) == {"lo0": ("127.0.0.1",)}


def test_without_answers_each_fact_is_its_default_and_is_noted() -> None:
    with facts_from(None) as host:
        assert host.get_fact(Jails) == ()
        assert host.get_fact(Interfaces) == {}
    assert host.commands == [Jails().command(), Interfaces().command()]


@pytest.mark.parametrize(
    "command", ["jexec bind cat x", "sysrc -j bind -n x", "service -j bind x y"]
)
def test_what_a_check_asks_in_a_jail_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Its root can put a FIFO anywhere. All checks waited, until the connection was given up."""
    stubs = dict.fromkeys(
        ("jexec", "sysrc", "service"), "case $1 in -j | bind) exec sleep 60; esac"
    )
    stubs["timeout"] = 'shift 3; exec /usr/bin/timeout 0.2 "$@"'
    for name, body in stubs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\necho own\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with Session(Local(("sh",))) as opened:
        host = as_testinfra(opened)
        assert host.run(command).rc == 124
        assert host.run("service named onestatus; sysrc -n x").stdout == "own\nown\n"
