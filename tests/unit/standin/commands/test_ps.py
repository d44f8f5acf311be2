"""ps(1) of the stand-in."""

from __future__ import annotations

import subprocess

from standin.commands.ps import Process
from standin.model.kernel import Kernel


def test_a_process_that_has_ended_since_it_was_listed_is_no_failure() -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    process = Process(gone.pid, 1, gone.pid, "root", "true", "true", "", 0, Kernel())
    assert process.field("etimes") == "0"
    assert process.field("rss") == "0"
