"""An operator on the guest's network: a clean checkout of the project, a site file and ssh."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from box.qemu.guest import Guest
from rollout.host.journal import host_sh

PROJECT = Path(__file__).parents[2]
LIMIT = 1800.0  # seconds that one command of deploy.py may take on an emulated guest


class Operator:
    """`home` is an empty directory; each command runs from a fresh clone below it.

    With `order`, the site has only these subjects. `probes` per second: each probe costs much of
    an emulated processor, so tests that do not measure an outage use fewer.
    """

    def __init__(
        self, guest: Guest, home: Path, order: Sequence[str] = (), probes: float | None = None
    ) -> None:
        self.guest = guest
        self.home = home
        self.site = home / "site.toml"
        text = (PROJECT / "box" / "site.toml").read_text(encoding="utf-8")
        reach = f'[host]\nkey = "{guest.image.key}"\nknown_hosts = "{guest.image.known_hosts}"\n'
        text = text.replace("[host]\n", reach)
        if order:
            text = re.sub(r"(?m)^order = .*", f"order = {json.dumps(list(order))}", text)
        if probes:
            text = re.sub(r"(?m)^probes_per_second = \S+", f"probes_per_second = {probes}", text)
        self.site.write_text(text, encoding="utf-8")

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start deploy.py in a process group of its own, so that all of it can be killed."""
        checkout = self.home / f"checkout-{len(list(self.home.iterdir()))}"
        quiet = ("git", "-c", "advice.detachedHead=false", "clone", "-q")
        subprocess.run([*quiet, str(PROJECT), str(checkout)], check=True)
        return subprocess.Popen(
            self.guest.argv(sys.executable, "deploy.py", *words, "--site", str(self.site)),
            cwd=checkout,
            env={**os.environ, "HOME": str(self.home), "PYTHONPATH": str(checkout)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def deploy(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run deploy.py to its end."""
        running = self.begin(*words)
        out, err = running.communicate(timeout=LIMIT)
        return subprocess.CompletedProcess(words, running.returncode, out, err)

    def fingerprint(self) -> str:
        """The host's state as host.sh prints it, read over a connection of the test's own.

        Without the keys that a named fetches and writes itself, some minutes after its start.
        """
        there = "/root/print"
        self.guest.sh(f"mkdir -p {there} && cat > {there}/host.sh <<'EOF'\n{host_sh()}\nEOF")
        watched = "'jails /usr/jails' 'service mysql-server' 'service apache24' 'service named'"
        self.guest.sh(f"printf '%s\\n' {watched} > {there}/watch")
        lines = self.guest.sh(f"sh {there}/host.sh fingerprint").stdout.splitlines(keepends=True)
        return "".join(line for line in lines if "/managed-keys.bind" not in line)
