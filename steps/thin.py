"""The thin jail of a service: the first step of each subject that moves a daemon."""

from __future__ import annotations

import os
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path

from operations import carried, companion, files, jail, limits, logs, mailers, packages, php, rc
from operations import settings as local_settings
from operations.mount import Nullfs
from rollout.errors import Refused
from rollout.plan.step import Step, Use, check, use
from rollout.site import Jail, Site
from steps import disk, egress, following, forward, submission
from steps.base import BELOW, FIREWALL
from steps.render import render

_LOCAL = "/usr/local"
_LOCAL_ETC = carried.LOCAL_ETC


def local_etc(site: Site, name: str) -> str:
    """The path on the host of a jail's private /usr/local/etc."""
    shared = site.jails[name].software == "shared"
    return f"{site.base.jails}/{name}/local-etc" if shared else site.root(name) + _LOCAL_ETC


def jail_steps(
    site: Site,
    service: str,
    fitted: Sequence[Use] = (),
    mounts: Sequence[Nullfs] = (),
    *,
    moves_others: bool = False,
) -> tuple[Step, ...]:
    """A jail that runs and serves nothing yet; no step if an earlier service has built it.

    `fitted` adapts the copied configuration before the jail first runs; `mounts` are in addition to
    those of the site file. The host's daemon is not touched. `moves_others`: the service moves
    those of its jail that are not in the order.
    """
    if not site.services[service].overlap and service != "bind":
        raise Refused(
            f"{site.path}: services.{service}.overlap = false: is for services.bind alone",
            todo="remove the line",
        )
    name = site.jail_of(service)
    first = site.builder(name)
    others = [each for each in site.jails[name].services if each not in site.order]
    if others and not moves_others and service == first:
        raise Refused(
            f'{site.path}: jails.{name}.services: "{others[0]}" shares the jail with "{service}", '
            "and is not in the order: it would not move",
            evidence=site.order_line,
            todo=f'put "{others[0]}" into the order, or into a jail of its own',
        )
    if fitted and service != first:
        raise Refused(
            f'{site.path}: order: "{service}" shares jails.{name} with "{first}" and comes later',
            todo=f'put "{service}" before "{first}": its configuration must be adapted before the '
            "jail first runs",
        )
    if service != first:
        return ()
    return (*disk.own(site, name), _jail_step(site, service, name, fitted, mounts))


def _jail_step(
    site: Site, service: str, name: str, fitted: Sequence[Use], more: Sequence[Nullfs]
) -> Step:
    jail_ = site.jails[name]
    return Step(
        name=f"{service}.jail",
        does=f"build and start the jail {name}",
        why=f"Builds and starts the jail {name} beside the running server; no client uses it yet.",
        operations=tuple(_build(site, name, fitted, more)),
        checks=(
            check("jail::runs", jail=name),
            check("jail::has_its_address", jail=name, ways=forward.further(site, name)),
            check("jail::base_is_read_only", jail=name),
            check("jail::has_its_mounts", jail=name),
            check("jail::has_its_configuration", jail=name),
            check("jail::has_what_was_changed_on_the_host", jail=name),
            check("jail::has_what_is_mounted_below", jail=name),
            *(
                [check("jail::has_what_all_may_read", until=f"{service}.standby", jail=name)]
                if _runs_programs(site, name)
                else []
            ),
            *([check("jail::gives_no_rights_by_programs", jail=name)] if site.nosuid(name) else []),
            check(
                "mail::only_logins_have_passwords"
                if submission.is_mails(site, name)
                else "jail::has_no_passwords",
                jail=name,
            ),
            *following.checks(site, name),
            check("jail::starts_at_boot", jail=name),
            check("jail::waits_for_the_rules", jail=name, ready=f"{FIREWALL} oneready"),
            *([check("limits::are_in_force", jail=name)] if jail_.limits.of_processes else []),
            check(
                "jail::finds_names_as_the_host", until=f"{service}.cutover", ahead=True, jail=name
            ),
            check(
                "jail::has_the_time_of_the_host", until=f"{service}.cutover", ahead=True, jail=name
            ),
            *forward.back_checks(site, name),
            *submission.checks(site, name),
            check("service::runs_on_host", until=f"{service}.cutover", service=service),
        ),
        gate=egress.shut_in(site, service),
        finds=tuple(check("needs::none_are_there", service=each) for each in jail_.services),
    )


