"""What Apache's configuration names is in the jail."""

from __future__ import annotations

from collections.abc import Iterator

from operations.command import Look
from operations.jail import BASE, LOCAL
from rollout.site import Site


def named_paths_are_in_the_jail(site: Site, service: str) -> Iterator[Look]:
    """By all files, loaded or not: a person sees which count."""
    jail = site.jail_of(service)
    places = [each.point for each in site.mounts(jail)]
    for each in (site.services[name] for name in site.jails[jail].services):
        places += [*each.configuration, *each.data, *each.logs, *each.log_files]
    places += [f"/{each}" for each in BASE] + [f"/usr/local/{each}" for each in LOCAL]
    named = '^[^#]*(DocumentRoot|Auth(User|Group)File|Alias|Certificate|Log|unix:)[^#]*[ ":]/'
    skip = f'[ ":](/home/|/usr/home/|/var/log/|{"|".join(f"{each}/?" for each in places)})'
    where = " ".join(site.services[service].configuration)
    yield Look(f"find -H {where} -type f -exec grep -hIsE '{named}' {{}} + | grep -vE '{skip}'")
