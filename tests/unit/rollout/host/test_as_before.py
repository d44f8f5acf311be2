"""After an undo: foreign files that depend on a file of ours stay, all else of ours is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.plan.step import use
from tests.unit.rollout import small_host
from tests.unit.rollout.lab import Lab
from tests.unit.rollout.small_host import STUBS, typed


@pytest.fixture
def lab(lab: Lab) -> Lab:
    """FreeBSD's output for what is at a path."""
    body = STUBS["stat"].replace("exec /usr/bin/stat", "/usr/bin/stat").rstrip()
    body += " | /bin/sed -e 's/ directory / Directory /'"
    (lab.host.bin / "stat").write_text(f"#!/bin/sh\n{body}\n")
    return lab


def model(lab: Lab, name: str, text: str = "") -> str:
    """A file of the small host with the output of a FreeBSD command; written if `text` is given."""
    path = lab.host.where / "model" / name
    if text:
        path.write_text(text)
    return str(path)


def undone(lab: Lab) -> str:
    """The state in the journal after an undo by hand."""
    lab.host.ask("undo")
    return lab.host.state("001-one")


def applied(lab: Lab, do: str, undo: str) -> None:
    with lab.runner(lab.step("one", use(typed, do=do, undo=undo))) as runner:
        runner.apply()


def test_a_directory_of_ours_stays_with_a_file_of_theirs_in_it(lab: Lab) -> None:
    ours = lab.path("ours.d")
    applied(lab, f"mkdir {ours}", f'if [ -z "$(ls -A {ours})" ]; then rmdir {ours}; fi')
    (ours / "theirs").write_text("x")
    assert undone(lab) == "undone", lab.host.read("001-one", "differences")
    assert "stays, for others use it: path" in lab.host.log("001-one")
    assert (ours / "theirs").exists()


def test_what_others_added_and_an_undo_took_away_is_missed(lab: Lab) -> None:
    """Then the host is as before the step, and yet not as it has to be."""
    hosts = lab.root / "etc/hosts"
    before = "127.0.0.1 localhost\n"
    hosts.write_text(before)
    applied(lab, f"echo '10.80.0.2 dns' >> {hosts}", f"printf '{before[:-1]}\\n' > {hosts}")
    hosts.write_text(f"{before}10.80.0.2 dns\n192.0.2.7 theirs\n")
    assert undone(lab) == "stuck"
    assert "192.0.2.7 theirs" in lab.host.read("001-one", "differences")


def test_a_directory_of_ours_does_not_stay_for_nothing(lab: Lab) -> None:
    ours = lab.path("ours.d")
    applied(lab, f"mkdir {ours}; touch {ours}/ours", ":")
    lab.path("theirs").touch()
    assert undone(lab) == "stuck"


LO1 = "lo1: flags=8049<UP>\n\toptions=600003<RXCSUM,TXCSUM>\n\tinet6 fe80::1%lo1 prefixlen 64\n"


@pytest.mark.parametrize(
    ("theirs", "state"), [("\tinet 10.99.0.1 netmask 0xffffffff\n", "undone"), ("", "stuck")]
)
def test_an_interface_of_ours_stays_with_an_address_of_theirs(
    lab: Lab, theirs: str, state: str
) -> None:
    (lab.root / "etc/rc.conf").write_text("")
    file = model(lab, "addresses")
    rc = lab.root / "etc/rc.conf"
    made = f"cp {model(lab, 'made', LO1)} {file}; echo 'cloned_interfaces=\"lo1\"' > {rc}"
    applied(lab, made, ":")
    model(lab, "addresses", LO1 + theirs)
    assert undone(lab) == state


def test_an_address_of_ours_does_not_stay_with_one_of_theirs(lab: Lab) -> None:
    file = model(lab, "addresses")
    ours = "\tinet 10.80.0.2 netmask 0xffffffff\n"
    applied(lab, f"cp {model(lab, 'made', LO1 + ours)} {file}", ":")
    model(lab, "addresses", LO1 + ours + "\tinet 10.99.0.1 netmask 0xffffffff\n")
    assert undone(lab) == "stuck"


LAST = "65535 set 31 allow ip from any to any\n"


@pytest.mark.parametrize(
    ("theirs", "state"),
    [("60000 set 0 deny ip from 192.0.2.1 to any\n", "undone"), ("", "stuck")],
)
def test_the_ipfw_that_we_loaded_stays_with_a_rule_of_theirs(
    lab: Lab, theirs: str, state: str
) -> None:
    file = model(lab, "rules")
    applied(lab, f"cp {model(lab, 'made', LAST)} {file}", ":")
    model(lab, "rules", LAST + theirs)
    assert undone(lab) == state


def test_a_word_that_others_put_into_a_list_of_ours_is_kept(lab: Lab) -> None:
    conf = lab.root / "etc/rc.conf"
    conf.write_text('jail_list="old" # theirs\n')
    applied(lab, f"sed -i '' -e 's/old/old web/' {conf}", f"sed -i '' -e 's/ web//' {conf}")
    conf.write_text('jail_list="old web shop" # theirs\n')
    assert undone(lab) == "undone", lab.host.read("001-one", "differences")
    assert conf.read_text() == 'jail_list="old shop" # theirs\n'


