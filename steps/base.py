"""Base: where jails live, and the script that undoes at boot what was never confirmed."""

from __future__ import annotations

from operations import files, rc
from rollout.plan.step import Step, check, use
from rollout.site import JOURNAL, Site
from steps.render import render

REQUIRES = ("preflight",)

RULES = "/usr/local/etc/cellblock/rules"
"""Where what a reboot loses waits for the next boot: ipfw rules, a file a service, and the like."""

ASKED = "/usr/local/etc/rc.conf.d"
"""Where rc.subr(8) looks for more than rc.conf says, a file a script."""

_SCRIPT = "/usr/local/etc/rc.d/cellblock"


def steps(site: Site) -> tuple[Step, ...]:
    return (
        Step(
            name="base",
            does="directories; undo after a restart",
            why="Jails get a directory of their own; from now on a reboot in the middle of "
            "a step undoes that step.",
            operations=(
                use(files.directory, path=site.base.jails),
                use(files.directory, path="/etc/jail.conf.d"),
                use(files.directory, path="/usr/local/etc/cellblock"),
                use(files.directory, path=RULES),
                use(files.directory, path=ASKED),
                use(
                    files.put,
                    path=_SCRIPT,
                    content=render("base/cellblock", journal=JOURNAL),
                    mode="555",
                ),
                use(rc.variable, name="cellblock_enable", value="YES"),
            ),
            checks=(
                check("files::is_directory", path=site.base.jails),
                check("files::is_directory", path=RULES),
                check("files::is_enabled_script", script="cellblock"),
            ),
        ),
    )
