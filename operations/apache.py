"""What Apache's configuration names: pages, passwords, logs, certificates, backends."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import NamedTuple

from pyinfra.api.facts import FactBase

from operations.carried import KINDS, Ask, Named, There, is_in
from operations.command import Look

ARGUMENT = {
    "alias": 2,
    "aliasmatch": 2,
    "scriptalias": 2,
    "scriptaliasmatch": 2,
    "wsgiscriptalias": 2,
    "wsgiscriptaliasmatch": 2,
    "documentroot": 1,
    "virtualdocumentroot": 1,
    "virtualscriptalias": 1,
    "userdir": 1,
    "authuserfile": 1,
    "authgroupfile": 1,
    "errorlog": 1,
    "customlog": 1,
    "transferlog": 1,
    "sslcertificatefile": 1,
    "sslcertificatekeyfile": 1,
    "sslcertificatechainfile": 1,
    "sslcacertificatefile": 1,
    "sslcacertificatepath": 1,
    "sslcarevocationfile": 1,
    "sslcarevocationpath": 1,
    "sslproxymachinecertificatefile": 1,
    "sslproxycacertificatefile": 1,
    "wsgipythonhome": 1,
    "cacheroot": 1,
    "davlockdb": 1,
    "fcgidwrapper": 1,
    "jkworkersfile": 1,
    "jklogfile": 1,
    "passengerapproot": 1,
    "secauditlog": 1,
    "secauditlogstoragedir": 1,
    "secdatadir": 1,
    "secdebuglog": 1,
    "sectmpdir": 1,
    "svnpath": 1,
    "svnparentpath": 1,
    "authzsvnaccessfile": 1,
    "forensiclog": 1,
    "mdstoredir": 1,
    "mdcertificatefile": 1,
    "mdcertificatekeyfile": 1,
    "xsendfilepath": 1,
    "rewriterule": 2,
    "include": 1,
    "includeoptional": 1,
}
"""Directives that name a path -> which of their words it is."""
_ANYWHERE = (
    *("wsgidaemonprocess", "wsgipythonpath", "wsgiimportscript", "wsgidispatchscript"),
    *("wsgiauthuserscript", "wsgiauthgroupscript", "wsgiaccessscript", "perlswitches"),
    *("perlrequire", "perlconfigrequire", "perlpostconfigrequire", "rewritemap"),
    *("phpinidir", "suphp_configpath", "extfilterdefine", "scriptlog", "fastcgiserver"),
    *("fastcgiexternalserver", "fcgidinitialenv", "fcgidauthenticator", "fcgidauthorizer"),
    *("fcgidaccesschecker", "setenv", "use", "mutex", "loadfile", "loadmodule"),
    *("maxminddbfile", "geoipdbfile", "secgeolookupdb", "secunicodemapfile", "secrulescript"),
    *("authdbmuserfile", "authdbmgroupfile", "authdigestfile", "authdigestgroupfile"),
    *("sslopensslconfcmd", "sslproxymachinecertificatepath", "sslproxycacertificatepath"),
    *("sslproxycarevocationfile", "sslproxycarevocationpath", "sslcadnrequestfile"),
    *("sslproxymachinecertificatechainfile", "sslcadnrequestpath", "sslsrpverifierfile"),
    *("sslocsprespondercertificatefile", "mimemagicfile", "typesconfig", "svnindexxslt"),
    *("davgenericlockdb", "cachelockpath", "mmapfile", "cachefile", "luaroot"),
    *("luapackagepath", "luapackagecpath", "passengerroot", "passengerruby", "passengerpython"),
    *("passengernodejs", "passengerlogfile", "modsecurityrulesfile", "krb5keytab"),
    *("gssapicredstore", "oidcmetadatadir", "oidccachedir", "coredumpdirectory"),
    *("scoreboardfile", "ldapsharedcachefile"),
    *("mdchallengedns01", "mdnotifycmd", "mdmessagecmd", "luamaphandler", "dbdparams"),
    *("ldaptrustedglobalcert", "ldaptrustedclientcert", "perlsetvar", "perladdvar", "perlsetenv"),
    "sslpassphrasedialog",
)
"""Directives with absolute paths anywhere in their words: python-home=/data/venv, txt:/data/map,
"|/usr/local/sbin/rotatelogs /data/logs/access 86400"."""
_NAMES_ONE = "file|path|dir|directory|log|list|cert|keytab|db|database|storage|store|wrapper"
_BY_NAME = re.compile(rf"(?!pidfile$|serverpath$|\w*(cookie|endpoint)path$)[a-z]\w*({_NAMES_ONE})")
"""Directives of further modules: by how they end, they name a path (SecUploadDir, DOSLogDir,
SSLSessionTicketKeyFile, RemoteIPTrustedProxyList, MellonSPPrivateKeyFile)."""
_LOGS = (
    *("errorlog", "customlog", "transferlog", "forensiclog"),
    *("secauditlog", "secdebuglog", "jklogfile", "davlockdb"),
)
_HANDLERS = (
    *("sethandler", "proxypass", "proxypassmatch", "balancermember", "rewriterule", "authldapurl"),
    *("proxyremote", "fastcgiexternalserver", "authncachesocache", "cachesocache"),
)
_ACCOUNTS = ("user", "suexecusergroup", "assignuserid", "ruidgid", "suphp_usergroup")
_ACCOUNT = r"[A-Za-z_][\w.-]*"
_MANAGED = ("mdomain", "mddomain", "<mdomainset", "manageddomain")
_SYSTEM_LOGINS = ("defineexternalauth", "addexternalauth", "authpamservice", "authpam_enabled")
_SITES = ("<virtualhost", "</virtualhost", "servername", "serveralias")
_PAGES = ("documentroot", "alias", "scriptalias", "virtualdocumentroot", "aliasmatch")
_PATTERN = re.compile(r"/[^/]*[$%*?\[].*")
_VALUES = ("setenv", "fcgidinitialenv", "perlsetvar", "perladdvar", "perlsetenv")
"""Of these only values that are paths leave the host: others may be passwords."""
_READ = "|".join(
    each
    for each in (
        *(*ARGUMENT, *_ANYWHERE, *_HANDLERS, *_ACCOUNTS, *_SYSTEM_LOGINS, *_SITES, *_MANAGED),
        *("serverroot", "define", "listen", "group", "suphp_engine"),
    )
    if each not in _VALUES
)
_WITHOUT_PASSWORDS = "s/([Pp][Aa][Ss][Ss][A-Za-z]*[=])[^ \"']*/\\1-/g"
"""sed: the password of DBDParams stays on the host."""
_ENVIRONMENT = re.compile(r".*/envvars\.d/[^/]+\.env")
_EXPORTED = r"/envvars[.]d/[^:/]*[.]env:[0-9]+:[^:=]*[=][\"']?/"
"""What the port's httpd is started with (sbin/envvars): of these, too, only paths leave it."""
_WORD = re.compile(r""""([^"]*)"|'([^']*)'|(\S+)""")
_WHOLE = (
    'FNR == 1 {text = ""} text == "" {number = FNR} {sub(/\\r$/, ""); more = sub(/\\\\$/, ""); '
    "text = text $0; if (more) next; "
    'if (text !~ /^[ \\t]*(#|$)/) print FILENAME ":" number ":" text; text = ""}'
)
"""awk: FILE:NUMBER:TEXT of each line but comments; a backslash at its end continues it."""
_BACKEND = re.compile(r"(?<![|\w])(\w+)://(?:127\.\d+\.\d+\.\d+|localhost)(?::(\d+))?(?=[/\s]|$)")
_BY_PORT = re.compile(r"(?<![/\w.])(?:127\.\d+\.\d+\.\d+|localhost):(\d+)")
_PORTS = {"ajp": "8009", "fcgi": "8000", "https": "443", "scgi": "4000", "wss": "443"}
_PORTS |= {"ldap": "389", "ldaps": "636"}
"""The ports of backends that name none (modules/proxy)."""

