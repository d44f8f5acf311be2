"""Is this the server that the site file describes, and is it healthy?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from shlex import quote

from operations import named, rc
from operations.command import ANY, Look
from operations.doors import Ways
from rollout.site import Site


def host_runs_a_supported_freebsd(site: Site) -> Iterator[Look]:
    yield Look("uname -sr", f"FreeBSD 1{ANY}")


def login_is_root(site: Site) -> Iterator[Look]:
    yield Look("id -u", "0")


def host_has_the_wan_address(site: Site) -> Iterator[Look]:
    address = site.host.wan_address
    yield Look(
        f"ifconfig {site.host.wan_interface} | grep -w 'inet {address}'", f"inet {address} {ANY}"
    )


def host_has_the_public_addresses_of_jails(site: Site) -> Iterator[Look]:
    wanted = [each for jail in site.jails.values() for each in jail.public_addresses]
    for address in wanted or [site.host.wan_address]:
        yield Look(f"ifconfig -a | grep -w 'inet {address}'", f"inet {address} {ANY}")


def path_of_the_jails_has_no_links(site: Site) -> Iterator[Look]:
    """Of the directories above it, the nearest that is there."""
    above = " ".join([site.base.jails, *map(str, PurePosixPath(site.base.jails).parents)])
    same = '[ "$(realpath "$at")" = "$at" ]'
    yield Look(
        f'for at in {above}; do if [ -d "$at" ]; then {same} && echo same; break; fi; done', "same"
    )


def network_of_jails_is_free(site: Site) -> Iterator[Look]:
    """Nothing else may have an address in the network of the jails."""
    start = ".".join(str(site.lan.network.network_address).split(".")[:2]).replace(".", "[.]")
    yield Look(
        f"{{ netstat -rn -f inet; jls ip4.addr; }} | grep '^ *{start}[.]' | "
        f"grep -vw {site.lan.interface}"
    )


def kernel_takes_changes(site: Site) -> Iterator[Look]:
    yield Look("sysctl -n kern.securelevel | grep '^[1-9]'")
    yield Look("sysrc -n kern_securelevel_enable 2>/dev/null | grep -i yes")


def file_systems_below_come_at_boot(site: Site) -> Iterator[Look]:
    """Of the file systems below what jails mount, those that fstab does not mount; ZFS does so."""
    below = "|".join(
        dict.fromkeys(each.source for jail in site.built for each in site.mounts(jail))
    )
    yield Look(
        f'mount -p | awk \'$2 ~ "^({below})/" && $3 != "zfs" {{print $2}}\' | while read -r at; do '
        "awk '$4 !~ /noauto/ {print $2}' /etc/fstab | grep -qxF $at || echo $at; done"
    )


def file_systems_come_at_boot(site: Site) -> Iterator[Look]:
    """Each of those that hold data must have a line, without noauto; ZFS mounts its own."""
    places = [each.source for jail in site.built for each in site.mounts(jail)]
    for name in (each for jail in site.built for each in site.jails[jail].services):
        places += [*site.services[name].data, *site.services[name].logs]
    yield Look(
        f"for at in $(df {' '.join(dict.fromkeys(places))} 2>/dev/null | "
        "awk 'NR > 1 {print $NF}' | sort -u); do mount -p | grep -q \"$at[[:space:]]*zfs\" || "
        "awk '$4 !~ /noauto/ {print $2}' /etc/fstab | grep -qxF $at || echo $at; done"
    )


def configuration_has_no_flags(site: Site) -> Iterator[Look]:
    services = [site.services[name] for jail in site.built for name in site.jails[jail].services]
    places = [path for each in services for path in (*each.configuration, *each.log_files)]
    words = " ".join(map(quote, dict.fromkeys(["/etc", "/usr/local/etc", *places])))
    flags = "schg,uchg,sappnd,uappnd,sunlnk,uunlnk"
    yield Look(f"find -H -x {words} -flags +{flags} 2>/dev/null")


def rules_of_the_host_let_ours_work(site: Site, ways: Ways) -> Iterator[Look]:
    """These pages are for a host whose ipfw has no rules of its own; others need a plan."""
    yield Look("ipfw list 2>/dev/null | grep -v '^65535 '")


def firewall_of_the_host_is_in_force(site: Site) -> Iterator[Look]:
    yield Look("sysctl -n net.inet.ip.fw.enable 2>/dev/null | grep -vx 1")
    yield Look("! kldstat -q -m pf || pfctl -s info 2>/dev/null | grep Enabled")
    yield Look("! kldstat -q -m ipfilter || ipf -V | grep 'Running: yes'")
    yield Look("sysrc -qin pf_enable ipfilter_enable ipnat_enable | grep -i yes")


def ports_are_forwarded_where_the_daemon_listens(
    site: Site, service: str, ways: Ways
) -> Iterator[Look]:
    """Each address of the host but loopback ones and the jails'."""
    wanted = site.services[service].addresses or (site.host.wan_address,)
    port = next((each.port for each in site.services[service].ports if each.public), 0)
    at = "|".join(str(each).replace(".", "[.]") for each in wanted)
    yield Look(
        f"sockstat -4lq -j 0 -p {port} | awk '$6 !~ /^(127[.]|([*]|{at}):)/'",
    )


