"""Thin jails: a private etc, var, tmp and root; all programs from the base through nullfs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path as File
from pathlib import PurePosixPath

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError

from operations import files, firewall, rc
from operations.command import ANY, Commands, NewFile, Reversible, quote, staged
from operations.doors import Ways
from operations.facts import (
    IsEmptyFileSystem,
    JailConf,
    Jails,
    OwnAddresses,
    Path,
    RcConf,
    Replaceable,
)

BASE = (
    *("bin", "lib", "libexec", "sbin"),
    *(f"usr/{name}" for name in ("bin", "include", "lib", "libdata", "libexec", "sbin", "share")),
)
"""The directories of a base system that a thin jail mounts read-only."""

LOCAL = ("bin", "include", "lib", "libdata", "libexec", "man", "openssl", "sbin", "share")
"""The directories of /usr/local that jails share. Not /usr/local itself: a directory below it could
not be mounted writable over its own read-only mount (EDEADLK from nullfs, seen on 13.2)."""

PROGRAMS = (*(f"/{each}" for each in BASE), *(f"/usr/local/{each}" for each in LOCAL), "/etc/ssl")
"""What every thin jail has: programs, libraries and the base system's certificates."""

ETC = (
    *("rc", "rc.d", "rc.subr", "rc.shutdown", "network.subr", "rc.firewall", "defaults"),
    *("login.conf", "login.conf.db", "services", "services.db", "protocols", "rpc", "netconfig"),
    *("nsswitch.conf", "host.conf", "localtime", "termcap", "ttys", "gettytab", "shells"),
    *("syslog.conf", "newsyslog.conf", "periodic", "mtree", "ssl", "pam.d", "mail", "pkg"),
    *("locate.rc", "csh.cshrc", "csh.login", "profile", "motd.template", "devfs.conf"),
    *("libmap.conf", "os-release", "hosts.allow", "dma", "syslog.d"),
    *("ld-elf.so.conf", "krb5.conf", "malloc.conf"),
)
"""The parts of /etc that a jail gets as they are."""
# Not all of /etc: password hashes, ssh host keys and the host's rc.conf, fstab and crontab do not
# belong in a jail.

_LISTENS = File(__file__).with_name("listens.awk")

_CLOSED = "! -perm -004 -o -path '*/private/*' -o -name '*.key' -o -name 'authinfo*'"
"""Of those parts, as find says it: what not everybody may read, and what should be so."""
_NAMING = ("/etc/rc.conf", "/etc/rc.conf.local", "/etc/rc.conf.d", "/etc/mail/submit.cf")
"""What may name a file of /etc for any daemon, besides its own configuration."""
# Of a map that is named, its file has .db besides; a directory that is named is named whole.
_UNNAMED = (
    "NR == FNR {secret[$0]; next} /^[[:space:]]*[#;]/ {next} "
    '{for (each in secret) {at = "/etc/" each; sub(/[.]db$/, "", at); above = at; '
    'sub("/[^/]*$", "", above); n = index($0, above); '
    "if (index($0, at) || (n && substr($0, n + length(above)) !~ /^\\/?[A-Za-z0-9_.-]/)) "
    "delete secret[each]}} END {for (each in secret) "
    'if (!dma || index(each, "dma/") != 1) print each}'
)
_DMA = "$(grep -cE '^sendmail[[:space:]].*/dma([[:space:]]|$)' mail/mailer.conf 2>/dev/null)"
"""sh, in /etc: whether sendmail(1) is dma(8), as FreeBSD 14 and later have it by default."""

_GROUPS = (
    'NR == FNR {kept[$1]; next} /^#/ || NF < 4 || $3 !~ /^[0-9]+$/ {next} {$2 = "*"; '
    'n = split($4, member, ","); $4 = ""; for (i = 1; i <= n; i++) if (member[i] in kept) '
    '$4 = $4 ($4 == "" ? "" : ",") member[i]; print}'
)
"""All groups, since configurations name them (SuexecUserGroup, mail_gid); of their members those
that the jail has."""


def nothing_mounted_below(*directories: str) -> str:
    """sh that fails if something is mounted below one of them.

    A delete below a jail's root once went through a rw nullfs mount and emptied a database."""
    below = " ".join(f"-e '^{each}/'" for each in directories)
    return f"! mount -p | awk '{{print $2}}' | grep -q {below}"


