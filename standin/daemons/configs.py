"""The daemons' own configuration files, as far as a client could notice their settings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network

from standin.etc.passwd import uid_of
from standin.etc.rc_conf import RcConf
from standin.linux.rootdir import RootDir
from standin.model.daemon import Listen, UnixSocket

HTTPD = "/usr/local/etc/apache24/httpd.conf"
FPM = "/usr/local/etc/php-fpm.conf"
REDIS = "/usr/local/etc/redis.conf"
NAMED = "/usr/local/etc/namedb/named.conf"
MY_CNF = "/usr/local/etc/mysql/my.cnf"
MOST_INCLUDES = 8


@dataclass(frozen=True)
class VirtualHost:
    """`places` are the words of its tag: ADDRESS:PORT."""

    names: tuple[str, ...]
    root: str
    places: tuple[str, ...] = ()


@lru_cache(maxsize=32)
def _directives(text: str) -> tuple[list[str], ...]:
    """Words may be in either quotes, and a backslash at the end of a line continues it (Apache's
    manual, Configuration Files: Syntax).
    """
    text = re.sub(r"\\\r?\n", "", text)
    lines = ([word.strip("\"'") for word in line.split()] for line in text.splitlines())
    return tuple(words for words in lines if words and not words[0].startswith("#"))


def httpd_lines(rootdir: RootDir, file: str = HTTPD, depth: int = 0) -> list[list[str]]:
    """All directives, with those of included files in place."""
    found: list[list[str]] = []
    for words in _directives(rootdir.read(file) or ""):
        if words[0].lower() in ("include", "includeoptional") and depth < MOST_INCLUDES:
            pattern = words[1] if words[1].startswith("/") else f"/usr/local/{words[1]}"
            folder, _, name = pattern.rpartition("/")
            for place in sorted(rootdir.path(folder).glob(name)):
                found += httpd_lines(rootdir, f"{folder}/{place.name}", depth + 1)
        else:
            found.append(words)
    return found


def apache_problem(rootdir: RootDir) -> str:
    """The first thing that httpd -t would refuse; "" when there is none."""
    opened: list[str] = []
    for words in httpd_lines(rootdir):
        name = words[0].lower()
        if name == "loadmodule":
            place = words[2] if words[2].startswith("/") else f"/usr/local/{words[2]}"
            if not rootdir.path(place).is_file():
                return f'Cannot load {words[2]} into server: Cannot open "{place}"'
        elif name.startswith("</"):
            if not opened or opened.pop() != name[2:].rstrip(">"):
                return f"{words[0]} without matching <{words[0][2:].rstrip('>')}> section"
        elif name.startswith("<"):
            opened.append(name[1:].rstrip(">"))
    return f"<{opened[-1]}> was not closed" if opened else ""


def fpm_text(rootdir: RootDir) -> str:
    """php-fpm.conf, with the files that it includes in place."""

    def included(match: re.Match[str]) -> str:
        folder, _, name = match[1].rpartition("/")
        files = sorted(rootdir.path(folder).glob(name))
        return "\n".join(rootdir.read(f"{folder}/{each.name}") or "" for each in files)

    text = rootdir.read(FPM) or ""
    return re.sub(r"(?m)^\s*include\s*=\s*(/\S+)\s*$", included, text)


def _of_pools(rootdir: RootDir, name: str) -> list[str]:
    pattern = rf"(?m)^\s*{re.escape(name)}\s*=\s*(\S+)\s*$"
    return re.findall(pattern, fpm_text(rootdir))


def fpm_problem(rootdir: RootDir) -> str:
    """The first thing that php-fpm -t would refuse; "" when there is none."""
    if rootdir.read(FPM) is None:
        return f"failed to open configuration file '{FPM}'"
    if not _of_pools(rootdir, "listen"):
        return "No pool defined"
    for user in _of_pools(rootdir, "user"):
        if uid_of(rootdir, user) is None:  # fpm_unix.c
            return f"[pool {user}] cannot get uid for user '{user}'"
    for log in (*_of_pools(rootdir, "access.log"), *_of_pools(rootdir, "slowlog")):
        folder = log.rpartition("/")[0]
        if log.startswith("/") and not rootdir.path(folder).is_dir():  # fpm_log.c
            return f"failed to open access log ({log}): No such file or directory (2)"
    return ""


def fpm_sockets(rootdir: RootDir) -> list[str]:
    return [each for each in _of_pools(rootdir, "listen") if each.startswith("/")]


def fpm_listens(rootdir: RootDir) -> list[Listen]:
    """A pool's port, at an address or at any."""
    found = []
    for place, each in enumerate(_of_pools(rootdir, "listen")):
        address, _, port = each.rpartition(":")
        if port.isdigit():
            found.append(Listen("tcp4", address or "*", int(port), 7 + place))
    return found


