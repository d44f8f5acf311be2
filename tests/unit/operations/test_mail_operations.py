"""Mail queues: a message moves whole and once, whatever interrupts the move."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from ipaddress import IPv4Interface
from pathlib import Path

import pytest
from pyinfra.api.exceptions import OperationError

from operations import facts, mail, queues
from operations.command import Reversible
from operations.queues import POSTFIX, SENDMAIL, Queue
from tests.unit.operations.asking import reversible, typed

GONE = "exit 1"  # of pgrep: no such process


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    for name in ("mqueue", "mqueue-mail"):
        (tmp_path / name).mkdir()
    return replace(SENDMAIL, directory=str(tmp_path / "mqueue"))


def put(where: Path, *names: str) -> None:
    for name in names:
        (where / name).write_text(f"{where.name} {name}\n")


def lies(tmp_path: Path) -> dict[str, list[str]]:
    folders = (tmp_path / "mqueue", tmp_path / "mqueue-mail")
    return {folder.name: sorted(file.name for file in folder.iterdir()) for folder in folders}


def run(text: str, where: Path, **stubs: str) -> subprocess.CompletedProcess[str]:
    # As FreeBSD has them: -h of mv takes a link to a directory as a file, -x of find stays on one
    # file system, -execdir of find passes a name without "./", and -x of rm is find's.
    mv = '[ "$1" = -h ] && shift && set -- -T "$@"; exec /bin/mv "$@"'
    find = '[ "$1" = -x ] && shift; exec /usr/bin/find "$@"'
    rm = '[ "$1" = -rfx ] && shift && set -- -rf "$@"; exec /bin/rm "$@"'
    bsd = {"mv": mv, "find": find, "rm": rm}
    every = {"jexec": "exit 0", "fsync": "exit 0", "pgrep": GONE, **bsd} | stubs
    return typed(text, where, None, **every)


def moving(queue: Queue) -> Reversible:
    [command] = reversible(queues.moved, queue=queue, jail="mail", then="sendmail -q")
    return command


def test_what_is_left_goes_over_and_only_whole_messages(tmp_path: Path, queue: Queue) -> None:
    put(tmp_path / "mqueue", "df1", "qf1", "xf1", "df2", "hf2", "df3", "tf3")
    assert run(moving(queue).do, tmp_path).returncode == 0
    # df3 and tf3: a client that disconnected before its message was accepted.
    assert lies(tmp_path) == {
        "mqueue": ["df3", "tf3"],
        "mqueue-mail": ["df1", "df2", "hf2", "qf1", "xf1"],
    }
    assert (tmp_path / "mqueue-mail/qf1").read_text() == "mqueue qf1\n"


def making(queue: Queue) -> Reversible:
    [command] = reversible(queues.made, {facts.Path: facts.State()}, queue=queue, jail="mail")
    return command


def test_a_jails_queue_goes_with_the_jail_and_a_message_in_it_is_kept(
    tmp_path: Path, queue: Queue
) -> None:
    put(tmp_path / "mqueue-mail", "df1", "qf1")
    rm = 'shift; exec /bin/rm -rf "$@"'  # what FreeBSD's -x is for
    done = run(str(making(queue).undo), tmp_path, rm=rm)
    assert done.returncode == 0, done.stderr
    [kept] = tmp_path.glob("mqueue-mail.*")
    assert f"notice: {tmp_path}/mqueue-mail still has mail: it is kept as {kept}" in done.stdout
    assert sorted(each.name for each in kept.iterdir()) == ["df1", "qf1"]
    (tmp_path / "mqueue-mail").mkdir()
    put(tmp_path / "mqueue-mail", "df1", "sm-client.pid")
    for _ in range(2):
        assert run(str(making(queue).undo), tmp_path, rm=rm).returncode == 0
    assert not (tmp_path / "mqueue-mail").exists()


def test_somebody_elses_directory_is_no_queue_of_ours(queue: Queue) -> None:
    there = {facts.Path: facts.State("directory")}
    with pytest.raises(OperationError, match="exists already"):
        reversible(queues.made, there, queue=queue, jail="mail")


def test_an_empty_queue_is_moved_too(tmp_path: Path, queue: Queue) -> None:
    assert run(moving(queue).do, tmp_path).returncode == 0


def test_the_jails_server_looks_at_what_came_and_may_fail_to(tmp_path: Path, queue: Queue) -> None:
    done = run(moving(queue).do, tmp_path, jexec='echo "$@"; exit 75')
    assert (done.returncode, done.stdout) == (0, "mail sendmail -q\n")


def test_no_message_of_the_jail_is_ever_covered(tmp_path: Path, queue: Queue) -> None:
    put(tmp_path / "mqueue", "df1", "qf1")
    put(tmp_path / "mqueue-mail", "qf1")
    done = run(moving(queue).do, tmp_path)
    assert done.returncode != 0
    assert "is there already" in done.stderr
    assert (tmp_path / "mqueue-mail/qf1").read_text() == "mqueue-mail qf1\n"


@pytest.mark.parametrize("breaks", range(1, 5), ids=lambda n: f"rename {n} fails")
def test_broken_off_anywhere_each_message_is_whole_in_one_queue(
    tmp_path: Path, queue: Queue, breaks: int
) -> None:
    put(tmp_path / "mqueue", "df1", "qf1", "df2", "qf2")
    command = moving(queue)
    failing = (
        f"n=$(($(cat {tmp_path}/n) + 1)); echo $n > {tmp_path}/n; "
        f'[ $n -ne {breaks} ] && shift && exec /bin/mv -T "$@"'
    )
    (tmp_path / "n").write_text("0\n")
    assert run(command.do, tmp_path, mv=failing).returncode != 0
    for _ in range(2):  # an undo may run twice
        assert run(str(command.undo), tmp_path).returncode == 0
        found = lies(tmp_path)
        for number in "12":
            places = [name for name in found if f"qf{number}" in found[name]]
            assert len(places) == 1, found
            assert f"df{number}" in found[places[0]], found
        assert sum(map(len, found.values())) == 4


def test_a_rename_that_the_power_cut_left_in_both_places_is_one_message(
    tmp_path: Path, queue: Queue
) -> None:
    """Soft updates write the new name before they remove the old one."""
    put(tmp_path / "mqueue", "df1", "qf1")
    for name in ("df1", "qf1"):
        os.link(tmp_path / "mqueue" / name, tmp_path / "mqueue-mail" / name)
    assert run(str(moving(queue).undo), tmp_path).returncode == 0
    assert lies(tmp_path) == {"mqueue": ["df1", "qf1"], "mqueue-mail": []}
    for name in ("df1", "qf1"):
        os.link(tmp_path / "mqueue" / name, tmp_path / "mqueue-mail" / name)
    assert run(moving(queue).do, tmp_path).returncode == 0
    assert lies(tmp_path) == {"mqueue": [], "mqueue-mail": ["df1", "qf1"]}


def returning(queue: Queue) -> Reversible:
    [command] = reversible(
        queues.returned, queue=queue, jail="mail", processes="sendmail", then="echo looked"
    )
    return command


def test_on_the_way_back_the_jails_queue_goes_into_the_hosts(tmp_path: Path, queue: Queue) -> None:
    put(tmp_path / "mqueue-mail", "df1", "qf1")
    put(tmp_path / "mqueue", "df2", "qf2")
    runs_on_host = '[ "$2" = none ]'
    for _ in range(2):
        done = run(str(returning(queue).undo), tmp_path, pgrep=runs_on_host)
        assert (done.returncode, done.stdout) == (0, "looked\n")
        assert lies(tmp_path) == {"mqueue": ["df1", "df2", "qf1", "qf2"], "mqueue-mail": []}


def test_a_queue_that_a_power_cut_took_away_again_has_no_mail_for_the_host(
    tmp_path: Path, queue: Queue
) -> None:
    (tmp_path / "mqueue-mail").rmdir()
    put(tmp_path / "mqueue", "df2", "qf2")
    done = run(str(returning(queue).undo), tmp_path, pgrep='[ "$2" = none ]')
    assert (done.returncode, done.stdout) == (0, "looked\n"), done.stderr
    assert sorted(each.name for each in (tmp_path / "mqueue").iterdir()) == ["df2", "qf2"]


def test_a_jail_begins_with_an_empty_queue(tmp_path: Path, queue: Queue) -> None:
    assert run(returning(queue).do, tmp_path).returncode == 0
    put(tmp_path / "mqueue-mail", "qf1")
    assert run(returning(queue).do, tmp_path).returncode != 0


def test_nothing_moves_while_mail_of_the_jail_is_under_way(tmp_path: Path, queue: Queue) -> None:
    put(tmp_path / "mqueue-mail", "df1", "qf1")
    under_way = {"pgrep": '[ "$2" = mail ]', "sleep": ":", "ps": ":", "kill": "exit 1"}
    stubs = {**under_way, "service": "exit 1", "jls": "exit 0"}
    done = run(str(returning(queue).undo), tmp_path, **stubs)
    assert done.returncode != 0
    assert "still under way" in done.stderr
    assert lies(tmp_path)["mqueue-mail"] == ["df1", "qf1"]
    # A process that is called like the server's never ends; its jail does.
    stubs = {**under_way, "service": f": > {tmp_path}/$3", "jls": f"[ ! -e {tmp_path}/mail ]"}
    done = run(str(returning(queue).undo), tmp_path, **stubs)
    assert done.returncode == 0, done.stderr
    assert "notice: mail is still under way in jail mail: the whole jail is stopped" in done.stdout
    assert lies(tmp_path) == {"mqueue": ["df1", "qf1"], "mqueue-mail": []}


def test_a_name_that_the_hosts_queue_has_stays_in_the_jails(tmp_path: Path, queue: Queue) -> None:
    """Whoever sits in the jail may make one, so as to keep the others from going back."""
    put(tmp_path / "mqueue-mail", "df1", "qf1", "df2", "qf2")
    put(tmp_path / "mqueue", "qf1")
    done = run(str(returning(queue).undo), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "qf1 is there already" in done.stderr.replace('"', "")
    assert lies(tmp_path) == {"mqueue": ["df1", "df2", "qf1", "qf2"], "mqueue-mail": ["qf1"]}
    assert (tmp_path / "mqueue/qf1").read_text() == "mqueue qf1\n"


def test_a_message_for_a_program_of_any_user_stays_in_the_jails(
    tmp_path: Path, queue: Queue
) -> None:
    """Root in the jail may have written it, and the host's sendmail believes what root owns."""
    put(tmp_path / "mqueue-mail", "df1", "qf1", "df2", "qf2")
    forged = "V8\nSmallory\nCroot:root\nRPFD:|/tmp/rootkit\n.\n"
    (tmp_path / "mqueue-mail/qf1").write_text(forged)
    for _ in range(2):
        done = run(str(returning(queue).undo), tmp_path)
        assert done.returncode == 0, done.stderr
        assert "notice: jail mail may have written itself" in done.stdout
        assert lies(tmp_path) == {"mqueue": ["df2", "qf2"], "mqueue-mail": ["df1", "qf1"]}


