"""What is at a path."""

from __future__ import annotations

from dataclasses import dataclass, field
from shlex import quote

from pyinfra.api.facts import FactBase

from operations.command import ANY, Look


class HasLine(FactBase[bool]):
    """Whether a file has exactly this line."""

    @staticmethod
    def default() -> bool:
        return True  # a plan without a host is for one that is not changed yet

    def command(self, path: str, line: str) -> str:
        return f"grep -qxF {quote(line)} {quote(path)} && echo yes || echo no"

    def process(self, output: list[str]) -> bool:
        return output == ["yes"]


class HasOurLine(HasLine):
    """The same for a line that is about to be added: an unchanged host does not have it."""

    @staticmethod
    def default() -> bool:
        return False


@dataclass(frozen=True)
class State:
    """What is at a path. `kind` is absent, file, directory, link or other; `mode` is octal text."""

    kind: str = "absent"
    mode: str = ""
    owner: str = ""
    sha256: str = ""
    target: str = field(default="")


def _kind_of(path: str, *, file: str, directory: str) -> str:
    """sh that prints what is at a path; a file and a directory are followed by these words."""
    at = quote(path)
    return (
        f"if [ -L {at} ]; then echo link - - $(readlink {at}); "
        f"elif [ -f {at} ]; then echo file {file}; "
        f"elif [ -d {at} ]; then echo directory {directory}; "
        f"elif [ -e {at} ]; then echo other - - -; else echo absent - - -; fi"
    )


class Path(FactBase[State]):
    """What is at a path; a link in its last component is not followed."""

    @staticmethod
    def default() -> State:
        return State()

    @staticmethod
    def assumed(path: str) -> Look | None:
        return Look(
            f"ls -d {quote(path)}", f"{ANY} No such file or directory", claim=f"no {path} yet"
        )

    def command(self, path: str) -> str:
        at = quote(path)
        has = f"$(stat -f '%Lp %Su:%Sg' {at})"
        return _kind_of(path, file=f"{has} $(sha256 -q {at})", directory=f"{has} -")

    def process(self, output: list[str]) -> State:
        if not output:
            return State()
        kind, mode, owner, rest = [*output[0].split(maxsplit=3), "", "", ""][:4]
        if kind == "link":
            return State("link", target=rest)
        if kind in ("file", "directory"):
            return State(kind, mode, owner, rest if kind == "file" else "")
        return State(kind)


class IsDirectory(Path):
    """The same for a directory that may or may not exist; unknown to a plan without a host."""

    @staticmethod
    def default() -> State:
        return State("unknown")

    @staticmethod
    def assumed(path: str) -> Look | None:
        return None


class Replaceable(Path):
    """The kind, and the target of a link, at a path where a daemon's socket or log may be.

    Not the content: a log grows between plan and run, and the step would be refused for that.
    """

    @staticmethod
    def assumed(path: str) -> Look | None:
        return None

    def command(self, path: str) -> str:
        return _kind_of(path, file="", directory="")


class LeadsTo(FactBase[bool]):
    """Whether a path is a symbolic link to that target."""

    @staticmethod
    def default() -> bool:
        return True  # a plan without a host is for one on which the steps before are done

    def command(self, path: str, target: str) -> str:
        return f'[ "$(readlink {quote(path)})" = {quote(target)} ] && echo yes || echo no'

    def process(self, output: list[str]) -> bool:
        return output == ["yes"]
