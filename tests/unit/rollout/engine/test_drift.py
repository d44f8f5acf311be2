"""Foreign changes since our steps, as drift.sh prints them, and those that an undo would lose."""

from __future__ import annotations

import pytest

from rollout.engine import drift
from rollout.engine.drift import Change, Drift

OLD, NEW = "a" * 64, "b" * 64
PATH = "/etc/jail.conf.d/mysql.conf"


def changed(step: str, *facts: str) -> str:
    return "".join(f"changed {step} {fact}\n" for fact in facts)


def owns(step: str, place: str, left: str = "") -> str:
    return f"owns {step} {place}\t{left}\n"


EDITED = changed(
    "005-mysql.jail",
    f"- hash {OLD} {PATH}",
    f"+ hash {NEW} {PATH}",
)


@pytest.mark.parametrize(
    ("fact", "place", "value"),
    [
        ('line /etc/rc.conf dumpdev="AUTO"', "rc.conf dumpdev", "AUTO"),
        ("line /etc/rc.conf.local dumpdev=NO", "rc.conf dumpdev", "NO"),
        ("line /etc/rc.conf jail_list old", "rc.conf jail_list", "old"),
        ("line /etc/rc.conf # mine", "a line of /etc/rc.conf", "# mine"),
        ("line /etc/hosts 10.0.0.1\tx", "a line of /etc/hosts", "10.0.0.1\tx"),
        (
            "path /etc/my conf Regular File 644 root:wheel ",
            "/etc/my conf",
            "Regular File 644 root:wheel",
        ),
        (
            "path /usr/jails/x Directory 755 root:wheel",
            "/usr/jails/x",
            "Directory 755 root:wheel",
        ),
        (f"hash {OLD} /etc/my conf", "/etc/my conf", OLD),
        (
            "rule 00500 set 20 deny ip from any to any",
            "ipfw rule 500 set 20",
            "deny ip from any to any",
        ),
        (
            "rule # DISABLED 00500 set 20 count ip from any to any",
            "ipfw rule 500 set 20",
            "count ip from any to any",
        ),
        ("nat ipfw nat 500 config ip 192.0.2.1", "ipfw nat 500", "ip 192.0.2.1"),
        ("set 20 disabled", "ipfw set 20", "disabled"),
        ("address lo1: 10.99.0.1", "address 10.99.0.1 on lo1", "there"),
        ("option vtnet0: TSO4", "option TSO4 on vtnet0", "there"),
        ("mount /usr/home /mnt nullfs ro", "mount /mnt", "/usr/home nullfs ro"),
        ("jail old /usr/jails/old 10.99.0.1", "jail old", "/usr/jails/old 10.99.0.1"),
        ("service named runs", "service named", "runs"),
        ("module ipfw", "module ipfw", "loaded"),
        ("of another kind", "of another kind", "there"),
    ],
)
def test_a_fact_is_told_as_a_place_and_what_is_there(fact: str, place: str, value: str) -> None:
    [change] = drift.parse(changed("002-base", f"+ {fact}")).changes
    assert (change.place, change.ours, change.now) == (place, "", value)


def test_a_change_has_what_the_step_left_and_what_is_there_now() -> None:
    [change] = drift.parse(EDITED).changes
    assert (change.place, change.ours, change.now) == (PATH, OLD, NEW)
    assert drift.table([change]).splitlines()[-1].split() == [PATH, OLD[:8], NEW[:8]]


def test_what_no_step_owns_is_kept_by_every_undo() -> None:
    found = drift.parse(EDITED + owns("005-mysql.jail", "/etc/other"))
    assert found.lost(["005-mysql.jail"]) == ()


def lost(text: str, *undone: str) -> list[str]:
    return [change.place for change in drift.parse(text).lost(undone)]


