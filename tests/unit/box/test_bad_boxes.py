"""A box that is not available: one clear message, exit code 1, and nothing is left running."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import deploy
from box import leftovers
from box.qemu import guest, network

PROJECT = Path(__file__).parents[3]
# A boot sector that prints so on the serial line and stops.
SAYS = b"no kernel in this image\r\n\0"
SECTOR = bytes.fromhex("be157c31c08ed8ac84c07406baf803eeebf5f4ebfd") + SAYS
BOOTS_NOTHING = SECTOR.ljust(510, b"\0") + b"\x55\xaa" + bytes(1 << 20)
SSH = ("203.0.113.2", 22, "tcp")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # Short: the path of a socket may have about a hundred bytes.
    scratch = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CELLBLOCK_BOX_ACCEL", "tcg")
    monkeypatch.delenv("CELLBLOCK_BOX_IMAGE", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    yield scratch
    assert not list(scratch.iterdir()), "something was left behind"
    assert not qemus(scratch)
    scratch.rmdir()


def qemus(scratch: Path) -> list[str]:
    """The command lines of the qemu processes that have their disk there."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = place.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has just ended
            line = ""
        if "qemu-system" in line and str(scratch) in line:
            found.append(line)
    return found


@pytest.fixture
def image(tmp_path: Path) -> Path:
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("no qemu on this machine")
    path = tmp_path / "box.raw"
    path.write_bytes(BOOTS_NOTHING)
    for name in ("id_ed25519", "known_hosts"):
        (tmp_path / name).touch()
    return path


def refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object
) -> str:
    line = ["deploy.py", "rehearse", "--quiet", "--site", PROJECT / "site.example.toml", *words]
    monkeypatch.setattr(sys, "argv", [str(word) for word in line])
    with pytest.raises(SystemExit) as ended:
        deploy.run()
    told = capsys.readouterr()
    assert ended.value.code == 1, told
    assert "Traceback" not in told.err
    assert "  -> " in told.err, "it does not say what to do"
    return told.err


def test_no_qemu(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = refused(capsys, monkeypatch, "--on", "qemu")
    assert "not installed: qemu-system-x86_64 (Debian: qemu-system-x86)" in said


def test_no_vagrant(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "not installed: vagrant" in refused(capsys, monkeypatch, "--on", "vagrant")


def test_no_image(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, image: Path
) -> None:
    said = refused(capsys, monkeypatch, "--on", "qemu", tmp_path / "nosuch.qcow2")
    assert f"no FreeBSD image at {tmp_path}/nosuch.qcow2" in said


def test_no_image_and_no_way_to_freebsd(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, image: Path
) -> None:
    monkeypatch.setenv("CELLBLOCK_BOX_URL", "http://127.0.0.1:1/FreeBSD.qcow2.xz")
    assert "cannot be fetched" in refused(capsys, monkeypatch, "--on", "qemu")


def test_an_image_cut_short(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, image: Path
) -> None:
    short = image.with_suffix(".qcow2")
    convert = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(image), str(short)]
    subprocess.run(convert, check=True)
    short.write_bytes(short.read_bytes()[:300_000])
    said = refused(capsys, monkeypatch, "--on", "qemu", short)
    assert f"{short}: the image is damaged or cut short" in said


def test_a_port_in_use(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, image: Path
) -> None:
    free = network._free_ports([SSH])
    with closing(socket.create_server(free[SSH])):
        monkeypatch.setattr(network, "_free_ports", lambda inside: free)
        said = refused(capsys, monkeypatch, "--on", "qemu", image)
    assert "qemu did not start" in said
    assert str(free[SSH][1]) in said


def test_a_guest_that_does_not_boot_has_its_console_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, image: Path
) -> None:
    monkeypatch.setattr(guest.Guest.boot, "__defaults__", (6.0,))
    said = refused(capsys, monkeypatch, "--on", "qemu", image)
    assert "the guest was not booted after 6 s" in said
    assert "no kernel in this image" in said


@pytest.mark.parametrize("words", [("--on", "standin"), ("--on", "vagrant")])
def test_an_image_for_a_box_that_has_none(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    tmp_path: Path,
) -> None:
    line = ["deploy.py", "rehearse", *words, str(tmp_path / "box.qcow2")]
    monkeypatch.setattr(sys, "argv", line)
    with pytest.raises(SystemExit) as ended:
        deploy.run()
    assert ended.value.code == 1
    assert "an image is for --on qemu" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 130), (signal.SIGINT, 130), (signal.SIGKILL, -9)]
)
def test_a_rehearsal_that_is_ended_takes_its_guest_along(
    image: Path, state: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    words = ["rehearse", "--on", "qemu", str(image), "--site", "site.example.toml"]
    running = subprocess.Popen(
        [sys.executable, "deploy.py", *words],
        cwd=PROJECT,
        env={**os.environ, "TMPDIR": str(state), "XDG_STATE_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # As at a terminal: processes in the background of a shell ignore ^C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 # one thread
    )
    try:
        wait_for(lambda: bool(qemus(state)), 60.0)
        time.sleep(1.0)  # until it waits for its boot
        running.send_signal(number)
        _, err = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == code, err
    wait_for(lambda: not qemus(state), 10.0)
    if number == signal.SIGKILL:  # the next box removes its scratch directory
        [left] = state.glob("cellblock-box-*")
        leftovers.sweep()
        assert not left.exists()
        for other in state.iterdir():  # the rehearsal's own, of tempfile
            shutil.rmtree(other)
    else:
        assert "the qemu box was deleted; no server of yours was touched" in err


def wait_for(question: object, limit: float) -> None:
    assert callable(question)
    deadline = time.monotonic() + limit
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.1)
