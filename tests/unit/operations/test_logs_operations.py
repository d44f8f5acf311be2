"""Logs of a daemon that moves: which newsyslog rotates them, and where they are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyinfra.api.exceptions import OperationError

from operations import logs
from operations.command import Reversible
from operations.facts import Replaceable, Rotated, State
from tests.unit.operations.asking import reversible, typed

LOG, SHARED = "/var/log/httpd-access.log", "/var/log/apache"
MAIN = f"# logfilename\n/var/log/cron 600 3 1000 * JC\n{SHARED}/ssl.log 640 7 * @T00 B /a.pid\n"
OTHER = f"{LOG} www:www 640 7 * @T00 B /a.pid 30\n{LOG}.old 640 7 * @T00 B\n"
MARK = "# cellblock: in jail web: "


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """The path of /etc in a command; `typed` runs it beside."""
    etc = tmp_path / "here" / "etc"
    (etc / "newsyslog.conf.d").mkdir(parents=True)
    (etc / "newsyslog.conf").write_text(MAIN)
    (etc / "newsyslog.conf.d" / "apache.conf").write_text(OTHER)
    (etc / "newsyslog.conf.d" / "apache.conf").chmod(0o640)
    return etc


def run(text: str | None, etc: Path, **stubs: str) -> str:
    here = (text or "").replace("/usr/local/etc/", "/nowhere/").replace("/etc/", f"{etc}/")
    done = typed(here, etc.parent, None, **stubs)
    assert done.returncode == 0, done.stderr
    return done.stdout


def handed_over(found: tuple[str, ...] | None) -> list[Reversible]:
    return reversible(
        logs.rotated_by_jail,
        {Rotated: found},
        jail="web",
        root="/j/root",
        logs=[LOG],
        shared=[SHARED],
    )


def test_the_hosts_entries_become_comments_and_entries_again(etc: Path) -> None:
    off, _ = handed_over(None)
    for _ in range(2):
        run(off.do, etc)
        assert (etc / "newsyslog.conf").read_text() == MAIN.replace(
            f"{SHARED}/ssl", f"{MARK}{SHARED}/ssl"
        )
        other = etc / "newsyslog.conf.d" / "apache.conf"
        assert other.read_text() == MARK + OTHER
        assert other.stat().st_mode & 0o777 == 0o640
    with other.open("a") as file:
        file.write("/var/log/by-somebody 600 3 * * JC\n")
    for _ in range(2):
        run(off.undo, etc)
        assert (etc / "newsyslog.conf").read_text() == MAIN
        assert other.read_text() == f"{OTHER}/var/log/by-somebody 600 3 * * JC\n"


def test_a_file_without_such_an_entry_is_not_touched(etc: Path) -> None:
    theirs = etc / "newsyslog.conf.d" / "theirs.conf"
    theirs.write_text("/var/log/theirs 600 3 * * JC")  # without a last newline
    before = theirs.stat()
    off, _ = handed_over(None)
    run(off.do, etc)
    run(off.undo, etc)
    assert (theirs.stat().st_ino, theirs.read_text()) == (
        before.st_ino,
        "/var/log/theirs 600 3 * * JC",
    )


def test_what_both_have_is_the_jails_from_then_on_and_not_before(etc: Path) -> None:
    off, on = handed_over(None)
    jexec = f"shift; case $1 in rm) rm -f {etc}/moved ;; *) cat > {etc}/moved ;; esac"
    run(off.do, etc)
    run(on.do, etc, jexec=jexec)
    assert (etc / "moved").read_text() == f"{SHARED}/ssl.log 640 7 * @T00 B /a.pid\n"
    for _ in range(2):
        run(on.undo, etc, jls="exit 0", jexec=jexec)
        assert not (etc / "moved").exists()


def test_a_file_of_entries_that_cannot_be_brought_to_the_disk_takes_no_place(etc: Path) -> None:
    off, on = handed_over(None)
    done = typed(off.do.replace("/etc/", f"{etc}/"), etc.parent, fsync="exit 1")
    assert done.returncode != 0
    assert (etc / "newsyslog.conf").read_text() == MAIN
    run(off.do, etc)
    in_jail = on.do.replace("/etc/", f"{etc}/")
    done = typed(in_jail, etc.parent, jexec='shift; exec "$@"', fsync="exit 1")
    assert done.returncode != 0


@pytest.mark.parametrize("planted", [False, True])
def test_a_jail_that_stands_still_is_cleaned_up_unless_it_planted_a_link(
    tmp_path: Path, *, planted: bool
) -> None:
    name = "newsyslog.conf.d"
    outside = tmp_path / "host" / name
    inside = tmp_path / "j" / "root" / "etc" / name
    for folder in (outside, inside.parent if planted else inside):
        folder.mkdir(parents=True)
    if planted:
        inside.symlink_to(outside)
    file = (outside if planted else inside) / "cellblock-moved.conf"
    file.write_text("x")
    _, on = handed_over(None)
    done = typed(
        str(on.undo).replace("/j/root", f"{tmp_path}/j/root"), tmp_path / "j", jls="exit 1"
    )
    assert done.returncode == 0, done.stderr
    assert file.exists() == planted


def test_nothing_is_done_where_newsyslog_has_no_such_entry() -> None:
    assert handed_over(()) == []


def test_a_plan_names_the_entries_that_were_found() -> None:
    off, _ = handed_over((f"/etc/newsyslog.conf: {LOG}",))
    assert off.says == f"stop rotating on the host: /etc/newsyslog.conf: {LOG}"


def test_which_entries_are_ours(etc: Path) -> None:
    asked = Rotated().command(logs=[LOG, f"{SHARED}/"])
    found = Rotated().process(run(asked, etc).splitlines())
    assert found == (
        f"{etc}/newsyslog.conf: {SHARED}/ssl.log",
        f"{etc}/newsyslog.conf.d/apache.conf: {LOG}",
    )


@pytest.mark.parametrize(
    ("pattern", "is_ours"),
    [
        ("/var/log/httpd-*.log", True),
        ("/var/log/httpd-?ccess.log", True),
        ("/var/log/httpd-[!e]*.log", True),
        ("/var/log/*", True),
        ("/var/*/ssl*", False),
        ("/var/log/apach?/*.log", True),
        ("/var/log/*/access.log", True),
        ("/var/log/httpd*log.old", False),
        ("/var/log/httpd-accessXlog", False),
        ("/var/log/maill*", False),
    ],
)
def test_an_entry_with_a_pattern_is_for_what_it_fits(
    etc: Path, pattern: str, *, is_ours: bool
) -> None:
    """The flag G of newsyslog.conf(5); a * fits no slash."""
    (etc / "newsyslog.conf").write_text(f"{pattern} www:www 640 7 * @T00 GB /a.pid\n")
    asked = Rotated().command(logs=[LOG, f"{SHARED}/"])
    found = Rotated().process(run(asked, etc).splitlines())
    assert (f"{etc}/newsyslog.conf: {pattern}" in found) is is_ours


def test_a_new_jail_rotates_what_is_its_own_alone(etc: Path) -> None:
    [command] = reversible(logs.rotated_in_jail, root="/j/root", logs=[LOG], shared=[SHARED])
    root = etc.parent / "root"
    text = command.do.replace("/j/root/etc/", f"{root}/ETC/")
    (root / "ETC").mkdir(parents=True)
    run(text, etc)
    assert (root / "ETC" / "newsyslog.conf").read_text() == "".join(
        MAIN.splitlines(keepends=True)[:2]
    )
    own = root / "ETC" / "newsyslog.conf.d" / "cellblock.conf"
    assert own.read_text() == OTHER.splitlines(keepends=True)[0]
    cron = (root / "ETC" / "cron.d" / "cellblock-newsyslog").read_text()
    assert cron == "0 * * * * root /usr/sbin/newsyslog\n"


LN = '[ "$1" = -sh ] && shift && exec /bin/ln -sn "$@"'


@pytest.mark.parametrize("there", [True, False])
def test_a_log_leads_to_the_jails_and_comes_back(tmp_path: Path, *, there: bool) -> None:
    at, to = tmp_path / "access.log", tmp_path / "shown" / "access.log"
    if there:
        at.write_text("the host's\n")
    state = State("file", "640", "root:wheel", "x") if there else State()
    [command] = reversible(logs.shown, {Replaceable: state}, path=str(at), target=str(to))
    assert typed(command.do, tmp_path / "", ln=LN).returncode == 0
    assert at.readlink() == to
    assert (tmp_path / "access.log.host").exists() == there
    for _ in range(2):
        assert typed(str(command.undo), tmp_path).returncode == 0
        assert at.exists() == there
        assert not at.is_symlink()
        assert not (tmp_path / "access.log.host").exists()
    if there:
        assert at.read_text() == "the host's\n"


def test_the_undo_of_a_link_that_was_never_made_leaves_the_log(tmp_path: Path) -> None:
    at = tmp_path / "access.log"
    at.write_text("the host's\n")
    [command] = reversible(
        logs.shown,
        {Replaceable: State("file", "640", "root:wheel", "x")},
        path=str(at),
        target="/to",
    )
    assert typed(str(command.undo), tmp_path).returncode == 0
    assert at.read_text() == "the host's\n"


def test_a_log_that_is_something_else_is_refused() -> None:
    with pytest.raises(OperationError, match="is a link: expected a log file or nothing"):
        reversible(
            logs.shown, {Replaceable: State("link", target="/other")}, path=LOG, target="/to"
        )
    assert (
        reversible(logs.shown, {Replaceable: State("link", target="/to")}, path=LOG, target="/to")
        == []
    )


def test_a_log_is_there_before_a_daemon_that_may_not_make_it(tmp_path: Path) -> None:
    host, root = tmp_path / "host.log", tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / str(tmp_path).lstrip("/")).mkdir(parents=True)
    host.write_text("old lines\n")
    host.chmod(0o640)
    (made,) = reversible(
        logs.rotated_in_jail, {}, root=str(root), logs=[str(host), "/nowhere.log"], shared=[]
    )
    line = made.do.rpartition("&& (for each")[2]
    stat = "case $3 in %Lp) echo 640;; *) echo 0:0;; esac"
    done = typed(f"(for each{line}", tmp_path, None, stat=stat)
    assert done.returncode == 0, done.stderr
    new = Path(f"{root}{host}")
    assert (new.read_text(), new.stat().st_mode & 0o777) == ("", 0o640)
    assert not (root / "nowhere.log").exists()
