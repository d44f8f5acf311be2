"""pw(8), pwd_mkdb(8), id(1) and getent(1)."""

from __future__ import annotations

import shlex

from standin.commands import command
from standin.etc import passwd
from standin.etc.passwd import Account, Group
from standin.linux import owners
from standin.linux.binaries import ENTER
from standin.linux.rootdir import RootDir
from standin.linux.shim import Call, Failed, Reply, Unknown, getopt, real
from standin.model.host import Host

FIRST_UID = 1001
MAIL = "/var/mail"
USAGE = "usage: pw [user|group] [add|del|mod|show|next] ...\n"


@command("/usr/sbin/pw")
def pw(host: Host, call: Call) -> Reply:
    words = list(call.args)
    rootdir = call.rootdir
    if words[:1] in (["-R"], ["-V"]) and len(words) > 2:
        rootdir = RootDir(rootdir.name, rootdir.path(words[1], call.cwd))
        words = words[2:]
    if words and words[0] in ("user", "group") and len(words) > 1:
        words = [words[0] + words[1], *words[2:]]
    verb, *rest = words or [""]
    if verb not in VERBS:
        raise Unknown(USAGE, 64)
    name = rest.pop(0) if rest and not rest[0].startswith("-") else ""
    letters = "a" if verb == "usershow" else ""
    usage = f"usage: pw {verb} [name] ...".rstrip()
    bare = Call((call.name, *rest), rootdir, call.pid)
    found, more = getopt(bare, f"{letters}mrn:u:g:G:c:d:s:h:H:L:e:p:w:M:k:N", usage)
    if more:
        raise Unknown(f"pw: invalid argument: {more[0]}\n", 64)
    return VERBS[verb](rootdir, found.get("n", name), found)


def _find(rootdir: RootDir, name: str) -> Account:
    for account in passwd.accounts(rootdir):
        if account.name == name or str(account.uid) == name:
            return account
    raise Failed(f"pw: no such user `{name}'\n", 67)


def _find_group(rootdir: RootDir, name: str) -> Group:
    for group in passwd.groups(rootdir):
        if group.name == name or str(group.gid) == name:
            return group
    raise Failed(f"pw: unknown group `{name}'\n", 65)


def _usershow(rootdir: RootDir, name: str, found: dict[str, str]) -> Reply:
    if "a" in found:
        lines = (account.master_line("*") for account in passwd.accounts(rootdir))
        return Reply("".join(f"{line}\n" for line in lines))
    return Reply(_find(rootdir, name).master_line("*") + "\n")


def _useradd(rootdir: RootDir, name: str, found: dict[str, str]) -> Reply:
    known = passwd.accounts(rootdir)
    if any(account.name == name for account in known):
        raise Failed(f"pw: login name `{name}' already exists\n", 65)
    taken = {account.uid for account in known}
    uid = (
        int(found["u"])
        if "u" in found
        else next(n for n in range(FIRST_UID, 32000) if n not in taken)
    )
    if uid in taken:
        raise Failed(f"pw: uid `{uid}' has already been allocated\n", 65)
    if "g" in found:
        gid = _find_group(rootdir, found["g"]).gid
    else:
        gid = uid
        if not any(group.name == name for group in passwd.groups(rootdir)):
            passwd.write_groups(rootdir, [*passwd.groups(rootdir), Group(name, gid, ())])
    home = found.get("d", f"/home/{name}")
    shell = found.get("s", "/bin/sh")
    made = Account(
        name, "*", uid, gid, found.get("L", ""), "0", "0", found.get("c", "User &"), home, shell
    )
    passwd.write_accounts(rootdir, [*known, made])
    _set_groups(rootdir, name, found.get("G"))
    if "m" in found:
        place = rootdir.path(home)
        place.mkdir(parents=True, exist_ok=True)
        owners.change(rootdir.root, place, uid, gid)
    mailbox = rootdir.path(f"{MAIL}/{name}")
    if mailbox.parent.is_dir():
        mailbox.touch(0o600)  # empty; seen on 15.0
        owners.change(rootdir.root, mailbox, uid, gid)
    return Reply()