def test_what_a_process_of_the_jail_writes_later_is_not_in_the_hosts_queue(
    tmp_path: Path, queue: Queue
) -> None:
    put(tmp_path / "mqueue-mail", "df1", "qf1")
    with (tmp_path / "mqueue-mail/qf1").open("a") as held:
        assert run(str(returning(queue).undo), tmp_path).returncode == 0
        held.write("Croot:root\n")
    assert (tmp_path / "mqueue/qf1").read_text() == "mqueue-mail qf1\n"


def test_a_copy_is_on_the_disk_before_it_takes_the_place_of_a_message(
    tmp_path: Path, queue: Queue
) -> None:
    put(tmp_path / "mqueue-mail", "df1", "qf1")
    told = tmp_path / "done"
    mv = f'echo "mv $2" >> {told}; shift; exec /bin/mv -T "$@"'
    fsync = f'echo "fsync $*" >> {told}'
    assert run(str(returning(queue).undo), tmp_path, mv=mv, fsync=fsync).returncode == 0
    both = f"fsync . {tmp_path}/mqueue"
    assert told.read_text().splitlines() == [
        *("mv df1", both, "mv qf1", both),
        *("fsync .cellblock-copy", "mv .cellblock-copy", "mv .cellblock:qf1"),
        f"fsync . {tmp_path}/mqueue-mail",
    ]


