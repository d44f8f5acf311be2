"""The accounts of a jail stay the host's: who comes, goes or changes there, does so in the jail."""

from __future__ import annotations

from operations import accounts, following, jail
from operations.command import quote
from rollout.plan.step import Check, Use, check, use
from rollout.site import Site
from steps import submission
from steps.accounts import written
from steps.render import render


def kept(site: Site, name: str) -> list[Use]:
    """The list of what follows, before the jail first runs (rollout/engine/drift.sh reads it)."""
    if site.jails[name].uids is None:
        return []
    etc = f"{site.root(name)}/etc"
    paths = [f"{etc}/{each}" for each in following.KEPT]
    paths += [file.at_rest for file, *_ in written(site, name)]
    home = f"{site.base.jails}/{name}"
    return [use(jail.private, root=home, name="kept", content="".join(f" {e}\n" for e in paths))]


def uses(site: Site, name: str) -> list[Use]:
    uids = site.jails[name].uids
    if uids is None:
        return []
    made = [(file.path, daemon, word) for file, daemon, word in written(site, name)]
    daemons = [site.services[each].rc for each in site.jails[name].services]
    return [
        use(
            following.followed,
            jail=name,
            text=render(
                "jail/follow",
                jail=name,
                lowest=uids[0],
                highest=uids[1],
                written=made,
                filled=quote(accounts.FILLED),
                told=following.told(name),
            ),
            daemons=daemons if submission.is_mails(site, name) else [],
        )
    ]


def checks(site: Site, name: str) -> list[Check]:
    if site.jails[name].uids is None:
        return []
    return [check("accounts::are_those_of_the_host", jail=name)]
