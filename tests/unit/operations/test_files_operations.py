"""Files, directories and links: the text, and what the undo really does in each situation."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path as LocalPath

import pytest
from pyinfra.api.exceptions import OperationError

from operations import files
from operations.command import NewFile, Reversible
from operations.facts import HasLine, HasOurLine, IsDirectory, LeadsTo, Path, Replaceable, State
from tests.unit.operations.asking import reversible, typed, yielded

OURS = sha256(b"ours\n").hexdigest()
OLD = sha256(b"old\n").hexdigest()
THERE = State("file", "644", "root:wheel", OLD)


def put(path: str, now: State, mode: str = "644") -> tuple[NewFile, Reversible]:
    new, moved = yielded(files.put, {Path: now}, path=path, content="ours\n", mode=mode)
    assert isinstance(new, NewFile)
    assert isinstance(moved, Reversible)
    return new, moved


def test_a_new_file_waits_beside_its_place_and_is_renamed_there() -> None:
    new, moved = put("/etc/x.conf", State(), mode="555")
    assert (new.path, new.content, new.staged) == (
        "/etc/x.conf",
        "ours\n",
        "/etc/.x.conf.cellblock",
    )
    staged = "/etc/.x.conf.cellblock"
    assert moved.do == (
        f"chown root:wheel {staged} && chmod 555 {staged} && fsync {staged} "
        f"&& mv -f {staged} /etc/x.conf"
    )
    assert moved.undo == (
        f'if [ ! -e /etc/x.conf ]; then :; elif [ "$(sha256 -q /etc/x.conf)" = {OURS} ]; '
        "then rm -f /etc/x.conf; else echo "
        "'/etc/x.conf was changed by somebody since: left as it is' >&2; false; fi"
    )
    assert (moved.keep, moved.live, moved.says) == ((), False, "create /etc/x.conf")


def test_a_file_that_is_there_is_kept_before_it_is_replaced() -> None:
    _, moved = put("/etc/x.conf", THERE)
    assert (moved.keep, moved.says) == (("/etc/x.conf",), "replace /etc/x.conf")
    assert 'cp -p "$KEEP/1" /etc/.x.conf.cellblock' in str(moved.undo)


@pytest.mark.parametrize("still", [True, False])
def test_a_file_that_is_needed_still_is_not_taken_away(tmp_path: LocalPath, still: bool) -> None:
    """A jail whose stop had failed lost its configuration, and could never be stopped again."""
    path = tmp_path / "x.conf"
    path.write_text("ours\n")
    needed = {"path": str(path), "content": "ours\n", "needed": f"test -e {tmp_path}/runs"}
    _, moved = yielded(files.put, {Path: State()}, **needed)
    assert isinstance(moved, Reversible)
    if still:
        (tmp_path / "runs").touch()
    assert (typed(str(moved.undo), tmp_path).returncode != 0) is still
    assert path.exists() is still


def test_a_file_that_is_as_wanted_is_left_alone() -> None:
    facts = {Path: State("file", "644", "root:wheel", OURS)}
    assert yielded(files.put, facts, path="/etc/x.conf", content="ours\n") == []


@pytest.mark.parametrize(
    "now",
    [State("file", "600", "root:wheel", OURS), State("file", "644", "www:www", OURS)],
    ids=["mode", "owner"],
)
def test_a_file_with_another_mode_or_owner_is_not_as_wanted(now: State) -> None:
    _, moved = put("/etc/x.conf", now)
    assert moved.keep == ("/etc/x.conf",)


@pytest.mark.parametrize("kind", ["directory", "link", "other"])
def test_a_file_is_not_put_over_something_else(kind: str) -> None:
    with pytest.raises(OperationError, match=f"/etc/x is a {kind}: expected a file or nothing"):
        put("/etc/x", State(kind))


class Host:
    """A directory in which put's commands really run, with the before-image that host.sh keeps."""

    def __init__(self, where: LocalPath, before: str | None) -> None:
        self.where = where / "etc"
        self.where.mkdir()
        self.keep = where / "keep"
        self.keep.mkdir()
        self.path = self.where / "it's.conf"
        now = State()
        if before is not None:
            self.path.write_text(before)
            self.path.chmod(0o640)
            now = State("file", "640", "root:wheel", sha256(before.encode()).hexdigest())
        self.new, self.moved = put(str(self.path), now)

    def stage(self) -> None:
        LocalPath(self.new.staged).write_text(self.new.content)

    def kept(self) -> None:
        if self.moved.keep:
            (self.keep / "1").write_bytes(self.path.read_bytes())
            (self.keep / "1").chmod(0o640)

    def do(self) -> None:
        self.kept()
        self.stage()
        done = typed(self.moved.do, self.where, self.keep)
        assert done.returncode == 0, done.stderr
        assert self.path.read_text() == "ours\n"

    def undo(self) -> int:
        undone = typed(str(self.moved.undo), self.where, self.keep)
        if undone.returncode != 0:
            assert f"{self.path} was changed by somebody since: left as it is" in undone.stderr
        return undone.returncode

    def found(self) -> str | None:
        return self.path.read_text() if self.path.exists() else None