@operation()
def tree(
    home: str, shown: str, mount_points: Sequence[str] = (), *, mounted: bool = False
) -> Commands:
    """Create `home`, a jail's directory, and in it `root`, the empty tree of a thin jail.

    `mount_points` are further ones, relative to the root; some may be in `shown`, where the host
    sees directories of the jail. Accounts of the host do not get into `home`: the jail's root could
    leave a set-uid program there for one. The undo deletes both and everything in them with rm -x,
    and refuses while anything is mounted below them.

    With `mounted`, and where `home` is a file system of its own that is empty, it stays.
    """
    if not mounted:
        now = host.get_fact(Path, path=home)
        mounted = host.get_fact(IsEmptyFileSystem, path=home)
        if now.kind != "absent" and not mounted:
            raise OperationError(
                f"{home} exists already: expected nothing there, or an empty file system, and "
                "nothing is overwritten"
            )
    root = f"{home}/root"
    # An account may set these in a jail; rm(1) and find(1) clear two of them, and not uunlnk.
    free = "-flags +uunlnk,uchg,uappnd -exec chflags -h 0 {} +"
    gone, mode = f"rm -rfx {quote(home)} {quote(shown)}", '"$KEEP/mode"'
    noted = ""
    if mounted:
        noted = f"stat -f %Lp {quote(home)} > {mode} && fsync {mode} && "
        gone = (
            f"rm -rfx {quote(shown)} && find -x {quote(home)} -mindepth 1 "
            f"! -path {quote(home)}/.snap ! -path {quote(f'{home}/.snap/*')} -delete "
            f'&& [ -z "$(ls -A {quote(home)} | grep -vxF .snap)" ] '
            f'&& if [ -s {mode} ]; then chmod "$(cat {mode})" {quote(home)}; fi'
        )
    points = " ".join(
        quote(f"{root}/{point}") for point in (*BASE, "dev", "usr/local", *mount_points)
    )
    yield Reversible(
        f"{noted}mkdir -p {points} && cd {quote(root)} && install -d -m 1777 tmp var/tmp "
        "&& install -d -m 750 root && install -d -m 755 etc "
        '&& if [ -L /home ] && [ ! -e home ]; then ln -s "$(readlink /home)" home; fi'
        f" && chmod 700 {quote(home)}",
        undo=f"if [ -d {quote(home)} ] || [ -d {quote(shown)} ]; then "
        f"{nothing_mounted_below(home, shown)} && "
        f"find -x $(ls -d {quote(home)} {quote(shown)} 2>/dev/null) {free} && {gone}; fi",
        says=f"create the directories of a thin jail in {root}",
        owns={f"{home}/": "", f"{shown}/": ""},
    )


