"""References on the host to a daemon that moves, and what happens to each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

from operations.rc import HOSTS_OWN
from rollout.site import Service, Site
from tests.checks import local_clients
from tests.checks.references import Found, lines, parted

PLACES = (
    "/etc/crontab /etc/cron.d /var/cron/tabs /etc/newsyslog.conf /etc/newsyslog.conf.d "
    "/etc/periodic.conf /etc/periodic.conf.local /etc/syslog.conf /etc/syslog.d /etc/rc.local "
    "/etc/blacklistd.conf /usr/local/etc /root/bin "
    "/etc/daily.local /etc/weekly.local /etc/monthly.local /etc/rc.shutdown.local /etc/inetd.conf "
    "/etc/devd /etc/devd.conf /etc/ppp /etc/dhclient-enter-hooks /etc/dhclient-exit-hooks "
    "/etc/ssh /etc/pam.d /etc/hosts.allow"
)
_CALLERS = (
    "/etc/crontab /etc/cron.d /var/cron/tabs/root /etc/rc.local /etc/daily.local "
    "/etc/weekly.local /etc/monthly.local /etc/periodic.conf /etc/periodic.conf.local "
    "/etc/rc.shutdown.local /etc/inetd.conf /etc/devd /etc/devd.conf /etc/ppp "
    "/etc/dhclient-enter-hooks /etc/dhclient-exit-hooks /etc/newsyslog.conf /etc/newsyslog.conf.d "
    "/usr/local/etc/newsyslog.conf.d /usr/local/etc/cron.d /usr/local/etc/devd"
)
CALLED = (
    f"find -H {_CALLERS} -type f -exec grep -hv '^[[:space:]]*#' {{}} + 2>/dev/null | "
    "tr -s '[:space:];|&()\"`=' '\\n' | grep -E '^/[A-Za-z0-9_./+-]+$' | sort -u | "
    'while read -r each; do [ ! -f "$each" ] || [ ! -x "$each" ] || echo "$each"; done'
)
"""sh: the programs that root's crontabs, rc.local, periodic(8), inetd(8), devd(8), dhclient(8),
ppp(8) and newsyslog(8) call by their paths."""
_LOGROTATE = "/usr/local/etc/logrotate"
"""Of the package: logrotate.conf, and logrotate.d."""
_ROTATION = ("/etc/newsyslog.conf", "/usr/local/etc/newsyslog.conf.d/")
# The commands of rc.subr(8) that are not redirected to the jail.
_HOSTS_OWN = re.compile("one|fast|force|quiet|rcvar|enable|disable|delete|describe|extracommands")
_CERTIFICATE = re.compile(r"/[\w./@+-]+[.](?:pem|crt|cer)\b")


def found(host: Any, site: Site, name: str) -> list[Found]:
    """Only the matched words leave the host: the rest of a crontab line may hold a password."""
    places = (
        *(_named, _rotated_otherwise, _beside, _certificates, _renewed_by),
        *(_starting, _mounting, _reading, _logged, _becoming_others, _hidden),
        *(local_clients.letting_in, local_clients.logging_in_plainly),
    )
    calls = [lambda asked=asked: list(asked(host, site, name)) for asked in places]
    told = host.backend.together.beside(calls)
    return list(dict.fromkeys(each for one in told for each in one))


def daemon_words(daemon: Service) -> list[str]:
    """Other strings that refer to this daemon itself, or to its configuration."""
    scripts = [f"service {daemon.rc}", f"/etc/rc.d/{daemon.rc}", f"/usr/local/etc/rc.d/{daemon.rc}"]
    return [*scripts, *names(daemon), *daemon.configuration]


_TALKS = {
    "named": ("rndc", "/var/run/named/pid"),
    "apache24": ("apachectl", "/var/run/httpd.pid"),
    "sendmail": ("mailq", "/var/run/sendmail.pid"),
    "postfix": ("mailq", "postqueue", "postsuper", "/var/spool/postfix/pid/master.pid"),
    "dovecot": ("doveadm", "/var/run/dovecot/master.pid"),
    "php-fpm": ("/var/run/php-fpm.pid",),
}
"""By rc script of the packages: programs that speak to the daemon itself, and its pid file, without
which a watchdog (monit) takes it for dead and restarts it again and again."""


def names(daemon: Service) -> list[str]:
    """What is a daemon's own besides its script: by the site file, and by its package."""
    scripts = [daemon.rc, *(each.rc for each in daemon.companions)]
    return [*dict.fromkeys([*daemon.names, *(n for s in scripts for n in _TALKS.get(s, ()))])]