_SUPHP = "/usr/local/etc/suphp.conf"
"""Compiled into mod_suphp and its program."""
_PATHS = Path(__file__).with_name("apache.awk")


class Line(NamedTuple):
    file: str
    number: str
    words: tuple[str, ...]

    @property
    def directive(self) -> str:
        return self.words[0].lower()

    @property
    def place(self) -> str:
        return f"{self.file}:{self.number}"


@dataclass(frozen=True)
class Said:
    """What the configuration says, and what there is on the host of the paths in it."""

    lines: tuple[Line, ...] = ()
    there: There = field(default_factory=There)


class Directives(FactBase[Said]):
    """The directives that name something, of httpd.conf and of the files that it includes."""

    default = Said

    @staticmethod
    def assumed(places: Sequence[str]) -> Look:
        directives = "|".join(each for each in ARGUMENT if not each.startswith("include"))
        named = f"grep -D skip -rhisE '^[[:space:]]*({directives})[[:space:]]'"
        kept = "grep -v -e /usr/local/www -e /home/ -e /usr/local/etc/apache24 -e /var/log"
        kept += " -e 'ser[Dd]ir  *[^/ ]'"  # in homes
        return Look(
            f"{named} {' '.join(places)} | {kept}",
            claim=f"the files in {', '.join(places)} name no further directories",
        )

    def command(self, places: Sequence[str]) -> str:
        values = rf"({'|'.join(_VALUES)})[[:space:]]+[^[:space:]]+[[:space:]]+[\"']?/"
        values += f"|[a-z][a-z0-9_]*({_NAMES_ONE})[[:space:]].*/"
        pattern = f"^[^:]*:[0-9]+:[[:space:]]*(({_READ})[[:space:]>]|{values})|{_EXPORTED}"
        where = " ".join(map(quote, places))
        # Links, too: to a file, or to a directory of files.
        linked = 'for each; do find -H "$each" -maxdepth 1 -type f; done'
        asked = f"awk {quote(_WHOLE)}"
        return (
            f"said=$({{ find -H {where} -type f -exec {asked} {{}} +; "
            f"find -H {where} -type l -exec sh -c {quote(linked)} sh {{}} + | "
            f'while IFS= read -r each; do {asked} "$each"; done; }} 2>/dev/null | '
            f"grep -aiE {quote(pattern)} | sed -E {quote(_WITHOUT_PASSWORDS)}); "
            'printf "%s\\n" "$said"; paths=$(printf "%s\\n" "$said" '
            f"| awk {quote(_PATHS.read_text(encoding='utf-8'))} | sort -u); "
            f'printf "%s\\n" {_SUPHP} {_MD_STORE} "$paths" | {{ {KINDS}; }}'
        )

    def process(self, output: list[str]) -> Said:
        """Lines as FILE:NUMBER:TEXT, then "= KIND PATH" and "@ REST DIRECTORY"."""
        rows = [row.split(":", 2) for row in output if row.startswith("/")]
        lines = [
            Line(row[0], row[1], tuple(map("".join, _WORD.findall(row[2]))))
            for row in rows
            if len(row) == 3
        ]
        return Said(tuple(_loaded(lines)), There.read(output))


