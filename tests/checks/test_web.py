"""What Apache's configuration names is in the jail: pages, passwords, logs, certificates, PHP."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from operations import apache, php
from operations.carried import LOCAL_ETC, Ask, Further, has_space, is_in
from operations.companion import Enabled
from operations.facts import Rotated
from operations.jail import PROGRAMS
from operations.needs import Listener
from rollout.site import Site, allowing
from steps.carriers import FRESH
from tests.checks import arrived, leading, outsiders
from tests.checks.asking import acting_as

_PAGES = Path(__file__).with_name("pages.sh")
SESSIONS = "find -x /tmp /var/tmp -name 'sess_*' -type f -mtime -1 | head -n 1"
_SAMPLE = 100  # pages besides those of each virtual host


def test_named_paths_are_in_the_jail(host: Any, ask: Ask, site: Site, service: str) -> None:
    """By a mount, as a copy, or brought along; else the place that names them is told."""
    jail, further = site.jail_of(service), _further(site, service)
    lost = [f"{each.said}: {each.path}{_odd(each.path)}" for each in further.lost(ask)]
    if pools := _pools(host, ask, site, service):
        lost = [each for each in lost if each.rpartition(" ")[2] not in pools]
    assert not lost, (
        f"services.{service}: jail {jail} would not have these: {'; '.join(lost)}: add each to "
        f"services.{service}.configuration (is copied), to services.{service}.data or .logs, or "
        f"its directory to jails.{jail}.mounts; the daemon of a socket, to "
        f"services.{service}.companions; or take {service} out of `order`"
    )
    places = site.services[service].configuration
    said = ask(apache.Directives, places=places)
    included = said.there.named(apache.includes(said.lines))
    unread = [f"{each.said}: {each.path}" for each in included if not is_in(each.path, places)]
    assert not unread, (
        f"services.{service}: Apache includes files that no line of services.{service}."
        f"configuration names, so Cellblock does not know what they say: {'; '.join(unread)}: add "
        f"them to services.{service}.configuration"
    )
    unclear = list(apache.unclear(said.lines))
    assert not unclear, (
        f"services.{service}: Cellblock does not know what these variables of Apache's environment "
        f"say: {'; '.join(unclear)}: write the value in their place, or a line Define NAME VALUE"
    )
    settings = ask(php.Settings, places=places)
    further_pools = php.unread(settings)
    assert not further_pools, (
        f"services.{service}: php-fpm includes pools of which Cellblock does not know what they "
        f"say: {'; '.join(further_pools)}: put them into /usr/local/etc/php-fpm.d, and include that"
    )
    logs = php.kept_logs(settings)
    assert not logs, (
        f"services.{service}: PHP could not write these in jail {jail}, where only root creates "
        f"files in /var/log: {'; '.join(logs)}: put each into a directory of its own, and name "
        f"that in services.{service}.logs"
    )
    user, group = map(quote, apache.runs_as(said.lines))
    theirs = f"\\( -user {user} -perm -0400 -o -group {group} -perm -0040 \\) ! -perm -004"
    private = host.run(f"find -x {LOCAL_ETC} -type f {theirs} 2>/dev/null").stdout.splitlines()
    moves = [path for each in site.companions(service) for path in each.configuration]
    has = (*further.there, *moves, *(each.path for each in further.copied(ask)))
    left = dict.fromkeys(_topmost(path) for path in private if not is_in(path, has))
    assert not left, (
        f"services.{service}: Apache's account may read what not everybody may, and jail {jail} "
        f"would not have it: {', '.join(left)}: if pages need it, add it to services.{service}."
        f"configuration (is copied), or to jails.{jail}.mounts, if they write to it"
    )
    shown = further.shown(ask)
    rotated = ask(Rotated, logs=[f"{each.path}/" for each in shown])
    assert not rotated, (
        f"services.{service}: the host's newsyslog rotates logs in a directory that jail {jail} "
        f"will be able to write to ({'; '.join(rotated)}): add the directory to "
        f"services.{service}.logs, so that the jail rotates them"
    )


def _topmost(path: str) -> str:
    """What of /usr/local/etc a file belongs to."""
    return f"{LOCAL_ETC}/{path.removeprefix(f'{LOCAL_ETC}/').partition('/')[0]}"


def test_local_backends_are_reached(host: Any, ask: Ask, site: Site, service: str) -> None:
    """In a jail 127.0.0.1 is the jail: who listens there must be known, and led to."""
    jail = site.jail_of(service)
    known = {str(port) for each in site.services.values() for port in each.tcp_ports}
    pools = _pools(host, ask, site, service)
    places = site.services[service].configuration
    named = apache.backends(ask(apache.Directives, places=places).lines)
    lost = [
        f"{place}: {url}"
        for url, port, place in (*named, *ask(php.Settings, places=places).backends)
        if port not in known and not re.search(rf"(?m)^\s*listen\s*=.*\b{port}\s*$", pools)
    ]
    assert not lost, (
        f"services.{service}: jail {jail} would not reach these: {'; '.join(lost)}: describe the "
        "daemon that listens there as [services.NAME], with that port, and leave NAME out of "
        f"`order`; or let it move along in services.{service}.companions"
    )
    strangers = _asked_by_others(host, site, service, pools)
    assert not strangers, (
        f"services.{service}: other programs of this host name what moves along with it, and would "
        f"find nobody there: {'; '.join(strangers)}: give them a pool of a php-fpm that stays, "
        f"take that line out if nobody reads it, or take {service} out of `order`"
    )


_LISTENS = re.compile(r"(?m)^\s*listen\s*=\s*[\"']?(/[^\s\"';]+|(?:127\.0\.0\.1:)?\d+)")


def _asked_by_others(host: Any, site: Site, service: str, pools: str) -> list[str]:
    """Where other configurations, as nginx's, name a socket or port of companions."""
    ends = [f"127.0.0.1:{each}" if each.isdigit() else each for each in _LISTENS.findall(pools)]
    words = " ".join(f"-e {quote(each)}" for each in dict.fromkeys(ends))
    rows = host.run(f"grep -D skip -rnIsF {words} {LOCAL_ETC}").stdout if ends else ""
    moves = [path for each in site.companions(service) for path in each.configuration]
    own = (*site.services[service].configuration, *moves, *php.PLACES, f"{LOCAL_ETC}/rc.d")
    told = []
    for path, number, text in (row.split(":", 2) for row in rows.splitlines() if ":" in row):
        if not is_in(path, own) and not text.lstrip().startswith(("#", ";")):
            told += [f"{path}:{number}: {each}" for each in ends if each in text][:1]
    return told