def words(daemon: Service) -> list[str]:
    """The same, and the strings that keep working; longest first, since one may contain another."""
    socket = [daemon.socket] if daemon.socket else []
    more = [*daemon.programs, *socket, *daemon.log_files, *daemon.logs, *daemon.data]
    more += [f"[::1]:{port}" for port in daemon.tcp_ports]
    return sorted({*daemon_words(daemon), *more}, key=lambda each: (-len(each), each))


def own(site: Site) -> tuple[str, ...]:
    """Where daemons refer to themselves, and where Cellblock does."""
    daemons = site.services.values()
    configuration = [path for daemon in daemons for path in daemon.configuration]
    return (
        *("/usr/local/etc/cellblock/", "/usr/local/etc/rc.d/", "/usr/local/etc/rc.conf.d/"),
        *configuration,
    )


def _named(host: Any, site: Site, name: str) -> Iterator[Found]:
    daemon = site.services[name]
    wanted = words(daemon)
    patterns = " ".join(f"-e '{word}'" for word in wanted)
    meant = re.compile(rf"(?<![\w.-])({'|'.join(map(re.escape, wanted))})(?![\w-])")
    elsewhere = [
        path
        for each in site.services.values()
        for path in each.configuration
        if not path.startswith("/usr/local/etc/")
    ]
    places = " ".join(dict.fromkeys([*PLACES.split(), *elsewhere]))
    places += f" $({CALLED})"
    programs = tuple(f"/{each}" for each in names(daemon))
    # One pass over all places.
    for path, number, text in map(parted, lines(host, f"grep -D skip -rnIsF {patterns} {places}")):
        place = f"{path}:{number}"
        if text.lstrip().startswith("#") or path.endswith(programs):
            continue
        if path.startswith(own(site)):
            yield from _in_configuration(site, name, place, text)
        elif path.startswith(_ROTATION):
            yield _rotation(site, name, place, text)
        else:
            for match in meant.finditer(text):
                if path.startswith(_LOGROTATE) and match[1] in daemon.log_files:
                    continue
                yield Found(place, match[1], _becomes(site, name, match[1], text[match.end() :]))


def _becomes(site: Site, name: str, word: str, rest: str) -> str:
    """`rest` is what follows the word on its line."""
    daemon, jail = site.services[name], site.jail_of(name)
    if word in daemon_words(daemon)[:3]:
        verb = re.match(r"\s+([a-z]+)\b", rest)
        if verb and not _HOSTS_OWN.match(verb[1]) and daemon.rc not in HOSTS_OWN:
            return f"keeps working: it is redirected to jail {jail}"
        return "gate: it speaks to the host's own daemon, which stops"
    if word in (*names(daemon), *daemon.configuration):
        return "gate: it will not find the daemon any more"
    return _stays(site, name, word, rest)


def _stays(site: Site, name: str, word: str, rest: str) -> str:
    daemon, jail = site.services[name], site.jail_of(name)
    said = "keeps working: socket and port are redirected to the jail"
    if word.startswith("[::1]:"):
        said = f"gate: nobody answers there any more; write 127.0.0.1{word.removeprefix('[::1]')}"
    elif word in daemon.data and daemon.rc in MYSQLS and re.match(r"/[^/\s]*[.](err|pid)\b", rest):
        called = site.jails[jail].hostname
        said = f"gate: the server calls it after its jail, {called}, unless an option names it"
    elif word in daemon.log_files and re.match(r"[.](\d|\*)", rest):
        said = f"gate: logs that are rotated later will be beside {site.shown(jail, word)}"
    elif word in daemon.log_files:
        said = "keeps working: for reading, the path is a link to the jail's log"
    elif word in (*daemon.logs, *daemon.data):
        said = f"keeps working: jail {jail} mounts the same directory"
    elif word in daemon.programs and re.search(r"\s(--tab\b|-T)", rest):
        said = f"gate: the server writes these files itself, and in jail {jail} at other places"
    return said