def _loaded(lines: list[Line]) -> Iterator[Line]:
    """The lines of httpd.conf and of what it includes: the port has samples beside them.

    With what Define says in the place of ${NAME}.
    """
    root = _server_root(lines)
    todo = [line.file for line in lines if line.file.endswith("/httpd.conf")][:1]
    done: set[str] = set()
    found: list[Line] = []
    defined: dict[str, str] = {}
    while todo:
        file = todo.pop()
        done.add(file)
        for line in lines:
            if line.file != file or (len(line.words) == 1 and line.directive[:2] != "</"):
                continue
            found.append(line)
            if line.directive == "define" and len(line.words) > 2:
                defined[line.words[1]] = line.words[2]
            if line.directive.startswith("include"):
                wanted = str(PurePosixPath(root, _with(defined, line.words[1])))
                files = dict.fromkeys(each.file for each in lines)
                todo += [
                    each
                    for each in files
                    if each not in (*done, *todo)
                    and (fnmatch(each, wanted) or each.startswith(f"{wanted}/"))
                ]
    found += [line for line in lines if _ENVIRONMENT.fullmatch(line.file)]
    for line in found:
        yield line._replace(words=tuple(_with(defined, word) for word in line.words))


_MOST = 8  # a Define that names others


def _with(defined: Mapping[str, str], word: str) -> str:
    for _ in range(_MOST):
        if "${" not in word:
            break
        word = re.sub(r"\$\{(\w+)\}", lambda found: defined.get(found[1], found[0]), word)
    return word


def unclear(lines: Sequence[Line]) -> Iterator[str]:
    """Each line with a variable that no Define sets: it comes from Apache's environment."""
    for line in lines:
        for found in re.findall(r"\$\{\w+\}", " ".join(line.words)):
            yield f"{line.place}: {line.words[0]} {found}"


def _server_root(lines: Sequence[Line]) -> str:
    return next((line.words[1] for line in lines if line.directive == "serverroot"), "/usr/local")


