"""jot, b64decode, crontab and which: small commands that need no model."""

from __future__ import annotations

import base64
import os
import re

from standin.commands import command
from standin.linux.processes import PATH
from standin.linux.shim import Call, Failed, Reply, Unknown, getopt
from standin.model.host import Host


@command("/usr/bin/which")
def which(host: Host, call: Call) -> Reply:
    found, names = getopt(call, "as", "usage: which [-as] program ...", 1)
    search = call.environment().get("PATH", PATH).split(":")
    out, missing = "", 0
    for name in names:
        places = [name] if "/" in name else [f"{folder}/{name}" for folder in search]
        hits = [p for p in places if os.access(call.rootdir.path(p), os.X_OK)]
        out += "".join(f"{hit}\n" for hit in (hits if "a" in found else hits[:1]))
        missing += not hits
    return Reply("" if "s" in found else out, exit=1 if missing else 0)


@command("/usr/bin/jot")
def jot(host: Host, call: Call) -> Reply:
    """`jot COUNT [FIRST]`."""
    if not 1 <= len(call.args) <= 2 or not all(word.isdigit() for word in call.args):
        raise Unknown("usage: jot [-cnr] [-b word | -w word] [reps [begin [end [s]]]]\n", 1)
    count, first = int(call.args[0]), int(call.args[1]) if len(call.args) == 2 else 1
    return Reply("".join(f"{number}\n" for number in range(first, first + count)))


@command("/usr/bin/b64decode")
async def b64decode(host: Host, call: Call) -> Reply:
    """Decodes only text; -r is for input without a header."""
    found, rest = getopt(call, "cimprso:", "usage: b64decode [-cimprs] [-o output_file] [file]", 1)
    source = call.rootdir.path(rest[0], call.cwd).read_text() if rest else await call.stdin_text()
    lines = source.splitlines()
    target = found.get("o")
    if "r" not in found:
        match = re.fullmatch(r"begin-base64 \d+ (\S+)", lines[0]) if lines else None
        if match is None:
            raise Failed('b64decode: stdin: missing or bad "begin" line\n')
        target = target or match[1]
        lines = lines[1 : lines.index("====")]
    body = base64.b64decode("".join(lines))
    if target and target != "/dev/stdout" and "p" not in found:
        call.rootdir.path(target, call.cwd).write_bytes(body)
        return Reply()
    return Reply(body.decode(errors="surrogateescape"))


@command("/usr/bin/crontab")
async def crontab(host: Host, call: Call) -> Reply:
    found, rest = getopt(call, "u:lrfe", "usage: crontab [-u user] file\n       crontab -l", 1)
    user = found.get("u", "root")
    tab = f"/var/cron/tabs/{user}"
    text = call.rootdir.read(tab)
    if "l" in found or "r" in found:
        if text is None:
            raise Failed(f"crontab: no crontab for {user}\n")
        if "r" in found:
            call.rootdir.path(tab).unlink()
            return Reply()
        return Reply(text)
    if "e" in found or len(rest) != 1:
        raise Unknown("usage: crontab [-u user] file\n", 1)
    given = (
        await call.stdin_text()
        if rest[0] == "-"
        else call.rootdir.read(call.rootdir.inner(rest[0], call.cwd))
    )
    if given is None:
        raise Failed(f"crontab: {rest[0]}: No such file or directory\n")
    call.rootdir.write(tab, given, 0o600)
    return Reply()
