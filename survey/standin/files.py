"""What a survey reads of a host's files, so that a stand-in can be built: where they are, and the
texts of configuration. What is called like a secret is named, and never opened.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from shlex import quote
from typing import Literal

from operations.carried import is_in
from rollout.host.session import Session
from rollout.host.survey import Answer

Kind = Literal["file", "directory", "link", "socket", "other"]


@dataclass(frozen=True)
class Place:
    """What there is at a path. `mode` has the bits of chmod(2), `size` is in bytes."""

    kind: Kind
    mode: int
    owner: str
    group: str
    size: int = 0
    target: str = ""


@dataclass(frozen=True)
class Login:
    """An account, as master.passwd(5) has it, without its name in words.

    `password` is "" where none is asked for, what is there where nobody can log in with one (as
    "*" and "*LOCKED*"), and HASH where one is set.
    """

    name: str
    password: str
    uid: int
    gid: int
    login_class: str
    home: str
    shell: str


HASH = "HASH"


@dataclass
class Files:
    """`places` by path; `absent` are the paths that were asked for, and are not there."""

    places: dict[str, Place] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    texts: dict[str, str] = field(default_factory=dict)
    logins: list[Login] = field(default_factory=list)


_TREES = (
    *("/etc", "/boot/loader.conf", "/boot/loader.conf.local", "/boot/loader.conf.d"),
    *("/usr/local/etc", "/usr/local/www", "/usr/jails"),
    *("/var/cron/tabs", "/var/mail", "/var/spool", "/var/log", "/var/db", "/var/run"),
)
_NOT_BELOW = (
    *("/etc/rc.d", "/etc/defaults", "/etc/periodic", "/etc/ssl/certs", "/etc/ssl/untrusted"),
    *("/etc/security", "/etc/bluetooth", "/var/db/pkg", "/var/db/freebsd-update", "/var/db/ports"),
    *("/var/db/etcupdate", "/var/db/portsnap", "/var/db/entropy", "/var/db/cellblock"),
)
"""FreeBSD's own, which the stand-in has its own way."""
_DEEP = {"/etc": 5, "/usr/local/etc": 6, "/boot/loader.conf.d": 1, "/var/spool": 3}
_FLAT = 1
"""How far below the other trees: data is not looked through."""
_DATA_DEEP = 4
"""How far below data its directories are listed, as /var/vmail/DOMAIN/ACCOUNT/cur."""
_MOST_NAMED = 2_000
"""Texts beside those of the usual places: the arguments of a program have a limit."""
_MOST = 20_000
"""Places that are kept."""

_TEXTS = (
    *("rc.conf", "rc.conf.local", "rc.conf.d", "rc.local", "fstab", "hosts", "resolv.conf"),
    *("nsswitch.conf", "host.conf", "crontab", "cron.d", "newsyslog.conf", "newsyslog.conf.d"),
    *("newsyslog.conf.local", "syslog.conf", "syslog.d", "jail.conf", "jail.conf.d", "jail.*.conf"),
    *("sysctl.conf", "sysctl.conf.local", "mail", "aliases", "group", "login.conf", "pam.d"),
    *("hosts.allow", "periodic.conf", "periodic.conf.local", "devfs.rules", "ipfw*", "*.rules"),
    *("pf.conf", "ssh/sshd_config", "ssh/sshd_config.d", "shells", "inetd.conf", "my.cnf", "mysql"),
    *("resolvconf.conf", "dma", "bsdextended.rules", "rc.bsdextended", "services", "exports"),
    *("rctl.conf", "namedb", "ssl/openssl.cnf"),
)
"""Below /etc: what counts there. All else is FreeBSD's own, or no matter for services."""
_SECRET = (
    *("*passwd*", "*shadow*", "*secret*", "*password*", "*credential*", "*.key", "*_key", "*-key"),
    *("*privkey*", "*.keytab", "spwd.db", "pwd.db", ".my.cnf", ".pgpass", "*.p12", "*.jks"),
    *("id_rsa*", "id_ed25519*", "*.ppk", "*sasl*", "sudoers", "doas.conf"),
    *("auth.conf", "auth*info*", "*htdigest*", "*htpasswd*"),
)
_NO_CONFIGURATION = ("*.sample", "*-dist", "*.default", "*.orig", "*.pkgsave", "*.md5", "*.so")
_NAMED = re.compile(
    r".*/(?:[^/]+[.](?:conf|cf|cnf|ini|cfg|rules|pem|crt|cer|zone|db|inc|lua|local)|[.]forward)"
)
"""What an answer names, and is a text that counts, wherever root alone can put it."""
_PAGES = ("/usr/local/www",)
_OWN = r"""own() {
real=$(cd -P "$1" && pwd -P) || return 1
for root in $jails; do case $real/ in ("$root"/*) return 1;; esac; done
[ "$real" = "$1" ] || { ours=no
for top in /etc /usr/local/etc /boot/loader.conf.d /var/cron/tabs; do
case $real/ in ("$(cd -P $top && pwd -P || echo -)"/*) ours=yes;; esac; done
[ $ours = yes ] || return 1; }
set -- / "$1" "$real"
for part in "$2" "$3"; do
while part=${part%/*}; [ "$part" ]; do set -- "$@" "$part"; done; done
[ -z "$(find -H "$@" -maxdepth 0 \( ! -uid 0 -o -perm -020 ! -gid 0 -o -perm -002 \))" ]; }
jails=$(jls path); last=
while IFS= read -r each; do
[ ! -h "$each" ] || continue
at=${each%/*}
[ "$at" = "$last" ] || { last=$at; sure=no; ! own "$at" </dev/null || sure=yes; }
[ $sure = no ] || printf '%s\n' "$each"; done"""
"""sh that prints those paths of its input which lead by directories that root alone can change, so
that no account and no jail puts a link there, not even meanwhile. Of root's own links it follows
those to the administrators' directories.
"""
_PATH = re.compile(r"(?<![\w.@/-])(?=/[\w.])(?:/[\w.@+,=~%-]+)+")
_SYSTEMS = re.compile(
    r"/(dev|proc|tmp|bin|sbin|lib|libexec|rescue|usr/(bin|sbin|lib|libexec|share|include|libdata))"
    r"(/.*)?"
)

