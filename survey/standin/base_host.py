"""The stand-in's base host, made of a survey; and in words what of it is made up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from operations.carried import is_in
from rollout.errors import Refused
from rollout.host.replay import Replay
from rollout.host.survey import Recording
from standin import BaseHost
from standin.commands import PLACES, load
from standin.daemons.kinds import KINDS
from standin.rc import rc_scripts
from standin.rc.rc_scripts import Header
from standin.samples import postfix
from standin.samples.files import Entry
from survey import host as hosts
from survey.host import Host
from survey.standin import files, made_up, running
from survey.standin.files import Files, Login, Place

_OWN = (
    *("/bin", "/sbin", "/lib", "/libexec", "/rescue", "/dev", "/proc", "/tmp", "/var/run"),  # noqa: S108 - the host's
    *("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec", "/usr/share", "/usr/include"),
    *("/usr/libdata", "/etc/rc.d", "/etc/defaults", "/etc/periodic", "/usr/local/etc/rc.d"),
    *("/etc/rc", "/etc/rc.subr", "/etc/rc.firewall", "/etc/rc.shutdown", "/etc/master.passwd"),
    *("/etc/passwd", "/etc/group", "/etc/pwd.db", "/etc/spwd.db", "/boot/kernel"),
)
"""What the stand-in has its own way, with all below."""
_PROGRAMS = tuple(
    f"/usr/local/{each}" for each in ("bin", "sbin", "lib", "libexec", "share", "include")
)
_MADE_UP_HASH = "$6$madeup$" + "x" * 86
_NO_PROGRAM = "#!/bin/sh\n# Made up: a survey has no programs.\nexit 0\n"
_MADE_UP_KEY = "-----BEGIN PRIVATE KEY-----\nmade-up\n-----END PRIVATE KEY-----\n"


@dataclass(frozen=True)
class Rebuilt:
    """`typed` is typed when it has booted, for what the host has and no file of it says.

    `words` say what is made up, a sentence each.
    """

    base: BaseHost
    typed: tuple[str, ...]
    words: tuple[str, ...]


def rebuilt(recording: Recording) -> Rebuilt:
    """Raises Refused for a survey that has not enough of the host."""
    load()
    found = files.kept(recording.answers)
    if not found.places or not found.logins:
        raise Refused(
            f"the survey of {recording.host} has nothing of its files, so no stand-in can be built",
            todo="survey the host again with this Cellblock",
        )
    there = hosts.read(Replay(recording))
    entries, lacking = _entries(found)
    scripts = _scripts(found, there)
    entries |= {
        f"/usr/local/etc/rc.d/{name}": Entry(rc_scripts.text(name, header), 0o555)
        for name, header in scripts.items()
    }
    base = BaseHost(
        accounts=_accounts(found),
        entries=entries,
        links=dict(_links(found)),
        without=tuple(_without(found)),
        hardware=running.hardware(recording, there),
    )
    words = (
        *made_up.words(recording, found, there),
        *made_up.of_scripts(scripts, there),
        *made_up.of_files(lacking),
    )
    return Rebuilt(base, tuple(running.typed(recording, there, found)), words)


def _entries(found: Files) -> tuple[dict[str, Entry], dict[str, list[str]]]:
    """The files and directories, and which files were made up, by what for."""
    entries: dict[str, Entry] = {}
    lacking: dict[str, list[str]] = {"secret": [], "program": [], "data": []}
    for path, place in sorted(found.places.items()):
        if place.kind not in ("file", "directory") or (_is_own(path) and not _of_run(path, place)):
            continue
        text: str | None = None
        if place.kind == "file":
            text = found.texts.get(path)
            if text is None:
                kind, text = _made_up(path, place)
                if place.size:
                    lacking[kind].append(path)
        owner, group = _known(found, place)
        entries[path] = Entry(text, place.mode, owner, group)
    return entries, lacking


def _is_own(path: str) -> bool:
    shims = (*PLACES, *(kind.binary for kind in KINDS))
    return is_in(path, _OWN) or path in shims


def _of_run(path: str, place: Place) -> bool:
    """Directories of /var/run outlive a boot, its files do not."""
    return place.kind == "directory" and path.startswith("/var/run/")


def _made_up(path: str, place: Place) -> tuple[str, str]:
    if files.is_secret(path):
        return "secret", _MADE_UP_KEY if "key" in path else "made-up\n"
    if is_in(path, _PROGRAMS) or (place.mode & 0o111 and not is_in(path, ("/var",))):
        return "program", _NO_PROGRAM
    return "data", ""


def _known(found: Files, place: Place) -> tuple[str, str]:
    """The owners, by number where the survey has no account of that name."""
    users = {each.name for each in found.logins}
    groups = {line.partition(":")[0] for line in _groups(found).splitlines()}
    owner = place.owner if place.owner in users or place.owner.isdigit() else "root"
    group = place.group if place.group in groups or place.group.isdigit() else "wheel"
    return owner, group


def _links(found: Files) -> Iterator[tuple[str, str]]:
    for path, place in found.places.items():
        if place.kind == "link" and not _is_own(path) and place.target:
            yield path, place.target


def _without(found: Files) -> Iterator[str]:
    """What a fresh stand-in has, and the host has not."""
    laid = {*PLACES, *(f"/usr/local/etc/rc.d/{name}" for name in rc_scripts.PORTS)}
    for kind in KINDS:
        laid |= {kind.binary, kind.script}
        port = kind.script.startswith("/usr/local/")
        if port and kind.script not in found.places:
            yield from (kind.script, kind.binary)
    yield from sorted(each for each in found.absent if each in laid)
    if "/home" not in found.places or found.places["/home"].kind == "directory":
        yield "/home"


def _accounts(found: Files) -> dict[str, str]:
    master = "".join(f"{_line(each)}\n" for each in found.logins)
    return {"/etc/master.passwd": master, "/etc/group": _groups(found)}


def _line(login: Login) -> str:
    password = _MADE_UP_HASH if login.password == files.HASH else login.password
    parts = (login.name, password, login.uid, login.gid, login.login_class, 0, 0, "User &")
    return ":".join(map(str, (*parts, login.home, login.shell)))


def _groups(found: Files) -> str:
    return found.texts.get("/etc/group") or "".join(
        f"{each.name}:*:{each.gid}:\n" for each in found.logins
    )


def _scripts(found: Files, there: Host) -> dict[str, Header]:
    """The rc scripts of packages that a fresh stand-in does not have."""
    rcvars = {each.name: each.rcvar for each in there.scripts}
    scripts = {}
    for path, place in found.places.items():
        folder, _, name = path.rpartition("/")
        if folder != "/usr/local/etc/rc.d" or place.kind != "file" or name in rc_scripts.PORTS:
            continue
        rcvar = rcvars.get(name) or f"{re.sub(r'[^A-Za-z0-9_]', '_', name)}_enable"
        scripts[name] = postfix.SCRIPTS.get(name) or Header(
            "LOGIN", keywords="shutdown", rcvar=rcvar
        )
    return scripts