def named(lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    """Each path that these lines name, and the place where they do."""
    root = _server_root(lines)
    stored = any(line.directive == "mdstoredir" for line in lines)
    for line in lines:
        if line.directive in ARGUMENT and len(line.words) > ARGUMENT[line.directive]:
            word = line.words[ARGUMENT[line.directive]]
            path = _PATTERN.sub("", word)
            in_homes = line.directive == "userdir" and not path.startswith("/")
            if word.startswith("|"):
                yield from ((each, line.place) for each in _written_by(word))
            elif line.directive == "rewriterule" and not _may_be_a_file(word):
                pass
            elif path and not path.startswith("syslog") and not in_homes:
                yield _path(root, path, line.directive), line.place
        elif _ENVIRONMENT.fullmatch(line.file):
            text = " ".join(line.words)
            if not re.match(r"(export )?PATH=", text):
                yield from ((each, line.place) for each in _paths(text))
        elif line.directive in _ANYWHERE or _BY_NAME.fullmatch(line.directive):
            is_log = line.directive.endswith("log") and line.directive not in _ANYWHERE
            for each in _paths(" ".join(line.words[1:])):
                yield _path("/", each, "errorlog" if is_log else ""), line.place
        if line.directive in _HANDLERS:
            yield from ((each, line.place) for each in re.findall(r"unix:([^|\s]+)", _to(line)))
        if line.directive in _MANAGED and not stored:
            yield _MD_STORE, line.place
        if line.directive.startswith("suphp_engine") or "suphp_module" in line.words:
            yield _SUPHP, line.place


_MD_STORE = "/usr/local/md"
"""Where mod_md keeps keys and certificates, unless MDStoreDir says another place."""


def _may_be_a_file(word: str) -> bool:
    """Whether a RewriteRule may lead to a file: Apache looks whether the first directory is there,
    before it takes the path for that of a URL. Not of a variable, or of a file of the pages.
    """
    return re.match(r"/[^/$%*?\[]+/[^?]*[$%]\d", word) is not None


def _paths(text: str) -> Iterator[str]:
    """The absolute paths in words, each up to a pattern; none of what a daemon makes anew."""
    for word in re.split(r"[\s=:,;|()\"]+", text):
        path = _PATTERN.sub("", re.sub(r"^-[A-Za-z]", "", word)).rstrip("/")
        if path.startswith("/") and not is_in(path, _ANEW):
            yield path


_ANEW = ("/dev", "/var/run", "/tmp", "/var/tmp")  # noqa: S108 # names, for a comparison


def _written_by(pipe: str) -> Iterator[str]:
    """Of a log through a program: that, and the directories of the files that it is to write."""
    program, *others = pipe.lstrip("|$ ").split()
    yield program
    for each in others:
        for path in _paths(each):
            whole = "%" not in each
            yield _path("/", path, "errorlog" if whole else "")


def _to(line: Line) -> str:
    """Where requests go. A RewriteRule without the flag P sends the client there."""
    if line.directive == "rewriterule" and not re.search(r"\[(.*,)?P(,.*)?\]", line.words[-1]):
        return ""
    return " ".join(line.words[1:])


def includes(lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    """Each file or directory with further directives, and the place that includes it."""
    yield from _named_by(("include", "includeoptional"), lines)


def pages(lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    """Each directory whose files are served, and the place that names it."""
    yield from _named_by(_PAGES, lines)


def _named_by(directives: Sequence[str], lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    kept = (*directives, "serverroot")
    yield from named([line for line in lines if line.directive in kept])


def user_directories(lines: Sequence[Line]) -> list[str]:
    """The names in homes that are served below /~USER/ (mod_userdir)."""
    words = [word for line in lines if line.directive == "userdir" for word in line.words[1:]]
    return [each for each in words if re.fullmatch(r"[\w.][\w./-]*", each) and not _switches(each)]


def _switches(word: str) -> bool:
    return word.lower() in ("enabled", "disabled")


def _path(root: str, path: str, directive: str) -> str:
    """Of a log the directory must be there. /var/log is in every jail."""
    whole = PurePosixPath(root, path)
    return str(whole.parent if directive in _LOGS and str(whole.parent) != "/var/log" else whole)


def accounts(lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    """Each account as which something runs, and the place that names it."""
    for line in lines:
        if line.directive in _ACCOUNTS and re.fullmatch(_ACCOUNT, line.words[1]):
            yield line.words[1], line.place
        if line.directive == "wsgidaemonprocess":
            found = re.search(rf"\buser=({_ACCOUNT})", " ".join(line.words))
            if found:
                yield found[1], line.place


def runs_as(lines: Sequence[Line]) -> tuple[str, str]:
    """The account and the group of its workers."""
    said = {line.directive: line.words[1] for line in lines if len(line.words) == 2}
    user, group = (said.get(each, "www") for each in ("user", "group"))
    return user, group


def system_logins(lines: Sequence[Line]) -> Iterator[str]:
    """Each line by which Apache asks the system for an account's password, as by pwauth(8)."""
    for line in lines:
        words = " ".join(line.words)
        if line.directive in _SYSTEM_LOGINS and re.search("pwauth|pam|shadow|passwd", words, re.I):
            yield f"{line.place}: {words}"


_BESIDE = re.compile(r"(.+?):(\d+):\s*(.*)")


def beside_pages(rows: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Of lines of .htaccess and .user.ini, FILE:NUMBER:LINE: each path, and where it is named."""
    for found in filter(None, map(_BESIDE.fullmatch, rows)):
        file, number, text = found.groups()
        name = re.split(r"[\s=]", text, maxsplit=1)[0]
        yield from ((path, f"{file}:{number}: {name}") for path in _paths(text.replace("'", " ")))


def backends(lines: Sequence[Line]) -> Iterator[tuple[str, str, str]]:
    """Each address of this machine that a request is handed to: URL, port, and the place."""
    for line in lines:
        if line.directive in _HANDLERS:
            for found in _BACKEND.finditer(_to(line)):
                yield found[0], found[2] or _PORTS.get(found[1], "80"), line.place
            for found in _BY_PORT.finditer(_to(line)):
                yield found[0], found[1], line.place


_ELSEWHERE = re.compile(
    r"(?<![|\w])(https?|h2c?|wss?|ajp|f?cgi|scgi|uwsgi|ftp|ldaps?)://"
    r"([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])"
    r"(?::(\d+))?(?=[/\s]|$)"
)
_USUAL = {"ftp": "21", "h2": "443", "uwsgi": "3031"} | _PORTS


def database_users(lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    """Each user as whom Apache itself logs in to MySQL over TCP on this machine, and the place."""
    for line in lines:
        said = dict(re.findall(r"\b(host|user)=([^\s,;\"']+)", " ".join(line.words)))
        if line.directive == "dbdparams" and said.get("host", "").startswith("127."):
            yield said.get("user", ""), line.place


def elsewhere(lines: Sequence[Line]) -> Iterator[tuple[str, str, str, str]]:
    """Each other machine that a request is handed to: URL, name or address, port, and the place.

    [::1] is this machine, and no jail reaches it.
    """
    for line in lines:
        if line.directive in _HANDLERS:
            for found in _ELSEWHERE.finditer(_to(line)):
                if not re.match(r"127\.|localhost$", found[2]):
                    yield found[0], found[2], found[3] or _USUAL.get(found[1], "80"), line.place


def virtual_hosts(lines: Sequence[Line], alone: str) -> dict[str, str]:
    """Each name that Apache is asked by, and the directory of its pages ("" where none is said).

    `alone` is asked, too: a name that no virtual host has. Of a pattern one name is made.
    """
    root = _server_root(lines)
    found: dict[str, str] = {}
    names: list[str] = [alone]
    pages = ""
    for line in (*lines, Line("", "", ("</virtualhost>",))):
        if line.directive in ("servername", "serveralias"):
            names += map(_name, line.words[1:])
        elif line.directive == "documentroot":
            pages = str(PurePosixPath(root, line.words[1]))
        elif "virtualhost" in line.directive:
            found |= {each: pages for each in names if each and each not in found}
            names, pages = [], ""
    return found


def _name(said: str) -> str:
    """Of [SCHEME://]NAME[:PORT]; "" for what cannot be a name."""
    name = re.sub(r"^\w+://|:\d+$", "", said).replace("*", "any").replace("?", "x")
    return name if re.fullmatch(r"[A-Za-z0-9._-]+", name) else ""


@dataclass(frozen=True)
class Configuration:
    """Apache's configuration, as something that names paths."""

    places: tuple[str, ...]

    def named(self, ask: Ask) -> tuple[Named, ...]:
        """What there is on the host, asked now."""
        said: Said = ask(Directives, places=self.places)
        return said.there.named(named(said.lines))
