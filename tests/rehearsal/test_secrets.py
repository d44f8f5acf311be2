"""Secrets planted all over the host: none can be read anywhere after a rollout and a rollback."""

from __future__ import annotations

import dataclasses
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout import plan, site
from rollout.engine import checks
from rollout.engine.listener import Listener, Listeners
from rollout.engine.runner import Runner
from rollout.errors import CellblockError, Refused
from rollout.rehearsal.box import standin_box
from rollout.rehearsal.rehearsal import Rehearsal
from rollout.terminal.events import Events
from rollout.terminal.hooks import Command, Hooks
from rollout.terminal.plain import PlainLines
from standin import BaseHost
from standin.samples.files import MY_CNF, NAMED, Entry
from tests.rehearsal.sites import SAMPLE, ordered

MARK = "pLantEd"
CLIENT = "mysql --defaults-extra-file=/root/.my.cnf"
KEY = f"-----BEGIN PRIVATE KEY-----\n{MARK}-tls\n-----END PRIVATE KEY-----\n"
SECRETS = {
    "/root/.my.cnf": Entry(f"[client]\npassword={MARK}-root-mysql\n", 0o600),
    "/root/.ssh/id_ed25519": Entry(f"{MARK}-ssh\n", 0o600),
    "/usr/local/etc/mysql/my.cnf": Entry(f"{MY_CNF}\n[client]\npassword={MARK}-mysql\n", 0o600),
    "/usr/local/etc/apache24/server.key": Entry(KEY, 0o600),
    "/etc/ssl/private/host.key": Entry(KEY, 0o600),
    "/etc/mail/certs/host.key": Entry(KEY, 0o600),
    "/etc/mail/default-auth-info": Entry(f"{MARK}-smarthost\n", 0o600),
    "/usr/local/etc/namedb/rndc.key": Entry(f'key "x" {{ secret "{MARK}-rndc"; }};\n', 0o600),
    "/usr/local/etc/namedb/named.conf": Entry(
        NAMED + f'key "x" {{ secret "{MARK}-tsig"; }};\n', 0o640, "root", "bind"
    ),
    "/usr/home/user001/.my.cnf": Entry(f"{MARK}-home\n", 0o600, "user001", "user001"),
    "/usr/home/user001/public_html/db.php": Entry(
        f"<?php $db = mysqli_connect('localhost', 'user001', '{MARK}-php');\n",
        0o600,
        "user001",
        "user001",
    ),
}


OF_ETC = ("/etc/ssl/private/host.key", "/etc/mail/certs/host.key", "/etc/mail/default-auth-info")


def planted() -> BaseHost:
    base = BaseHost.sample()
    accounts = dict(base.accounts)
    accounts["/etc/master.passwd"] = re.sub(
        r"^(user0\d\d|root):[^:]*:",
        rf"\1:$6${MARK}-hash:",
        accounts["/etc/master.passwd"],
        flags=re.MULTILINE,
    )
    return dataclasses.replace(base, accounts=accounts, entries={**base.entries, **SECRETS})