def test_named_accounts_are_in_the_jail(host: Any, ask: Ask, site: Site, service: str) -> None:
    """Of virtual hosts and of pools: a daemon does not start with an account that is not there."""
    jail, places = site.jail_of(service), site.services[service].configuration
    named = dict(apache.accounts(ask(apache.Directives, places=places).lines))
    if any(ask(Enabled, script=each.rc) for each in site.companions(service)):
        named |= dict(ask(php.Settings, places=places).accounts)
    lost = outsiders.lost(host, named, site.jails[jail].uids)
    assert not lost, (
        f"services.{service}: jail {jail} would not have these: {'; '.join(lost)}: give "
        f"jails.{jail}.uids a range that has the uid"
    )


def test_no_page_asks_the_system_for_passwords(ask: Ask, site: Site, service: str) -> None:
    """A jail's accounts have none, so everybody would be turned away."""
    jail, places = site.jail_of(service), site.services[service].configuration
    found = list(apache.system_logins(ask(apache.Directives, places=places).lines))
    assert not found, (
        f"services.{service}: Apache asks for the passwords of the system's accounts "
        f"({'; '.join(found)}), which jail {jail} does not get: keep these passwords in an "
        f"AuthUserFile, or take {service} out of `order`"
    )


_SYSV = (
    (r"(balancermember|scoreboardfile|ldapsharedcachefile)\b", "sysvshm"),
    (r"loadmodule fcgid_module\b", "sysvshm"),
    (r"mutex sysvsem\b", "sysvsem"),
)
"""What of Apache asks the kernel for System V IPC: shared memory with a name, as that of a
balancer's members, is shmget(2) on FreeBSD (mod_slotmem_shm; shmem/unix/shm.c of APR). mod_fcgid
has its table of processes there, and ends Apache without it (fcgid_proctbl_unix.c).
"""
OF_PHP = (
    "grep -D skip -rnsE '^[^;]*extension *= *[^;]*sysv(shm|sem|msg)' /usr/local/etc/php.ini "
    "/usr/local/etc/php"
)
MOUNTED = (
    'mount -p | awk \'$2 == "/dev/fd" && $3 == "fdescfs" {print $2, "mount.fdescfs"} '
    '$2 == "/proc" && $3 == "procfs" {print $2, "mount.procfs"}\''
)