def _set_groups(rootdir: RootDir, name: str, wanted: str | None) -> None:
    if wanted is None:
        return
    names = wanted.split(",")
    passwd.write_groups(
        rootdir,
        [
            Group(
                group.name,
                group.gid,
                tuple(m for m in group.members if m != name)
                + ((name,) if group.name in names else ()),
            )
            for group in passwd.groups(rootdir)
        ],
    )


def _usermod(rootdir: RootDir, name: str, found: dict[str, str]) -> Reply:
    old = _find(rootdir, name)
    gid = _find_group(rootdir, found["g"]).gid if "g" in found else old.gid
    new = Account(
        old.name, old.password, int(found.get("u", old.uid)), gid, found.get("L", old.login_class),
        old.change, old.expire, found.get("c", old.gecos), found.get("d", old.home),
        found.get("s", old.shell),
    )  # fmt: skip
    known = [new if one.name == old.name else one for one in passwd.accounts(rootdir)]
    passwd.write_accounts(rootdir, known)
    _set_groups(rootdir, name, found.get("G"))
    return Reply()


def _userdel(rootdir: RootDir, name: str, found: dict[str, str]) -> Reply:
    gone = _find(rootdir, name)
    kept = [account for account in passwd.accounts(rootdir) if account.name != gone.name]
    passwd.write_accounts(rootdir, kept)
    groups = [
        Group(group.name, group.gid, tuple(m for m in group.members if m != gone.name))
        for group in passwd.groups(rootdir)
        if group.name != gone.name or group.gid != gone.gid
    ]
    passwd.write_groups(rootdir, groups)
    rootdir.path(f"{MAIL}/{gone.name}").unlink(missing_ok=True)
    return Reply()


def _groupshow(rootdir: RootDir, name: str, found: dict[str, str]) -> Reply:
    return Reply(_find_group(rootdir, name).line() + "\n")


def _groupadd(rootdir: RootDir, name: str, found: dict[str, str]) -> Reply:
    known = passwd.groups(rootdir)
    if any(group.name == name for group in known):
        raise Failed(f"pw: group name `{name}' already exists\n", 65)
    taken = {group.gid for group in known}
    gid = (
        int(found["g"])
        if "g" in found
        else next(n for n in range(FIRST_UID, 32000) if n not in taken)
    )
    if gid in taken:
        raise Failed(f"pw: gid `{gid}' has already been allocated\n", 65)
    members = tuple(found["M"].split(",")) if "M" in found else ()
    passwd.write_groups(rootdir, [*known, Group(name, gid, members)])
    return Reply()


def _groupdel(rootdir: RootDir, name: str, found: dict[str, str]) -> Reply:
    gone = _find_group(rootdir, name)
    passwd.write_groups(rootdir, [one for one in passwd.groups(rootdir) if one != gone])
    return Reply()


VERBS = {
    "usershow": _usershow,
    "useradd": _useradd,
    "usermod": _usermod,
    "userdel": _userdel,
    "groupshow": _groupshow,
    "groupadd": _groupadd,
    "groupdel": _groupdel,
}


@command("/usr/sbin/pwd_mkdb")
def pwd_mkdb(host: Host, call: Call) -> Reply:
    usage = "usage: pwd_mkdb [-BCiLNp] [-d directory] [-s cachesize] [-u username] file"
    found, rest = getopt(call, "BCiLNpd:s:u:", usage, 1)
    if len(rest) != 1:
        raise Unknown(f"{usage}\n", 1)
    folder = found.get("d", "/etc")
    source = call.rootdir.inner(rest[0], call.cwd)
    text = call.rootdir.read(source)
    if text is None:
        raise Failed(f"pwd_mkdb: {rest[0]}: No such file or directory\n")
    call.rootdir.write(f"{folder}/master.passwd", text, 0o600)
    passwd.write_passwd(call.rootdir, folder)
    if source != f"{folder}/master.passwd":  # it is renamed (pwd_mkdb.c)
        call.rootdir.path(source).unlink()
    return Reply()