@operation()
def configuration(
    root: str,
    uids: tuple[int, int] | None = None,
    named: Sequence[str] = (),
    *,
    sends: bool = False,
) -> Commands:
    """Fill a jail's private etc and var from the host's, without secrets.

    A file of /etc that not everybody may read, or that holds a key or a password by its name, comes
    along only if one of the files and directories of `named`, the configuration of the jail's
    services, names it. With `sends`, mail of the jail's programs goes out by the host's mailer:
    where that is dma(8), its configuration comes along, with its password for a relay.

    Accounts: the system's (uid below 1000, and nobody), and those with a uid in `uids` (lowest,
    highest); none has a password in the jail. Groups: the system's, and those of these accounts,
    with no other members. var gets the host's directories, three levels deep, with owners and
    modes, but no files. Undone with the tree.
    """
    etc = f"{root}/etc"
    parts, secrets = f"$(ls -d {' '.join(ETC)} 2>/dev/null)", quote(f"{etc}/.secrets")
    text = " ".join(map(quote, (*named, *_NAMING)))
    yield Reversible(
        f"cd /etc && find {parts} -type f \\( {_CLOSED} \\) > {secrets}.all && "
        f"{{ find -L {text} -type f -exec grep -hsF /etc/ {{}} + 2>/dev/null || true; }} | "
        f'awk -v dma="{_DMA if sends else 0}" {quote(_UNNAMED)} {secrets}.all - > {secrets} && '
        f"{packed('/etc', etc, f'-X {secrets} {parts}')} && rm {secrets} {secrets}.all",
        undo=":",
        says=f"copy the parts of /etc that a jail needs to {etc}, without secrets that its "
        "services do not name",
        limit=120,
    )
    wanted = "$3 < 1000 || $3 >= 65530"
    if uids is not None:
        wanted += f" || ($3 >= {uids[0]} && $3 <= {uids[1]})"
    wanted = f"$3 ~ /^[0-9]+$/ && ({wanted})"  # no comment, empty line, or line of NIS
    yield Reversible(
        f"(umask 077 && awk -F: -v OFS=: '{wanted} {{$2 = \"*\"; print}}' /etc/master.passwd "
        f"> {quote(etc + '/master.passwd')}) "
        f"&& awk -F: -v OFS=: '{_GROUPS}' {quote(etc + '/master.passwd')} /etc/group "
        f"> {quote(etc + '/group')} "
        f"&& pwd_mkdb -p -d {quote(etc)} {quote(etc + '/master.passwd')}",
        undo=":",
        says=f"write the jail's accounts and groups, without passwords, in {etc}",
    )
    # var/empty has the schg flag, with which the undo's rm would fail.
    tar = quote(f"{etc}/.packed.tar")
    yield Reversible(
        "cd /var && find -x . -type d -maxdepth 3 ! -path './empty*' ! -path './tmp/*' "
        f"! -path './db/*/*' ! -path './cache/*' ! -path './spool/*/*' > {tar}.list "
        f"&& tar -cf {tar} --no-recursion -T {tar}.list "
        f"&& tar -xpf {tar} -C {quote(root + '/var')} && rm {tar} {tar}.list "
        f"&& install -d -m 555 {quote(root + '/var/empty')}",
        undo=":",
        says=f"copy the directories of /var, without files, to {root}/var",
    )


@operation()
def copies(source: str, into: str, names: Sequence[str], scripts: Sequence[str] = ()) -> Commands:
    """Copy configuration, with owners and modes, from `source` into a directory of a jail.

    `scripts` are rc scripts in its rc.d, except the base system's, which come with the jail's /etc.
    A name that is a symbolic link is copied as what it leads to, which is not in the jail.
    Only before the jail has ever run: afterwards the host must not write into its tree. Undone with
    the tree.
    """
    links = [name for name in names if _is_link(f"{source.rstrip('/')}/{name}")]
    wanted = " ".join(quote(name) for name in names if name not in links)
    # With "/." tar goes through the link.
    wanted += "".join(f" $(if [ -d {at}/. ]; then echo {at}/.; fi)" for at in map(quote, links))
    led = "".join(
        f" && if [ -f {at} ]; then mkdir -p {quote(str(PurePosixPath(into, name).parent))} "
        f"&& cp -p {at} {quote(f'{into}/{name}')}; fi"
        for name, at in zip(links, map(quote, links), strict=True)
    )
    found = "".join(
        f" $(if [ ! -e /etc/rc.d/{each} ]; then echo rc.d/{each}; fi)"
        for each in map(quote, scripts)
    )
    yield Reversible(
        f"mkdir -p {quote(into)} && {packed(source, into, f'{NONE}{found} {wanted}')}{led}",
        undo=":",
        says=f"copy {', '.join([*names, *(f'rc.d/{each}' for each in scripts)])} "
        f"from {source} to {into}",
        limit=120,
    )


NONE = "-T /dev/null"
"""An empty list of files: tar refuses to archive nothing."""


def packed(source: str, into: str, names: str) -> str:
    """sh that copies `names` (words of sh) from a directory into another, with owners and modes.

    Through a file: the exit code of a pipe is its last command's, so a partial copy would pass.
    Readable by root only, since keys and passwords are in it, whatever their own modes.
    """
    file = quote(f"{into}/.packed.tar")
    return (
        f"cd {quote(source)} && (umask 077 && tar -cf {file} {names}) "
        f"&& tar -xpf {file} -C {quote(into)} && rm {file}"
    )


def _is_link(path: str) -> bool:
    return str(host.get_fact(Replaceable, path=path).kind) == "link"


