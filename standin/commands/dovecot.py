"""doveconf(1) and doveadm(1): Dovecot's settings, users and mailboxes."""

from __future__ import annotations

import re

from standin.commands import command
from standin.daemons import configs
from standin.etc.passwd import accounts
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
            told = [line for line in lines if re.match(rf"{re.escape(name)}\s*=", line)]
            return Reply(told[-1].partition("=")[2].strip() + "\n" if told else "\n")
        case _:
            raise Unknown(f"doveconf: {' '.join(call.args)} is not known to the stand-in\n", 89)


FIRST_UID = 500  # first_valid_uid's default


@command("/usr/local/bin/doveadm")
def doveadm(host: Host, call: Call) -> Reply:
    """As Dovecot 2.3.19 answers, whose userdb is passwd and whose mail is /var/mail/NAME and
    ~/Maildir. It asks the running daemon.
    """
    running = any(
        each.kind.rc == "dovecot" and each.rootdir == call.rootdir for each in host.daemons
    )
    if not running:
        where = "/var/run/dovecot/auth-userdb"
        failed = f"userdb list: connect({where}) failed: No such file or directory"
        raise Failed(f"Error: auth-master: {failed}\n", 75)
    users = {one.name: one for one in accounts(call.rootdir) if one.uid >= FIRST_UID}
    match call.args:
        case ("user", "*"):
            return Reply("".join(f"{name}\n" for name in users))
        case ("-f", "tab", "mailbox", "status", "-u", name, "messages", "*"):
            if name not in users:
                said = f"doveadm({name}): Error: User doesn't exist\n"
                return Reply("mailbox\tmessages\n", said, 67)
            rows = "".join(f"{box}\t{n}\n" for box, n in _mailboxes(call, users[name].home, name))
            return Reply(f"mailbox\tmessages\n{rows}")
        case _:
            raise Unknown(f"doveadm: {' '.join(call.args)} is not known to the stand-in\n", 64)


def _mailboxes(call: Call, home: str, name: str) -> list[tuple[str, int]]:
    inbox = call.rootdir.read(f"/var/mail/{name}")
    count = len(re.findall(r"(?m)^From ", inbox or ""))
    maildir = call.rootdir.path(f"{home}/Maildir")
    count += sum(len(list((maildir / each).glob("*"))) for each in ("new", "cur"))
    return [("INBOX", count)] if inbox is not None or maildir.is_dir() else []