def _build(site: Site, name: str, fitted: Sequence[Use], more: Sequence[Nullfs]) -> list[Use]:
    jail_ = site.jails[name]
    _must_be_there(site, name)
    root = site.root(name)
    home = f"{site.base.jails}/{name}"
    private = local_etc(site, name)
    mounts = [*_mounts(site, name, home), *submission.mounts(site, name), *more]
    shown = [each for each in mounts if each.shown]
    points = sorted({_point(root, private, each.target) for each in mounts} - set(jail.BASE))
    points += [os.path.relpath(each.source, root) for each in shown]
    services = [site.services[each] for each in jail_.services]
    companions = [each for one in jail_.services for each in site.companions(one)]
    shared = [each.target.removeprefix(root) for each in mounts if each.writable]
    outside, local = _configuration(site, jail_)
    rules = jail_.limits.rules(name)
    uses = [
        use(
            jail.tree,
            home=home,
            mount_points=points,
            shown=site.shown(name),
            **disk.tree(site, name),
        ),
        use(
            jail.configuration,
            root=root,
            uids=jail_.uids,
            named=list(site.configuration(name)),
            sends=submission.by_itself(site) and sends_pages(site, name),
        ),
        use(
            jail.copies,
            source=_LOCAL_ETC,
            into=private,
            names=local,
            scripts=[service.rc for service in services],
        ),
    ]
    if outside:
        uses.append(use(jail.copies, source="/", into=root, names=outside))
    further = _further(site, name)
    uses.append(use(carried.brought, further=further, root=root, private=private))
    uses.append(
        use(
            jail.readdressed,
            places=[private, *(f"{root}/{each}" for each in outside)],
            into=private,
            public=str(site.host.wan_address),
            new=str(jail_.address),
            lan=str(site.lan.network),
        )
    )
    uses += [
        use(
            companion.where_enabled,
            script=each.rc,
            then=use(
                companion.copied,
                script=each.rc,
                configuration=each.configuration,
                into=private,
                address=str(jail_.address),
            ),
        )
        for each in companions
    ]
    uses += [*submission.fitted(site, name), *fitted]
    if _runs_programs(site, name):
        uses.append(use(local_settings.readable, into=private, without=_data_in_etc(site)))
    uses += submission.wrapped(site, name, private)
    rcvars = [*(each.rcvar for each in services), *(each.rcvar for each in companions)]
    if jail_.software == "pkg":
        uses.append(use(packages.cloned, root=root, names=jail_.packages, store=f"{home}/packages"))
    uses += [
        use(jail.private, root=root, name=f"etc/{file}", content=content)
        for file, content in _etc(site, name, rcvars).items()
    ]
    uses += [*_names(site, name), *following.kept(site, name)]
    return [
        *uses,
        *(use(rc.variables_in_jail, rcvar=each.rcvar, root=root) for each in services),
        use(rc.variables_in_jail, rcvar=rc.LIBRARIES, root=root),
        *(
            use(
                companion.where_enabled,
                script=each.rc,
                then=use(rc.variables_in_jail, rcvar=each.rcvar, root=root),
            )
            for each in companions
        ),
        use(
            logs.rotated_in_jail,
            root=root,
            logs=[log for service in services for log in service.log_files],
            shared=[each for each in shared if each != _LOCAL_ETC],
        ),
        use(logs.messages_kept, root=root),
        *disk.kept_free(site, name),
        use(
            carried.table,
            further=further,
            root=root,
            path=f"{home}/fstab",
            mounts=mounts,
            needed=jail.lives(name, root),
        ),
        _described(
            site,
            name,
            render(
                "jail/jail.conf",
                name=name,
                jail=jail_,
                root=root,
                fstab=f"{home}/fstab",
                below=BELOW,
                ready=f"{FIREWALL} oneready",
                planted=[*_foreign(site, name), *(each.source for each in shown)],
                created=limits.at_start(name, rules, jail_.limits.cpus),
                stopped=limits.at_stop(rules),
            ),
        ),
        *([use(limits.given, jail=name, rules=rules)] if rules else []),
        use(jail.at_boot, name=name),
        use(
            jail.started,
            name=name,
            root=root,
            left=f"/bin/sh {BELOW} umount {home}/fstab {home}/fstab.below",
        ),
        *following.uses(site, name),
    ]


def sends_pages(site: Site, name: str) -> bool:
    """Whether programs of all kinds run in a jail, since pages do."""
    return any(site.services[each].pages for each in site.jails[name].services)


def _runs_programs(site: Site, name: str) -> bool:
    """Whether programs of all kinds run in a jail: pages run them, and so do aliases, .forward and
    .procmailrc (php, spamassassin).
    """
    return sends_pages(site, name) or submission.is_mails(site, name)


def _data_in_etc(site: Site) -> list[str]:
    """What daemons write below /usr/local/etc, as names in it: zones and their keys."""
    data = [path for each in site.services.values() for path in each.data]
    return [
        path.removeprefix(f"{_LOCAL_ETC}/") for path in data if path.startswith(f"{_LOCAL_ETC}/")
    ]


def _described(site: Site, name: str, content: str) -> Use:
    path, needed = f"/etc/jail.conf.d/{name}.conf", jail.lives(name, site.root(name))
    ways = forward.further(site, name)
    if ways is None:
        return use(files.put, path=path, needed=needed, content=content)
    at = str(site.jails[name].address)
    return use(jail.described, path=path, needed=needed, content=content, ways=ways, address=at)


def _further(site: Site, name: str) -> carried.Further:
    """What the configuration of a jail's services names besides."""
    services = [site.services[each] for each in site.jails[name].services]
    mail = tuple(each.rc for each in services if mailers.are_known(each.rc))
    return carried.Further(
        names=(
            *(each for e in services if e.rc == "apache24" for each in php.names(e.configuration)),
            *([mailers.Configuration(mail)] if mail else []),
        ),
        there=(*site.paths(name), *jail.PROGRAMS, *(mailers.OWN if mail else ())),
        trees=site.base.jails,
    )