@operation()
def readdressed(places: Sequence[str], into: str, public: str, new: str, lan: str = "") -> Commands:
    """Let daemons listen on `new`, the jail's address, instead of any of the host's.

    In the copied configuration `places`: Apache's Listen, MySQL's bind-address, an address in
    Postfix's master.cf, and those of Dovecot's listeners. A virtual host keeps its public address,
    since a forwarded connection still has it as its local address, and gets the jail's besides.
    Where Apache lets in 127.0.0.1 or the public address, it lets in `lan`, the jails' network, too:
    their programs came from there. Undone with the jail's tree.
    """
    has = host.get_fact(OwnAddresses, wan=public) or ()
    own = " ".join(dict.fromkeys([public, *(str(each.ip) for each in has)]))
    script = f"{into}/listens.awk"
    yield NewFile(script, _LISTENS.read_text(encoding="utf-8"))
    files = " ".join(map(quote, places))
    lines = (
        "^[[:space:]]*(<virtualhost|listen|(bind[-_])?address)[[:space:]=]|"
        "^[[:space:]]*(require[[:space:]].*(ip|host)|(allow|deny)[[:space:]]+from)[[:space:]]|"
        "^[[:space:]]*require[[:space:]].*local|"
        "^[0-9.]+:.*[[:space:]]inet[[:space:]]|"
        "(mynetworks|smtpd_authorized_x(forward|client)_hosts)=[^[:space:]]*127[.]"
    )
    yield Reversible(
        f"find {files} -type f -exec grep -lIiE {quote(lines)} {{}} + | sort | awk "
        f"-v own={quote(f' {own} ')} -v wan={public} -v new={quote(new)} -v lan={quote(lan)} "
        f"-f {quote(staged(script))} "
        f"&& rm {quote(staged(script))}",
        undo=":",
        says=f"in {', '.join(places)}, let daemons listen on {new} instead of {own}",
    )


@operation()
def private(root: str, name: str, content: str, mode: str = "644") -> Commands:
    """Write a file below the root of a jail that has never run. Undone with the jail's tree."""
    path = f"{root}/{name}"
    yield NewFile(path, content)
    new = quote(staged(path))
    yield Reversible(
        f"chmod {mode} {new} && mv -f {new} {quote(path)}", undo=":", says=f"create {path}"
    )


@operation()
def resolver(
    root: str, own: Sequence[str], instead: Sequence[str], further: bool, public: str
) -> Commands:
    """Write the resolv.conf of a jail that has never run: the host's, with other name servers.

    `instead` take the place of the name servers in `own`, and of those at any address of the host,
    whose public one is `public`; they stand there alone if none is left. Other name servers are
    taken only with `further`: a jail without a way out would wait for each of them in vain, and so
    would any for those of IPv6. Undone with the jail's tree.
    """
    has = host.get_fact(OwnAddresses, wan=public) or ()
    own = list(dict.fromkeys([*own, *(str(each.ip) for each in has)]))
    servers = "\\n".join(f"nameserver {each}" for each in instead)
    awk = (
        '$1 == "nameserver" {if (index(own, " " $2 " ")) {if (!n++) print new} '
        "else if (further && $2 !~ /:/) {n++; print} next} {print} END {if (!n) print new}"
    )
    yield Reversible(
        f"awk -v own={quote(f' {chr(32).join(own)} ')} -v new={quote(servers)} "
        f"-v further={int(further)} {quote(awk)} $(ls /etc/resolv.conf 2>/dev/null) /dev/null "
        f"> {quote(f'{root}/etc/resolv.conf')}",
        undo=":",
        says=f"create {root}/etc/resolv.conf from the host's",
    )


