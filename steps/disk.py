"""A jail's own file system: the step before its jail is built."""

from __future__ import annotations

from typing import Any

from operations import disk, files, jail
from rollout.plan.step import Check, Gate, Step, Use, check, use
from rollout.site import DISKS, Site
from steps.render import render

_MAKES_ROOM = "etc/cellblock-full.sh"
# The script is its own lock: where no file can be made any more, lockf(1) needs one that is there.
_CRON = f"* * * * * root lockf -k -s -t 0 /{_MAKES_ROOM} /bin/sh /{_MAKES_ROOM} >/dev/null 2>&1\n"


def own(site: Site, name: str) -> tuple[Step, ...]:
    """The step, if the site file limits the disk of this jail."""
    size, places = site.jails[name].limits.disk_mib, site.disk(name)
    if size is None or places is None:
        return ()
    image, script = places
    home = f"{site.base.jails}/{name}"
    return (
        Step(
            name=site.first_step(name),
            does=f"a file system for jail {name}",
            why=f"Whatever fills the jail {name} fills a file system of its own, and no other.",
            gate=Gate(
                question=f"Jail {name} could still fill file systems that others use. Go on?",
                look_at=(
                    "what it mounts writable there: data, logs, homes",
                    "quotas of those who write there, or a file system for each (docs/security.md)",
                ),
                unless=(check("limits::all_that_it_writes_is_apart", jail=name),),
            ),
            operations=(
                use(files.directory, path=f"{site.base.jails}/{DISKS}", mode="700"),
                use(files.directory, path=home, mode="700"),
                use(disk.image, path=image, mib=size, home=home),
                use(
                    files.put,
                    path=script,
                    content=render(
                        "jail/disk",
                        script=script.rpartition("/")[2],
                        jail=name,
                        image=image,
                        home=home,
                    ),
                    mode="555",
                ),
                use(disk.mounted, script=script, path=image, home=home),
            ),
            checks=(check("limits::disk_is_mounted", jail=name),),
        ),
    )


def preflight(site: Site) -> list[Check]:
    limited = [name for name in site.built if site.disk(name)]
    if not limited:
        return []
    return [
        check("limits::disks_can_be_made", until=site.first_step(limited[-1])),
        *(
            check("limits::disk_holds_what_is_copied", until=site.first_step(each), jail=each)
            for each in limited
        ),
    ]


def tree(site: Site, name: str) -> dict[str, Any]:
    """What the operation that makes the jail's tree has to know."""
    return {"mounted": True} if site.disk(name) else {}


def kept_free(site: Site, name: str) -> list[Use]:
    """A full disk must not stay full until somebody looks: logs rotate once in an hour or a day."""
    if site.disk(name) is None:
        return []
    root = site.root(name)
    return [
        use(jail.private, root=root, name=_MAKES_ROOM, content=render("jail/full"), mode="600"),
        use(jail.private, root=root, name="etc/cron.d/cellblock-full", content=_CRON),
    ]