def _of_redis(rootdir: RootDir, name: str) -> str:
    found = re.findall(rf"(?m)^\s*{name}\s+(.+?)\s*$", rootdir.read(REDIS) or "")
    return found[-1] if found else ""


def redis_listens(rootdir: RootDir) -> list[Listen]:
    """At the IPv4 addresses of `bind`, by default at 127.0.0.1; not with `port 0`."""
    port = int(_of_redis(rootdir, "port") or "6379")
    addresses = [each.lstrip("-") for each in (_of_redis(rootdir, "bind") or "127.0.0.1").split()]
    found = [each for each in addresses if ":" not in each]
    at = ["*" if each == "0.0.0.0" else each for each in found]  # noqa: S104 # as it is written
    return [Listen("tcp4", each, port, 6 + n) for n, each in enumerate(at)] if port else []


def redis_unix(rootdir: RootDir) -> list[UnixSocket]:
    path = _of_redis(rootdir, "unixsocket")
    return [UnixSocket("stream", path, 9)] if path else []


def redis_writes(rootdir: RootDir) -> list[str]:
    """The file that it appends to, where it does: that of Redis 6 and before."""
    if _of_redis(rootdir, "appendonly") != "yes":
        return []
    return [f"{_of_redis(rootdir, 'dir') or '/var/db/redis'}/appendonly.aof"]


def apache_listens(rootdir: RootDir) -> list[Listen]:
    wanted = [words[1] for words in httpd_lines(rootdir) if words[0].lower() == "listen"]
    found = []
    for place, word in enumerate(wanted):
        address, _, port = word.rpartition(":")
        proto = "tcp4" if address and address != "*" else "tcp46"
        found.append(Listen(proto, address or "*", int(port), 4 + 2 * place))
    return found


def apache_folder(rootdir: RootDir) -> str:
    """The main document root, without which httpd does not start."""
    inside = False
    for words in httpd_lines(rootdir):
        name = words[0].lower()
        inside = name.startswith("<virtualhost") or (
            inside and not name.startswith("</virtualhost")
        )
        if name == "documentroot" and not inside:
            return words[1]
    return ""


def virtual_host(rootdir: RootDir, name: str, at: str = "") -> VirtualHost:
    """The one that answers to a name at ADDRESS:PORT, the local end of a connection.

    Those at that address come before those at any; of a set the first answers to names that none of
    it has, and without a set the main server does (Apache's manual, An In-Depth Discussion of
    Virtual Host Matching).
    """
    hosts = virtual_hosts(rootdir)
    address, _, port = at.partition(":")
    own = [one for one in hosts if _is_at(one, address, port)]
    found = own or [one for one in hosts if _is_at(one, "*", port)]
    if not found:
        return VirtualHost((), apache_folder(rootdir))
    return next((one for one in found if name in one.names), found[0])


def _is_at(one: VirtualHost, address: str, port: str) -> bool:
    words = (word.replace("_default_", "*").partition(":") for word in one.places)
    return any(at == address and bound in ("", "*", port or bound) for at, _, bound in words)