def test_kernel_gives_the_jail_the_same(host: Any, ask: Ask, site: Site, service: str) -> None:
    """A jail gets no System V IPC, and neither fdescfs(5) nor procfs(5), unless it is told to."""
    jail, places = site.jail_of(service), site.services[service].configuration
    needs: dict[str, str] = {}
    for line in ask(apache.Directives, places=places).lines:
        words = " ".join(line.words)
        for pattern, parameter in _SYSV:
            if re.match(pattern, words, re.IGNORECASE):
                needs.setdefault(parameter, f"{line.place}: {words}")
    for row in host.run(OF_PHP).stdout.splitlines():
        place, _, name = row.rpartition("sysv")
        needs.setdefault(f"sysv{name[:3]}", f"{':'.join(place.split(':')[:2])}: sysv{name[:3]}")
    for row in host.run(MOUNTED).stdout.splitlines():
        point, parameter = row.split()
        needs[parameter] = f"{point} is mounted, for programs (mount -p)"
    given = site.jails[jail].parameters
    lost = {
        name: said
        for name, said in needs.items()
        if name not in given and not (name.startswith("sysv") and "allow.sysvipc" in given)
    }
    line = ", ".join(
        f"{name if '.' not in name else f'{chr(34)}{name}{chr(34)}'} = "
        f'"{"new" if name.startswith("sysv") else 1}"'
        for name in lost
    )
    assert not lost, (
        f"services.{service}: {'; '.join(f'{said} ({name})' for name, said in lost.items())}: the "
        f"kernel gives a jail none of these unless it is told to: jails.{jail}.parameters = "
        f'{{ {line} }} (see jail(8)), or with "disable", and 0 for a mount, if no page needs it'
    )


_DEEP = 4  # directories below each that Apache serves
_OWN_FILES = r"\( -name .htaccess -o -name .user.ini \)"
_SITES_FILES = (
    *("config.php", "config.inc.php", "settings.php", "settings.local.php", "wp-config.php"),
    *("LocalSettings.php", "configuration.php", "env.php", "local.php", ".env"),
)
"""Where sites say where their data is: Nextcloud, Moodle, Drupal, MediaWiki, Matomo and others."""
_SAID_THERE = "^[[:space:]]*[^#/*;[:space:]].*[=>,(][[:space:]]*[\"']?/[A-Za-z0-9_.]"
_ASKED_THERE = "(localhost|127[.]0[.]0[.]1):[0-9]+"
_ROOTS = ("/bin", "/etc", "/home", "/media", "/mnt", "/opt", "/root", "/usr", "/var")
"""These alone are no place for data: such a word is a URL's, or of a search."""
_NAMING = (
    "^[[:space:]]*(Auth[A-Za-z]*File|suPHP_ConfigPath|SetEnv[[:space:]]+[A-Za-z_]+"
    "|php_(admin_)?value[[:space:]]+[a-z_.]+|[a-z_.]+[[:space:]]*=)[[:space:]]*"
    "[\"']?[^[:space:]]*/"
)


