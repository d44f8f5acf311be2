"""Preflight: is this the server that the site file describes, and is it healthy? Checks only."""

from __future__ import annotations

import importlib
from dataclasses import replace

from operations.doors import Ways
from rollout.plan.step import Check, Step, check
from rollout.site import Site
from steps import described, disk, egress, forward, submission

REQUIRES: tuple[str, ...] = ()


def _more(site: Site, name: str) -> tuple[Check, ...]:
    """What a subject has checked besides before anything begins: its own `preflight`."""
    subject = described.subjects(site).get(name) or importlib.import_module(f"steps.{name}")
    return subject.preflight(site) if hasattr(subject, "preflight") else ()


_OF_THE_HOST = (
    "preflight::host_runs_a_supported_freebsd",
    "preflight::login_is_root",
    "preflight::host_has_the_wan_address",
    "preflight::firewall_of_the_host_is_in_force",
    "network::addresses_of_rc_conf_are_up",
    "service::runs_on_host",
    "service::presents_the_same_certificate",
    "preflight::daemon_listens_on_its_ports",
    "preflight::public_ports_answer_here",
    "preflight::socket_is_the_daemons",
    "preflight::configuration_exists",
    "preflight::configuration_is_valid",
)
"""What a rollback asks, too: whether the host serves again. The others judge what could move, and
read what a jail's attacker, and people, have written meanwhile: a link in the data had a rollback
end stuck.
"""


_MOMENT = (
    check("moment::nothing_copies_or_upgrades_files_now"),
    check("moment::no_restart_is_pending"),
    check("moment::release_gets_patches"),
    check("moment::no_file_system_is_nearly_full"),
)


def steps(site: Site) -> tuple[Step, ...]:
    checks: list[Check] = [
        check("preflight::host_runs_a_supported_freebsd", first=True),
        check("preflight::login_is_root", first=True),
        check("preflight::host_has_the_wan_address"),
        check("preflight::host_has_the_public_addresses_of_jails"),
        check("preflight::path_of_the_jails_has_no_links"),
        check("preflight::network_of_jails_is_free"),
        check("network::addresses_of_rc_conf_are_up"),
        check("preflight::kernel_takes_changes"),
        check("preflight::file_systems_come_at_boot"),
        check("boot::jails_are_on_a_disk"),
        check("boot::rc_conf_decides"),
        check("boot::rules_are_flushed_by_rc_alone"),
        check("boot::backups_do_not_read_jails_again"),
        check("logs::messages_are_syslogds"),
        check("preflight::configuration_has_no_flags", until=_until_all_moved(site)),
        # For the journal; and whatever a jail writes until nothing is left is told in time.
        check("preflight::file_system_has_room", directory="/var/db"),
        check("preflight::firewall_of_the_host_is_in_force"),
        check("preflight::rules_of_the_host_let_ours_work", ways=_ways(site)),
    ]
    for name in site.order:
        checks += _more(site, name)
        if name in site.services:
            checks += of_service(site, name, until=f"{name}.cutover")
    checks += [
        check("preflight::name_of_jail_is_free", until=site.first_step(jail), jail=jail)
        for jail in site.built
    ]
    checks += _limits(site)
    checks += disk.preflight(site)
    if not site.lan.resolvers:
        checks.append(check("recursion::name_servers_are_of_ipv4"))
        if "bind" in site.order:
            checks.append(check("recursion::localhost_is_the_one_that_moves"))
    if "bind" not in site.order and not site.lan.resolvers:
        checks.append(check("recursion::is_allowed_to_jails"))
    checks += submission.preflight(site)
    checks += _mounts(site)
    checks += _nosuid(site)
    checks += _accounts(site)
    return (
        Step(
            name="preflight",
            does="check the host; changes nothing",
            why="Nothing is started on a server that differs from the site file or is not healthy.",
            operations=(),
            checks=tuple(replace(each, ahead=each.test not in _OF_THE_HOST) for each in checks),
            finds=_MOMENT,
        ),
    )


def _until_all_moved(site: Site) -> str | None:
    moved = [name for name in site.order if name in site.services]
    return f"{moved[-1]}.retire" if moved else None