def rcvar_is_what_the_script_reads(site: Site, service: str) -> Iterator[Look]:
    wanted = site.services[service]
    yield Look(f"service {wanted.rc} rcvar | grep '^{wanted.rcvar}='", f"{wanted.rcvar}={ANY}")


def daemon_is_enabled(site: Site, service: str) -> Iterator[Look]:
    yield Look(f"service {site.services[service].rc} enabled && echo yes", "yes")


def daemon_reads_the_usual_configuration(site: Site, service: str) -> Iterator[Look]:
    """No option for another file, and no list of several daemons."""
    name = site.services[service].rcvar.removesuffix("_enable")
    yield Look(
        f"sysrc -qin {name}_profiles {name}_config; sysrc -qin {name}_flags | grep -e -[fdCc]"
    )


def daemon_is_set_by_variables_alone(site: Site, service: str) -> Iterator[Look]:
    yield Look(rc.statements(site.services[service].rcvar))


def daemon_uses_the_first_routing_table(site: Site, service: str) -> Iterator[Look]:
    name = site.services[service].rcvar.removesuffix("_enable")
    yield Look(f"sysrc -qin {name}_fib | grep -vxE '0|NONE'")


def daemon_needs_no_right_that_jails_lack(site: Site, service: str) -> Iterator[Look]:
    name = site.services[service].rcvar.removesuffix("_enable")
    yield Look(f"sysrc -qin {name}_nice {name}_oomprotect | grep -ix -e '-.*' -e yes -e all")


def daemon_runs_as_an_account_of_its_jail(site: Site, service: str) -> Iterator[Look]:
    """The accounts of its processes that its jail will not have."""
    low, high = site.jails[site.jail_of(service)].uids or (1, 0)
    ports = ",".join(str(each.port) for each in site.services[service].ports)
    yield Look(
        f"sockstat -46lq -j 0 -p {ports} | awk '{{print $1}}' | sort -u | xargs -n 1 id -u "
        f"2>/dev/null | awk '$1 >= 1000 && $1 < 65530 && ($1 < {low} || $1 > {high})'"
    )


def daemon_is_in_no_service_jail(site: Site, service: str) -> Iterator[Look]:
    name = site.services[service].rcvar.removesuffix("_enable")
    yield Look(f"jls -j svcj-{name} jid 2>/dev/null")
    yield Look(f"sysrc -qin {name}_svcj svcj_all_enable | grep -i yes")


def socket_is_the_daemons(site: Site, service: str) -> Iterator[Look]:
    yield Look(f"[ -S {site.services[service].socket} ] && echo a socket", "a socket")