@command("/usr/bin/id")
def id(host: Host, call: Call) -> Reply:
    found, rest = getopt(call, "ugGnpr", "usage: id [user]", 1)
    name = rest[0] if rest else "root"
    for account in passwd.accounts(call.rootdir):
        if name in (account.name, str(account.uid)):
            break
    else:
        raise Failed(f"id: {name}: no such user\n")
    known = passwd.Names(call.rootdir)
    group = known.group(account.gid)
    member = [g for g in passwd.groups(call.rootdir) if account.name in g.members]
    gids = list(dict.fromkeys([account.gid, *(g.gid for g in member)]))
    names = [known.group(gid) for gid in gids]
    if "u" in found:
        return Reply(f"{account.name if 'n' in found else account.uid}\n")
    if "G" in found:
        return Reply(" ".join(names if "n" in found else map(str, gids)) + "\n")
    if "g" in found:
        return Reply(f"{group if 'n' in found else account.gid}\n")
    listed = ",".join(f"{gid}({one})" for gid, one in zip(gids, names, strict=True))
    return Reply(f"uid={account.uid}({account.name}) gid={account.gid}({group}) groups={listed}\n")


@command("/usr/bin/getent")
def getent(host: Host, call: Call) -> Reply:
    match call.args:
        case ("passwd", name):
            found = [
                one for one in passwd.accounts(call.rootdir) if name in (one.name, str(one.uid))
            ]
            lines = [one.passwd_line() for one in found]
        case ("passwd",):
            lines = [one.passwd_line() for one in passwd.accounts(call.rootdir)]
        case ("group", name):
            groups = passwd.groups(call.rootdir)
            lines = [one.line() for one in groups if name in (one.name, str(one.gid))]
        case ("hosts", name):
            rows = [line.split() for line in (call.rootdir.read("/etc/hosts") or "").splitlines()]
            lines = [f"{row[0]:<15} {'  '.join(row[1:])}" for row in rows if name in row]
        case _:
            raise Unknown("usage: getent database [key ...]\n", 1)
    return Reply("".join(f"{line}\n" for line in lines), exit=0 if lines else 2)


@command("/usr/sbin/chroot")
def chroot(host: Host, call: Call) -> Reply:
    usage = "usage: chroot [-g group] [-G group,group,...] [-u user] newroot [command]"
    found, rest = getopt(call, "g:u:G:n", usage, 1)
    if not rest:
        raise Unknown(f"{usage}\n", 1)
    if "n" in found or ("u" in found and not {"g", "G"} <= found.keys()):
        # -u alone leaves it root's groups, which this machine's chroot(8) cannot do.
        raise Unknown("chroot: only -u with -g and -G is known to the stand-in\n", 70)
    options: list[str] = []
    if found:
        user = next(
            (one for one in passwd.accounts(call.rootdir) if found.get("u", "root") in
             (one.name, str(one.uid))), None,
        )  # fmt: skip
        if user is None:
            raise Failed(f"chroot: {found['u']}: no such user\n")
        gids = [passwd.gid_of(call.rootdir, name) for name in (found["g"], *found["G"].split(","))]
        if None in gids:
            raise Failed(f"chroot: {found['g']}, {found['G']}: no such group\n")
        _refused_by_rules(host, call, user.uid, tuple(gid for gid in gids if gid is not None), rest)
        host.acting[call.pid] = user.uid
        more = ",".join(map(str, gids[1:]))
        if not owners.has_one_user():  # who may read everything (standin/linux/owners.py)
            options = [f"--userspec={user.uid}:{gids[0]}", f"--groups={more}"]
    own_shell = len(rest) == 1
    plain = shlex.join((ENTER, *rest))
    enter = real("chroot", *options, *rest) if options or own_shell else plain
    return Reply(then=f"exec {enter}")


WANTED = {"cat": "r", "tee": "w", "ls": "rs"}
"""What these programs need of the files that they name, in the letters of ugidfw(8)."""


def _refused_by_rules(
    host: Host, call: Call, uid: int, gids: tuple[int, ...], words: list[str]
) -> None:
    """Raises Failed where mac_bsdextended(4) would keep the user from a file that is named.

    Only of the programs in WANTED: what a script opens by itself, no rule keeps from here.
    """
    program, *files = [*words[1:], ""]
    if host.kernel.access is None or program not in WANTED:
        return
    for file in files:
        place = call.rootdir.path(file)
        if file.startswith("/") and host.kernel.access.denies(
            uid, gids, place, call.rootdir.root, wanted=WANTED[program], owner=host.owner
        ):
            raise Failed(f"{program}: {file}: Permission denied\n")