@pytest.mark.parametrize("breaks", range(1, 6), ids=lambda n: f"rename {n} fails")
def test_broken_off_on_the_way_back_no_message_is_there_twice(
    tmp_path: Path, queue: Queue, breaks: int
) -> None:
    put(tmp_path / "mqueue-mail", "df1", "qf1")
    failing = (
        f"n=$(($(cat {tmp_path}/n) + 1)); echo $n > {tmp_path}/n; "
        f'[ $n -ne {breaks} ] && shift && exec /bin/mv -T "$@"'
    )
    (tmp_path / "n").write_text("0\n")
    fails = breaks < 5  # two renames of the data and the control file, two of the copy
    assert (run(str(returning(queue).undo), tmp_path, mv=failing).returncode != 0) == fails
    (tmp_path / "mqueue/qf1").unlink(missing_ok=True)  # delivered meanwhile
    delivered = not fails
    assert run(str(returning(queue).undo), tmp_path).returncode == 0
    assert lies(tmp_path)["mqueue"] == (["df1"] if delivered else ["df1", "qf1"])
    assert lies(tmp_path)["mqueue-mail"] == []


def test_only_who_waits_for_a_client_or_a_far_host_is_ended(tmp_path: Path) -> None:
    """A message in transfer could otherwise arrive twice."""
    [command] = reversible(queues.ended, processes="sendmail")
    titles = (
        " 11 sendmail: server a [192.0.2.1] cmd read (sendmail)",
        " 12 sendmail: 6AN a: user open (sendmail)",
        " 13 sendmail: 6AN [192.0.2.9]: client DATA status (sendmail)",
        " 14 sendmail: 6AN a [192.0.2.1]: DATA (sendmail)",
        " 15 grep sendmail: server cmd read",
        " 16 sendmail: accepting connections (sendmail)",
        " 17 sendmail: Queue runner@00:30:00 for /var/spool/clientmqueue (sendmail)",
    )
    listed = "printf '%s\\n' " + " ".join(f"'{title}'" for title in titles)
    told = f'echo "$@" >> {tmp_path}/killed'
    # kill is a builtin of sh: a function of that name takes its place.
    text = f"kill() {{ {told}; }}; {command.do}"
    done = run(text, tmp_path, pgrep="exit 0", sleep=":", ps=listed)
    assert done.returncode != 0
    assert (tmp_path / "killed").read_text().split() == ["16", "17", "11", "12"]
    assert run(command.do, tmp_path).returncode == 0
    assert command.limit > 300