def virtual_hosts(rootdir: RootDir) -> list[VirtualHost]:
    """In the order of the files."""
    found: list[VirtualHost] = []
    names: list[str] = []
    places: tuple[str, ...] = ()
    root = ""
    for words in httpd_lines(rootdir):
        match words[0].lower():
            case "<virtualhost":
                names, root = [], ""
                places = tuple(word.rstrip(">").strip('"') for word in words[1:])
            case "servername" | "serveralias":
                names += words[1:]
            case "documentroot":
                root = words[1]
            case "</virtualhost>":
                found.append(VirtualHost(tuple(names), root, places))
                names, root = [], ""
    return found


def _named_text(rootdir: RootDir, file: str = NAMED, depth: int = 0) -> str:
    """Without comments, and with included files in place."""
    text = re.sub(r"//[^\n]*|#[^\n]*|/\*.*?\*/", "", rootdir.read(file) or "", flags=re.DOTALL)
    if depth == MOST_INCLUDES:
        return text
    return re.sub(
        r'\binclude\s+"([^"]+)"\s*;',
        lambda match: _named_text(rootdir, match[1], depth + 1),
        text,
    )


def named_logs(rootdir: RootDir) -> list[str]:
    """The files of its channels. named-checkconf and named end if its user may not write there."""
    text = _named_text(rootdir)
    return re.findall(r'channel\s+"?[\w-]+"?\s*\{[^}]*?file\s+"(/[^"]+)"', text)


_LISTEN_ON = re.compile(r"\blisten-on\s*(?:port\s+(\d+)\s*)?\{([^}]*)\}")
_STATISTICS = re.compile(r"statistics-channels\s*\{\s*inet\s+(\S+)(?:\s+port\s+(\d+))?")


def named_listens(rootdir: RootDir) -> list[Listen]:
    """Two sockets for each address and protocol, as one worker for each of two CPUs.

    A network in listen-on stands for the addresses in it.
    """
    text = _named_text(rootdir)
    found: list[Listen] = []
    for match in _LISTEN_ON.finditer(text) if _LISTEN_ON.search(text) else [None]:
        port = int(match[1] or 53) if match else 53
        words = re.findall(r"[^\s;]+", match[2]) if match else ["any"]
        places = [at for word in words if word != "none" for at in _addresses(text, word)]
        for address in dict.fromkeys(places):
            first = 29 + 3 * len(found) // 2
            found += [Listen("udp4", address, port, first + n) for n in (0, 1)]
            found += [Listen("tcp4", address, port, first + n) for n in (2, 3)]
    for match in _STATISTICS.finditer(text):
        found.append(Listen("tcp4", match[1], int(match[2] or 80), 27))
    return found


_LIST = r"\{((?:[^{}]|\{[^{}]*\})*)\}"
"""The elements of a list, one list deep in it."""


def _addresses(text: str, word: str) -> list[str]:
    """Of a list's element, which may be an acl."""
    word = word.strip('"')
    if acl := re.search(rf'\bacl\s+"?{re.escape(word)}"?\s*{_LIST}', text):
        each = re.findall(r"[^\s;{}]+", acl[1])
        return [one for inner in each for one in _addresses(text, inner)]
    return ["*" if word == "any" else word]


def named_folder(rootdir: RootDir) -> str:
    match = re.search(r'directory\s+"([^"]+)"', _named_text(rootdir))
    return match[1] if match else ""


def named_printed(rootdir: RootDir) -> str:
    """What named-checkconf -px prints, in the lines of the file: without comments and secrets."""
    return re.sub(r'(secret\s+)"[^"]*"', r'\1"????????"', _named_text(rootdir))


def named_recurses(rootdir: RootDir, client: str, own: list[str], networks: list[str]) -> bool:
    """Whether it looks up any name for this client; `own` addresses and `networks` are the named's.

    BIND's default is allow-recursion { localnets; localhost; }. The first element that fits counts.
    """
    text = _named_text(rootdir)
    if re.search(r"recursion\s+no\s*;", text):
        return False
    found = re.search(rf"allow-recursion\s*{_LIST}", text)
    known = {"*": ["0.0.0.0/0"], "none": [], "localhost": own, "localnets": networks}
    words = re.findall(r"[^\s;{}]+", found[1] if found else "localnets; localhost;")
    for word in (each for one in words for each in _addresses(text, one)):
        places = known.get(word.lstrip("!"), [word.lstrip("!")])
        if any(ip_address(client) in ip_network(each, strict=False) for each in places):
            return not word.startswith("!")
    return False