WITHOUT_KEYS = (
    'FILENAME ~ /[.]env$/ && !/=["\']?\\// {print " # LEFT-OUT"; next} '
    '/-----END [A-Z ]*PRIVATE KEY/ {key = 0} !key {print " " $0} '
    '/-----BEGIN [A-Z ]*PRIVATE KEY/ {key = 1; print " LEFT-OUT"}'
)
"""An awk program: so no private key leaves the host, and of envvars.d/*.env only paths."""
PLACED = ": the places of files;"
TEXTS = ": the texts of configuration;"
LOGINS = ": accounts, without their passwords;"
INTERFACES = "ifconfig -a"
MOUNTS = "mount -p"
RULES = "ipfw -S list 2>/dev/null; true"
_KINDS: dict[str, Kind] = {
    "Regular File": "file",
    "Directory": "directory",
    "Symbolic Link": "link",
    "Socket": "socket",
}


def read(
    session: Session,
    answers: Mapping[str, Answer],
    data: Iterable[str],
    homes: Mapping[str, str],
) -> None:
    """Ask where the files are that the answers so far name, and for those that count.

    Whoever keeps what the session answers has them: see `kept`. Of data and homes what is in them
    is asked for, too, and of data the directories below; none of their texts. `homes` are the
    directories of homes, without links and as passwd(5) has them.
    """
    named = sorted(paths(answers))[:_MOST]
    lived = dict(homes)
    wanted = sorted({*data} - {*lived})
    theirs = (*wanted, *lived, *lived.values(), *_PAGES)
    asked = [
        _placed(named, [*wanted, *lived], wanted),
        _texts([each for each in named if not is_in(each, theirs)]),
        _logins(),
        INTERFACES,
        MOUNTS,
        RULES,
    ]
    session.run_all(asked, limit=600)


def paths(answers: Mapping[str, Answer]) -> set[str]:
    """The paths that commands and their outputs name, with the directories above them."""
    found: set[str] = set()
    for command, each in answers.items():
        for path in _PATH.findall(f"{command}\n{each.out}\n{each.err}"):
            plain = path.rstrip(".,=~%+-@").rstrip("/")
            if plain != posixpath.normpath(plain) or len(plain) > _LONGEST:
                continue
            while plain.count("/") > 0 and plain not in found and not _SYSTEMS.fullmatch(plain):
                found.add(plain)
                plain = posixpath.dirname(plain)
                if plain == "/":
                    break
    return found


_LONGEST = 512