def test_an_smtpd_that_waits_for_its_client_is_ended_once_no_message_is_being_taken(
    tmp_path: Path,
) -> None:
    [command] = reversible(queues.ended, processes="master|smtpd|cleanup")
    noted = tmp_path / "noted"
    pgrep = f"case $* in *' cleanup') echo asked >> {noted}; [ $(wc -l < {noted}) -lt 3 ];; esac"
    ends = 'echo "$@" >> ' + str(noted)
    done = run(command.do, tmp_path, pgrep=pgrep, sleep=":", ps=":", pkill=ends)
    assert done.returncode != 0  # this process keeps running
    assert noted.read_text().splitlines()[:4] == ["asked", "asked", "asked", "-j none -x smtpd"]
    [other] = reversible(queues.ended, processes="sendmail")
    assert "pkill" not in other.do


ROWS = (
    "root sendmail 11 4 tcp4 203.0.113.2:46250 198.51.100.7:25",  # to a far host
    "? ? ? ? tcp4 203.0.113.2:25 198.51.100.7:61000",  # of a process that has ended
    "postfix smtpd 12 6 tcp4 203.0.113.2:25 198.51.100.7:61001",
    "dovenull imap-login 13 6 tcp4 203.0.113.2:143 198.51.100.7:61002",
)


@pytest.mark.parametrize("jail", ["", "mail"])
def test_who_is_connected_may_come_to_an_end(tmp_path: Path, jail: str) -> None:
    [command] = reversible(mail.sessions_ended, ports=[25, 143], jail=jail)
    noted = tmp_path / "noted"
    noted.touch()
    # One row fewer at each run; the first two need no waiting.
    rows = " ".join(f"'{row}'" for row in reversed(ROWS))
    sockstat = (
        f'n=$(wc -l < {noted}); echo "$@" >> {noted}; set -- {rows}; shift $n; '
        "printf '%s\\n' \"$@\""
    )
    stubs = {"sockstat": sockstat, "jls": "exit 0", "sleep": ":", "jexec": 'shift; exec "$@"'}
    waits, other = (str(command.undo), command.do) if jail else (command.do, command.undo)
    assert other == ":"
    assert run(waits, tmp_path, **stubs).returncode == 0
    asked = "-46cq -P tcp -p 25,143"
    assert noted.read_text().splitlines() == 3 * [asked if jail else f"-j 0 {asked}"]


def test_idle_sessions_are_not_waited_for_for_ever(tmp_path: Path) -> None:
    [command] = reversible(mail.sessions_ended, ports=[25])
    assert run(command.do, tmp_path, sockstat=f"echo '{ROWS[2]}'", sleep=":").returncode == 0


def test_nobody_is_waited_for_in_a_jail_that_is_gone(tmp_path: Path) -> None:
    [command] = reversible(mail.sessions_ended, ports=[25], jail="mail")
    assert run(str(command.undo), tmp_path, jls="exit 1", jexec="exit 9").returncode == 0


POSTFIX_MAIL = {
    "mqueue/deferred/A": ["A1"],
    "mqueue/defer": ["A1"],
    "mqueue/active": ["B2"],
    "mqueue/maildrop": [],
    "mqueue-mail/incoming": [],
}
AS_POSTFIX = {
    "install": 'for last; do :; done; exec mkdir -p "$last"',  # this machine may lack the user
    # Its jail has the queue of the jail at the host's path.
    "jexec": 'shift; [ "$1" = sh ] || exit 0; in=${3#cd *mqueue}; cd mqueue-mail && dash -c ":$in"',
    "jls": "exit 0",
}


@pytest.fixture
def postfix(tmp_path: Path) -> Queue:
    for folder, names in POSTFIX_MAIL.items():
        (tmp_path / folder).mkdir(parents=True)
        put(tmp_path / folder, *names)
    return replace(POSTFIX, directory=str(tmp_path / "mqueue"))


def files(there: Path) -> list[str]:
    return sorted(str(f.relative_to(there)) for f in there.rglob("*") if f.is_file())


