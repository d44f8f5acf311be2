"""A jail whose root plants links towards the host's /etc: no file outside the jail changes.

However the step ends (a jail without its /etc can run no daemon): no file of the host ever has a
content or a mode that it does not have in a rollout without links. Every kind of link is tried
before some steps and the undo of some, in rotation; CELLBLOCK_LINKS=all tries every kind before
every step and every undo.
"""

from __future__ import annotations

import os
import random
import stat
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from rollout import plan, site
from rollout.engine import checks
from rollout.engine.listener import Listener
from rollout.engine.runner import Runner
from rollout.errors import CellblockError
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from tests.rehearsal.sites import SAMPLE, ordered

IN_EACH_JAIL = {
    "etc is a link": 'swap "$j/root/etc" /etc',
    "rc.conf is a link": 'swap "$j/root/etc/rc.conf" /etc/rc.conf',
    "files of etc are links": 'each "$j/root/etc" /etc/rc.conf -type f',
    "usr/local/etc has links for directories": 'each "$j/local-etc" /etc -mindepth 1 -type d',
    "usr/local/etc has links for files": 'each "$j/local-etc" /etc/rc.conf -type f',
    "var is a link": 'swap "$j/root/var" /etc',
    "var/run is a link": 'swap "$j/root/var/run" /etc',
    "usr is a link": 'swap "$j/root/usr" /etc',
    "the queues have links": "for n in dfA1 qfA1 hfA2 xfA1; do"
    " for q in /var/spool/mqueue-mail /var/spool/clientmqueue-${j##*/}; do"
    ' if [ -d "$q" ]; then ln -sfh /etc/rc.conf "$q/$n"; fi; done; done',
    "new files lead out": "for f in php-fpm.conf php-fpm.conf.before .packed.tar .my.cnf; "
    'do ln -sfh /etc "$j/local-etc/$f"; ln -sfh /etc "$j/root/etc/$f"; done',
}
"""What a jail's root can do in it; `$j` is the jail's directory on the host."""
AT_HOME = {
    "a home is a link": "swap /usr/home/user001 /etc",
    "public_html is a link": "swap /usr/home/user002/public_html /etc",
    "a document root is a link": "swap /usr/local/www/example.org /etc",
    "a page is a link": "swap /usr/local/www/apache24/data/index.html /etc/rc.conf",
}
"""What users can do where they may write, on the host and in jails."""
KINDS = [*IN_EACH_JAIL, *AT_HOME]

SWAP = """
swap() { if [ -e "$1" ] && [ ! -L "$1" ]; then mv "$1" "$1.was" && ln -s "$2" "$1"; fi; }
each() { at=$1; to=$2; shift 2; if [ -d "$at" ]; then find -d "$at" "$@" ! -name '*.was' >/tmp/each
    while read -r found; do swap "$found" "$to"; done </tmp/each; fi; }
"""
UNDO = """
find -d /usr/jails/*/root/etc* /usr/jails/*/local-etc* /usr/home /usr/local/www -name '*.was' \
    >/tmp/was 2>/dev/null
for j in /usr/jails/*; do for d in etc var var/run usr; do
    if [ -e "$j/root/$d.was" ]; then echo "$j/root/$d.was"; fi; done; done >>/tmp/was
while read -r was; do if [ -L "${was%.was}" ]; then rm "${was%.was}"; fi
    if [ -e "$was" ]; then mv "$was" "${was%.was}"; fi; done </tmp/was
find /usr/jails/*/root/etc /usr/jails/*/local-etc /var/spool/*mqueue-* -maxdepth 1 \
    -type l -name '*[.A]*' >/tmp/was 2>/dev/null
while read -r link; do case $(readlink "$link") in /etc*) rm "$link";; esac; done </tmp/was
rm -f /tmp/was /tmp/each
"""

State = tuple[int, str]
OUTSIDE = ("etc", "usr/local/etc", "root", "boot", "var/cron", "var/spool")


def state(path: Path) -> State:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return status.st_mode, str(path.readlink())
    text = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
    return status.st_mode, sha256(text).hexdigest()


NOT_COMPARED = (
    *("var/spool/mqueue-mail/", "var/spool/clientmqueue-"),
    "var/spool/clientmqueue/sm-client.pid",  # of the host's queue runner, another one each time
)


def outside(root: Path) -> dict[str, State]:
    """The state of every file of the host that a jail must not change."""
    found = {}
    for place in OUTSIDE:
        for folder, _, names in os.walk(root / place):
            for path in (Path(folder), *(Path(folder, name) for name in names)):
                inner = str(path.relative_to(root))
                if not inner.startswith(NOT_COMPARED):
                    with suppress(FileNotFoundError):  # a daemon may remove it meanwhile
                        found[inner] = state(path)
    return found