def fits(log: str, path: str) -> bool:
    """Whether an entry of newsyslog.conf(5) with a pattern (its flag G) is for this path, too."""
    return log.count("/") == path.count("/") and fnmatchcase(path, log)


def _rotation(site: Site, name: str, place: str, text: str) -> Found:
    daemon = site.services[name]
    log = text.split(maxsplit=1)[0]
    inside = any(PurePosixPath(log).is_relative_to(each) for each in (*daemon.logs, *daemon.data))
    if inside or log in daemon.log_files or any(fits(log, each) for each in daemon.log_files):
        return Found(place, log, f"moves: newsyslog in jail {site.jail_of(name)} rotates it")
    return Found(
        place,
        log,
        f"gate: its daemon moves, but services.{name} lists this log in neither logs nor log_files",
    )


def _rotated_otherwise(host: Any, site: Site, name: str) -> Iterator[Found]:
    """logrotate renames what it finds at a log's path, by then a link into the jail."""
    logs = site.services[name].log_files
    rows = f"grep -D skip -rnIE '^[^#]*/' {_LOGROTATE}.conf {_LOGROTATE}.d"
    for path, number, text in map(parted, lines(host, rows) if logs else []):
        for word in (each.strip('"{') for each in text.split()):
            if any(fits(word, each) for each in logs):
                yield Found(
                    f"{path}:{number}",
                    word,
                    "gate: logrotate would put a file in the place of the link to the jail's log; "
                    "take it out there, and give newsyslog.conf a line for it, which moves along",
                )


def _in_configuration(site: Site, name: str, place: str, text: str) -> Iterator[Found]:
    """Another daemon that uses the socket and moves needs it in its jail, too."""
    socket = site.services[name].socket
    if socket is None or socket not in text:
        return
    for other in site.order:
        service = site.services.get(other)
        if other == name or service is None or not place.startswith(service.configuration):
            continue
        jail = site.jail_of(other)
        if jail != site.jail_of(name) and not _mounted(site, jail, socket):
            folder = PurePosixPath(site.root(site.jail_of(name)) + socket).parent
            yield Found(
                place,
                socket,
                f"gate: jail {jail} needs the socket; add {folder} to jails.{jail}.mounts",
            )
        else:
            yield Found(place, socket, f"keeps working: jail {jail} mounts the socket")


def _mounted(site: Site, jail: str, path: str) -> bool:
    return any(PurePosixPath(path).is_relative_to(each.point) for each in site.mounts(jail))


_RENEWALS = "/usr/local/etc/letsencrypt/renewal"


_ACME = "/root/.acme.sh /var/db/acme"


def _renewed_by(host: Any, site: Site, name: str) -> Iterator[Found]:
    """certbot --apache writes into the host's httpd.conf, and lets its Apache read it. One that
    listens itself (standalone) finds port 80 free on the host, and no question arrives there.
    """
    asked = (
        f"grep -D skip -rnIsE '^(authenticator|installer) *= *(apache|standalone)' {_RENEWALS}; "
        f"grep -D skip -rnIsE \"^Le_Webroot='?(no|apache)'?$\" {_ACME}"
    )
    if site.services[name].rc != "apache24":
        return
    for path, number, text in map(parted, lines(host, asked)):
        said = (
            "certbot changes the host's httpd.conf, which no Apache reads by then: let it renew by "
            "--webroot"
            if "apache" in text
            else f"it listens at port 80 of the host itself, which leads to jail "
            f"{site.jail_of(name)} by then, so renewals fail: let it renew by --webroot"
        )
        yield Found(f"{path}:{number}", text, f"gate: {said}")


def _beside(host: Any, site: Site, name: str) -> Iterator[Found]:
    """Where a socket's directory is mounted a second time, as in the chroot of an account: the link
    that takes the socket's place leads out of there.
    """
    socket = site.services[name].socket
    shown = site.shown_socket(name)
    if not socket or not shown:
        return
    folder = str(PurePosixPath(socket).parent)
    asked = f"mount -p | awk -v at=$(realpath {folder}) '$1 == at && $3 == \"nullfs\" {{print $2}}'"
    for point in lines(host, asked):
        if not point.startswith(f"{site.base.jails}/"):
            yield Found(
                f"{point} (mount -p)",
                folder,
                f"gate: programs that have {point} as part of their root, as in a chroot, will not "
                f"find the socket there, which becomes a link to {shown}: let them use the port",
            )