GIVEN = ["defer/A1", "deferred/A/A1", "incoming/B2"]


def test_a_message_of_postfix_is_one_file_and_keeps_its_folder(
    tmp_path: Path, postfix: Queue
) -> None:
    done = run(moving(postfix).do, tmp_path, **AS_POSTFIX)
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "mqueue-mail") == GIVEN
    assert files(tmp_path / "mqueue") == []
    for _ in range(2):
        done = run(str(returning(postfix).undo), tmp_path, **AS_POSTFIX)
        assert done.returncode == 0, done.stderr
        assert files(tmp_path / "mqueue") == GIVEN
        assert files(tmp_path / "mqueue-mail") == []


def test_a_message_of_postfix_is_on_the_disk_where_it_came_before_the_command_ends(
    tmp_path: Path, postfix: Queue
) -> None:
    noted = tmp_path / "noted"
    noting = {**AS_POSTFIX, "fsync": f'for each; do (cd "$each" && pwd -P) >> {noted}; done'}
    for text in (moving(postfix).do, str(returning(postfix).undo)):
        assert run(text, tmp_path, **noting).returncode == 0
        synced = noted.read_text().split()
        noted.unlink()
        # Of the host's queue every directory; then the jail's, once it has sorted in, or has given.
        for folder in ("mqueue", "mqueue/deferred/A", "mqueue/defer", "mqueue/maildrop"):
            assert str(tmp_path / folder) in synced
        assert synced[-1] == f"{tmp_path}/mqueue-mail"
        first = synced.index(f"{tmp_path}/mqueue")
        given = f"{tmp_path}/mqueue-mail" in synced[:first]
        assert given == (text == moving(postfix).do), "given, what left is on the disk afterwards"


def test_what_a_jail_could_not_sort_in_comes_back_or_is_sorted_in_by_the_undo(
    tmp_path: Path, postfix: Queue
) -> None:
    stopped = AS_POSTFIX | {"jexec": "exit 1", "jls": "exit 1"}
    assert run(moving(postfix).do, tmp_path, **stopped).returncode != 0
    assert run(str(moving(postfix).undo), tmp_path, **stopped).returncode == 0
    assert files(tmp_path / "mqueue") == []
    waits = [f".cellblock:{each.replace('/', ':')}" for each in GIVEN]
    assert files(tmp_path / "mqueue-mail") == waits
    assert run(str(moving(postfix).undo), tmp_path, **AS_POSTFIX).returncode == 0
    assert files(tmp_path / "mqueue-mail") == GIVEN
    for waiting, name in zip(waits, GIVEN, strict=True):
        (tmp_path / "mqueue-mail" / name).rename(tmp_path / "mqueue-mail" / waiting)
    assert run(str(returning(postfix).undo), tmp_path, **stopped).returncode == 0
    assert files(tmp_path / "mqueue") == GIVEN


def test_a_broken_in_postfix_leads_the_hosts_root_nowhere(tmp_path: Path, postfix: Queue) -> None:
    """A newline that makes a path of the host's, directories and files that are links, both ways.

    Only a file of the jail's that is named as mail comes out of its queue, and only into the
    host's, and nothing of the host's goes elsewhere than there.
    """
    etc, jail = tmp_path / "etc", tmp_path / "mqueue-mail"
    etc.mkdir()
    put(etc, "master", "M1")
    below = jail / f"maildrop/a\n{etc}"  # find prints it in two lines; the second is a path
    below.mkdir(parents=True)
    put(below, "master", "M1")
    (jail / "hold").symlink_to(etc)
    (jail / "incoming").rmdir()
    (jail / "incoming").symlink_to(etc)
    (jail / "deferred").mkdir()
    (jail / "deferred/D1").symlink_to(etc / "master")
    (jail / "deferred/x:y").mkdir()
    put(jail / "deferred/x:y", "E1")
    put(jail, ".cellblock:..:etc:Z1", ".cellblock:maildrop:G1")
    (jail / ".cellblock:defer:A1").symlink_to(etc)
    stopped = AS_POSTFIX | {"jexec": "exit 1", "jls": "exit 1"}
    run(moving(postfix).do, tmp_path, **stopped)
    assert files(etc) == ["M1", "master"], "mail of the host came there by a link"
    (jail / ".cellblock:defer:A1").unlink()
    for command in (moving(postfix), returning(postfix)):
        done = run(str(command.undo), tmp_path, **stopped)
        assert done.returncode == 0, done.stderr
        assert files(etc) == ["M1", "master"]
        assert (etc / "M1").read_text() == "etc M1\n"
    assert not (tmp_path / "mqueue/deferred/D1").exists()
    assert "maildrop/G1" in files(tmp_path / "mqueue")
    assert "deferred/x:y/E1" in files(jail), "no MTA made it"


