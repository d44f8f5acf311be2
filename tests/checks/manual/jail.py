"""A thin jail."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from operations.carried import LOCAL_ETC
from operations.command import ANY, Look
from operations.doors import Ways
from operations.jail import BASE
from rollout.site import Site
from tests.checks import test_jail


def runs(site: Site, jail: str) -> Iterator[Look]:
    yield Look(f"jls -j {jail} name", jail)


def has_its_address(site: Site, jail: str, ways: Ways | None) -> Iterator[Look]:
    first, *public = site.jails[jail].addresses
    yield Look(f"jls -j {jail} ip4.addr", f"{first}{ANY if public else ''}")


def base_is_read_only(site: Site, jail: str) -> Iterator[Look]:
    """By the mount table: a test write to a mount that is not read-only would change the host."""
    root = site.root(jail)
    awk = (
        f'$3 == "nullfs" && $4 ~ /^ro/ {{there[$2]}} '
        f'END {{n = split("{" ".join(BASE)}", want, " "); '
        f'for (i = 1; i <= n; i++) if (!(("{root}/" want[i]) in there)) print want[i]}}'
    )
    yield Look(f"mount -p | awk '{awk}'")


def has_its_mounts(site: Site, jail: str) -> Iterator[Look]:
    """Each has a line; those of the host's programs are read-only."""
    services = [site.services[each] for each in site.jails[jail].services]
    points = [path for each in services for path in (*each.data, *each.logs)]
    points += [each.point for each in site.mounts(jail)]
    root = site.root(jail)
    for point in points:
        yield Look(
            f"mount -p | awk '$2 == \"{root}{point}\" {{print $3, $2}}'", f"nullfs {root}{point}"
        )
    yield Look(f"mount -p | awk '$2 ~ \"^{root}/usr/local/\" {{print $3, $2}}'", ANY)


def has_mounted(site: Site, jail: str, path: str) -> Iterator[Look]:
    point = f"{site.root(jail)}{path}"
    yield Look(f"mount -p | awk '$2 == \"{point}\" {{print $3, $2}}'", f"nullfs {point}")


def has_its_configuration(site: Site, jail: str) -> Iterator[Look]:
    """Nothing is printed if the jail has each that the host has."""
    paths = [
        path for each in site.jails[jail].services for path in site.services[each].configuration
    ]
    there = f'[ ! -e "$each" ] || jexec {jail} test -e "$each" || echo "$each"'
    yield Look(f"sh -c 'for each in {' '.join(paths)}; do {there}; done'")


def has_what_was_changed_on_the_host(site: Site, jail: str) -> Iterator[Look]:
    """Each of these has to be the same in the jail, apart from addresses."""
    yield Look(test_jail.changed(site, jail), ANY)


def has_what_all_may_read(site: Site, jail: str) -> Iterator[Look]:
    """Files that were adapted to the jail differ, and do not count."""
    services = [site.services[name] for name in site.jails[jail].services]
    adapted = [path for each in services for path in each.configuration]
    adapted += [path for each in site.services.values() for path in each.data]
    known = " ".join(
        f"-e ' [.]{path.removeprefix(LOCAL_ETC)}/'"
        for path in adapted
        if path.startswith(LOCAL_ETC)
    )
    there = f"jexec {jail} sh -c {quote(test_jail.SUMS)}"
    yield Look(
        f"{{ {there}; {there}; ({test_jail.SUMS}); }} | sort | uniq -u | "
        f"grep -v -e '[.]/php' {known}"
    )


def has_what_is_mounted_below(site: Site, jail: str) -> Iterator[Look]:
    services = [site.services[each] for each in site.jails[jail].services]
    shown = {path: path for each in services for path in (*each.data, *each.logs)}
    shown |= {each.source: each.point for each in site.mounts(jail)}
    for source, target in shown.items():
        count = "mount -p | awk -v at=$(realpath %s)/ 'index($2, at) == 1' | wc -l"
        there = f"{site.root(jail)}{target}"
        yield Look(f"[ $({count % source}) = $({count % there}) ] && echo the same", "the same")


def gives_no_rights_by_programs(site: Site, jail: str) -> Iterator[Look]:
    for _, point in site.nosuid(jail):
        at = f"{site.root(jail)}{point}"
        yield Look(
            f'mount -p | awk \'$2 == "{at}" {{print $4 ~ /nosuid/ ? "nosuid" : $4}}\'', "nosuid"
        )


def has_no_passwords(site: Site, jail: str) -> Iterator[Look]:
    yield Look(f"jexec {jail} awk -F: '$2 != \"*\" {{print $1}}' /etc/master.passwd")


def finds_names_as_the_host(site: Site, jail: str) -> Iterator[Look]:
    other = "cat /etc/hosts /etc/resolv.conf 2>/dev/null | awk '$1 !~ /^(#|nameserver)/ && NF > 1'"
    words = (
        f"{other} | tr -s ' \\t' '\\n\\n' | grep '[a-zA-Z]' | sort -u | while read -r word; do "
        f'jexec {jail} grep -qiwF -e "$word" /etc/hosts /etc/resolv.conf </dev/null '
        '|| echo "$word"; done'
    )
    yield Look(words)


def reaches_localhost_of_the_host(site: Site, jail: str, service: str) -> Iterator[Look]:
    for port in site.services[service].tcp_ports:
        ask = f"nc -z -w 10 127.0.0.1 {port}"
        yield Look(f"if {ask}; then jexec {jail} {ask} && echo the same; fi", "the same")


def starts_at_boot(site: Site, jail: str) -> Iterator[Look]:
    yield Look("sysrc -n jail_enable jail_list", f"YES {ANY}{jail}{ANY}")


def waits_for_the_rules(site: Site, jail: str, ready: str) -> Iterator[Look]:
    yield Look(f"grep -cF '{ready}' /etc/jail.conf.d/{jail}.conf", "1")
    yield Look(f"{ready} && echo ready", "ready")


def has_the_time_of_the_host(site: Site, jail: str) -> Iterator[Look]:
    asked = "date +%z; cat /etc/nsswitch.conf 2>/dev/null"
    yield Look(f'[ "$({asked})" = "$(jexec {jail} sh -c \'{asked}\')" ] && echo same', "same")
