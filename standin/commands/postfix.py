"""postfix(1), postconf(1), postmap(1), postalias(1) and postqueue(1)."""

from __future__ import annotations

import os
import re
import signal

from standin.commands import command
from standin.daemons import configs, mail, start_stop
from standin.daemons.kinds import KINDS
from standin.linux.shim import Call, Failed, Reply, Unknown
from standin.model.host import Host

FOLDER = "/usr/local/etc/postfix"
POSTFIX = next(kind for kind in KINDS if kind.rc == "postfix")


def parameters(host: Host, call: Call, folder: str = FOLDER) -> dict[str, str]:
    jail = host.jail_of(call.rootdir)
    name = jail.hostname if jail else host.kernel.sysctls["kern.hostname"]
    defaults = {
        "compatibility_level": "0",
        "config_directory": folder,
        "myhostname": name,
        "mydestination": "$myhostname, localhost",
        "myorigin": "$myhostname",
        "mynetworks": "127.0.0.1/32",
        "inet_interfaces": "all",
        "proxy_interfaces": "",
        "queue_directory": mail.POSTFIX,
        "alias_database": "hash:/etc/mail/aliases",
        "alias_maps": "hash:/etc/mail/aliases",
        "virtual_mailbox_base": "",
        "virtual_mailbox_maps": "",
        "transport_maps": "",
        "relayhost": "",
        "sender_dependent_relayhost_maps": "",
    }
    return defaults | configs.main_cf(call.rootdir, f"{folder}/main.cf")


def _expanded(known: dict[str, str], value: str) -> str:
    return re.sub(r"\$(\w+)", lambda found: known.get(found[1], ""), value)


@command("/usr/local/sbin/postconf")
def postconf(host: Host, call: Call) -> Reply:
    words = list(call.args)
    folder = FOLDER
    if words[:1] == ["-c"]:
        folder, words = words[1], words[2:]
    known = parameters(host, call, folder)
    match words:
        case ["-x"]:
            rows = (f"{name} = {_expanded(known, value)}\n" for name, value in known.items())
            return Reply("".join(rows))
        case ["-nx"]:
            told = configs.main_cf(call.rootdir, f"{folder}/main.cf")
            return Reply(
                "".join(f"{name} = {_expanded(known, value)}\n" for name, value in told.items())
            )
        case ["-n"]:
            told = configs.main_cf(call.rootdir, f"{folder}/main.cf")
            return Reply("".join(f"{name} = {value}\n" for name, value in told.items()))
        case ["-M"]:
            text = call.rootdir.read(f"{folder}/master.cf") or ""
            return Reply("".join(f"{line}\n" for line in text.splitlines() if line[:1].strip("#")))
        case ["-h" | "-hx" as how, *names] if names and known.keys() >= {*names}:
            values = (known[name] for name in names)
            rows = (_expanded(known, value) if "x" in how else value for value in values)
            return Reply("".join(f"{row}\n" for row in rows))
        case ["-e", *pairs] if pairs:
            _edit(call, f"{folder}/main.cf", pairs)
            return Reply()
        case _:
            raise Unknown(f"postconf: {' '.join(call.args)} is not known to the stand-in\n", 1)


def _edit(call: Call, file: str, pairs: list[str]) -> None:
    """A parameter that is there is replaced in its line, another one comes last."""
    text = call.rootdir.read(file)
    if text is None:
        raise Failed(f"postconf: fatal: open {file}: No such file or directory\n")
    lines = text.splitlines()
    for pair in pairs:
        name, _, value = pair.partition("=")
        at = [n for n, line in enumerate(lines) if line.partition("=")[0].strip() == name]
        new = f"{name} = {value}"
        lines = [new if n in at[:1] else line for n, line in enumerate(lines) if n not in at[1:]]
        lines += [] if at else [new]
    call.rootdir.write(file, "\n".join(lines) + "\n")


@command("/usr/local/sbin/postmap", "/usr/local/sbin/postalias")
def postmap(host: Host, call: Call) -> Reply:
    word = call.args[0] if len(call.args) == 1 else ""
    # Without a type it is default_database_type; seen with Postfix 3.7.
    kind, _, file = (word if ":" in word else f"hash:{word}").partition(":")
    text = call.rootdir.read(file)
    if kind not in ("hash", "btree") or text is None:
        raise Failed(f"{call.name}: fatal: open {file}: No such file or directory\n")
    said = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            wanted = ":" in line if call.name == "postalias" else len(line.split()) > 1
            said += (
                ""
                if wanted
                else (
                    f"{call.name}: warning: {file}, line {number}: expected format: "
                    f"{'name:value' if call.name == 'postalias' else 'key whitespace value'}\n"
                )
            )
    call.rootdir.path(f"{file}.db").write_text("")
    return Reply(err=said)


@command("/usr/local/sbin/postqueue")
def postqueue(host: Host, call: Call) -> Reply:
    if call.args != ("-f",):
        raise Unknown("postqueue: only -f is known to the stand-in\n", 1)
    mail.flush(host, call.rootdir)
    return Reply()


@command("/usr/local/sbin/postfix")
def postfix(host: Host, call: Call) -> Reply:
    """drain kills the master, so its pid file stays; the rc script starts Postfix, not this."""
    if call.args not in (("drain",), ("status",), ("reload",)):
        raise Unknown("postfix: only drain, status and reload are known to the stand-in\n", 1)
    daemon = start_stop.daemon_of(host, call.rootdir, POSTFIX)
    script = "postfix/postfix-script:"
    if daemon is None:
        fatal = "" if call.args == ("status",) else "fatal: "
        raise Failed(f"{script} {fatal}the Postfix mail system is not running\n")
    if call.args == ("drain",):
        os.kill(daemon.pid, signal.SIGKILL)
        return Reply(err=f"{script} stopping the Postfix mail system\n")
    does = f"the Postfix mail system is running: PID: {daemon.pid}"
    return Reply(err=f"{script} {does if call.args == ('status',) else 'refreshing'}\n")