def test_the_null_client_is_stopped_again_before_the_hosts_server_starts() -> None:
    """Otherwise rc.d/sendmail would find its queue runner there, and start nothing."""
    [command] = reversible(mail.submission)
    assert command.do == "service sendmail start || true"
    assert str(command.undo).endswith("; service sendmail onestop || true")
    assert command.live


def test_a_link_in_a_jails_queue_is_no_mail(queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the host's\n")
    for name in ("dfA1", "qfA1"):
        (tmp_path / "mqueue-mail" / name).symlink_to(tmp_path / "secret")
    [command] = reversible(queues.returned, queue=queue, jail="mail", processes="x", then=":")
    done = run(str(command.undo), tmp_path, pgrep=GONE)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "mqueue").iterdir()) == []
    assert (tmp_path / "secret").read_text() == "of the host's\n"


def test_a_message_is_on_the_disk_in_one_queue_before_it_leaves_the_other(
    queue: Queue, tmp_path: Path
) -> None:
    put(tmp_path / "mqueue", "df1", "qf1")
    noted = tmp_path / "noted"
    syncs = f"echo $* $(cd {tmp_path}/mqueue-mail; ls) >> {noted}"
    target = tmp_path / "mqueue-mail"
    assert run(moving(queue).do, tmp_path, fsync=syncs).returncode == 0
    assert noted.read_text().splitlines() == [f". {target} df1", f". {target} df1 qf1"]
    noted.unlink()
    assert run(str(moving(queue).undo), tmp_path, fsync=syncs).returncode == 0
    assert noted.read_text().splitlines() == [f". {target} df1 qf1"]


def test_the_jail_takes_mail_for_every_name_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "local-host-names").write_text("example.org\n")
    (tmp_path / "sendmail.cf").write_text("Fw-o /etc/mail/local-host-names %[^\\#]\n")
    [read, names, relay] = reversible(
        mail.names_kept, etc=str(tmp_path), relays=["10.80.0.4", "10.80.0.5"], sendmail="sendmail"
    )
    said = ("ADDRESS TEST MODE", "Enter <ruleset> <address>", "> dcserver", "[203.0.113.2]", "> ")
    told = "printf '%s\\n' " + " ".join(f"'{line}'" for line in said)
    for command in (read, names, relay):
        assert run(command.do, tmp_path, sendmail=told).returncode == 0
    assert (tmp_path / "sendmail.cf").read_text().splitlines() == [
        "Fw-o /etc/mail/local-host-names %[^\\#]",
        "FR-o /etc/mail/relay-domains",
    ]
    assert (tmp_path / "local-host-names").read_text().split() == [
        "[203.0.113.2]",
        "dcserver",
        "example.org",
    ]
    assert (tmp_path / "relay-domains").read_text() == "10.80.0.4\n10.80.0.5\n"


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        (
            "> box.example.org\n> box.example.org\n> example.org\n> ",
            "Djbox.example.org Dmexample.org",
        ),
        ("> $w.example.org\n> box\n> example.org\n> ", "Djbox.example.org Dmexample.org"),
        ("> box\n> box\n> Undefined\n> ", "Djbox"),
    ],
)
def test_a_jails_sendmail_calls_itself_what_the_hosts_does(
    tmp_path: Path, said: str, lines: str
) -> None:
    """The prompts and the lines after them are those of sendmail -bt (main.c)."""
    cf = tmp_path / "sendmail.cf"
    asked = mail.own_name("sendmail").replace("/usr/sbin/sendmail", "sendmail")
    [command] = reversible(mail.own_name_kept, file=str(cf), asked=asked)
    stubs = {"sendmail": f"printf '{said}'", "sed": IN_PLACE}
    assert run(command.do, tmp_path, **stubs).returncode == 0
    assert not cf.exists()
    cf.write_text("# a comment\nV10/Berkeley\nDjold.$m\nR$-\t$1@$j\n")
    assert run(command.do, tmp_path, **stubs).returncode == 0
    assert cf.read_text() == "\n".join(
        ["# a comment", "V10/Berkeley", *lines.split(), "R$-\t$1@$j", ""]
    )
    assert list(tmp_path.iterdir()) == [cf]
    cf.write_text("R$-\t$1@$j\n")
    assert run(command.do, tmp_path, **stubs).returncode != 0, "not a sendmail.cf"


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(mail, "ACCESS", str(tmp_path / "access"))
    monkeypatch.setattr(mail, "MAIN_CF", str(tmp_path / "main.cf"))
    (tmp_path / "keep").mkdir()
    return tmp_path


