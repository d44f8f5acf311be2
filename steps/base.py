"""Base: directories for jails, and the rc script that undoes unconfirmed steps at boot."""

from __future__ import annotations

from operations import files, rc
from rollout.plan.step import Gate, Step, Use, check, use
from rollout.site import JOURNAL, SHOWN, Site
from steps.render import render

REQUIRES = ("preflight",)

RULES = "/usr/local/etc/cellblock/rules"
"""What a reboot loses and the next boot loads again: ipfw rules, one file per service, links."""

FIREWALL = "/usr/local/etc/rc.d/cellblock_firewall"
"""Loads them, and says by its command `ready` whether those are in force that confine jails."""

BELOW = "/usr/local/etc/cellblock/below.sh"
"""Mounts in a jail that starts what is mounted below its directories."""

ASKED = "/usr/local/etc/rc.conf.d"
"""Where rc.subr(8) reads more settings, one file per rc script."""


def starts_at_boot(site: Site, jail: str, rcvar: str) -> Use:
    """From the next start of the jail on its rc starts the daemon, which before it did not."""
    root = site.root(jail)
    return use(rc.jail_variable, name=rcvar, value="YES", jail=jail, root=root, before="NO")


def until_policy(site: Site) -> str | None:
    """The step until which jails may open any connection, for checks that do: None if it is not in
    the order.
    """
    return "policy" if "policy" in site.order else None


_SCRIPT = "/usr/local/etc/rc.d/cellblock"


def steps(site: Site) -> tuple[Step, ...]:
    return (
        Step(
            name="base",
            does="directories; undo after a restart",
            why="Creates the directories for jails; from now on, a reboot in the middle of a step "
            "undoes that step.",
            gate=Gate(
                question="After a restart, jails start before these file systems are there. Go on?",
                look_at=(
                    "what is mounted below a directory of a jail once the jail has started, it "
                    "does not see: mount it, then `service jail restart JAIL`",
                    "a line in /etc/fstab for each (of zfs: canmount=on, and its key in a file)",
                ),
                unless=(check("preflight::file_systems_below_come_at_boot"),),
            ),
            operations=(
                use(files.directory, path=site.base.jails, parents=True),
                use(files.directory, path=f"{site.base.jails}/{SHOWN}"),
                use(files.directory, path="/etc/jail.conf.d"),
                use(files.directory, path="/usr/local/etc/cellblock"),
                use(files.directory, path=RULES),
                use(files.directory, path=ASKED),
                use(files.put, path=BELOW, content=render("base/below.sh")),
                use(
                    files.put,
                    path=_SCRIPT,
                    content=render("base/cellblock", journal=JOURNAL),
                    mode="555",
                ),
                use(rc.variable, name="cellblock_enable", value="YES"),
            ),
            checks=(
                check("path::is_a_directory", path=site.base.jails),
                check("path::is_a_directory", path=RULES),
                check("service::script_is_enabled", script="cellblock"),
            ),
        ),
    )