BEFORE = pytest.mark.parametrize("before", [None, "old\n"], ids=["was absent", "was there"])


@BEFORE
def test_the_undo_of_put_after_it_ran_and_once_more(
    tmp_path: LocalPath, before: str | None
) -> None:
    host = Host(tmp_path, before)
    host.do()
    for _ in range(2):
        assert host.undo() == 0
        assert host.found() == before
    if before:
        assert host.path.stat().st_mode & 0o777 == 0o640
    assert not LocalPath(host.new.staged).exists()


@BEFORE
def test_the_undo_of_put_that_never_ran(tmp_path: LocalPath, before: str | None) -> None:
    host = Host(tmp_path, before)
    assert host.undo() == 0
    assert host.found() == before


@BEFORE
def test_the_undo_of_put_that_ended_before_its_rename(
    tmp_path: LocalPath, before: str | None
) -> None:
    host = Host(tmp_path, before)
    host.kept()
    host.stage()
    assert host.undo() == 0
    assert host.found() == before


@BEFORE
def test_the_undo_of_put_after_the_file_was_taken_away(
    tmp_path: LocalPath, before: str | None
) -> None:
    host = Host(tmp_path, before)
    host.do()
    host.path.unlink()
    assert host.undo() == 0
    assert host.found() == before


@BEFORE
def test_the_undo_of_put_refuses_what_somebody_changed_since(
    tmp_path: LocalPath, before: str | None
) -> None:
    host = Host(tmp_path, before)
    host.do()
    host.path.write_text("theirs\n")
    assert host.undo() != 0
    assert host.found() == "theirs\n"


@BEFORE
def test_the_undo_of_put_refuses_a_directory_in_its_place(
    tmp_path: LocalPath, before: str | None
) -> None:
    host = Host(tmp_path, before)
    host.do()
    host.path.unlink()
    host.path.mkdir()
    assert host.undo() != 0
    assert host.path.is_dir()


def test_the_undo_of_put_fails_aloud_when_the_before_image_is_gone(tmp_path: LocalPath) -> None:
    host = Host(tmp_path, "old\n")
    host.do()
    (host.keep / "1").unlink()
    assert typed(str(host.moved.undo), host.where, host.keep).returncode != 0
    assert host.found() == "ours\n"


def test_put_leaves_the_old_file_when_a_part_of_it_fails(tmp_path: LocalPath) -> None:
    host = Host(tmp_path, "old\n")
    host.kept()
    host.stage()
    assert typed(host.moved.do, host.where, host.keep, fsync="exit 1").returncode != 0
    assert host.found() == "old\n"