def daemon_listens_on_its_ports(site: Site, service: str) -> Iterator[Look]:
    for listen in site.services[service].ports:
        yield Look(
            f"sockstat -46lq -j 0 -P {listen.proto} -p {listen.port}", f"{ANY}:{listen.port} {ANY}"
        )


def public_ports_answer_here(site: Site, service: str) -> Iterator[Look]:
    wan = site.host.wan_address
    for listen in site.services[service].ports:
        if listen.public and listen.proto == "tcp":
            yield Look(f"nc -z -w 5 {wan} {listen.port} && echo yes", "yes", "elsewhere")
        elif listen.public:
            yield Look(f"host -t SOA {listen.name or '.'} {wan}", f"{ANY} SOA {ANY}", "elsewhere")


def all_ports_are_in_the_site_file(site: Site, service: str) -> Iterator[Look]:
    """That by which rndc(8) controls named does not count: it is typed in the jail then."""
    first, known = site.services[service].ports[0], [*map(str, site.tcp_ports)]
    if service == "bind":
        known.append(str(named.CONTROL))
    pid = f"sockstat -46lq -j 0 -P {first.proto} -p {first.port} | awk 'NR == 1 {{print $3}}'"
    rest = f"$3 == pid && $6 !~ /^::1:|:([*]|{'|'.join(known)})$/"
    yield Look(f"sockstat -46lq -j 0 -P tcp | awk -v pid=$({pid}) '{rest}'")


def daemon_serves_no_ipv6_clients(site: Site, service: str) -> Iterator[Look]:
    """Either the server has no public IPv6 address, or the daemon does not listen on it."""
    ports = ",".join(str(listen.port) for listen in site.services[service].ports if listen.public)
    public = f"ifconfig {site.host.wan_interface} | grep inet6 | grep -qv fe80:"
    yield Look(f"if {public}; then sockstat -6lq -p {ports or 0}; fi")


def file_system_has_room(site: Site, directory: str) -> Iterator[Look]:
    wanted = site.run.free_space_mib * 1024
    answer = f'END {{print ($4 >= {wanted}) ? "enough" : "too little"}}'
    yield Look(f"df -k {directory} | awk '{answer}'", "enough")


def configuration_is_valid(site: Site, service: str) -> Iterator[Look]:
    yield Look(f"{site.services[service].configtest} >/dev/null && echo right", f"{ANY}right")


def configuration_exists(site: Site, path: str) -> Iterator[Look]:
    yield Look(f"ls -d {path}", path)


def links_in_data_lead_into_the_jail(site: Site, service: str) -> Iterator[Look]:
    """Links to other directories that the jail mounts need no care."""
    yield Look(f"find -H {' '.join(map(quote, site.services[service].data))} -type l")


def links_in_configuration_lead_into_the_jail(site: Site, service: str) -> Iterator[Look]:
    """Links within the configuration need no care."""
    places = " ".join(map(quote, site.services[service].configuration))
    yield Look(f"find -H {places} -type l -ls | grep -e '-> /'")


def mount_source_exists(site: Site, jail: str, path: str) -> Iterator[Look]:
    yield Look(f"[ -d {path} ] && echo a directory", "a directory")


def no_program_loses_its_rights(site: Site, jail: str, path: str) -> Iterator[Look]:
    yield Look(f"find -x {path} -type f \\( -perm -4000 -o -perm -2000 \\)")


def name_of_jail_is_free(site: Site, jail: str) -> Iterator[Look]:
    own = f"/etc/jail.{jail}.conf /etc/jail.conf.d/{jail}.conf {site.base.jails}/{jail}"
    yield Look(f"jls -j {jail} path 2>/dev/null; ls -d {own} 2>/dev/null")
    yield Look(f"grep -w {jail} /etc/jail.conf 2>/dev/null; grep -s '^jail_{jail}_' /etc/rc.conf")