def relaying(script: str, etc: Path) -> Reversible:
    """With the before-images that host.sh makes, which have the times of the files."""
    [command] = reversible(mail.relayed, script=script, address="10.80.0.4")
    for number, path in enumerate(command.keep, 1):
        if Path(path).exists():
            shutil.copy2(path, etc / f"keep/{number}")
    return command


MAKEMAP = 'cat > "$2.db"'
IN_PLACE = '[ "$1 $2" = "-i " ] && { shift 2; exec /bin/sed -i "$@"; }; exec /bin/sed "$@"'


def relayed(text: str, etc: Path) -> None:
    done = typed(text, etc, etc / "keep", makemap=MAKEMAP, sed=IN_PLACE)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("before", [None, "192.0.2.1\tREJECT\n"])
def test_sendmail_relays_for_a_jail_until_the_undo(etc: Path, before: str | None) -> None:
    if before is not None:
        (etc / "access").write_text(before)
        (etc / "access.db").write_text("made by hand")
        for name in ("access", "access.db"):
            os.utime(etc / name, (1_700_000_000, 1_700_000_000))
    command = relaying("sendmail", etc)
    relayed(command.do, etc)
    assert (etc / "access").read_text() == f"{before or ''}Connect:10.80.0.4\tRELAY\n"
    assert (etc / "access.db").read_text() == (etc / "access").read_text()
    for _ in range(2):
        relayed(str(command.undo), etc)
        there = {path.name: path.read_text() for path in etc.glob("access*")}
        assert there == ({"access": before, "access.db": "made by hand"} if before else {})
        times = {path.stat().st_mtime for path in etc.glob("access*")}
        assert len(times) < 2, "a text that is newer than its map is refused by check"


def test_what_others_wrote_into_the_access_map_meanwhile_stays(etc: Path) -> None:
    command = relaying("sendmail", etc)
    relayed(command.do, etc)
    with (etc / "access").open("a") as file:
        file.write("192.0.2.9\tREJECT\n")
    relayed(str(command.undo), etc)
    assert (etc / "access").read_text() == (etc / "access.db").read_text() == "192.0.2.9\tREJECT\n"


@pytest.mark.parametrize("script", ["sendmail", "postfix"])
def test_who_may_relay_is_on_the_disk_before_the_command_ends_well(etc: Path, script: str) -> None:
    command = relaying(script, etc)
    stubs = {"makemap": MAKEMAP, "postconf": "exit 0", "postfix": "exit 1", "fsync": "exit 1"}
    assert typed(command.do, etc, etc / "keep", **stubs).returncode != 0
    assert typed(command.do, etc, etc / "keep", **{**stubs, "fsync": ""}).returncode == 0


def test_an_mta_that_is_not_known_is_left_alone() -> None:
    assert reversible(mail.relayed, script="exim", address="10.80.0.4") == []


def test_a_name_that_is_none_is_not_written(tmp_path: Path) -> None:
    cf = tmp_path / "sendmail.cf"
    cf.write_text("")
    for asked in ("echo", "true", "echo 'a;b c'"):
        [command] = reversible(mail.own_name_kept, file=str(cf), asked=asked)
        assert run(command.do, tmp_path).returncode != 0
        assert cf.read_text() == ""


def test_a_name_that_resolvers_do_not_answer_is_looked_up_for_a_while(tmp_path: Path) -> None:
    """Asked of a 15.0 whose resolvers are dead: it took getent(1) more than the command's limit."""
    [command] = reversible(mail.own_name_is_found, address="203.0.113.2", jail="web")
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1\tlocalhost\n")
    here = {" 20 ": " 0.2 ", "/etc/": f"{tmp_path}/"}
    do, undo = command.do, command.undo or ""
    for old, new in here.items():
        do, undo = do.replace(old, new), undo.replace(old, new)
    stubs = {"hostname": "echo box.internal", "getent": "sleep 60"}
    assert run(do, tmp_path, **stubs, fsync="exit 1").returncode != 0
    assert hosts.read_text() == "127.0.0.1\tlocalhost\n", "what is not on the disk takes no place"
    assert run(do, tmp_path, **stubs).returncode == 0
    assert hosts.read_text().startswith("203.0.113.2\tbox.internal\t# cellblock:")
    assert run(undo, tmp_path, **stubs).returncode == 0
    assert hosts.read_text() == "127.0.0.1\tlocalhost\n"