@operation()
def hosts(root: str, content: str, names: Sequence[str], own: str) -> Commands:
    """Write the hosts file of a jail that has never run: `content`, then the host's own entries.

    `names` are those that `content` has: they are left out of the host's. The host's own name leads
    to its address `own` where nothing else says so: sendmail refuses a sender whose domain cannot
    be looked up, but not if the client is at 127.0.0.1, which the host's programs are no more (seen
    on 15.0: 451 4.1.8). Undone with the jail's tree.
    """
    path = f"{root}/etc/hosts"
    yield NewFile(path, content)
    new = quote(staged(path))
    awk = (
        '{whole = $0; sub(/#.*/, "")} NF > 1 {line = $1; n = 0; for (i = 2; i <= NF; i++) '
        "{if (tolower($i) == tolower(name)) named = 1; "
        'if (index(ours, " " tolower($i) " ")) n++; else line = line "\\t" $i} '
        "if (!n) print whole; else if (line != $1) print line} "
        'END {if (!named && !index(ours, " " tolower(name) " ")) print own "\\t" name}'
    )
    ours = quote(f" {' '.join(names).lower()} ")
    yield Reversible(
        f"awk -v ours={ours} -v own={quote(own)} -v name=$(hostname) {quote(awk)} "
        f"$(ls /etc/hosts 2>/dev/null) /dev/null >> {new} "
        f"&& chmod 644 {new} && mv -f {new} {quote(path)}",
        undo=":",
        says=f"create {path}, with the host's entries",
    )


def lives(name: str, root: str) -> str:
    """sh that succeeds if a jail runs or has mounts: jail(8) needs its configuration to end them.

    Not jls -d: it lists a jail without processes as long as one of its sockets is in TIME_WAIT (a
    minute), or in LAST_ACK with a client that is gone (ten); such a jail needs no configuration.
    """
    mounts = f"mount -p | awk -v root={quote(root)} '$2 == root || index($2, root \"/\") == 1'"
    return f"{{ jls -j {quote(name)} jid >/dev/null 2>&1 || {mounts} | grep -q .; }}"


@operation()
def described(path: str, content: str, ways: Ways, address: str, needed: str = "") -> Commands:
    """Write a file of jail.conf(5) for the jail with this primary address.

    To the addresses in `content` come those at which it answers further addresses of the host over
    UDP. The first one stays its primary: 127.0.0.1 is that one, and what it sends comes from there.
    """
    more = ", ".join(map(str, firewall.further(ways).get(address, {}).values()))
    if more:
        # With a public address of its own, the kernel has to choose by the way out, as before.
        alone = '\n    ip4.saddrsel = "false";'
        content = re.sub(
            rf"(ip4\.addr = {re.escape(address)}(.*));",
            lambda had: f"{had[1]}, {more};{'' if had[2] else alone}",
            content,
        )
    yield from files.put._inner(path, content, needed=needed)


@operation()
def started(name: str, root: str, left: str = ":", limit: int = 240) -> Commands:
    """Start a jail and check that it runs; the undo stops it and waits until its mounts are gone.

    `left` unmounts what a start that failed has left.

    A jail that does not want to stop takes the time of its exec.prestop and stop.timeout.

    `service jail onestart` always ends with 0, so jls decides.
    """
    if name in host.get_fact(Jails):
        host.noop(f"jail {name} runs")
        return
    yield Reversible(
        f"service jail onestart {quote(name)} && jls -j {quote(name)} jid",
        undo=f"lives() {lives(name, root)}; if lives; then service jail onestop {quote(name)}; "
        f"jls -j {quote(name)} jid >/dev/null 2>&1 || {left}; "
        "i=0; while lives && [ $i -lt 30 ]; do sleep 1; i=$((i + 1)); done; ! lives; fi",
        live=True,
        says=f"start jail {name}",
        sees=f"Starting jails: {name}. {ANY}",
        limit=limit,
    )


@operation()
def at_boot(name: str) -> Commands:
    """Start a jail of jail.conf.d at boot, without changing which other jails start.

    An empty jail_list with jail_enable="YES" means all jails of /etc/jail.conf and of what it
    includes: once the list names a jail, the others would stay down unless it names them, too.
    """
    conf = host.get_fact(RcConf) or {}
    own = host.get_fact(JailConf)
    starts = conf.get("jail_enable", "NO").upper() in ("YES", "TRUE", "ON", "1")
    if starts and not conf.get("jail_list", "").split() and own:
        yield from rc.variable._inner("jail_list", " ".join(dict.fromkeys([*own, name])))
        return
    yield from rc.word._inner("jail_list", name)
    if not starts:
        yield from rc.variable._inner("jail_enable", "YES")
