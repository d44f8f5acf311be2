"""The kinds of boxes for a rehearsal, by their names on the command line."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from rollout.errors import Refused

# The command line needs only the names; a box is imported when it is opened.
if TYPE_CHECKING:
    from rollout.rehearsal.box import Box
    from rollout.site import Site

Open: TypeAlias = (
    "Callable[[Site, Path | None, Callable[[str], None]], AbstractContextManager[Box]]"
)
"""(site, the image from the command line, a function for notes) -> the box."""


class Kind(NamedTuple):
    """`title` is its name in messages."""

    title: str
    open: Open


def _standin(
    site: Site, image: Path | None, say: Callable[[str], None]
) -> AbstractContextManager[Box]:
    from rollout.rehearsal.box import standin_box

    if image is not None:
        raise Refused("an image is for --on qemu; the stand-in has none")
    return standin_box(site)


def _qemu(
    site: Site, image: Path | None, say: Callable[[str], None]
) -> AbstractContextManager[Box]:
    from box.qemu.box import qemu_box

    return qemu_box(site, image, say)


def _vagrant(
    site: Site, image: Path | None, say: Callable[[str], None]
) -> AbstractContextManager[Box]:
    from box.vagrant import vagrant_box

    if image is not None:
        raise Refused("an image is for --on qemu", todo="CELLBLOCK_VAGRANT_BOX names another box")
    return vagrant_box(site, say)


KINDS = {
    "standin": Kind("the stand-in", _standin),
    "qemu": Kind("the qemu box", _qemu),
    "vagrant": Kind("the vagrant box", _vagrant),
}
