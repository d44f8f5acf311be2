"""chown(8), chgrp(1), chmod(1): by this machine, or in a file where only one user exists."""

from __future__ import annotations

import re
from pathlib import Path

from standin.commands import command
from standin.commands.files import filtered
from standin.etc.passwd import gid_of, uid_of
from standin.linux import owners
from standin.linux.shim import Call, Failed, Reply, Unknown, getopt
from standin.model.host import Host


@command("/usr/sbin/chown", "/usr/bin/chgrp")
def chown(host: Host, call: Call) -> Reply:
    usage = f"usage: {call.name} [-fhvx] [-R [-H | -L | -P]] owner[:group] file ..."
    found, rest = getopt(call, "fhvxRHLP", usage, 1)
    if len(rest) < 2:
        raise Failed(f"{usage}\n")
    uid, gid = _ids(call, rest[0])
    if not owners.has_one_user():
        options = [f"-{letter}" for letter in found if letter != "x"]
        numeric = (f"{uid}" if uid >= 0 else "") + (f":{gid}" if gid >= 0 else "")
        return Reply(then=filtered("chown", *options, numeric, "--", *rest[1:]))
    for word in rest[1:]:
        place = call.rootdir.path(word, call.cwd, follow="h" not in found)
        if not place.exists():
            raise Failed(f"{call.name}: {word}: No such file or directory\n")
        for one in [place, *(place.rglob("*") if "R" in found else ())]:
            owners.change(host.rootdir.root, Path(one), uid, gid)
    return Reply()


def _ids(call: Call, word: str) -> tuple[int, int]:
    """From the caller's own passwd and group; -1 for what stays."""
    user, mark, group = word.partition(":")
    if call.name == "chgrp":
        user, mark, group = "", ":", word
    uid = uid_of(call.rootdir, user) if user else -1
    gid = gid_of(call.rootdir, group) if mark and group else -1
    if uid is None or gid is None:
        raise Failed(f"{call.name}: {user if uid is None else group}: illegal name\n")
    return uid, gid


@command("/bin/chmod")
def chmod(host: Host, call: Call) -> Reply:
    """-h changes a link itself; Linux has no modes of links, so links are skipped."""
    usage = "usage: chmod [-fhv] [-R [-H | -L | -P]] mode file ..."
    words = list(call.args)
    letters = ""
    # Not getopt(3): a mode may begin with a dash, `chmod -w`.
    while words and re.fullmatch(r"-[fhvRHLP]+", words[0]):
        letters += words.pop(0)[1:]
    words = words[1:] if words[:1] == ["--"] else words
    if len(words) < 2:
        raise Unknown(f"{usage}\n", 1)
    mode, files = words[0], words[1:]
    if "h" in letters:
        files = [one for one in files if not _is_link(call, one)]
    options = [f"-{letter}" for letter in letters if letter in "fvR"]
    if not files:
        return Reply()
    return Reply(then=filtered("chmod", *options, "--", mode, *files))


def _is_link(call: Call, word: str) -> bool:
    return call.rootdir.path(word, call.cwd, follow=False).is_symlink()
