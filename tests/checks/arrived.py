"""Whether what a configuration names is in the jail."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from shlex import quote
from typing import Any

from operations.carried import LOCAL_ETC, Named, is_in
from operations.jail import PROGRAMS
from steps.carriers import FRESH


def lost(host: Any, jail: str, named: Iterable[Named], copied: Sequence[str]) -> list[str]:
    """What the jail does not have of all that the host has, each with the line that names it.

    A directory that is mounted must be the same one: where the mount is missing, the jail has an
    empty one of that name. `copied` are places of which the jail has a copy.
    """
    known = {each.path: each for each in named if each.kind != "other"}
    own = (*copied, *PROGRAMS, *FRESH, LOCAL_ETC)
    mounted = [n.path for n in known.values() if n.kind == "directory" and not is_in(n.path, own)]
    others = [path for path in known if path not in mounted]
    asked = (
        f'for each in {_words(others)}; do [ ! -e "$each" ] || echo "- $each"; done; '
        f'for each in {_words(mounted)}; do [ ! -e "$each" ] || '
        'echo "$(stat -L -f %i "$each") $each"; done'
    )
    here = host.check_output(asked).splitlines()
    there = host.check_output("jexec %s sh -c %s", jail, asked).splitlines()
    gone = [row.partition(" ")[2] for row in here if row not in there]
    return [f"{known[path].said}: {path}" for path in gone]


def _words(paths: Iterable[str]) -> str:
    return " ".join(map(quote, paths))