def test_a_directory_is_made_and_goes_again() -> None:
    [command] = reversible(
        files.directory, {IsDirectory: State()}, path="/usr/jails", mode="711", owner="www:ops"
    )
    assert command.do == "install -d -m 711 -o www -g ops /usr/jails"
    assert command.undo == (
        'if [ -d /usr/jails ] && [ -z "$(ls -A /usr/jails)" ]; then rmdir /usr/jails; fi'
    )
    assert (command.keep, command.live) == ((), False)


def test_what_is_above_a_directory_goes_again_too() -> None:
    """It was found on a drawn host, with its jails in /data/jails: /data stayed."""
    made = reversible(files.directory, {IsDirectory: State()}, path="/data/x/jails", parents=True)
    assert [each.do.split()[-1] for each in made] == ["/data", "/data/x", "/data/x/jails"]
    assert [each.do.split()[-1] in str(each.undo) for each in made] == [True] * 3
    unknown = {IsDirectory: State("unknown")}
    assert len(reversible(files.directory, unknown, path="/data/x/jails", parents=True)) == 1


def test_a_directory_that_is_there_is_left_alone() -> None:
    facts = {IsDirectory: State("directory", "700", "www:www")}
    assert reversible(files.directory, facts, path="/usr/jails") == []


@pytest.mark.parametrize("kind", ["file", "link", "other"])
def test_a_directory_is_not_made_over_something_else(kind: str) -> None:
    with pytest.raises(OperationError, match=f"is a {kind}: expected a directory or nothing"):
        reversible(files.directory, {IsDirectory: State(kind)}, path="/usr/jails")


def test_the_undo_of_a_directory(tmp_path: LocalPath) -> None:
    ours = tmp_path / "the jails"
    [command] = reversible(files.directory, {IsDirectory: State()}, path=str(ours))
    undo = str(command.undo)
    assert typed(undo, tmp_path).returncode == 0, "it never ran"
    ours.mkdir()
    for _ in range(2):
        assert typed(undo, tmp_path).returncode == 0
        assert not ours.exists()


def test_the_undo_of_a_directory_leaves_what_others_put_there(tmp_path: LocalPath) -> None:
    ours = tmp_path / "jails"
    [command] = reversible(files.directory, {IsDirectory: State()}, path=str(ours))
    ours.mkdir()
    (ours / "theirs").write_text("x")
    assert typed(str(command.undo), tmp_path).returncode == 0, "host.sh says that it stays"
    assert (ours / "theirs").exists()


@pytest.fixture
def unread(tmp_path: LocalPath) -> Reversible:
    """Without facts of the host: the command that makes tmp_path/jails, and what it keeps."""
    (tmp_path / "keep").mkdir()
    facts = {IsDirectory: IsDirectory.default()}
    [command] = reversible(files.directory, facts, path=str(tmp_path / "jails"))
    return command


def test_on_an_unread_host_a_directory_is_made_and_goes_again(
    tmp_path: LocalPath, unread: Reversible
) -> None:
    ours, keep = tmp_path / "jails", tmp_path / "keep"
    for text in (str(unread.undo), unread.do, unread.do):
        assert typed(text, tmp_path, keep, install='chmod "$3" "$8"').returncode == 0
    assert f"{ours.stat().st_mode & 0o777:o}" == "755"
    for _ in range(2):
        assert typed(str(unread.undo), tmp_path, keep).returncode == 0
        assert not ours.exists()


def test_on_an_unread_host_a_directory_that_is_there_stays_as_it_is(
    tmp_path: LocalPath, unread: Reversible
) -> None:
    theirs = tmp_path / "jails"
    theirs.mkdir(mode=0o711)
    for text in (unread.do, str(unread.undo)):
        assert typed(text, tmp_path, tmp_path / "keep", install="exit 1").returncode == 0
        assert f"{theirs.stat().st_mode & 0o777:o}" == "711"


def test_on_an_unread_host_a_directory_is_not_made_through_a_link(
    tmp_path: LocalPath, unread: Reversible
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "jails").symlink_to("elsewhere")
    done = typed(unread.do, tmp_path, tmp_path / "keep")
    assert done.returncode != 0
    assert "jails" in done.stderr
    assert typed(str(unread.undo), tmp_path, tmp_path / "keep").returncode == 0
    assert (tmp_path / "jails").is_symlink()


