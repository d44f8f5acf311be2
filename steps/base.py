"""Base: where jails live."""

from __future__ import annotations

from operations import files
from rollout.site import Site
from rollout.step import Step, check, use

REQUIRES = ("preflight",)

RULES = "/usr/local/etc/cellblock/rules"
"""Where our ipfw rules wait for the next boot, a file a service."""


def steps(site: Site) -> tuple[Step, ...]:
    return (
        Step(
            name="base",
            why="Every jail gets a directory of its own below one that is the jails' alone.",
            operations=(
                use(files.directory, path=site.base.jails),
                use(files.directory, path="/etc/jail.conf.d"),
                use(files.directory, path="/usr/local/etc/cellblock"),
                use(files.directory, path=RULES),
            ),
            checks=(
                check("files::is_directory", path=site.base.jails),
                check("files::is_directory", path=RULES),
            ),
        ),
    )
