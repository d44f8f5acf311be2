"""Turns a booted guest into the base host of a site, by pyinfra and base_host.py.

It does not touch a service that already answers its clients. So a prepared image needs no mirror,
and an official one gets what is missing from packages.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from box.remote import Remote
from box.run_clients import ClientError
from box.traffic import users
from rollout.errors import Refused
from rollout.site import Site

PROJECT = Path(__file__).parents[1]
DEPLOY = Path(__file__).with_name("deploy.py")
CONTENT = Path(__file__).with_name("base_host.py")
ANSWERS_WITHIN = 60.0  # seconds after boot, for an installed daemon
_LIMIT = 3600.0  # seconds; packages over a slow connection


def identity(site: Site) -> str:
    """A hash over everything that decides what `provision` installs."""
    text = f"{site.host.wan_address} {site.services!r}\n{CONTENT.read_text(encoding='utf-8')}"
    return sha256(text.encode()).hexdigest()[:16]


def provision(guest: Remote, site: Site, say: Callable[[str], None]) -> None:
    """Install what is missing. Raises Refused if a service of the site does not answer then."""
    missing = silent(guest, site)
    if missing:
        say(f"installing from packages what the guest lacks: {', '.join(missing)}")
        _deploy(guest, site, missing)
        missing = silent(guest, site)
    if missing:
        raise Refused(
            f"services on the guest do not answer: {', '.join(missing)}",
            todo="without a mirror, the image must have them: see Cellblock's docs/box.md",
        )
    say("every service of the site answers its clients on the box")


def silent(guest: Remote, site: Site) -> list[str]:
    """The services that give their clients no good answer."""
    found = []
    for each in users(guest, site):
        with each.client as client:
            try:
                client.wait_ready(ANSWERS_WITHIN)
            except ClientError:
                found.append(each.name)
            else:
                client.stop()
    return found


def _deploy(guest: Remote, site: Site, missing: list[str]) -> None:
    target = guest.target
    command = [
        *(sys.executable, "-m", "pyinfra", "-y", target.address, str(DEPLOY)),
        *("--ssh-port", str(target.port), "--ssh-user", "root", "--ssh-key", str(target.key)),
        *("--data", "ssh_strict_host_key_checking=off"),  # the network exists only inside qemu
        *("--data", f"site={site.path.absolute()}", "--data", f"missing={','.join(missing)}"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    log = guest.scratch / "pyinfra.log"
    with log.open("wb") as out, suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            guest.argv(*command),
            env=environment,
            cwd=guest.scratch,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            timeout=_LIMIT,
            check=False,
        )
        if done.returncode == 0:
            return
    raise Refused(
        f"the guest could not be made into the base host of {site.path}",
        evidence=log.read_text(errors="replace")[-2000:],
        todo="packages need a mirror that the guest can reach; or use an image that has them",
    )
