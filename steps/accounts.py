"""Accounts: PHP and CGI scripts run in the web jail as the account that owns them."""

from __future__ import annotations

from operations import accounts, daemon
from operations.accounts import InJail
from rollout.errors import Refused
from rollout.plan.step import Check, Step, Use, check, use
from rollout.site import Site
from steps.base import starts_at_boot
from steps.render import render

_GUARD = "/usr/local/etc/php-owner.php"
_POOLS = "/usr/local/etc/php-fpm.conf"
_SUPHP = "/usr/local/etc/suphp.conf"


def handler_steps(site: Site, service: str) -> tuple[Step, ...]:
    """The step that sets up the handler, before the jail's Apache runs.

    None if the site leaves that to Apache's own configuration.
    """
    handler = site.accounts.handler
    if handler is None:
        return ()
    uids = site.jails[site.jail_of(service)].uids
    if uids is None:
        raise Refused(
            f'{site.path}: accounts.handler = "{handler}": jails.{site.jail_of(service)} has no '
            "uids, so it would have no accounts",
            todo="set that jail's uids to the lowest and the highest uid of the accounts",
        )
    return (
        Step(
            name=f"{service}.accounts",
            does="run PHP as each account's own user",
            why="PHP and CGI scripts of each account will run as that account, not as the web "
            "server's user; an error in that configuration shows before Apache serves anybody.",
            operations=(
                *_prepared(site, service, uids),
                _file(site, service, uids, site.accounts.include, f"handler-{handler}.conf"),
                use(accounts.tested, jail=site.jail_of(service), script=site.services[service].rc),
                *_pools(site, service),
            ),
            checks=(
                check("accounts::are_in_the_configuration", service=service),
                *(
                    [check("accounts::have_running_pools", service=service)]
                    if handler == "fpm"
                    else []
                ),
            ),
        ),
    )


def probes(site: Site, service: str) -> tuple[Check, ...]:
    """What to check once the jail's Apache answers."""
    if site.accounts.handler is None:
        return ()
    return (check("accounts::scripts_run_as_their_owners", service=service),)


def _prepared(site: Site, service: str, uids: tuple[int, int]) -> list[Use]:
    """What the handler reads besides Apache's own configuration."""
    if site.accounts.handler == "suphp":
        return [_file(site, service, uids, _SUPHP, "suphp.conf")]
    if site.accounts.handler == "fpm":
        return [
            _file(site, service, uids, _GUARD, "owner.php"),
            _file(site, service, uids, _POOLS, "php-fpm.conf"),
            use(accounts.tested, jail=site.jail_of(service), script=site.accounts.fpm),
        ]
    return []


def _pools(site: Site, service: str) -> list[Use]:
    if site.accounts.handler != "fpm":
        return []
    jail = site.jail_of(service)
    return [
        starts_at_boot(site, jail, site.accounts.fpm_rcvar),
        use(daemon.start, script=site.accounts.fpm, jail=jail),
    ]


def written(site: Site, name: str) -> list[tuple[InJail, str, str]]:
    """What a jail has with a part for each account; the rc script of its daemon, and the word with
    which that reads it anew.
    """
    own = site.accounts
    apaches = [e for e in site.jails[name].services if site.services[e].rc == "apache24"]
    if own.handler is None or not apaches:
        return []
    found = [(_in_jail(site, name, own.include), site.services[apaches[0]].rc, "onegraceful")]
    if own.handler == "fpm":
        found.insert(0, (_in_jail(site, name, _POOLS), own.fpm, "onereload"))
    return found


def _in_jail(site: Site, name: str, path: str) -> InJail:
    home = f"{site.base.jails}/{name}"
    local = "/usr/local/etc/"
    shared = site.jails[name].software == "shared" and path.startswith(local)
    at_rest = f"{home}/local-etc/{path.removeprefix(local)}" if shared else site.root(name) + path
    return InJail(name, path, at_rest, home)


def _file(site: Site, service: str, uids: tuple[int, int], path: str, template: str) -> Use:
    own = site.accounts
    return use(
        accounts.configured,
        file=_in_jail(site, site.jail_of(service), path),
        uids=uids,
        template=render(
            f"web/{template}",
            user=site.services[service].user,
            children=own.children,
            guard=_GUARD,
            modules=own.modules,
            public=own.public,
            php_cgi=own.php_cgi,
            config=_SUPHP,
            uids=uids,
        ),
    )
