"""`cellblock rehearse` on a real FreeBSD, as its tests under qemu and under vagrant run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
SHORT = '"preflight", "base", "network", "mysql"'


def rehearse(
    where: Path, box: str, *words: str, order: str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    """With box/site.toml, or another order; `where` gets its report and record of the rehearsal."""
    text = (PROJECT / "box" / "site.toml").read_text(encoding="utf-8")
    if order:
        text = re.sub(r"(?m)^order = .*$", f"order = [{order}]", text)
    site = where / "site.toml"
    site.write_text(text, encoding="utf-8")
    asked = ("rehearse", "--on", box, "--site", str(site), *words)
    return subprocess.run(
        [sys.executable, "deploy.py", *asked],
        cwd=PROJECT,
        env={**os.environ, "XDG_STATE_HOME": str(where), **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=7000,
        check=False,
    )


def must_be_ok(done: subprocess.CompletedProcess[str], where: Path) -> None:
    """Every step in every column of the --json output; and recorded as rehearsed on a FreeBSD."""
    print(done.stdout[-5000:], done.stderr)
    assert done.returncode == 0
    told = [json.loads(line) for line in done.stdout.splitlines()]
    [judged] = [each["steps"] for each in told if each["event"] == "verdicts"]
    assert {word for row in judged for key, word in row.items() if key != "step"} == {"ok"}
    noted = json.loads((where / "cellblock" / "rehearsed.json").read_text())
    assert all(each["freebsd"] for each in noted.values())
    assert len(noted) == len(judged)
