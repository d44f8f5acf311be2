"""rcorder(8): rc scripts in the order of what they provide, require and come before."""

from __future__ import annotations

import re
from dataclasses import dataclass

from standin.linux.rootdir import RootDir
from standin.rc.rc_scripts import FOLDERS

LINE = re.compile(r"^#\s*(PROVIDE|REQUIRE|BEFORE|KEYWORD):\s*(.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Script:
    path: str
    provides: tuple[str, ...]
    requires: tuple[str, ...]
    before: tuple[str, ...]
    keywords: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def read(path: str, text: str) -> Script:
    found: dict[str, list[str]] = {"PROVIDE": [], "REQUIRE": [], "BEFORE": [], "KEYWORD": []}
    for word, values in LINE.findall(text):
        found[word] += values.split()
    return Script(path, *(tuple(values) for values in found.values()))


def scripts(rootdir: RootDir, folders: tuple[str, ...] = FOLDERS) -> list[Script]:
    """All rc scripts of a root, by name."""
    found = []
    # Ports first among equals: a daemon of theirs is up before sshd accepts logins.
    for folder in reversed(folders):
        place = rootdir.path(folder)
        names = sorted(entry.name for entry in place.iterdir()) if place.is_dir() else []
        found += [
            read(f"{folder}/{name}", rootdir.read(f"{folder}/{name}") or "")
            for name in names
            if (place / name).is_file()
        ]
    return found


def order(wanted: list[Script]) -> list[Script]:
    """Each script after all that it requires, else as given. A circle is broken where it is met."""
    providers: dict[str, list[Script]] = {}
    for script in wanted:
        for word in script.provides:
            providers.setdefault(word, []).append(script)
    needs = {script.path: list(script.requires) for script in wanted}
    for script in wanted:
        for word in script.before:
            for later in providers.get(word, []):
                needs[later.path] += script.provides
    done: list[Script] = []
    seen: set[str] = set()

    def visit(script: Script) -> None:
        if script.path in seen:
            return
        seen.add(script.path)
        for word in needs[script.path]:
            for needed in providers.get(word, []):
                visit(needed)
        done.append(script)

    for script in wanted:
        visit(script)
    return done