def _certificates(host: Any, site: Site, name: str) -> Iterator[Found]:
    """A daemon does not start without its certificate; a copy of it expires unrenewed."""
    daemon, jail = site.services[name], site.jail_of(name)
    if not daemon.configuration:
        return
    places = " ".join(daemon.configuration)
    asked = f"grep -D skip -rnIsE '^[^#]*/[^ ]+[.](pem|crt|cer)' {places}"
    for path, number, text in map(parted, lines(host, asked)):
        for certificate in _CERTIFICATE.findall(text.partition("#")[0]):
            yield Found(f"{path}:{number}", certificate, _renewed(site, daemon, jail, certificate))


def _renewed(site: Site, daemon: Service, jail: str, certificate: str) -> str:
    pure = PurePosixPath(certificate)
    if _mounted(site, jail, certificate) or any(map(pure.is_relative_to, daemon.data)):
        return f"keeps working: jail {jail} mounts it, and sees each renewal at once"
    if any(map(pure.is_relative_to, daemon.configuration)):
        return (
            f"gate: jail {jail} has only a copy, which renewals on the host do not reach; mount it"
        )
    return f"gate: jail {jail} does not have it; add its directory to jails.{jail}.mounts"


def _starting(host: Any, site: Site, name: str) -> Iterator[Found]:
    """Daemons that rc(8) starts after this one, and so before any jail: some end without it."""
    script = site.services[name].rc
    moving = {site.services[each].rc for each in site.services if each in site.order}
    asked = (
        f"cd {_SCRIPTS} && at={script}; [ -f $at ] || at=/etc/rc.d/{script}; "
        "for word in $(sed -n 's/^# *PROVIDE: *//p' $at); do "
        'grep -nHE "^# *REQUIRE:.*[[:space:]]$word([[:space:]]|$)" * 2>/dev/null | '
        'while IFS=: read -r each number rest; do service "$each" enabled 2>/dev/null && '
        'echo "$each:$number:$word"; done; done'
    )
    for each, number, word in map(parted, lines(host, asked)):
        if each not in moving:
            yield Found(
                f"{_SCRIPTS}/{each}:{number}",
                f"REQUIRE: {word}",
                f"gate: rc(8) starts it before jail {site.jail_of(name)}, so at boot it finds "
                f"nobody: write jail in the place of {word} there, or see that it tries again",
            )


def _mounting(host: Any, site: Site, name: str) -> Iterator[Found]:
    """File servers by a name that the host's own named alone looks up: mounted before any jail."""
    if site.services[name].rc != "named":
        return
    asked = (
        "grep -sE '^nameserver' /etc/resolv.conf; echo ==; "
        "grep -nHE '^[^#[:space:]]+:/.*[[:space:]]nfs[[:space:]]' "
        "/etc/fstab | grep -v noauto | while IFS=: read -r file number server rest; do "
        'grep -qsiw -- "$server" /etc/hosts || echo "$file:$number:$server"; done'
    )
    own = {"127.0.0.1", "::1", str(site.host.wan_address)}
    own |= {str(each) for each in site.jails[site.jail_of(name)].addresses}
    servers: list[str] = []
    for row in lines(host, asked):
        if row.startswith("nameserver"):
            servers += row.split()[1:2]
        elif row != "==" and set(servers) <= own:
            place, _, server = row.rpartition(":")
            if re.search("[A-Za-z]", server):
                todo = f"jail {site.jail_of(name)} looks it up; give it a line in /etc/hosts"
                yield Found(place, server, f"gate: rc(8) mounts it before {todo}")


MYSQLS = ("mysql-server", "mariadb-server")
_SCRIPTS = "/usr/local/etc/rc.d"
_MAILS_LOG = "/var/log/maillog"
_READERS = "/etc/crontab /etc/cron.d /var/cron/tabs /etc/periodic.conf /usr/local/etc /root/bin"


def _reading(host: Any, site: Site, name: str) -> Iterator[Found]:
    """What reads the log of mail, as fail2ban does: syslogd of the jail writes one of its own."""
    if site.services[name].rc not in ("sendmail", "postfix"):
        return
    rows = lines(host, f"grep -D skip -rnIsF {_MAILS_LOG} {_READERS}")
    theirs = ("/usr/local/etc/newsyslog.conf.d/", "/usr/local/etc/syslog.d/", *own(site))
    for path, number, text in map(parted, rows):
        if not text.lstrip().startswith(("#", ";")) and not path.startswith(theirs):
            root = site.root(site.jail_of(name))
            yield Found(
                f"{path}:{number}",
                _MAILS_LOG,
                f"gate: what the mail server logs will be in {root}{_MAILS_LOG}",
            )


