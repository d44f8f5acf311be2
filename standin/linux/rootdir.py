"""A root directory, the host's or a jail's, with paths and files as a process in it sees them."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_LINKS = 32


@dataclass(frozen=True)
class RootDir:
    """`name` is a jail's name, empty for the host. `root` is its directory on this machine."""

    name: str
    root: Path

    def inner(self, path: str, cwd: str = "/", *, follow: bool = True) -> str:
        """The path with all symbolic links followed below this root, as chroot(2) would.

        Without `follow` the last component is taken as it is. Missing components are kept.
        """
        todo = posixpath.join(cwd, path).split("/")[::-1]
        done: list[str] = []
        links = 0
        root = str(self.root)
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                done = done[:-1]
                continue
            target = _target("/".join((root, *done, part))) if follow or todo else ""
            if not target:
                done.append(part)
                continue
            links += 1
            if links > MOST_LINKS:
                raise OSError(62, "Too many levels of symbolic links", path)
            done = [] if target.startswith("/") else done
            todo.extend(target.split("/")[::-1])
        return "/" + "/".join(done)

    def path(self, path: str, cwd: str = "/", *, follow: bool = True) -> Path:
        """The same on this machine's side."""
        return self.root / self.inner(path, cwd, follow=follow)[1:]

    def places(self, paths: Iterable[str], cwd: str = "/") -> Iterator[tuple[str, str]]:
        """Each path with its place on this machine, the last component not followed.

        Each parent directory is resolved only once: a fingerprint reads hundreds of files.
        """
        folders: dict[str, str] = {}
        for path in paths:
            folder, slash, last = path.rpartition("/")
            if last in ("", ".", ".."):
                yield path, str(self.path(path, cwd, follow=False))
                continue
            folder += slash
            if folder not in folders:
                folders[folder] = str(self.path(folder, cwd))
            yield path, f"{folders[folder]}/{last}"

    def read(self, path: str) -> str | None:
        """The text of a file; None when it does not exist. A FIFO would have the model wait."""
        place = self.path(path)
        try:
            opened = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
            with os.fdopen(opened, "rb") as file:
                return file.read().decode(errors="surrogateescape")
        except OSError:
            return None

    def is_fifo(self, path: str) -> bool:
        return self.path(path).is_fifo()

    def write(self, path: str, text: str, mode: int | None = None) -> None:
        place = self.path(path)
        if place.is_fifo():
            raise OSError(6, "Device not configured", path)
        place.write_text(text, encoding="utf-8", errors="surrogateescape")
        if mode is not None:
            place.chmod(mode)

    def has_command(self, name: str, search: str) -> bool:
        places = [name] if "/" in name else [f"{folder}/{name}" for folder in search.split(":")]
        return any(os.access(self.path(place), os.X_OK) for place in places)


def _target(place: str) -> str:
    """The target of a symbolic link; empty for anything else."""
    try:
        return os.readlink(place)  # noqa: PTH115 - called too often for a Path each time
    except OSError:
        return ""
