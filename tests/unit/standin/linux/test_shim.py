"""What the model reads of a caller in /proc, while the caller's own sh continues."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from standin.linux.layout import HIDDEN
from standin.linux.rootdir import RootDir
from standin.linux.shim import Call


def told_by(caller: subprocess.Popen[bytes], root: Path) -> bytes:
    call = Call(("sha256", "-q"), RootDir("", root), caller.pid)
    return asyncio.run(asyncio.wait_for(call.stdin(), 10))


def test_stdin_is_waited_for_while_the_callers_sh_has_nothing_at_0(tmp_path: Path) -> None:
    slot = tmp_path / HIDDEN / "answers/0"
    slot.parent.mkdir(parents=True)
    slot.touch()
    sh = f"exec 9<&0 0<&-; echo closed; sleep 0.3; exec 0<{slot} sleep 60"
    with subprocess.Popen(
        ["/bin/sh", "-c", sh], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as caller:
        assert caller.stdin is not None
        assert caller.stdout is not None
        caller.stdin.write(b"a line\n")
        caller.stdin.close()
        assert caller.stdout.readline() == b"closed\n"
        try:
            assert told_by(caller, tmp_path) == b"a line\n"
        finally:
            caller.kill()


def test_stdin_of_a_caller_that_was_killed(tmp_path: Path) -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as caller:
        caller.kill()
        caller.wait()
        with pytest.raises(FileNotFoundError):
            told_by(caller, tmp_path)