def test_an_edit_of_a_file_of_ours_is_lost_when_its_step_is_undone_and_not_before() -> None:
    text = EDITED + owns("005-mysql.jail", PATH) + owns("006-mysql.cutover", "/etc/x")
    assert lost(text, "006-mysql.cutover", "005-mysql.jail") == [PATH]
    assert lost(text, "006-mysql.cutover") == []


def test_an_edit_from_before_a_step_is_in_its_before_image() -> None:
    assert lost(EDITED + owns("006-mysql.cutover", PATH), "006-mysql.cutover") == []


def test_what_the_undo_would_put_there_itself_is_not_lost() -> None:
    text = changed("009-web.retire", '- line /etc/rc.conf a="NO"', '+ line /etc/rc.conf a="YES"')
    assert lost(text + owns("009-web.retire", "rc.conf a", "YES"), "009-web.retire") == []
    assert lost(text + owns("009-web.retire", "rc.conf a", "AUTO"), "009-web.retire") == [
        "rc.conf a"
    ]
    assert lost(EDITED + owns("005-mysql.jail", PATH, NEW), "005-mysql.jail") == []


def test_what_somebody_removed_cannot_be_lost() -> None:
    text = changed("005-mysql.jail", f"- hash {OLD} {PATH}")
    assert lost(text + owns("005-mysql.jail", PATH), "005-mysql.jail") == []


def test_a_tree_has_all_below_it_and_nothing_beside_it() -> None:
    text = changed(
        "005-mysql.jail",
        "+ path /usr/jails/mysql/notes Regular File 644 root:wheel",
        "+ path /usr/jails/mysql2 Directory 755 root:wheel",
    )
    text += owns("005-mysql.jail", "/usr/jails/mysql/")
    assert lost(text, "005-mysql.jail") == ["/usr/jails/mysql/notes"]


def at(folder: str, **times: int) -> str:
    return "".join(f"at {when} {folder}/{name.replace('_', '.')}\n" for name, when in times.items())


FILE = "/usr/jails/web/local-etc/apache24/httpd.conf"


@pytest.mark.parametrize(
    ("when", "whose"),
    [
        (99, "theirs"),
        (100, "ours"),
        (109, "ours"),
        (111, "theirs"),
        (205, "ours"),
        (305, "ours"),
        (311, "theirs"),
        (999, "theirs"),
    ],
)
def test_a_file_in_a_jail_is_somebodys_when_no_step_ran_as_it_changed(
    when: int, whose: str
) -> None:
    text = owns("007-web.jail", "/usr/jails/web/") + f"file 007-web.jail {when} {FILE}\n"
    text += at("steps/008-web.standby", print_before=100, print_applied=110, progress=108)
    text += at("steps/009-web.cutover", print_before=200, progress=208, print_after=210)
    text += at("history/009-web.cutover.1.2", print_rollback=300, progress=310)
    places = [change.place for change in drift.parse(text).lost(["007-web.jail"])]
    assert places == ([FILE] if whose == "theirs" else [])


def test_what_a_rollback_sets_aside_is_removed_only_where_it_is_the_hosts_own() -> None:
    text = EDITED + owns("005-mysql.jail", PATH) + owns("005-mysql.jail", "/usr/jails/mysql/")
    text += "file 005-mysql.jail 5 /usr/jails/mysql/local-etc/my.cnf\n"
    found = drift.parse(text)
    assert found.files(found.lost(["005-mysql.jail"])) == (
        (PATH,),
        ("/usr/jails/mysql/local-etc/my.cnf",),
    )


def test_a_long_table_is_cut_and_says_so() -> None:
    many = [Change(f"rc.conf a{n:03}", "", "x" * 99, "002-base") for n in range(35)]
    rows = drift.table(many).splitlines()
    assert rows[-1] == "and 5 more"
    assert max(map(len, rows)) < 90


def test_no_drift_is_said_too() -> None:
    assert drift.text(Drift()) == "nothing that the steps left was changed by others"
    assert drift.data(Drift()) == []