def zone_kinds(rootdir: RootDir) -> dict[str, str]:
    found = re.finditer(r'zone\s+"([^"]+)"[^{]*\{\s*type\s+([\w-]+)', _named_text(rootdir))
    return {match[1].rstrip("."): match[2] for match in found}


def takes_updates(rootdir: RootDir, zone: str) -> bool:
    pattern = rf'zone\s+"{re.escape(zone)}"[^{{]*\{{[^}}]*allow-update\s*\{{\s*(?!none)'
    return re.search(pattern, _named_text(rootdir)) is not None


def zone_files(rootdir: RootDir) -> dict[str, str]:
    pattern = r'zone\s+"([^"]+)"[^{]*\{[^}]*?file\s+"([^"]+)"'
    folder = named_folder(rootdir)
    return {
        match[1].rstrip("."): match[2] if match[2].startswith("/") else f"{folder}/{match[2]}"
        for match in re.finditer(pattern, _named_text(rootdir))
    }


def _my_cnf(rootdir: RootDir, name: str, default: str) -> str:
    """By the last option file that sets it: the rc script passes that of the data directory, too
    (mysql_optfile of the port). Values may be in quotes (MySQL's manual, Using Option Files).
    """
    pattern = rf"(?m)^\s*{name.replace('-', '[-_]')}\s*=\s*(\S+)"
    found = [word for text in _option_files(rootdir) for word in re.findall(pattern, text)]
    return found[-1].strip("\"'") if found else default


def _option_files(rootdir: RootDir) -> list[str]:
    """What the server reads of each: not the groups of clients, or of other servers."""
    rc = RcConf.for_script(rootdir, "mysql").get("mysql_dbdir")
    files = ("/etc/my.cnf", "/usr/local/etc/my.cnf", MY_CNF, f"{rc or '/var/db/mysql'}/my.cnf")
    found = []
    for text in (rootdir.read(file) or "" for file in files):
        groups = re.split(r"(?m)^\s*\[([^\]\n]*)\].*$", text)
        named = zip(groups[1::2], groups[2::2], strict=False)
        found.append("\n".join(body for group, body in named if group in _OF_SERVER))
    return found


_OF_SERVER = ("mysqld", "mariadb", "mariadbd", "server")


def mysql_listens(rootdir: RootDir) -> list[Listen]:
    """At each address of bind-address, a list since MySQL 8.0.13 and MariaDB 10.11."""
    texts = _option_files(rootdir)
    if any(re.search(r"(?m)^\s*skip[-_]networking\b", text) for text in texts):
        return []
    port = int(_my_cnf(rootdir, "port", "3306"))
    found = []
    for place, address in enumerate(_my_cnf(rootdir, "bind-address", "*").split(",")):
        at = "*" if address in ("0.0.0.0", "::") else address  # noqa: S104 - what it means there
        found.append(Listen("tcp4", at, port, 21 + 2 * place))
    return found


def mysql_folder(rootdir: RootDir) -> str:
    """The rc script passes mysql_dbdir as --datadir, which beats my.cnf."""
    rc = RcConf.for_script(rootdir, "mysql").get("mysql_dbdir")
    return (rc or _my_cnf(rootdir, "datadir", "/var/db/mysql")).rstrip("/")


def mysql_socket(rootdir: RootDir) -> str:
    return _my_cnf(rootdir, "socket", "/var/run/mysql/mysql.sock")