def _point(root: str, private: str, target: str) -> str:
    """The directory that a mount needs, relative to the root: below the jail's /usr/local/etc, it
    is in the directory that is mounted there.
    """
    inside = target.removeprefix(root)
    if inside.startswith(_LOCAL_ETC + "/"):
        return os.path.relpath(private + inside.removeprefix(_LOCAL_ETC), root)
    return os.path.relpath(target, root)


def _etc(site: Site, name: str, rcvars: list[str]) -> dict[str, str]:
    runs = submission.sends(site, name)
    return {"rc.conf": render("jail/rc.conf", name=name, rcvars=rcvars, runs_queue=runs)}


def _names(site: Site, name: str) -> list[Use]:
    """How the jail finds other machines: as the host does."""
    root, jail_, jails = site.root(name), site.jails[name], site.jails.values()
    led_out = jail_.outbound != "none" and not site.lan.resolvers
    return [
        use(
            jail.resolver,
            root=root,
            own=_own_resolvers(site),
            instead=[str(each) for each in _resolvers(site)],
            further=led_out,
            public=str(site.host.wan_address),
        ),
        use(
            jail.hosts,
            root=root,
            content=render("jail/hosts", jail=jail_, jails=jails),
            own=str(site.host.wan_address),
            names=["localhost", *(each.hostname for each in jails)],
        ),
    ]


def _own_resolvers(site: Site) -> list[str]:
    """What stands in the host's resolv.conf for a name server of its own."""
    bind = [site.jails[site.jail_of("bind")].address] if "bind" in site.order else []
    return [str(each) for each in ("127.0.0.1", "::1", site.host.wan_address, *bind)]


def _resolvers(site: Site) -> tuple[IPv4Address, ...]:
    """A name server that moves: in its jail first, and at the old address until it runs there."""
    moving = [site.jails[site.jail_of("bind")].address] if "bind" in site.order else []
    return site.lan.resolvers or (*moving, site.host.wan_address)


def _configuration(site: Site, jail_: Jail) -> tuple[list[str], list[str]]:
    """The configuration to copy: paths below /, and names below /usr/local/etc."""
    outside: list[str] = []
    local: list[str] = []
    for each in jail_.services:
        service = site.services[each]
        for path in service.configuration:
            if path.startswith(_LOCAL_ETC + "/"):
                local.append(path.removeprefix(_LOCAL_ETC + "/"))
            else:
                outside.append(path.lstrip("/"))
    return outside, local


def _foreign(site: Site, name: str) -> list[str]:
    """What this jail mounts from the trees of other jails, which have root there."""
    trees = [site.root(other) for other in site.jails if other != name]
    return [
        each.source
        for each in site.mounts(name)
        if any(Path(each.source).is_relative_to(tree) for tree in trees)
    ]


def _must_be_there(site: Site, name: str) -> None:
    """A directory of another jail can be mounted only after that jail is built."""
    later = site.built[site.built.index(name) + 1 :]
    for each in site.mounts(name):
        for owner in later:
            if Path(each.source).is_relative_to(site.root(owner)):
                raise Refused(
                    f'{site.path}: jails.{name}.mounts: "{each.source}" is in jails.{owner}, which '
                    "is not built before it",
                    evidence=site.order_line,
                    todo=f"put what moves into jails.{owner} first in `order`, or remove the mount",
                )


def _mounts(site: Site, name: str, home: str) -> list[Nullfs]:
    jail_ = site.jails[name]
    root = site.root(name)
    mounts = [Nullfs(f"{site.base.source}/{each}", f"{root}/{each}") for each in jail.BASE]
    if jail_.software == "shared":
        mounts += [
            Nullfs(f"{_LOCAL}/{each}", f"{root}{_LOCAL}/{each}", optional=True)
            for each in jail.LOCAL
        ]
        mounts.append(Nullfs(f"{home}/local-etc", root + _LOCAL_ETC, writable=True))
    for each in jail_.services:
        service = site.services[each]
        mounts += [
            Nullfs(path, root + path, writable=True, nosuid=service.nosuid)
            for path in (*service.data, *service.logs)
        ]
    mounts += [
        Nullfs(each.source, root + each.point, each.writable, nosuid=each.nosuid)
        for each in site.mounts(name)
    ]
    mounts += [
        Nullfs(root + each, site.shown(name, each), shown=True) for each in _shown(site, name)
    ]
    return mounts


def _shown(site: Site, name: str) -> tuple[str, ...]:
    """The directories of a jail in which programs of the host look for its logs and sockets."""
    services = site.jails[name].services
    logs = ["/var/log"] * any(site.services[each].log_files for each in services)
    sockets = [site.services[each].socket for each in services if site.shown_socket(each)]
    return tuple(dict.fromkeys([*logs, *(str(Path(each).parent) for each in sockets if each)]))