def test_files_beside_pages_name_what_the_jail_has(
    host: Any, ask: Ask, site: Site, service: str
) -> None:
    """.htaccess and .user.ini, which Apache and PHP read at each request, are read as Apache's own
    account does: a page whose password file is not there answers 500.
    """
    jail, table = site.jail_of(service), site.services[service]
    lines = ask(apache.Directives, places=table.configuration).lines
    further = _further(site, service)
    brought = [each.path for each in (*further.copied(ask), *further.shown(ask))]
    has = (*PROGRAMS, *FRESH, *site.paths(jail), *brought)
    places = [path for path, _ in apache.pages(lines)]
    served = f"{_served(site, service, places, lines)} {_REAL}"
    find = f'find -H "$@" -maxdepth {_DEEP} -type f {_OWN_FILES}'
    find += f" -exec grep -nHsiE {quote(_NAMING)} {{}} +"
    names = " -o ".join(f"-name {each}" for each in _SITES_FILES)
    data = " ".join(map(quote, table.data))
    find += f'; find -H "$@" {data} -maxdepth {_DEEP} -type f -size -128 \\( {names} \\)'
    find += f" -exec grep -nHsE {quote(_SAID_THERE)} {{}} +"
    find += f" -exec grep -noHsE {quote(_ASKED_THERE)} {{}} +"
    asked = f"{{ {served}; }} | sort -u | tr '\\n' '\\0' | xargs -0r sh -c {quote(find)} sh; echo ="
    user, group = apache.runs_as(lines)
    said = host.run(acting_as(user, asked, group=group))
    assert said.stdout.endswith("=\n"), (
        f"the .htaccess files could not be read as {user}: {said.stderr.strip()[-300:]}"
    )
    named = dict(apache.beside_pages(said.stdout.splitlines()))
    has = (*has, "/etc", LOCAL_ETC)  # its own; and what pages may read is copied
    away = [path for path in named if not is_in(path, has) and path not in _ROOTS]
    words = " ".join(map(quote, away))
    exists = f'for each in {words}; do [ ! -e "$each" ] || echo "$each"; done'
    there = host.check_output(exists).splitlines() if away else []
    lost = [f"{named[path]}: {path}" for path in there]
    assert not lost, (
        f"services.{service}: files beside pages name what jail {jail} will not have "
        f"({leading.told(lost)}): add the directories to jails.{jail}.mounts, or the file to "
        f"services.{service}.configuration"
    )
    denied = _denied(said.stdout.splitlines(), site, jail)
    assert not denied, (
        f"services.{service}: sites ask daemons to which [policy] does not let jail {jail} "
        f"connect: {'; '.join(denied)}"
    )


def _denied(rows: Sequence[str], site: Site, jail: str) -> list[str]:
    """Of FILE:NUMBER:127.0.0.1:PORT, as of a webmail's settings: those of services elsewhere."""
    told: dict[str, str] = {}
    for row in rows:
        found = re.fullmatch(rf"(/.+?:\d+):({_ASKED_THERE})", row)
        port = int(found[2].rpartition(":")[2]) if found else 0
        to = site.served.get((port, "tcp"), jail)
        if found and not site.lets(jail, to, port, "tcp"):
            line = allowing(jail, to, f"{port}/tcp")
            told.setdefault(line, f"{found[1]}: {found[2]}: add {line} to `allow` there")
    return list(told.values())


_REAL = '[ ! -d "$each" ] || { cd -P -- "$each" && echo "$PWD"; }; done'


def test_links_to_pages_lead_into_the_jail(host: Any, ask: Ask, site: Site, service: str) -> None:
    """What Apache serves: the directories that it names, and those of accounts. A link that nobody
    serves, elsewhere in a home, does not count.
    """
    jail, table = site.jail_of(service), site.services[service]
    lines = ask(apache.Directives, places=table.configuration).lines
    further = _further(site, service)
    brought = [each.path for each in (*further.copied(ask), *further.shown(ask))]
    has = (*PROGRAMS, *FRESH, *site.paths(jail), *brought)
    places = [path for path, _ in apache.pages(lines) if not is_in(path, table.data)]
    real = host.check_output(f"{_served(site, service, places, lines)} {_REAL}").splitlines()
    lost = [f"{each} is served" for each in real if not is_in(each, has)]
    inside = " ".join(map(quote, dict.fromkeys(each for each in real if is_in(each, has))))
    if inside:
        lost += leading.lost(host, leading.printed(host, f"find {inside} -maxdepth {_DEEP}"), has)
    assert not lost, (
        f"services.{service}: Apache serves pages that jail {jail} will not have "
        f"({leading.told(lost)}): add the directories to jails.{jail}.mounts, or put the files in "
        "the place of the links"
    )


_SCRIPTS = ("php", "cgi", "fcgi", "pl", "py", "rb", "sh")
_APPLICATIONS = ("config.ru", "passenger_wsgi.py", "Gemfile", "artisan", "composer.json")
"""Beside the directory that is served: where Rails, Laravel and others have all else."""


