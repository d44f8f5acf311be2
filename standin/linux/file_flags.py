"""chflags(1): kept in a file of the stand-in, since not every file system here has flags.

They protect files from the shims (rm, mv, cp, sed -i, install ...), not from a redirection of sh.
"""

from __future__ import annotations

import json
from pathlib import Path

from standin.linux.layout import HIDDEN
from standin.linux.rootdir import RootDir
from standin.linux.shim import Call, Failed

PROTECTING = ("schg", "uchg", "sunlnk", "uunlnk")
OTHER = ("nodump", "opaque", "sappnd", "uappnd", "arch")


def _store(rootdir: RootDir) -> Path:
    return rootdir.root / HIDDEN / "flags.json"


def _key(place: Path) -> str:
    found = place.lstat()
    return f"{found.st_dev}:{found.st_ino}"


def read(rootdir: RootDir) -> dict[str, list[str]]:
    try:
        found: dict[str, list[str]] = json.loads(_store(rootdir).read_text())
    except FileNotFoundError:
        return {}
    return found


def change(place: Path, rootdir: RootDir, words: str) -> None:
    known = read(rootdir)
    now = set(known.get(_key(place), []))
    for word in words.split(","):
        if word == "0":
            now = set()
        elif word in (*PROTECTING, *OTHER):
            now.add(word)
        elif word.removeprefix("no") in (*PROTECTING, *OTHER):
            now.discard(word.removeprefix("no"))
        else:
            raise Failed(f"chflags: invalid flag: {word}\n")
    known[_key(place)] = sorted(now)
    _store(rootdir).write_text(json.dumps({key: value for key, value in known.items() if value}))


def refuse_protected(
    host: RootDir, call: Call, words: list[str], *, recursive: bool = False
) -> None:
    """`recursive`: what is below counts, too, but for what rm(1) clears for root (rm_tree)."""
    known = read(host)
    if not known:
        return
    for word in words:
        place = call.rootdir.path(word, call.cwd, follow=False)
        below = place.rglob("*") if recursive and place.is_dir() else ()
        for each in (place, *below):
            flags = set(known.get(_key(each), [])) if each.exists() else set()
            if flags & (set(PROTECTING) - ({"uchg"} if recursive else set())):
                raise Failed(f"{call.name}: {word}: Operation not permitted\n")