def sendmail_listens(rootdir: RootDir) -> list[Listen]:
    """With sendmail_enable off only local mail is accepted; the submission port stays open."""
    conf = RcConf.of(rootdir)
    if not conf.is_on("sendmail_enable") and conf.is_on("sendmail_submit_enable"):
        return [Listen("tcp4", "127.0.0.1", 25, 3)]
    text = rootdir.read("/etc/mail/sendmail.cf") or ""
    found: list[Listen] = []
    for match in re.finditer(r"^O DaemonPortOptions=(.*)$", text, re.MULTILINE):
        options = dict(part.strip().partition("=")[::2] for part in match[1].split(","))
        six = options.get("Family") == "inet6"
        port = {"smtp": 25, "submission": 587}.get(options.get("Port", "smtp")) or int(
            options["Port"]
        )
        found.append(
            Listen("tcp6" if six else "tcp4", options.get("Addr", "*"), port, 3 + 2 * len(found))
        )
    return found


def sshd_listens(rootdir: RootDir) -> list[Listen]:
    text = rootdir.read("/etc/ssh/sshd_config") or ""
    port = int((re.findall(r"^Port (\d+)", text, re.MULTILINE) or ["22"])[-1])
    addresses = re.findall(r"^ListenAddress (\S+)", text, re.MULTILINE)
    if addresses:
        return [Listen("tcp4", address, port, 3 + i) for i, address in enumerate(addresses)]
    return [Listen("tcp6", "*", port, 3), Listen("tcp4", "*", port, 4)]


def syslogd_listens(rootdir: RootDir) -> list[Listen]:
    """Only -s and -ss keep it off the network."""
    flags = RcConf.of(rootdir).get("syslogd_flags")
    return [] if re.search(r"-s", flags) else [Listen("udp4", "*", 514, 8)]


def unbound_listens(rootdir: RootDir) -> list[Listen]:
    """At localhost: unbound.conf(5), `interface`, which local-unbound-setup(8) leaves out."""
    return [Listen("udp4", "127.0.0.1", 53, 5), Listen("tcp4", "127.0.0.1", 53, 6)]


MAIN_CF = "/usr/local/etc/postfix/main.cf"
MASTER_CF = "/usr/local/etc/postfix/master.cf"
DOVECOT = "/usr/local/etc/dovecot/dovecot.conf"


SENDMAIL = "/usr/libexec/sendmail/sendmail"


def mailer(rootdir: RootDir) -> str:
    """The program that mailwrapper(8) runs as sendmail, by the first mailer.conf that is there."""
    places = ("/usr/local/etc/mail/mailer.conf", "/etc/mail/mailer.conf")
    text = next((text for place in places if (text := rootdir.read(place)) is not None), "")
    lines = (line.split() for line in text.splitlines())
    return next((line[1] for line in lines if line[:1] == ["sendmail"] and line[1:]), SENDMAIL)


def main_cf(rootdir: RootDir, file: str = MAIN_CF) -> dict[str, str]:
    """Postfix's parameters as they are set; the last value counts."""
    lines = (rootdir.read(file) or "").splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


_PORTS = {"smtp": 25, "submission": 587, "smtps": 465, "submissions": 465}


def postfix_listens(rootdir: RootDir) -> list[Listen]:
    """master(5): a service of type inet is PORT, at inet_interfaces, or HOST:PORT."""
    text = rootdir.read(MASTER_CF) or ""
    own = re.split(r"[, ]+", main_cf(rootdir).get("inet_interfaces", "all"))
    found = []
    for name in re.findall(r"^([^#\s]\S*)\s+inet\s", text, re.MULTILINE):
        host, _, port = name.rpartition(":")
        number = _PORTS.get(port) or (int(port) if port.isdigit() else 0)
        found += [_bound(word, number, 13) for word in ([host] if host else own) if number]
    return [each for each in found if ":" not in each.address]


def _bound(word: str, port: int, fd: int) -> Listen:
    local = ("localhost", "loopback-only")
    return Listen(
        "tcp4", "127.0.0.1" if word in local else "*" if word == "all" else word, port, fd
    )