_SYSLOG = "/etc/syslog.conf /etc/syslog.d/*.conf /usr/local/etc/syslog.d/*.conf"
_LOGGING = {
    "named": {"named"},
    "apache24": {"httpd", "apache", "apache2", "apache24"},
    "mysql-server": {"mysqld", "mysqld_safe", "mariadbd"},
    "mariadb-server": {"mysqld", "mysqld_safe", "mariadbd"},
    "php-fpm": {"php-fpm"},
    "dovecot": {"dovecot"},
}
"""By rc script: what a daemon is called in syslog.conf(5), where it has a log of its own there."""
_FACILITIES = {
    "named": ("daemon",),
    "apache24": ("local7",),
    "mysql-server": ("daemon",),
    "mariadb-server": ("daemon",),
    "sendmail": ("mail", "auth", "authpriv"),
    "postfix": ("mail", "auth", "authpriv"),
    "dovecot": ("mail", "auth", "authpriv"),
}
"""To which facilities of syslog(3) they log, unless told otherwise; PAM to auth."""


def _logged(host: Any, site: Site, name: str) -> Iterator[Found]:
    """Logs that syslogd writes for this daemon alone: that of its jail does, from then on."""
    daemon, jail = site.services[name], site.jail_of(name)
    programs = _LOGGING.get(daemon.rc, set())
    facilities = _FACILITIES.get(daemon.rc, ())
    asked = f"grep -nsE '^#?!|^[^#[:space:]].*[[:space:]](-?/|[|])' {_SYSLOG} /dev/null"
    rows = lines(host, asked) if programs or facilities else []
    block: tuple[str, set[str]] = ("", set())
    for path, number, text in map(parted, rows):
        if text.lstrip("#").startswith("!"):
            block = (path, set(re.split(r"[,\s]+", text.lstrip("#!+ \t"))))
            continue
        selector, _, action = text.partition("|")
        if action and any(f"{each}." in selector for each in ("*", *facilities)):
            said = f"gate: messages of jail {jail} do not reach this program of the host"
            yield Found(f"{path}:{number}", action.removeprefix("exec ").split()[0], said)
            continue
        log = text.split()[-1].removeprefix("-")
        if block[0] == path and block[1] & programs and log not in daemon.log_files:
            todo = (
                f"{jail} writes it: add it to services.{name}.log_files, and the path leads there"
            )
            yield Found(f"{path}:{number}", log, f"gate: syslogd of jail {todo}")


_SUDO = "/usr/local/etc/sudoers /usr/local/etc/sudoers.d"
_DOAS = "/usr/local/etc/doas.conf"


def _becoming_others(host: Any, site: Site, name: str) -> Iterator[Found]:
    """Pages that run programs as root, by sudo(8) or doas(1), which have no rules in a jail."""
    daemon = site.services[name]
    if not daemon.pages or daemon.user == "root":
        return
    user = daemon.user
    asked = (
        f"grep -D skip -rnosE '^[[:space:]]*%?{user}[[:space:]]' {_SUDO}; "
        f"grep -nHosE '^permit .*[[:space:]]:?{user}([[:space:]]|$)' {_DOAS}"
    )
    for path, number, _ in map(parted, lines(host, asked)):
        yield Found(
            f"{path}:{number}",
            user,
            f"gate: programs in jail {site.jail_of(name)} cannot become another user by this line",
        )


def _hidden(host: Any, site: Site, name: str) -> Iterator[Found]:
    """From accounts other than root, as a monitor's, where bsdinstall's hardening says so."""
    asked = "sysctl -n security.bsd.see_jail_proc security.bsd.see_other_uids 2>/dev/null"
    if lines(host, asked) == ["0", "1"]:
        yield Found(
            "sysctl security.bsd.see_jail_proc",
            "0",
            f"gate: accounts other than root (a monitor's) see no process of jail "
            f"{site.jail_of(name)}; ask its port instead, or set this to 1",
        )
