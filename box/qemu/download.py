"""Downloads the official FreeBSD image, if there is no local one, and verifies its checksum.

FreeBSD publishes a file CHECKSUM.SHA512 beside its images, with lines `SHA512 (NAME) = HEX`. Both
come from the same place over TLS. So the checksum finds damaged or incomplete images, and those
that a mirror changed without its checksum.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from box.qemu.image import Image
from box.requirements import CACHE
from rollout.errors import Refused

RELEASE = "15.1-RELEASE"
URL = (
    f"https://download.freebsd.org/releases/VM-IMAGES/{RELEASE}/amd64/Latest/"
    f"FreeBSD-{RELEASE}-amd64-BASIC-CLOUDINIT-ufs.qcow2.xz"
)
SUMS = "CHECKSUM.SHA512"
_BLOCK = 1 << 20
_TIMEOUT = 30.0  # seconds without a byte


def official(
    say: Callable[[str], None], environ: Mapping[str, str] = os.environ, cache: Path = CACHE
) -> Image:
    """The official image, from the cache or from $CELLBLOCK_BOX_URL (default: FreeBSD's own).

    Raises Refused if it cannot be fetched, or differs from what was published; then it leaves no
    file behind.
    """
    url = environ.get("CELLBLOCK_BOX_URL") or URL
    folder, _, name = url.rpartition("/")
    disk = cache.expanduser() / name.removesuffix(".xz")
    if disk.exists():
        return Image(disk)
    say(f"no local image: fetching {url}")
    wanted = _published(f"{folder}/{SUMS}", name)
    disk.parent.mkdir(parents=True, exist_ok=True)
    half = disk.with_name(f".{disk.name}.{os.getpid()}")
    try:
        got = _fetched(url, half, unpack=name.endswith(".xz"))
        if got != wanted:
            raise Refused(
                f"{url}: its checksum is not the published one",
                evidence=f"SHA512 published {wanted}\nSHA512 received  {got}",
                todo="try again later, or set CELLBLOCK_BOX_URL to another place",
            )
        half.replace(disk)
    finally:
        half.unlink(missing_ok=True)
    say(f"saved as {disk}; its checksum is the published one")
    return Image(disk)


def _published(url: str, name: str) -> str:
    with _open(url) as answer:
        text = answer.read(_BLOCK).decode(errors="replace")
    found = re.search(rf"^SHA512 \({re.escape(name)}\) = ([0-9a-f]{{128}})$", text, re.MULTILINE)
    if found is None:
        raise Refused(
            f"{url}: has no checksum of {name}",
            evidence=text[:300],
            todo="name another image with CELLBLOCK_BOX_URL, or a local one (--on qemu IMAGE)",
        )
    return found[1]


def _fetched(url: str, to: Path, *, unpack: bool) -> str:
    """Download a file. Returns the SHA512 of the data as received, before unpacking."""
    sum512 = hashlib.sha512()
    decompressor = lzma.LZMADecompressor() if unpack else None
    with _open(url) as answer, to.open("wb") as out:
        try:
            while block := answer.read(_BLOCK):
                sum512.update(block)
                out.write(decompressor.decompress(block) if decompressor else block)
        except (OSError, lzma.LZMAError, EOFError) as error:
            raise _unreachable(url, str(error)) from None
    return sum512.hexdigest()


@contextmanager
def _open(url: str) -> Iterator[IO[bytes]]:
    try:
        answer = urllib.request.urlopen(url, timeout=_TIMEOUT)  # noqa: S310 # the operator sets it
    except (OSError, ValueError) as error:
        raise _unreachable(url, str(getattr(error, "reason", error))) from None
    with answer:
        yield answer


def _unreachable(url: str, why: str) -> Refused:
    return Refused(
        f"{url}: cannot be fetched",
        evidence=why,
        todo="name a local image (rehearse --on qemu IMAGE), or a mirror with CELLBLOCK_BOX_URL",
    )