def test_scripts_find_what_is_beside_them(host: Any, ask: Ask, site: Site, service: str) -> None:
    """Applications have all but their pages beside the directory that is served: ../vendor."""
    jail, table = site.jail_of(service), site.services[service]
    lines = ask(apache.Directives, places=table.configuration).lines
    further = _further(site, service)
    brought = [each.path for each in (*further.copied(ask), *further.shown(ask))]
    has = (*PROGRAMS, *FRESH, *site.paths(jail), *brought)
    lost = _beside(host, lines, [path for path, _ in apache.pages(lines)], has)
    assert not lost, (
        f"services.{service}: scripts that Apache serves use what lies beside their directory, and "
        f"jail {jail} will not have it: {leading.told(lost)}: add the directory of the whole "
        f"application to jails.{jail}.mounts, or to services.{service}.data"
    )


def _beside(
    host: Any, lines: Sequence[apache.Line], places: Sequence[str], has: Sequence[str]
) -> list[str]:
    """What the scripts in a directory name beside it: ../vendor, dirname(__DIR__), or by its path.

    Each as "SCRIPT: PATH". Directories with the one above in the jail are left out.
    """
    alone = [each for each in dict.fromkeys(places) if not is_in(str(Path(each).parent), has)]
    if not alone:
        return []
    user, group = apache.runs_as(lines)
    names = " -o ".join(f"-name '*.{each}'" for each in _SCRIPTS) + " -o -perm -0100"
    asked = (
        'for each; do cd -P -- "$each" 2>/dev/null || continue; above=${PWD%/*}; '
        f"for one in {' '.join(_APPLICATIONS)}; do "
        '[ ! -e "$above/$one" ] || echo "$above/$one"; done; '
        f"find . -maxdepth 1 -type f -size -4096 \\( {names} \\) | while IFS= read -r file; do "
        'grep -aoE "([.][.]|$above)/[A-Za-z0-9_.-]+|dirname[(] *(__DIR__|dirname|__FILE__, *2)" '
        '"$file" | sort -u | while IFS= read -r said; do case $said in '
        "(dirname*) at=$above;; (../*) at=$above/${said#../};; (*) at=$said;; esac; "
        '[ ! -e "$at" ] || echo "$PWD/${file#./}: $at"; done; done; done; echo ='
    )
    said = host.run(acting_as(user, asked, group=group, words=alone))
    assert said.stdout.endswith("=\n"), f"scripts could not be read: {said.stderr.strip()[-300:]}"
    rows = dict.fromkeys(said.stdout.splitlines()[:-1])
    return [row for row in rows if not is_in(row.rpartition(": ")[2], has)]


def _served(site: Site, service: str, places: list[str], lines: Sequence[apache.Line]) -> str:
    """sh that prints the directories, and begins a loop over them."""
    lowest, highest = site.jails[site.jail_of(service)].uids or (1, 0)
    names = [
        *apache.user_directories(lines),
        *([site.accounts.public] * bool(site.accounts.handler)),
    ]
    homes = "".join(
        f"; awk -F: -v name={quote(each)} '$3 >= {lowest} && $3 <= {highest} "
        '{print $6 "/" name}\' /etc/passwd'
        for each in dict.fromkeys(names)
    )
    given = " ".join(map(quote, places)) or "''"
    return f"{{ printf '%s\\n' {given}{homes}; }} | while IFS= read -r each; do"


def test_jail_has_what_is_named(host: Any, ask: Ask, site: Site, service: str) -> None:
    """Not only by the site file: asked in the jail, for each path that exists on the host."""
    jail = site.jail_of(service)
    configuration = site.services[service].configuration
    named = [each for names in php.names(configuration) for each in names.named(ask)]
    missing = arrived.lost(host, jail, named, configuration)
    assert not missing, f"jail {jail} does not have these: {'; '.join(missing)}"


def test_no_sessions_are_in_tmp(host: Any) -> None:
    """For the gate before the jail's Apache starts: the jail has a /tmp of its own."""
    found = host.check_output(SESSIONS).split()
    assert not found, (
        f"PHP keeps sessions in the host's /tmp or /var/tmp ({found[0]}, changed within a day), "
        "and a jail has its own: who is logged in must log in again after web.cutover, and again "
        "after its undo. With session.save_path = a directory elsewhere they move along"
    )


