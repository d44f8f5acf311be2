"""A box under qemu, from a local image or the official one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from box import provision
from box.qemu import download, image
from box.qemu.guest import Guest
from box.qemu.image import TOOLS, Image
from box.qemu.network import Forwarded
from box.requirements import Missing, require_tools
from box.traffic import traffic
from rollout.host.session import Session
from rollout.probe.outside import FromOutside
from rollout.probe.private import private_watches
from rollout.probe.watches import watches
from rollout.rehearsal.box import Box
from rollout.site import Site

_MEMORY = 1024  # MiB
_MEMORY_TO_INSTALL = 2048  # MiB, to unpack packages and start their daemons for the first time


@contextmanager
def qemu_box(
    site: Site, named: Path | None, say: Callable[[str], None], others: Sequence[str] = ()
) -> Iterator[Box]:
    """A booted guest that is the base host of the site; it is deleted when the context ends.

    `others` are further public addresses that the guest will have.
    """
    require_tools(TOOLS)
    found = local_or_official(named, say)
    network = Forwarded(site, others)
    say(f"booting {found.disk} under qemu; without KVM this takes minutes")
    guest = Guest(
        found,
        network,
        _MEMORY_TO_INSTALL if found.wants_seed else _MEMORY,
        prepare=lambda guest: provision.provision(guest, site, say),
        prepared=provision.identity(site),
    )
    with (
        guest,
        closing(FromOutside(guest.target, network.doors)) as outside,
        private_watches(site, guest.target, say) as private,
    ):
        yield Box(
            name=f"{system(guest)} under qemu",
            target=guest.target,
            outside=outside,
            watches=(*watches(site, doors=network.doors), *private),
            socket_owner=tuple(guest.target.sh()),
            reboot=guest.reboot,
            pull_plug=guest.pull_plug,
            cut=guest.cut,
            door=lambda address, port, proto: network.doors[address, port, proto],
            traffic=lambda say: traffic(guest, site, say),
            is_freebsd=True,
        )


def local_or_official(named: Path | None, say: Callable[[str], None]) -> Image:
    """The image that was named, or the one in the default place, or else the official one."""
    try:
        return image.find_image(named=named)
    except Missing:
        if named or os.environ.get("CELLBLOCK_BOX_IMAGE") or image.DEFAULT.expanduser().exists():
            raise
        return download.official(say)


def system(guest: Guest) -> str:
    with Session(guest.target) as session:
        return session.output("uname -sr").strip()