def test_on_an_unread_host_the_note_that_a_directory_was_not_there_is_safe_before_it_is(
    tmp_path: LocalPath, unread: Reversible
) -> None:
    assert typed(unread.do, tmp_path, tmp_path / "keep", fsync="exit 1").returncode != 0
    assert not (tmp_path / "jails").exists()


def test_a_link_is_made_without_following_an_older_one() -> None:
    [command] = reversible(files.link, {Replaceable: State()}, path="/run/s", target="/j/db/run/s")
    assert command.do == "ln -sfh /j/db/run/s /run/s"
    assert command.undo == (
        'if [ -L /run/s ] && [ "$(readlink /run/s)" = /j/db/run/s ]; then rm -f /run/s; fi'
    )


def test_a_link_that_is_as_wanted_is_left_alone() -> None:
    facts = {Replaceable: State("link", target="/b")}
    assert reversible(files.link, facts, path="/a", target="/b") == []


@pytest.mark.parametrize(
    "now", [State("file"), State("directory"), State("link", target="/theirs")]
)
def test_a_link_is_not_put_over_something_else(now: State) -> None:
    with pytest.raises(OperationError, match=f"is a {now.kind}: expected a socket or nothing"):
        reversible(files.link, {Replaceable: now}, path="/a", target="/b")


def test_a_link_replaces_the_socket_of_a_daemon_that_went() -> None:
    assert len(reversible(files.link, {Replaceable: State("other")}, path="/a", target="/b")) == 1


def test_the_undo_of_a_link(tmp_path: LocalPath) -> None:
    path, target = tmp_path / "my.sock", "/usr/jails/db/root/tmp/it's.sock"
    [command] = reversible(files.link, {Replaceable: State()}, path=str(path), target=target)
    undo = str(command.undo)
    assert typed(undo, tmp_path).returncode == 0, "it never ran"
    assert typed(command.do, tmp_path).returncode == 0
    assert str(path.readlink()) == target
    for _ in range(2):
        assert typed(undo, tmp_path).returncode == 0
        assert not path.is_symlink()


@pytest.mark.parametrize("theirs", ["link", "file"])
def test_the_undo_of_a_link_leaves_what_somebody_put_there_since(
    tmp_path: LocalPath, theirs: str
) -> None:
    path = tmp_path / "my.sock"
    [command] = reversible(files.link, {Replaceable: State()}, path=str(path), target="/ours")
    if theirs == "link":
        path.symlink_to("/theirs")
    else:
        path.write_text("theirs")
    assert typed(str(command.undo), tmp_path).returncode == 0
    if theirs == "link":
        assert str(path.readlink()) == "/theirs"
    else:
        assert path.read_text() == "theirs"


RESOLV = "search example.org\n nameserver 127.0.0.1\nnameserver 127.0.0.1\nnameserver 192.0.2.1"


def repointed(*, there: bool) -> list[Reversible]:
    return reversible(
        files.line,
        {HasLine: there},
        path="resolv.conf",
        old="nameserver 127.0.0.1",
        new="nameserver 10.80.0.2",
    )


def test_a_whole_line_is_replaced_and_turned_back(tmp_path: LocalPath) -> None:
    [command] = repointed(there=True)
    assert command.undo is not None
    file = tmp_path / "resolv.conf"
    file.write_text(RESOLV + "\n")
    file.chmod(0o640)
    for _ in range(2):
        assert typed(command.do, tmp_path).returncode == 0
        assert (
            file.read_text()
            == RESOLV.replace("\nnameserver 127.0.0.1", "\nnameserver 10.80.0.2") + "\n"
        )
    for _ in range(2):
        assert typed(command.undo, tmp_path).returncode == 0
        assert file.read_text() == RESOLV + "\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["resolv.conf"]