@pytest.mark.parametrize("name", ["hosts", "resolv.conf"])
def test_a_line_that_others_put_into_a_file_of_many_hands_is_kept(lab: Lab, name: str) -> None:
    path = lab.path(name)
    path.write_text("a\n")
    applied(lab, f"echo ours >> {path}", f"sed -i '' -e /ours/d {path}")
    path.write_text("a\nours\ntheirs\n")
    assert undone(lab) == "undone", lab.host.read("001-one", "differences")


@pytest.mark.parametrize("name", ["hosts", "resolv.conf", "rc.conf"])
def test_a_line_of_ours_that_is_left_in_it_is_found(lab: Lab, name: str) -> None:
    path = lab.path(name)
    path.write_text("a\n")
    applied(lab, f"echo ours >> {path}", ":")
    path.write_text("a\nours\ntheirs\n")
    assert undone(lab) == "stuck"


def test_a_file_that_others_write_while_a_step_runs_is_kept(lab: Lab) -> None:
    """As a renewed certificate, or the journal of a daemon whose data lies there."""
    theirs, ours = lab.path("theirs.pem"), lab.path("ours")
    theirs.write_text("old\n")
    applied(lab, f"touch {ours}; printf 'new\\n' > {theirs.parent}/'their's.pem", f"rm -f {ours}")
    assert undone(lab) == "undone", lab.host.read("001-one", "differences")
    assert theirs.read_text() == "new\n"
    assert f"{theirs}: written by others while the step ran" in lab.host.log("001-one")


def test_a_file_that_the_step_names_must_be_as_before(lab: Lab) -> None:
    named = lab.path("named.conf")
    named.write_text("old\n")
    applied(lab, f"printf 'new\\n' > {named}", ":")
    assert undone(lab) == "stuck"
    assert str(named) in lab.host.read("001-one", "differences")


def test_a_file_in_a_tree_that_the_step_owns_must_be_as_before(lab: Lab) -> None:
    tree = lab.path("tree")
    tree.mkdir()
    applied(lab, f"cd {tree}/ && touch left", ":")
    assert undone(lab) == "stuck"


@pytest.fixture
def data(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service's data on the host: a directory with another in it, both compared."""
    data = lab.where("data")
    data.mkdir(mode=0o750)
    (data / "page").mkdir(mode=0o755)
    compared = {"data": (str(data), f"{data}/page")}
    services = {"bind": small_host.SAMPLE.services["bind"].model_copy(update=compared)}
    made = small_host.SAMPLE.model_copy(update={"services": services})
    monkeypatch.setattr(small_host, "SAMPLE", made)
    return data


def shared(lab: Lab, data: Path, how: str, does: str, later: str) -> None:
    """A step that mounts data into a jail, and what an attacker there does, then and meanwhile."""
    mounts = model(lab, "mounts")
    line = f"{data} /usr/jails/bind/root/data nullfs {how} 0 0"
    do = f"cd {data}; {does}; echo '{line}' > {mounts}"
    applied(lab, do, f": > {mounts}; cd {data}; {later}")


ATTACKS = {
    "the mode turns": ("chmod 755 .", ":", "undone"),
    "the mode turns while it is undone": ("chmod 755 .", "chmod 700 .", "undone"),
    "something in it goes": ("rmdir page", ":", "undone"),
    "something in it becomes a file": ("rmdir page; : > page", ":", "undone"),
    "the data itself goes": (":", "cd /; rm -r $OLDPWD", "stuck"),
    "the data itself becomes a link": (":", "cd /; mv $OLDPWD $OLDPWD.; ln -s / $OLDPWD", "stuck"),
}
"""What happens while the step runs and while it is undone, and how its undo ends."""


@pytest.mark.parametrize(("does", "later", "ends"), ATTACKS.values(), ids=ATTACKS)
def test_what_a_jail_writes_in_its_data_is_no_difference(
    lab: Lab, data: Path, does: str, later: str, ends: str
) -> None:
    shared(lab, data, "rw,nosuid", does, later)
    assert undone(lab) == ends, lab.host.read("001-one", "differences")
    if ends == "undone":
        assert "written by others while the step" in lab.host.log("001-one")


def test_the_mode_of_what_no_jail_may_write_must_be_as_before(lab: Lab, data: Path) -> None:
    shared(lab, data, "ro", "chmod 755 .", ":")
    assert undone(lab) == "stuck"


@pytest.mark.parametrize(
    ("still", "ends"), [("", "undone"), ("bind /usr/jails/x 10.80.0.2\\n", "stuck")]
)
def test_a_jail_that_ends_while_a_step_is_undone_is_told(lab: Lab, still: str, ends: str) -> None:
    """The undo stops one that does not do as it is told, and its root can end it."""
    jails, mounts = model(lab, "jails", "bind /usr/jails/x 10.80.0.2\n"), model(lab, "mounts")
    (lab.host.bin / "jls").write_text(f"#!/bin/sh\ncat {jails}\n")
    (lab.host.bin / "jls").chmod(0o755)
    model(lab, "mounts", "/bin /usr/jails/bind/root/bin nullfs ro 0 0\n")
    applied(lab, ":", f"printf '{still}' > {jails}; : > {mounts}")
    assert undone(lab) == ends, lab.host.read("001-one", "differences")
    told = "notice: jail bind does not run any more; to start it: service jail onestart bind"
    assert (told in lab.host.log("001-one")) is (ends == "undone")
