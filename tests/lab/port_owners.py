"""Prints who answers each public port, and who should by the host's journal.

Runs on the guest's network as `python -m tests.lab.port_owners SITE`. Prints a JSON object:
port -> [who answers, who should].
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path

from rollout import site
from rollout.host import journal
from rollout.host.session import Session
from rollout.probe.outside import FromOutside
from rollout.terminal.server import ssh


def main(site_file: str) -> None:
    read = site.read(Path(site_file))
    target = ssh(read)
    with Session(target) as session:
        moved = {entry.name for entry in journal.read(session).done}
    owners = {}
    with closing(FromOutside(target)) as outside:
        for name, service in read.services.items():
            should = read.jail_of(name) if f"{name}.cutover" in moved else "host"
            for listen in service.ports:
                try:
                    who = outside.who(str(read.host.wan_address), listen.port, listen.proto)
                except OSError as error:
                    who = str(error)
                owners[f"{name} {listen.port}/{listen.proto}"] = [who, should]
    print(json.dumps(owners))


if __name__ == "__main__":
    main(*sys.argv[1:])
