"""The official image, downloaded from a small local server in place of FreeBSD's."""

from __future__ import annotations

import hashlib
import lzma
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from box.qemu import download
from rollout.errors import Refused
from tests.checks.moments import ENDS

NAME = "FreeBSD-amd64.qcow2.xz"
DISK = bytes(range(256)) * 4096
PACKED = lzma.compress(DISK)
SUM = hashlib.sha512(PACKED).hexdigest()


class Mirror(BaseHTTPRequestHandler):
    """Serves what `there` holds, by path."""

    there: dict[str, bytes]

    def do_GET(self) -> None:
        body = self.there.get(self.path)
        self.send_response(404 if body is None else 200)
        whole = PACKED if self.path.endswith("/short.xz") else body or b""
        self.send_header("Content-Length", str(len(whole)))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror() -> Iterator[str]:
    Mirror.there = {
        f"/{NAME}": PACKED,
        "/damaged.xz": lzma.compress(DISK[:-1]),
        "/short.xz": PACKED[:-100],
        "/no-xz.xz": b"<html>not found</html>",
        f"/{download.SUMS}": "".join(
            f"SHA512 ({name}) = {SUM}\n" for name in (NAME, "damaged.xz", "short.xz", "no-xz.xz")
        ).encode(),
    }
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def fetched(url: str, cache: Path) -> tuple[Path, list[str]]:
    said: list[str] = []
    image = download.official(said.append, {"CELLBLOCK_BOX_URL": url}, cache)
    assert image.wants_seed
    return image.disk, said


def test_it_is_unpacked_kept_and_not_fetched_again(mirror: str, tmp_path: Path) -> None:
    disk, said = fetched(f"{mirror}/{NAME}", tmp_path / "cache")
    assert disk == tmp_path / "cache" / "FreeBSD-amd64.qcow2"
    assert disk.read_bytes() == DISK
    assert len(said) == 2
    Mirror.there.clear()
    assert fetched(f"{mirror}/{NAME}", tmp_path / "cache") == (disk, [])


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("damaged.xz", "its checksum is not the published one"),
        ("short.xz", "cannot be fetched|not the published one"),
        ("no-xz.xz", "cannot be fetched"),
        ("other.xz", "has no checksum of other.xz"),
    ],
)
def test_what_is_not_the_published_one_is_refused_and_not_kept(
    mirror: str, tmp_path: Path, name: str, what: str
) -> None:
    with pytest.raises(Refused, match=what):
        fetched(f"{mirror}/{name}", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x.xz", "nonsense", "file:///nosuch/x.xz"])
def test_a_place_that_cannot_be_reached_is_one_clear_message(tmp_path: Path, url: str) -> None:
    with pytest.raises(Refused, match="cannot be fetched") as caught:
        fetched(url, tmp_path)
    assert "--on qemu IMAGE" in caught.value.todo


def test_the_default_is_freebsds_own() -> None:
    assert download.URL.startswith("https://download.freebsd.org/")
    assert download.URL.endswith("-BASIC-CLOUDINIT-ufs.qcow2.xz")


def test_boxes_are_of_the_newest_release_whose_end_is_known() -> None:
    """One that has ended is taken away from where the official images are."""
    newest = max((each for each in ENDS if "." in each), key=lambda each: ENDS[each])
    assert f"{newest}-RELEASE" == download.RELEASE
    vagrantfile = Path(__file__).parents[4] / "Vagrantfile"
    assert f'"freebsd/FreeBSD-{newest}-RELEASE"' in vagrantfile.read_text(encoding="utf-8")