def of_service(site: Site, name: str, until: str) -> list[Check]:
    """Of a daemon that moves in the step `until`: whether the site file says what it is."""
    service = site.services[name]
    tests = [
        "service::runs_on_host",
        *(["service::companions_run_on_host"] if site.companions(name) else []),
        "preflight::daemon_is_in_no_service_jail",
        "preflight::rcvar_is_what_the_script_reads",
        "preflight::daemon_is_enabled",
        "preflight::daemon_reads_the_usual_configuration",
        "preflight::daemon_is_set_by_variables_alone",
        "preflight::daemon_uses_the_first_routing_table",
        "preflight::daemon_needs_no_right_that_jails_lack",
        "preflight::daemon_runs_as_an_account_of_its_jail",
        "needs::are_met",
        "preflight::daemon_listens_on_its_ports",
        "preflight::public_ports_answer_here",
        "preflight::all_ports_are_in_the_site_file",
        "preflight::daemon_serves_no_ipv6_clients",
        *(["preflight::socket_is_the_daemons"] if service.socket else []),
        *(["preflight::configuration_is_valid"] if service.configtest else []),
    ]
    checks = [check(test, until=until, service=name) for test in tests]
    checks.append(
        check(
            "preflight::ports_are_forwarded_where_the_daemon_listens",
            until=until,
            service=name,
            ways=forward.ways(site, name),
        )
    )
    if service.log_files or service.logs or service.data:
        checks.append(check("logs::patterns_are_of_one_service", until=until, service=name))
    if any(listen.has_certificate for listen in service.ports):
        checks.append(check("service::presents_the_same_certificate", service=name))
    checks += [
        check("preflight::file_system_has_room", until=until, directory=path)
        for path in service.data
    ]
    checks += [
        check("preflight::configuration_exists", until=until, path=path)
        for path in service.configuration
    ]
    links = [
        *(
            ["preflight::links_in_configuration_lead_into_the_jail"]
            if service.configuration
            else []
        ),
        *(["preflight::links_in_data_lead_into_the_jail"] if service.data else []),
    ]
    return checks + [check(test, until=until, service=name) for test in links]


def _ways(site: Site) -> Ways:
    """All that leads into jails and out of them in this order."""
    moved = [name for jail in site.built for name in site.jails[jail].services]
    into = [way for name in moved for way in forward.ways(site, name).each]
    out = egress.ways(site).each if "egress" in site.order else ()
    each = (*into, *forward.answers_ways(site).each, *out)
    return Ways("all services", each, forward.beside(site))


def _mounts(site: Site) -> list[Check]:
    """The host has what jails mount, but for what is in the tree of another jail."""
    trees = [f"{site.root(name)}/" for name in site.built]
    return [
        check("preflight::mount_source_exists", jail=name, path=each.source)
        for name in site.built
        for each in site.mounts(name)
        if not any(each.source.startswith(tree) for tree in trees)
    ]


def _nosuid(site: Site) -> list[Check]:
    """Nothing in what a jail mounts without set-uid bits needs them."""
    trees = [f"{site.root(name)}/" for name in site.built]
    return [
        check(
            "preflight::no_program_loses_its_rights",
            until=f"{site.builder(name)}.jail",
            jail=name,
            path=source,
        )
        for name in site.built
        for source, _ in site.nosuid(name)
        if not any(source.startswith(tree) for tree in trees)
    ]


def _limits(site: Site) -> list[Check]:
    """What the kernel must be able to do for `limits`, and that nobody else limits these jails."""
    ruled = [name for name in site.built if site.jails[name].limits.rules(name)]
    roomy = [n for n in ruled if site.jails[n].limits.processes or site.jails[n].limits.memory]
    bound = [name for name in site.built if site.jails[name].limits.cpus]
    return [
        *([check("limits::can_be_set")] if ruled else []),
        *(
            check("limits::are_not_set_by_others", until=f"{site.builder(name)}.jail", jail=name)
            for name in ruled
        ),
        *(
            check(
                "limits::leave_room_for_what_runs_now",
                until=f"{site.builder(name)}.jail",
                jail=name,
            )
            for name in roomy
        ),
        *(check("limits::host_has_the_cpus", jail=name) for name in bound),
    ]


def _accounts(site: Site) -> list[Check]:
    """For each uid range of a jail that a service in `order` moves into.

    Files that Cellblock writes have a part for each account: it needs a name for it, and a home.
    """
    jails = [site.jails[site.jail_of(name)] for name in site.order if name in site.services]
    ranges = dict.fromkeys(jail.uids for jail in jails if jail.uids is not None)
    parts = site.accounts.handler or {"mysql_by_name", "mysql_quota", "mac"} & {*site.order}
    named = ("have_a_uid_of_their_own", "have_plain_names", "have_homes") if parts else ()
    questions = ("are_there", "are_in_passwd", *named)
    return [check(f"accounts::{each}", uids=uids) for uids in ranges for each in questions]