def test_jail_sends_the_same_pages(
    host: Any, ask: Ask, listening: list[Listener], site: Site, service: str
) -> None:
    """By pages.sh beside this file, in one round trip, while both daemons run. Behind a proxy of
    the host Apache may listen at 127.0.0.1 alone.
    """
    jail, wan = site.jail_of(service), str(site.host.wan_address)
    lines = ask(apache.Directives, places=site.services[service].configuration).lines
    listens = {each.port: each.has_certificate for each in site.services[service].pages}
    ports = [
        f"{port}{'/tls' * tls}{at_loopback_alone(listening, port, wan)}"
        for port, tls in listens.items()
    ]
    given = [wan, str(site.jails[jail].address), " ".join(ports)]
    given += map(str, (*(site.jails[jail].uids or (0, -1)), _SAMPLE))
    for name, pages in apache.virtual_hosts(lines, wan).items():
        given += [name, pages]
    script = _PAGES.read_text(encoding="utf-8")
    words = " ".join(map(quote, given))
    said = host.run(f"sh -s {words} <<'END-OF-PAGES'\n{script}END-OF-PAGES\n")
    assert said.rc == 0, f"the pages could not be asked: {said.stderr.strip()[-500:]}"
    rows = [line.split() for line in said.stdout.splitlines()]
    whole = all(len(row) == 3 + 3 * 4 for row in rows)
    assert whole and len(rows) >= len(ports), (
        f"the pages could not be asked: {said.stderr.strip()[-500:] or said.stdout[:500]}"
    )
    wrong = [
        f"{_url(port, name)}{path}: the host answers {_answer(answers[:4])}; "
        f"jail {jail} answers {_answer(answers[4:8])}"
        for port, name, path, *answers in rows
        if not same_answer(answers[:4], answers[4:8], answers[8:])
    ]
    varying = sum(row[3:7] != row[11:] for row in rows)
    assert not wrong, (
        f"{len(wrong)} of {len(rows)} pages are not the same: {'; '.join(wrong[:10])} "
        f"({varying} pages vary on the host itself: of these only the status is compared)"
    )


def at_loopback_alone(listening: Sequence[Listener], port: int, wan: str) -> str:
    """ "@ADDRESS" of this host, if nobody could ask this port at its public address."""
    at = [each.address for each in listening if each.port == port and "4" in each.proto]
    local = [each for each in at if each.startswith("127.")]
    return f"@{local[0]}" if local and not {"*", wan} & {*at} else ""


def _url(port: str, name: str) -> str:
    number, _, tls = port.partition("/")
    return f"{'https' if tls else 'http'}://{name}:{number}"


def same_answer(before: list[str], jails: list[str], after: list[str]) -> bool:
    """Whether the jail answers as the host did before and after it: status, length, hash, location.

    Of a page that varies on the host itself the status counts.
    """
    if before[0] == "none":
        return False
    return jails == before if before == after else jails[0] in (before[0], after[0])


def _answer(said: list[str]) -> str:
    status, length, digest, where = said
    if status == "none":
        return "nothing"
    leads = "" if where == "-" else f", leading to {where}"
    return f"{status}, {length} bytes, sha256 {digest[:12]}{leads}"


def _odd(path: str) -> str:
    return " (fstab(5) takes no white space: give it another name)" if has_space(path) else ""


def _further(site: Site, service: str) -> Further:
    return Further(
        names=php.names(site.services[service].configuration),
        there=(*site.paths(site.jail_of(service)), *PROGRAMS),
        trees=site.base.jails,
    )


def _pools(host: Any, ask: Ask, site: Site, service: str) -> str:
    """The configuration of the companions that move along, and that of cellblock's own php-fpm."""
    places = [
        path
        for each in site.companions(service)
        if ask(Enabled, script=each.rc)
        for path in each.configuration
    ]
    if site.accounts.handler == "fpm":
        places.append("/usr/local/etc/php-fpm.conf")
    found = f"find -H {' '.join(map(quote, places))} -type f -exec cat {{}} +"
    return str(host.run(f"{found} 2>/dev/null || true").stdout) if places else ""