class Walk:
    """The sample's rollout, one step at a time, without running the checks."""

    def __init__(self, made: Plan, box: Box) -> None:
        self.made = made
        self.box = box
        self.names = [step.name for step in made.steps if step.operations]

    @property
    def outside(self) -> dict[str, State]:
        root: Path = self.box.target.root  # type: ignore[attr-defined] # the stand-in's own
        return outside(root)

    def sh(self, text: str) -> None:
        self.box.target.run(text)  # type: ignore[attr-defined]

    def go(self, act: str, to: str | None, **more: Any) -> bool:
        with Runner(
            self.made, self.box.target, self.box.outside, Listener(), lambda step, gate: "me"
        ) as run:
            try:
                getattr(run, act)(to, **more)
            except CellblockError:
                return False
        return True

    def forward(self, name: str) -> bool:
        return self.go("apply", name)

    def back(self, name: str) -> bool:
        before = self.names[: self.names.index(name)]
        return self.go("rollback", before[-1] if before else None, set_aside=True)

    def plant(self, kind: str) -> None:
        if kind in AT_HOME:
            self.sh(f"{SWAP}\n{AT_HOME[kind]}")
        else:
            loop = 'for j in /usr/jails/*; do if [ -d "$j/root" ]; then'
            self.sh(f"{SWAP}\n{loop} {IN_EACH_JAIL[kind]}; fi; done 2>/dev/null")


@pytest.fixture(scope="module")
def made() -> Plan:
    return plan.make(site.read(SAMPLE))


@pytest.fixture
def walk(made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Walk]:
    monkeypatch.setattr(checks, "run", lambda *_, **__: [])
    with standin_box(made.site, tmp_path) as box:
        yield Walk(made, box)


@pytest.fixture(scope="module")
def seen(made: Plan, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[State]]:
    """Path -> its states in a rollout without links, and during its rollback."""
    found: dict[str, set[State]] = defaultdict(set)

    def note() -> None:
        for path, now in clean.outside.items():
            found[path].add(now)

    with (
        pytest.MonkeyPatch.context() as patch,
        standin_box(made.site, tmp_path_factory.mktemp("clean")) as box,
    ):
        patch.setattr(checks, "run", lambda *_, **__: [])
        clean = Walk(made, box)
        note()
        for name in clean.names:
            assert clean.forward(name), name
            note()
        for name in reversed(clean.names):
            assert clean.back(name), name
            note()
        must_see_what_is_written_through_a_link(clean, found)
    return found


def strange(now: dict[str, State], seen: dict[str, set[State]]) -> dict[str, State]:
    return {path: state for path, state in now.items() if state not in seen.get(path, ())}


def must_see_what_is_written_through_a_link(walk: Walk, seen: dict[str, set[State]]) -> None:
    assert not strange(walk.outside, seen)
    walk.sh("ln -s /etc /usr/home/user001/x; echo y >> /usr/home/user001/x/rc.conf")
    assert list(strange(walk.outside, seen)) == ["etc/rc.conf"]


SHIFTS = range(len(KINDS)) if os.environ.get("CELLBLOCK_LINKS") == "all" else [None]


@pytest.mark.whole
@pytest.mark.parametrize("shift", SHIFTS)
def test_no_link_out_of_a_jail_is_followed(
    walk: Walk, seen: dict[str, set[State]], shift: int | None
) -> None:
    if shift is None:  # a random one, chosen here: all workers of xdist must collect the same tests
        shift = random.randrange(len(KINDS))
        print(f"shift {shift}")
    tried = 0
    for act, names in (("forward", walk.names), ("back", walk.names[::-1])):
        for n, name in enumerate(names):
            kind = KINDS[(n + shift) % len(KINDS)]
            walk.plant(kind)
            done = getattr(walk, act)(name)
            wrong = strange(walk.outside, seen)
            assert not wrong, f"{name}, {act}, while {kind}: {wrong}"
            walk.sh(UNDO)
            tried += 1
            if not done:  # stuck, where the undo could not get into the jail
                walk.back(name)
                if not getattr(walk, act)(name):
                    break  # it needs manual repair: a daemon has lost its files meanwhile
    assert tried > len(walk.names)


def test_what_a_jail_mounts_out_of_another_is_not_a_directory_of_the_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "run", lambda *_, **__: [])
    made = ordered("mysql", "web")
    with standin_box(made.site, tmp_path) as box:
        walk = Walk(made, box)
        assert walk.forward("mysql.cutover")
        walk.sh("cd /usr/jails/mysql/root/var/run && mv mysql mysql.was && ln -s /etc mysql")
        assert not walk.forward("web.jail")
        walk.sh("cd /usr/jails/mysql/root/var/run && rm mysql && mv mysql.was mysql")
        assert walk.forward("web.jail")
        walk.sh("cd /usr/jails/mysql/root/var/run && mv mysql mysql.was && ln -s /etc mysql")
        walk.sh("service jail onerestart web")
        ran = box.target.run("jls -j web jid")  # type: ignore[attr-defined]
        assert ran.returncode != 0, "at its next start it has the host's /etc"


@pytest.mark.whole
def test_a_file_that_is_written_through_a_link_would_be_seen(walk: Walk) -> None:
    """On a fresh host; in a rollout, the comparison with all states in `seen` works the same."""
    there = {path: {state} for path, state in walk.outside.items()}
    must_see_what_is_written_through_a_link(walk, there)
