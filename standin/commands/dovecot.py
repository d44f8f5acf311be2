"""doveconf(1) and doveadm(1): Dovecot's settings, users and mailboxes."""

from __future__ import annotations

import re

from standin.commands import command
from standin.daemons import configs
from standin.etc.passwd import accounts
from standin.linux import crypt
from standin.linux.shim import Call, Failed, Reply, Unknown
from standin.model.host import Host


@command("/usr/local/bin/doveconf")
def doveconf(host: Host, call: Call) -> Reply:
    lines = configs.dovecot_lines(call.rootdir)
    if call.rootdir.read(configs.DOVECOT) is None:
        raise Failed(f"doveconf: Fatal: open({configs.DOVECOT}) failed: No such file\n", 89)
    match call.args:
        case ("-n",):
            return Reply("# 2.3.21 (47349e2482): " + "\n".join([configs.DOVECOT, *lines]) + "\n")
        case ("-h", name):
            return Reply(f"{_setting(call, name)}\n")
        case _:
            raise Unknown(f"doveconf: {' '.join(call.args)} is not known to the stand-in\n", 89)


FIRST_UID = 500  # first_valid_uid's default


@command("/usr/local/bin/doveadm")
async def doveadm(host: Host, call: Call) -> Reply:
    """As Dovecot 2.3.19 answers, whose userdb is passwd and whose mail is /var/mail/NAME and
    ~/Maildir. It asks the running daemon. (`user NAME` and `auth test` after its source,
    doveadm-auth.c.)
    """
    running = any(
        each.kind.rc == "dovecot" and each.rootdir == call.rootdir for each in host.daemons
    )
    if not running:
        where = "/var/run/dovecot/auth-userdb"
        failed = f"userdb list: connect({where}) failed: No such file or directory"
        raise Failed(f"Error: auth-master: {failed}\n", 75)
    match call.args:
        case ("auth", "test", "-x", service, name) if service.startswith("service="):
            return _tested(call, name, (await call.stdin_text()).partition("\n")[0])
        case _:
            return _looked_up(call)


def _tested(call: Call, name: str, password: str) -> Reply:
    if not _is_let_in(call, name, password):
        return Reply(f"passdb: {name} auth failed\n", exit=77)
    return Reply(f"passdb: {name} auth succeeded\nextra fields:\n  user={name}\n")


def _looked_up(call: Call) -> Reply:
    users = {one.name: one for one in accounts(call.rootdir) if one.uid >= FIRST_UID}
    match call.args:
        case ("user", "*"):
            return Reply("".join(f"{name}\n" for name in users))
        case ("user", name):
            one = users.get(name)
            if one is None:
                lost = f"\nuserdb lookup: user {name} doesn't exist\n"
                return Reply(f"field\tvalue\n{lost}", exit=67)
            ids = f"uid\t{one.uid}\ngid\t{one.gid}\nhome\t{one.home}\n"
            return Reply(f"field\tvalue\n{ids}mail\t{_setting(call, 'mail_location')}\n")
        case ("-f", "tab", "mailbox", "status", "-u", name, "messages", "*"):
            if name not in users:
                said = f"doveadm({name}): Error: User doesn't exist\n"
                return Reply("mailbox\tmessages\n", said, 67)
            rows = "".join(f"{box}\t{n}\n" for box, n in _mailboxes(call, users[name].home, name))
            return Reply(f"mailbox\tmessages\n{rows}")
        case _:
            raise Unknown(f"doveadm: {' '.join(call.args)} is not known to the stand-in\n", 64)


def _setting(call: Call, name: str) -> str:
    lines = configs.dovecot_lines(call.rootdir)
    told = [line for line in lines if re.match(rf"{re.escape(name)}\s*=", line)]
    return told[-1].partition("=")[2].strip() if told else ""


def _is_let_in(call: Call, name: str, password: str) -> bool:
    """By a passdb of system accounts, or by one of these files: NAME:HASH or NAME:{PLAIN}TEXT."""
    text = "\n".join(configs.dovecot_lines(call.rootdir))
    for block in re.findall(r"passdb \{(.*?)\}", text, re.DOTALL):
        told = dict(re.findall(r"(\w+) *= *(.*)", block))
        if told.get("driver") == "passwd-file":
            rows = (call.rootdir.read(told["args"].split()[-1]) or "").splitlines()
            known = dict(row.split(":")[:2] for row in rows if ":" in row)
        else:
            known = {each.name: each.password for each in accounts(call.rootdir)}
        kept = known.get(name, "*")
        plain = kept.removeprefix("{PLAIN}")
        if password == plain if plain != kept else crypt.of(password, kept) == kept:
            return True
    return False


def _mailboxes(call: Call, home: str, name: str) -> list[tuple[str, int]]:
    inbox = call.rootdir.read(f"/var/mail/{name}")
    count = len(re.findall(r"(?m)^From ", inbox or ""))
    maildir = call.rootdir.path(f"{home}/Maildir")
    count += sum(len(list((maildir / each).glob("*"))) for each in ("new", "cur"))
    return [("INBOX", count)] if inbox is not None or maildir.is_dir() else []