@pytest.mark.parametrize(
    ("interfaces", "own"),
    [
        ("all", "203.0.113.2 203.0.113.3 198.51.100.7"),
        ("localhost, 203.0.113.3", "203.0.113.2 203.0.113.3 198.51.100.7"),
        ("loopback-only", "203.0.113.2 198.51.100.7"),
    ],
)
def test_a_postfix_keeps_the_addresses_of_its_host(
    tmp_path: Path, interfaces: str, own: str
) -> None:
    """Mail for user@[203.0.113.3] is for this system; those of jails are not the host's."""
    has = ("127.0.0.1/8", "203.0.113.2/24", "203.0.113.3/32", "10.80.0.4/32")
    [command] = reversible(
        mail.postfix_fitted,
        {facts.OwnAddresses: tuple(map(IPv4Interface, has))},
        etc="/j/etc",
        public="203.0.113.2",
        relays=["10.80.0.4", "10.80.0.5"],
    )
    said = f"case $2 in (inet_interfaces) echo '{interfaces}';; (proxy*) echo 198.51.100.7;; esac"
    stub = f'if [ "$1" = -c ]; then printf "%s\\n" "$@"; else {said}; fi'
    done = typed(command.do, tmp_path, None, postconf=stub)
    assert f"\nproxy_interfaces={own}\n" in done.stdout, done.stderr


@pytest.mark.parametrize("there", [True, False])
def test_a_jails_sendmail_is_named_wherever_mailwrapper_reads_it(
    tmp_path: Path, *, there: bool
) -> None:
    """mailwrapper(8) reads /usr/local/etc/mail/mailer.conf first: Postfix' has no queue runner."""
    for name in ("root/etc/mail", "local-etc/mail"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "root/etc/mail/mailer.conf").write_text("sendmail /usr/libexec/sendmail/sendmail\n")
    of_package = tmp_path / "local-etc/mail/mailer.conf"
    if there:
        of_package.write_text("sendmail /usr/local/sbin/sendmail\n")
    [command] = reversible(
        mail.one_mailer, root=f"{tmp_path}/root", local_etc=f"{tmp_path}/local-etc"
    )
    assert typed(command.do, tmp_path).returncode == 0
    assert of_package.exists() == there
    assert not there or "libexec" in of_package.read_text()
    assert sorted(each.name for each in of_package.parent.iterdir()) == ["mailer.conf"] * there


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Name=MTA, Addr=203.0.113.2", "Name=MTA, Addr=10.80.0.5"),
        ("Addr=127.0.0.1\nAddr=203.0.113.3", "Addr=10.80.0.5\n# Addr=10.80.0.5"),
        ("Port=587, Addr=localhost\nAddr=203.0.113.2", "Port=587, Addr=10.80.0.5\nAddr=10.80.0.5"),
        ("Name=IPv6, Family=inet6, Modifiers=O", "Name=IPv6, Family=inet6, Modifiers=O"),
        ("Name=IPv6, Family=inet6", "# Name=IPv6, Family=inet6"),
        ("Addr=198.51.100.7", "Addr=198.51.100.7"),
        ("Name=A\nName=B, Port=587, M=E", "Name=A\nName=B, Port=587, M=E"),
    ],
)
def test_sendmail_binds_each_socket_once(tmp_path: Path, before: str, after: str) -> None:
    file, option = tmp_path / "sendmail.cf", "O DaemonPortOptions="
    file.write_text("".join(f"{option}{line}\n" for line in before.splitlines()))
    has = tuple(map(IPv4Interface, ("127.0.0.1/8", "203.0.113.2/24", "203.0.113.3/32")))
    arguments = {"file": str(file), "old": "203.0.113.2", "new": "10.80.0.5"}
    [command] = reversible(mail.readdressed, {facts.OwnAddresses: has}, **arguments)
    assert run(command.do, tmp_path).returncode == 0
    wanted = [
        f"{'# ' * each.startswith('# ')}{option}{each.removeprefix('# ')}"
        for each in after.splitlines()
    ]
    assert file.read_text().splitlines() == wanted


@pytest.mark.parametrize(
    ("says", "block"),
    [
        ({"hostname": "", "ssl": "yes"}, "disable_plaintext_auth = no"),
        ({"hostname": "", "ssl": "required"}, "disable_plaintext_auth = no\n  ssl = yes"),
        ({"auth_allow_cleartext": "no", "ssl": "yes"}, "auth_allow_cleartext = yes"),
    ],
)
def test_the_jails_are_local_to_dovecot(tmp_path: Path, says: dict[str, str], block: str) -> None:
    """What doveconf 2.3.19 prints of a setting that it does not know: nothing, and exit code 0."""
    file = tmp_path / "dovecot.conf"
    file.write_text("ssl = required\n")
    doveconf = "".join(f"[ $2 != {name} ] || echo '{value}'; " for name, value in says.items())
    [command] = reversible(mail.dovecot_fitted, file=str(file), lan="10.80.0.0/24")
    done = run(command.do, tmp_path, doveconf=doveconf + "exit 0", hostname="echo mail.example.org")
    assert done.returncode == 0, done.stderr
    assert file.read_text() == (
        "ssl = required\nlisten = *\nhostname = mail.example.org\n"
        f"remote 10.80.0.0/24 {{\n  {block}\n}}\n"
    )