class Looking(PlainLines):
    """Searches for secrets after each step, too."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def result(self, result: Any) -> None:
        super().result(result)
        assert open_to_all(self.root) == [], result.step


def holds_a_secret(path: Path) -> bool:
    try:
        return MARK.encode() in path.read_bytes()
    except OSError:  # of a fifo or a socket, or a removed file
        return False


def regular(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        # Skips what is mounted from elsewhere: it is searched there.
        folders[:] = [name for name in folders if not Path(place, name).is_mount()]
        for name in names:
            path = Path(place, name)
            if stat.S_ISREG(path.lstat().st_mode):
                yield path


def open_to_all(root: Path) -> list[str]:
    """Files with a secret in them that every user of the host may read."""
    hidden = {Path(path) for path in SECRETS}

    def reachable(path: Path) -> bool:
        above = [each for each in path.parents if each.is_relative_to(root) and each != root]
        return all(each.stat().st_mode & stat.S_IXOTH for each in above)

    return [
        str(path)
        for path in regular(root)
        if path.stat().st_mode & stat.S_IROTH
        and reachable(path)
        and Path("/", path.relative_to(root)) not in hidden
        and holds_a_secret(path)
    ]


def with_a_secret(paths: Iterable[Path]) -> list[str]:
    return [str(path) for path in paths if holds_a_secret(path)]


@pytest.fixture
def made(tmp_path: Path) -> plan.Plan:
    text, found = re.subn(
        r'(?m)^# client = "[^"]*"', f'client = "{CLIENT}"', SAMPLE.read_text(encoding="utf-8")
    )
    assert found == 1
    (tmp_path / "site.toml").write_text(text)
    return plan.make(site.read(tmp_path / "site.toml"))


@pytest.mark.whole
def test_a_rollout_leaks_no_secret(
    made: plan.Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    heard = Command(f"cat >> {state}/heard", 10)
    hooks = Hooks(made.site, "apply", heard, Listener(), asks=True)
    with standin_box(made.site, tmp_path, planted()) as box:
        root: Path = box.target.root  # type: ignore[attr-defined] # the stand-in's own
        assert with_a_secret(regular(root / "usr/local/etc")), "nothing was planted"
        told = Listeners(Looking(root), Events(), hooks)
        rehearsal = Rehearsal(made, box, told, state)
        rehearsal._act("apply", lambda run: run.apply())
        journal = root / "var/db/cellblock"
        assert with_a_secret(regular(journal)) == []
        assert list(regular(root / "usr/jails")), "there are no jails to look into"
        edit(box.target, "echo >> /etc/jail.conf.d/mysql.conf")
        with pytest.raises(CellblockError, match="others changed"):
            rehearsal._act("rollback", lambda run: run.rollback())
        edit(box.target, f"sleep 1.1; echo '# {MARK}-theirs' >> {MY_JAILED}")
        rehearsal._act("rollback again", lambda run: run.rollback(set_aside=True))
        aside = sorted((journal / "aside").iterdir())
        assert [each.suffix for each in aside] == [".tar", ".txt"]
        assert with_a_secret(regular(journal)) == [str(aside[0])], "what was set aside, for root"
        assert (aside[0].stat().st_mode & 0o777, journal.stat().st_mode & 0o77) == (0o600, 0)
        calls = box.target.calls  # type: ignore[attr-defined]
    hooks.close()
    assert "mysql.cutover" in (state / "heard").read_text()
    printed = capsys.readouterr()
    with rehearsal.record:
        pass  # written when this function ends
    assert {"report.html", "report.json"} <= {each.name for each in state.iterdir()}
    assert len(calls) > 1000, "the command lines were not noted"
    assert any(CLIENT.split()[1] in line for line in calls)
    assert [line for line in calls if MARK in line] == []
    assert MARK not in printed.out + printed.err
    assert "mysql.cutover" in printed.out
    assert len(list(state.iterdir())) > 1
    assert with_a_secret(regular(state)) == []


MY_JAILED = "/usr/jails/mysql/local-etc/mysql/my.cnf"


def edit(target: Any, text: str) -> None:
    done = target.run(text)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "client",
    [
        f"mysql -u root -p{MARK}",
        f"mysql --password={MARK}",
        f"mysql --user=root --password {MARK}",
        f"env MYSQL_PWD={MARK} mysql",
    ],
)
def test_a_password_on_a_command_line_is_refused_and_not_repeated(
    tmp_path: Path, client: str
) -> None:
    text = SAMPLE.read_text(encoding="utf-8")
    text = re.sub(r'(?m)^# client = "[^"]*"', f'client = "{client}"', text)
    (tmp_path / "site.toml").write_text(text)
    with pytest.raises(Refused, match=r"services\.mysql\.client") as refused:
        site.read(tmp_path / "site.toml")
    assert MARK not in str(refused.value)
    assert "--defaults-extra-file" in str(refused.value)


def test_a_password_under_an_unknown_key_is_not_repeated(tmp_path: Path) -> None:
    text = SAMPLE.read_text(encoding="utf-8")
    text = text.replace("[services.mysql]", f'[services.mysql]\npassword = "{MARK}"')
    (tmp_path / "site.toml").write_text(text)
    with pytest.raises(Refused, match=r"services\.mysql\.password") as refused:
        site.read(tmp_path / "site.toml")
    assert MARK not in str(refused.value)


def test_a_jail_has_no_secret_of_etc_that_its_services_do_not_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "run", lambda *_, **__: [])
    made = ordered("bind")
    with standin_box(made.site, tmp_path, planted()) as box:
        with Runner(made, box.target, box.outside, Listener(), lambda step, gate: "me") as run:
            run.apply("bind.jail")
        jail: Path = box.target.root / "usr/jails/bind/root"  # type: ignore[attr-defined]
        assert (jail / "etc/mail/mailer.conf").exists()
        assert [each for each in OF_ETC if (jail / each[1:]).exists()] == []
        assert not list(jail.glob("etc/.secrets*"))
        assert stat.S_IMODE(jail.parent.stat().st_mode) == 0o700, "no account gets in"
