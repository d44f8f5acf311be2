"""What Apache's configuration names is in the jail."""

from __future__ import annotations

from collections.abc import Iterator

from operations import apache
from operations.command import Look
from operations.jail import PROGRAMS
from rollout.site import Site
from tests.checks import test_web


def named_paths_are_in_the_jail(site: Site, service: str) -> Iterator[Look]:
    """By all files, loaded or not: a person sees which count."""
    places = "|".join(f"{each}/?" for each in (*site.paths(site.jail_of(service)), *PROGRAMS))
    named = '^[^#]*(DocumentRoot|Auth(User|Group)File|Alias|Certificate|Log|unix:)[^#]*[ ":]/'
    skip = f'[ ":](/home/|/usr/home/|/var/log/|{places})'
    where = " ".join(site.services[service].configuration)
    yield Look(f"find -H {where} -type f -exec grep -hIsE '{named}' {{}} + | grep -vE '{skip}'")


def scripts_find_what_is_beside_them(site: Site, service: str) -> Iterator[Look]:
    """Of each of these, the directory above must be in the jail, if scripts in it use ../"""
    where = " ".join(site.services[service].configuration)
    known = " ".join(f"-e {each}" for each in (*site.services[service].data, "/home/"))
    yield Look(
        f"find -H {where} -type f -exec grep -hisE '^[[:space:]]*(DocumentRoot|ScriptAlias)"
        f"[[:space:]]' {{}} + | awk '{{print $NF}}' | tr -d '\"' | grep -v {known}"
    )


def links_to_pages_lead_into_the_jail(site: Site, service: str) -> Iterator[Look]:
    """Links to other directories that the jail mounts need no care."""
    lowest, highest = site.jails[site.jail_of(service)].uids or (1, 0)
    homes = f"awk -F: '$3 >= {lowest} && $3 <= {highest} {{print $6}}' /etc/passwd"
    yield Look(f"find -H $({homes} | sed 's,$,/{site.accounts.public},') -maxdepth 4 -type l -ls")


def local_backends_are_reached(site: Site, service: str) -> Iterator[Look]:
    """By all files, too."""
    named = "^[^#]*[^|]://(127[.]|localhost)"
    where = " ".join(site.services[service].configuration)
    yield Look(f"find -H {where} -type f -exec grep -hIsE '{named}' {{}} +")


def named_accounts_are_in_the_jail(site: Site, service: str) -> Iterator[Look]:
    """By all files; the uids are printed that the jail does not get."""
    lowest, highest = site.jails[site.jail_of(service)].uids or (1, 0)
    where = " ".join(site.services[service].configuration)
    fpm = " ".join(path for each in site.companions(service) for path in each.configuration)
    named = "'^[[:space:]]*(SuexecUserGroup|AssignUserID|RUidGid|suPHP_UserGroup|user *=)'"
    only = f"$1 >= 1000 && $1 < 65530 && ($1 < {lowest} || $1 > {highest})"
    yield Look(
        f"find -H {where} {fpm} -type f -exec grep -hisE {named} {{}} + 2>/dev/null | "
        "sed 's/.*= *//' | awk '{print $NF}' | sort -u | xargs -n 1 id -u 2>/dev/null | "
        f"awk '{only}'"
    )


def kernel_gives_the_jail_the_same(site: Site, service: str) -> Iterator[Look]:
    """What it prints needs a line in jails.NAME.parameters: sysvshm = "new", and so on."""
    where = " ".join(site.services[service].configuration)
    said = "'^[[:space:]]*(BalancerMember|<Proxy balancer:|Mutex sysvsem)'"
    given = site.jails[site.jail_of(service)].parameters
    if "sysvshm" not in given:
        yield Look(f"find -H {where} -type f -exec grep -isE {said} {{}} +")
        yield Look(test_web.OF_PHP)
    yield Look(
        test_web.MOUNTED + "".join(f" | grep -v {each}" for each in given if "mount." in each)
    )


def no_page_asks_the_system_for_passwords(site: Site, service: str) -> Iterator[Look]:
    where = " ".join(site.services[service].configuration)
    named = "'^[[:space:]]*(DefineExternalAuth|AddExternalAuth|AuthPAM)'"
    yield Look(f"find -H {where} -type f -exec grep -isE {named} {{}} +")


def files_beside_pages_name_what_the_jail_has(site: Site, service: str) -> Iterator[Look]:
    """Of accounts' pages; those of virtual hosts elsewhere are looked through alike."""
    lowest, highest = site.jails[site.jail_of(service)].uids or (1, 0)
    homes = f"awk -F: '$3 >= {lowest} && $3 <= {highest} {{print $6}}' /etc/passwd"
    named = "'^[^#]*(File|_value|ConfigPath|=).*[ \"=]/'"
    kept = "grep -v -e /home/ -e /usr/local/www"
    yield Look(
        f"find -H $({homes} | sed 's,$,/{site.accounts.public},') -maxdepth 4 -type f "
        f"\\( -name .htaccess -o -name .user.ini \\) -exec grep -hsiE {named} {{}} + | {kept}"
    )


def jail_sends_the_same_pages(site: Site, service: str) -> Iterator[Look]:
    """By the files that define virtual hosts: a person asks for / of each name."""
    jail, wan = site.jails[site.jail_of(service)].address, site.host.wan_address
    where = " ".join(site.services[service].configuration)
    names = (
        f"find -H {where} -type f -exec grep -hisE '^[[:space:]]*Server(Name|Alias)' {{}} + "
        "| awk '{for (i = 2; i <= NF; i++) print $i}' | sort -u"
    )
    ask = "printf 'GET / HTTP/1.0\\r\\nHost: %s\\r\\n\\r\\n' $name |"
    body = "sed '1,/^.$/d' | sha256 -q"
    for each in site.services[service].pages:
        way = f"nc -w 10 % {each.port}"
        if each.has_certificate:
            way = f"openssl s_client -quiet -connect %:{each.port} -servername $name 2>/dev/null"
        hosts, jails = (f"{ask} {way.replace('%', str(at))} | {body}" for at in (wan, jail))
        yield Look(
            f'for name in $({names}); do [ "$({hosts})" = "$({jails})" ] || echo $name; done'
        )


def no_sessions_are_in_tmp(_: Site) -> Iterator[Look]:
    yield Look(test_web.SESSIONS)


def jail_has_what_is_named(site: Site, service: str) -> Iterator[Look]:
    """Only the lines that Apache loads are checked by a run; a sample is missing on both sides."""
    jail = site.jail_of(service)
    wanted = f"find -H {' '.join(site.services[service].configuration)} -type f -exec grep -hisE"
    directive = f"'^[[:space:]]*({'|'.join(apache.ARGUMENT)})[[:space:]]'"
    paths = "grep -o '/[^ \"]*' | sort -u"
    each = f"if [ -d $path ]; then jexec {jail} test -e $path || echo $path; fi"
    yield Look(f"for path in $({wanted} {directive} {{}} + | {paths}); do {each}; done")