def dovecot_lines(rootdir: RootDir, file: str = DOVECOT, depth: int = 0) -> list[str]:
    """Its settings as they are written, with those of included files in place."""
    found: list[str] = []
    for line in (rootdir.read(file) or "").splitlines():
        words = line.split()
        if words[:1] in (["!include"], ["!include_try"]) and depth < MOST_INCLUDES:
            folder, _, name = words[1].rpartition("/")
            folder = folder if folder.startswith("/") else f"{file.rpartition('/')[0]}/{folder}"
            for place in sorted(rootdir.path(folder).glob(name)):
                found += dovecot_lines(rootdir, f"{folder}/{place.name}", depth + 1)
        elif words and not words[0].startswith("#"):
            found.append(line)
    return found


_LISTENERS = {
    "imap": {"imap": 143, "imaps": 993},
    "pop3": {"pop3": 110, "pop3s": 995},
    "sieve": {"sieve": 4190},
    "submission": {"submission": 587},
    "lmtp": {},
}
"""The listeners that each of Dovecot's protocols has by itself (doc.dovecot.org, Service
Configuration)."""
_SERVICES = {"managesieve": "sieve"}


def _dovecot_services(rootdir: RootDir) -> dict[str, dict[tuple[str, str], dict[str, str]]]:
    """Protocol or service -> (kind, name) of each listener in its block -> its settings."""
    found: dict[str, dict[tuple[str, str], dict[str, str]]] = {}
    blocks: list[tuple[str, str]] = []
    for line in dovecot_lines(rootdir):
        words = line.replace("{", " { ").replace("}", " } ").split()
        if words[-1] == "{":
            blocks.append((words[0], words[1] if len(words) > 2 else ""))
        elif words[0] == "}":
            blocks[-1:] = []
        elif len(blocks) == 2 and blocks[0][0] == "service" and "=" in line:
            name, _, value = line.partition("=")
            service = blocks[0][1].removesuffix("-login")
            listeners = found.setdefault(_SERVICES.get(service, service), {})
            listeners.setdefault(blocks[1], {})[name.strip()] = value.strip()
    return found


def dovecot_listens(rootdir: RootDir) -> list[Listen]:
    text = "\n".join(dovecot_lines(rootdir))
    protocols = (re.findall(r"^protocols\s*=\s*(.*)$", text, re.MULTILINE) or ["imap pop3"])[-1]
    told = (re.findall(r"^listen\s*=\s*(.*)$", text, re.MULTILINE) or ["*"])[-1]
    services = _dovecot_services(rootdir)
    found = []
    for protocol in protocols.split():
        listeners = {n: {"port": str(port)} for n, port in _LISTENERS.get(protocol, {}).items()}
        for (kind, name), more in services.get(protocol, {}).items():
            if kind == "inet_listener":
                listeners[name] = {**listeners.get(name, {}), **more}
        for each in listeners.values():
            at = re.split(r"[, ]+", each.get("address", told))
            port = int(each.get("port", "0"))
            found += [Listen("tcp4", a, port, 30) for a in at if ":" not in a and port]
    return found


def dovecot_unix(rootdir: RootDir) -> list[UnixSocket]:
    """The sockets that it is told to have outside of its own directory."""
    paths = [
        name
        for listeners in _dovecot_services(rootdir).values()
        for kind, name in listeners
        if kind == "unix_listener" and name.startswith("/")
    ]
    return [UnixSocket("stream", path, 40 + n) for n, path in enumerate(dict.fromkeys(paths))]


def certificate(rootdir: RootDir, rc: str) -> str | None:
    """The certificate (PEM) that a daemon, named by its rc variable, presents to TLS clients; None
    without one.
    """
    if rc == "apache24":
        named = [w[1] for w in httpd_lines(rootdir) if w[0].lower() == "sslcertificatefile"]
    elif rc == "postfix":
        named = main_cf(rootdir).get("smtpd_tls_cert_file", "").split()
    else:
        pattern = {"dovecot": r"^ssl_cert\s*=\s*<(\S+)", "sendmail": r"^O ServerCertFile=(\S+)"}
        file = {"dovecot": DOVECOT, "sendmail": "/etc/mail/sendmail.cf"}.get(rc)
        text = (rootdir.read(file) if file else None) or ""
        named = re.findall(pattern[rc], text, re.MULTILINE) if text else []
    return rootdir.read(named[0]) if named else None