def _placed(named: Sequence[str], trees: Sequence[str], data: Sequence[str]) -> str:
    """A row for each path that is there: kind, mode, owner, group, size, path, target; and a row
    for each that is not.
    """
    finds = "".join(
        f"find -H {tree} -maxdepth {_DEEP.get(tree, _FLAT)} "
        f"\\( {' -o '.join(f'-path {each}' for each in _NOT_BELOW)} \\) -prune -o -print; "
        for tree in dict.fromkeys((*_TREES, *map(quote, trees)))
    )
    finds += "".join(
        f"find -H {quote(each)} -maxdepth {_DATA_DEEP} -type d | head -n {_MOST // 10}; "
        for each in data
    )
    rows = "".join(f"{each}\n" for each in named)
    return (
        f"{PLACED} {{ printf %s {quote(rows)}; {{ {finds}}} 2>/dev/null | head -n {_MOST}; }} | "
        "sort -u | tr '\\n' '\\0' | xargs -0 stat -f '%HT%t%Mp%t%Lp%t%Su%t%Sg%t%z%t%N%t%Y' "
        "2>/dev/null; true"
    )


def _texts(named: Sequence[str]) -> str:
    """The texts, each line after a space, below `= PATH`. A private key ends where it begins."""
    etc = " ".join(f"/etc/{each}" for each in _TEXTS)
    files = " ".join([quote(each) for each in named if _NAMED.fullmatch(each)][:_MOST_NAMED])
    trees = "/boot/loader.conf /boot/loader.conf.local /boot/loader.conf.d /var/cron/tabs"
    names = " ".join(f"! -name {quote(each)}" for each in (*_SECRET, *_NO_CONFIGURATION))
    counts = f"-type f -size -512 {names} -print"
    more = f"find {files} -maxdepth 0 {counts};" if files else ""
    return (
        f"{TEXTS} {{ find -H {etc} {trees} /usr/local/etc -path /usr/local/etc/rc.d -prune "
        f"-o {counts}; {more} }} 2>/dev/null | sort -u | {{ {_OWN}\n}} 2>/dev/null | "
        "tr '\\n' '\\0' | xargs -0 grep -lI '^' 2>/dev/null | "
        "while IFS= read -r each; do printf '= %s\\n' \"$each\"; "
        f'awk {quote(WITHOUT_KEYS)} "$each"; done; true'
    )


def _logins() -> str:
    """Without root there is no master.passwd: then what passwd(5) has."""
    return (
        f"{LOGINS} if [ -r /etc/master.passwd ]; then awk -F: 'NF == 10 && !/^[#+-]/ "
        f'{{p = $2; if (p != "" && p !~ /^[*]/) p = "{HASH}"; '
        'print $1 ":" p ":" $3 ":" $4 ":" $5 ":" $9 ":" $10}\' /etc/master.passwd; else '
        'awk -F: \'NF == 7 && !/^[#+-]/ {print $1 ":*:" $3 ":" $4 "::" $6 ":" $7}\' '
        "/etc/passwd; fi"
    )


def is_secret(path: str) -> bool:
    """Whether a file is called like a secret, so that it was named and not opened."""
    name = posixpath.basename(path)
    return any(fnmatch.fnmatchcase(name, each) for each in _SECRET)


def kept(answers: Mapping[str, Answer]) -> Files:
    """What the answers of a survey have of files. All is empty for one that was made before."""
    found = Files()
    for command, each in answers.items():
        if command.startswith(PLACED):
            _read_places(found, each.out)
            asked = command.partition("printf %s ")[2].partition("; {")[0]
            found.absent |= {*_PATH.findall(asked)} - found.places.keys()
        elif command.startswith(TEXTS):
            _read_texts(found, each.out)
        elif command.startswith(LOGINS):
            rows = (line.split(":") for line in each.out.splitlines())
            found.logins += [
                Login(row[0], row[1], int(row[2]), int(row[3]), row[4], row[5], row[6])
                for row in rows
                if len(row) == 7 and row[2].isdigit() and row[3].isdigit()
            ]
    return found


def _read_places(found: Files, text: str) -> None:
    for line in text.splitlines():
        row = line.split("\t")
        if len(row) != 8 or row[6] != posixpath.normpath(row[6]) or row[6][:1] != "/":
            continue
        kind, high, low, owner, group, size, path, target = row
        mode = (int(high, 8) << 9) | int(low, 8)
        found.places[path] = Place(_KINDS.get(kind, "other"), mode, owner, group, int(size), target)


def _read_texts(found: Files, text: str) -> None:
    path = ""
    lines: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("= "):
            path = line[2:]
            lines[path] = []
        elif path:
            lines[path].append(line[1:])
    found.texts |= {path: "".join(f"{each}\n" for each in rows) for path, rows in lines.items()}