def test_a_file_without_that_line_is_left_alone() -> None:
    assert repointed(there=False) == []


HOSTS = "127.0.0.1 localhost\n10.0.0.9 old"  # and no newline at its end


def headed(where: LocalPath) -> tuple[str, str]:
    [command] = reversible(
        files.headed, {HasOurLine: False}, path=str(where / "hosts"), line="10.80.0.3\tmysql"
    )
    return command.do, str(command.undo)


def test_a_line_goes_to_the_head_and_alone_is_taken_out(tmp_path: LocalPath) -> None:
    do, undo = headed(tmp_path)
    hosts = tmp_path / "hosts"
    hosts.write_text(HOSTS)
    hosts.chmod(0o640)
    assert typed(undo, tmp_path).returncode == 0
    assert hosts.read_text() == HOSTS, "an undo of what was never done"
    assert typed(do, tmp_path).returncode == 0
    assert hosts.read_text() == f"10.80.0.3\tmysql\n{HOSTS}"
    assert hosts.stat().st_mode & 0o777 == 0o640
    for _ in range(2):
        assert typed(undo, tmp_path).returncode == 0
        assert hosts.read_text() == HOSTS
    typed(do, tmp_path)
    hosts.write_text(f"192.0.2.1 new\n{hosts.read_text()}\n")
    assert typed(undo, tmp_path).returncode == 0
    assert hosts.read_text() == f"192.0.2.1 new\n{HOSTS}\n"


def test_a_line_that_is_there_is_not_ours_to_take_away(tmp_path: LocalPath) -> None:
    given = {"path": str(tmp_path / "hosts"), "line": "x"}
    assert reversible(files.headed, {HasOurLine: True}, **given) == []


def test_a_link_is_taken_away_and_made_again_where_nothing_is(tmp_path: LocalPath) -> None:
    at = tmp_path / "sock"
    [command] = reversible(files.unlinked, {LeadsTo: True}, path=str(at), target="/jail/sock")
    at.symlink_to("/jail/sock")
    assert typed(command.do, tmp_path).returncode == 0
    assert not at.is_symlink()
    for _ in range(2):
        assert typed(str(command.undo), tmp_path).returncode == 0
        assert str(at.readlink()) == "/jail/sock"
    assert reversible(files.unlinked, {LeadsTo: False}, path=str(at), target="/jail/sock") == []


def test_a_file_that_is_removed_comes_back_only_where_nothing_is(tmp_path: LocalPath) -> None:
    [command] = reversible(files.removed, path="a.links")
    assert command.undo is not None
    assert command.keep == ("a.links",)
    file, keep = tmp_path / "a.links", tmp_path / "keep"
    keep.mkdir()
    file.write_text("ours\n")
    (keep / "1").write_text("ours\n")
    for _ in range(2):
        assert typed(command.do, tmp_path).returncode == 0
        assert not file.exists()
    for _ in range(2):
        assert typed(command.undo, tmp_path, keep).returncode == 0
        assert file.read_text() == "ours\n"
    file.write_text("theirs\n")
    assert typed(command.undo, tmp_path, keep).returncode == 0
    assert file.read_text() == "theirs\n"


def replacing() -> list[Reversible]:
    old = State("file", "644", "root:wheel", OLD)
    return [
        put("a", old)[1],
        *repointed(there=True),
        *reversible(files.headed, {HasOurLine: False}, path="a", line="b"),
        *reversible(files.removed, path="a"),
    ]


@pytest.mark.parametrize("command", replacing(), ids=["put", "line", "headed", "removed"])
def test_what_takes_a_files_place_is_on_the_disk_before(command: Reversible) -> None:
    """Otherwise a power cut leaves an empty file under the name of a good one."""
    texts = [text for text in (command.do, command.undo or "") if "mv -f" in text]
    assert texts
    for text in texts:
        for moved in re.findall(r"mv -f (\S+) ", text):
            assert f"fsync {moved} && mv -f {moved} " in text
