"""sendmail(8) under its several names, and makemap(8)."""

from __future__ import annotations

from standin.commands import command
from standin.daemons import mail
from standin.linux.shim import Call, Failed, Reply, Unknown
from standin.model.host import Host

WORLD = "WARNING: World writable directory /tmp\n"


@command(
    "/usr/sbin/sendmail",
    "/usr/libexec/sendmail/sendmail",
    "/usr/bin/mailq",
    "/usr/bin/newaliases",
)
async def sendmail(host: Host, call: Call) -> Reply:
    words = list(call.args)
    if words in ([], ["-Ac"]) and call.name == "mailq":
        return _listed(host, call, mail.SUBMISSION if words else mail.QUEUE)
    if not words and call.name == "newaliases":
        return _aliases(call, "/etc/mail/aliases")
    if call.name != "sendmail" or not words:
        raise _unknown(call)
    if len(words) == 2 and words[0] == "-bi" and words[1].startswith("-oA"):
        return _aliases(call, words[1][3:])
    if words == ["-bt"]:
        return _tested(host, call, await call.stdin_text())
    if words in (["-q"], ["-q", "-Ac"]):
        mail.run_queue(host, call.rootdir, mail.SUBMISSION if words[1:] else mail.QUEUE)
        return Reply()
    return await _submitted(host, call)


async def _submitted(host: Host, call: Call) -> Reply:
    if any(word.startswith("-") for word in call.args):
        raise _unknown(call)
    text = await call.stdin_text()
    for recipient in call.args:
        try:
            mail.submit(host, call.rootdir, recipient, text)
        except mail.NotSubmitted as error:
            return Reply(exit=error.exit, err=str(error))
    return Reply()


def _unknown(call: Call) -> Unknown:
    return Unknown(f"{call.name}: {' '.join(call.args)} is not known to the stand-in\n", 64)


def _listed(host: Host, call: Call, folder: str) -> Reply:
    found = mail.waiting(call.rootdir, folder)
    if not found:
        return Reply(f"{folder} is empty\n\t\tTotal requests: 0\n")
    rows = "".join(f"{qf.name[2:]}\t{qf.read_text()[1:]}" for qf, _ in found)
    return Reply(f"{rows}\t\tTotal requests: {len(found)}\n")


def _tested(host: Host, call: Call, text: str) -> Reply:
    own = mail.own_name(host, call.rootdir)
    known = {
        "$=w": "\n".join(mail.names(host, call.rootdir)),
        "$j": own,
        "$w": mail.hostname(host, call.rootdir),
        "$m": own.partition(".")[2] or "Undefined",
    }
    asked = text.split()
    if not set(asked) <= known.keys():
        raise Unknown(f"sendmail -bt: only {', '.join(known)} are known to the stand-in\n", 64)
    return Reply(
        "ADDRESS TEST MODE (ruleset 3 NOT automatically invoked)\n"
        "Enter <ruleset> <address>\n" + "".join(f"> {known[word]}\n" for word in asked) + "> "
    )


def _aliases(call: Call, file: str) -> Reply:
    lines = (call.rootdir.read(call.rootdir.inner(file, call.cwd)) or "").splitlines()
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith(("#", " ", "\t")) and ":" not in line:
            raise Failed(f"{file}: line {number}: missing colon\n", 70)
    return Reply(f"{file}: {len(lines)} aliases, longest 10 bytes, 20 bytes total\n")


@command("/usr/sbin/makemap")
async def makemap(host: Host, call: Call) -> Reply:
    if len(call.args) != 2 or call.args[0] not in ("hash", "btree", "dbm"):
        raise Unknown("makemap: only makemap TYPE FILE is known to the stand-in\n", 64)
    target = call.args[1]
    seen: set[str] = set()
    wrong = ""
    for number, line in enumerate((await call.stdin_text()).splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) == 1:
            wrong += f"makemap: {target}: line {number}: no RHS for LHS {words[0]}\n"
        elif words[0] in seen:
            wrong += (
                f"makemap: {target}: line {number}: key {words[0]}: put error: "
                "Operation not permitted\n"
            )
        seen.add(words[0])
    call.rootdir.path(f"{target}.db", call.cwd).write_text("")
    return Reply(err=wrong, exit=74 if wrong else 0)
