"""Runs the checks of a site's first steps from the guest's network.

`python -m tests.lab.run_checks SITE DONE`: the site file, and how many steps are done. Prints a
line for each check that fails, and then how many ran.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

from rollout import plan, site
from rollout.engine import checks
from rollout.host.session import Session
from rollout.probe.outside import FromOutside
from rollout.terminal.server import ssh


def main(site_file: str, done: str) -> None:
    made = plan.make(site.read(Path(site_file)))
    target = ssh(made.site)
    with closing(FromOutside(target)) as outside, Session(target) as session:
        verdicts = checks.run(made.checks(int(done)), session, made.site, outside)
    for each in verdicts:
        if not each.passed:
            print(f"{each.name}: {each.message}")
    print(f"{len(verdicts)} checks ran")


if __name__ == "__main__":
    main(*sys.argv[1:])
