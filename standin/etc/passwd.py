"""passwd(5) and group(5), as pw(8) keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from standin.linux.rootdir import RootDir

MASTER, PASSWD, GROUP = "/etc/master.passwd", "/etc/passwd", "/etc/group"


@dataclass(frozen=True)
class Account:
    name: str
    password: str
    uid: int
    gid: int
    login_class: str
    change: str
    expire: str
    gecos: str
    home: str
    shell: str

    @classmethod
    def parse(cls, line: str) -> Account:
        name, password, uid, gid, kind, change, expire, gecos, home, shell = line.split(":")
        return cls(name, password, int(uid), int(gid), kind, change, expire, gecos, home, shell)

    def master_line(self, password: str | None = None) -> str:
        hidden = self.password if password is None else password
        parts = (self.name, hidden, self.uid, self.gid, self.login_class, self.change)
        return ":".join(map(str, (*parts, self.expire, self.gecos, self.home, self.shell)))

    def passwd_line(self) -> str:
        parts = (self.name, "*", self.uid, self.gid, self.gecos, self.home, self.shell)
        return ":".join(map(str, parts))


@dataclass(frozen=True)
class Group:
    name: str
    gid: int
    members: tuple[str, ...]

    def line(self) -> str:
        return f"{self.name}:*:{self.gid}:{','.join(self.members)}"


def accounts(rootdir: RootDir) -> list[Account]:
    return list(_accounts(rootdir.read(MASTER) or ""))


@lru_cache(maxsize=8)
def _accounts(text: str) -> tuple[Account, ...]:
    return tuple(Account.parse(line) for line in text.splitlines() if line.count(":") == 9)


def groups(rootdir: RootDir) -> list[Group]:
    return list(_groups(rootdir.read(GROUP) or ""))


@lru_cache(maxsize=8)
def _groups(text: str) -> tuple[Group, ...]:
    found = []
    for line in text.splitlines():
        if line.count(":") == 3 and not line.startswith("#"):
            name, _, gid, members = line.split(":")
            found.append(Group(name, int(gid), tuple(filter(None, members.split(",")))))
    return tuple(found)


def write_accounts(rootdir: RootDir, found: list[Account]) -> None:
    rootdir.write(MASTER, "".join(account.master_line() + "\n" for account in found), 0o600)
    write_passwd(rootdir)


def write_passwd(rootdir: RootDir, folder: str = "/etc") -> None:
    """Write what pwd_mkdb -p makes of master.passwd, the databases included."""
    lines = (rootdir.read(f"{folder}/master.passwd") or "").splitlines()
    found = [Account.parse(line) for line in lines if line.count(":") == 9]
    passwd = "".join(account.passwd_line() + "\n" for account in found)
    rootdir.write(f"{folder}/passwd", passwd, 0o644)
    rootdir.write(f"{folder}/pwd.db", passwd, 0o644)
    rootdir.write(f"{folder}/spwd.db", "".join(f"{line}\n" for line in lines), 0o600)


def write_groups(rootdir: RootDir, found: list[Group]) -> None:
    rootdir.write(GROUP, "".join(group.line() + "\n" for group in found), 0o644)


class Names:
    """Names of uids and gids at one moment; a number without a name stands for itself."""

    def __init__(self, rootdir: RootDir) -> None:
        # Of two entries with one number the first counts.
        self._users = {entry.uid: entry.name for entry in reversed(accounts(rootdir))}
        self._groups = {entry.gid: entry.name for entry in reversed(groups(rootdir))}

    def user(self, uid: int) -> str:
        return self._users.get(uid, str(uid))

    def group(self, gid: int) -> str:
        return self._groups.get(gid, str(gid))


def uid_of(rootdir: RootDir, name: str) -> int | None:
    if name.isdigit():
        return int(name)
    return next((entry.uid for entry in accounts(rootdir) if entry.name == name), None)


def gid_of(rootdir: RootDir, name: str) -> int | None:
    if name.isdigit():
        return int(name)
    return next((entry.gid for entry in groups(rootdir) if entry.name == name), None)
