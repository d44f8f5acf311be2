"""What the configuration of sendmail, Postfix and Dovecot names: paths, ports, accounts.

Asked of the programs themselves where they tell (postconf, doveconf); only the name of a setting is
kept, since a value may hold a password.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pyinfra.api.facts import FactBase

from operations.carried import KINDS, Ask, Named, There, is_in
from operations.command import Look, one_line

OWN = (
    *("/etc/mail", "/var/spool/mqueue", "/var/spool/clientmqueue", "/var/spool/postfix"),
    *("/var/db/dovecot", "/var/db/postfix", "/var/run/dovecot", "/var/log", "/dev"),
    *("/tmp", "/var/tmp"),  # noqa: S108 # names, for a comparison
    *(f"/etc/{name}" for name in ("hosts", "resolv.conf", "services", "passwd", "group")),
)
"""What a mail jail has of its own: its queue, caches that daemons make anew, the system's files.

The directories in /var are made with the host's owners (jail.configuration)."""

_SHARED = ("/tmp", "/var/tmp", "/var/spool/postfix")  # noqa: S108 # names, for a comparison
_MASTERS = tuple(f"/var/spool/postfix/{name}" for name in ("private", "public"))
"""Where Postfix and Dovecot, which move, make their own sockets."""

_KEPT = ("/var/db/dovecot",)

ALIASES = {
    "sendmail": "sed -nE 's/^O AliasFile=//p' /etc/mail/sendmail.cf | tr ',' '\\n' | sed -e 's/.*://'",
    "postfix": "postconf -hx alias_maps | grep -oE '/[^, ]+'",
}
"""sh that prints the files of aliases, by rc script."""

# An alias is a program, a file or an :include: if a slash or a bar is in its value.
_LEADING_OUT = "xargs -n 1 grep -nHE '^[^#]*[:,][^#]*[|/]' /dev/null 2>/dev/null"
# procmail and maildrop read these whenever they deliver, and no setting names them.
_AGENTS = "/usr/local/etc/procmailrc /usr/local/etc/maildroprc"
# mailwrapper(8) reads it before /etc/mail/mailer.conf; packages of Postfix have it written there.
WRAPPER = "/usr/local/etc/mail/mailer.conf"
_OF_AGENTS = (
    f"ls {_AGENTS} {WRAPPER} 2>/dev/null | sed -e 's,.*,&:1:= &,'; "
    f"{{ grep -nHE '^[^#]*(/|spamc)' {_AGENTS} 2>/dev/null || :; }}"
)
# saslauthd has the passwords, and listens at a socket of the host.
_SASL = (
    "grep -lsE 'pwcheck_method: *saslauthd' /usr/local/lib/sasl2/*.conf | "
    "sed -e 's,$,:1:= /var/run/saslauthd/mux,'"
)
# Cyrus SASL's own database is at this place, unless a line says another.
_SASL += (
    "; grep -lsE 'pwcheck_method: *auxprop' /usr/local/lib/sasl2/*.conf | "
    "while read -r each; do grep -qE 'auxprop_plugin: *(sql|ldap)' $each || "
    'echo "$each:1:= $(sed -n "s/^sasldb_path: *//p" $each | grep / || '
    'echo /usr/local/etc/sasldb2 /usr/local/etc/sasldb2.db)"; done'
)
_PAM = "ls /usr/local/etc/pam.d/* 2>/dev/null | sed -e 's/^/PAM::services = /'"
# Tables in a database name it in a file of their own, with its password: only the hosts are kept.
# `localhost` is MySQL's socket; to the others it is a port (mysql_table(5), pgsql_table(5),
# ldap_table(5); dovecot-sql.conf.ext, dovecot-ldap.conf.ext).
_HOSTS = r"""
/^[ \t]*driver[ \t]*=/ {kind = $NF}
/^[ \t]*(hosts|server_host|uris|connect)[ \t]*=/ {
 name = $0; sub(/^[ \t]*/, "", name); sub(/[ \t=].*/, "", name)
 text = substr($0, index($0, "=") + 1); gsub(/%2[fF]/, "/", text); port = ""
 if (name != "connect" && kind == "") kind = "ldap"
 if (match(text, /(^|[ \t])port=[0-9]+/)) {
  port = substr(text, RSTART, RLENGTH); sub(/.*=/, "", port)}
 count = split(text, words, /[ \t,]+/)
 for (n = 1; n <= count; n++) {
  word = words[n]
  if (name == "connect" && word !~ /^(host=|\/)/) continue
  usual = word ~ /^ldaps:/ ? 636 : kind == "mysql" ? 3306 : kind == "pgsql" ? 5432 : 389
  sub(/^(host=|unix:|inet:|ldaps?:\/\/|ldapi:\/\/)/, "", word); sub(/\/$/, "", word)
  if (word == "localhost" && kind == "mysql") word = socket
  else if (word ~ /^(localhost|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+)$/)
   word = word ":" (port != "" ? port : usual)
  print FILENAME ":" FNR ":" name " = " word}}
"""
_MYSQL = "sockstat -ulqw -j 0 | awk '$2 ~ /^(mysqld|mariadbd)/ && $6 ~ /^\\// {print $6; exit}'"
_TABLES = (
    "grep -oE '(mysql|pgsql|ldap):/[^, ]+|args *= .*/.*' | sed -E 's,^args *= (.* )?/,/,' | "
    "sort -u | "
    'while read -r table; do kind=${table%%/*} file=/${table#*/}; [ ! -f "$file" ] || '
    f'awk -v kind="${{kind%:}}" -v socket="$({_MYSQL})" {one_line(_HOSTS)} "$file"; done'
)
"""sh that reads settings, and prints FILE:NUMBER:TEXT for the hosts of their tables."""
# Postfix's names of sockets may be relative to its queue.
_WHOLE = "sed -E 's,(unix|local):([A-Za-z0-9]),\\1:/var/spool/postfix/\\2,g'"
# Where mail of some domains goes: the text of these maps, where a server is named in brackets, or
# with a port.
_TO_SERVERS = "xargs -n 1 grep -nHE '^[^#].*(\\[|:[0-9])' /dev/null 2>/dev/null"
_ROUTED = {
    "sendmail": f"ls /etc/mail/mailertable 2>/dev/null | {_TO_SERVERS}",
    "postfix": "postconf -hx transport_maps relayhost sender_dependent_relayhost_maps | "
    f"grep -oE ':/[^, ]+' | cut -c 2- | {_TO_SERVERS}",
}
SETTINGS = {
    "postfix": "{ postconf -nx | sed -e 's/^/postconf::/'; "
    f"postconf -M | sed -e 's/^/master.cf::/'; }} | {_WHOLE}",
    "dovecot": "doveconf -n | sed -e 's/^/doveconf::/'",
}
"""sh that prints the settings of daemons that tell them, as FILE::TEXT, by rc script."""
_SAYS = {
    "sendmail": f"{_SASL}; {_OF_AGENTS}; "
    "grep -nHE '^(K|F|X|M|DS.|O [A-Za-z.]+=)' /etc/mail/sendmail.cf; "
    f"{_ROUTED['sendmail']}; "
    f"{ALIASES['sendmail']} | {_LEADING_OUT}",
    "postfix": f"{_SASL}; {_OF_AGENTS}; "
    f"{SETTINGS['postfix']}; postconf -nx | {_TABLES}; {_ROUTED['postfix']}; "
    f"{ALIASES['postfix']} | {_LEADING_OUT}",
    "dovecot": f"{SETTINGS['dovecot']}; doveconf -n | {_TABLES}; {_PAM}",
}
"""sh that prints FILE:NUMBER:TEXT, by rc script."""

_USER = r"""
/^[ \t]*hosts[ \t]*=/ && /127\.0\.0\.1|inet:localhost/ {tcp = 1}
/^[ \t]*user[ \t]*=/ {user = $NF; line = FNR}
/^[ \t]*connect[ \t]*=/ && /host=127\.0\.0\.1/ && match($0, /user=[^ \t]+/) {
 tcp = 1; user = substr($0, RSTART + 5, RLENGTH - 5); line = FNR}
END {if (tcp && user != "") print FILENAME ":" line " " user}
"""
# Dovecot 2.4 has these in a block of its own.
_BLOCK = (
    "awk '/^mysql 127[.]/ {on = 1} /^}/ {on = 0} "
    'on && /^[ \t]*user[ \t]*=/ {print "doveconf:mysql " $NF}\''
)
_SETTINGS = {"postfix": "postconf -nx", "dovecot": "doveconf -n"}


def database_users(scripts: Sequence[str]) -> str:
    """sh that prints FILE:NUMBER USER for each table that asks a MySQL over TCP at 127.0.0.1."""
    said = "; ".join(_SETTINGS[each] for each in scripts if each in _SETTINGS) or ":"
    return (
        f"{{ {said}; }} | grep -oE 'mysql:/[^, ]+|args *= .*/.*' | "
        "sed -E 's,^args *= (.* )?/,/,; s,^mysql:,,' | sort -u | while read -r file; do "
        f'[ ! -f "$file" ] || awk {one_line(_USER)} "$file"; done'
        + (f"; doveconf -n | {_BLOCK}" if "dovecot" in scripts else "")
    )


_NAMED = r"""
{at = index($0, ":"); file = substr($0, 1, at - 1); text = substr($0, at + 1)
 at = index(text, ":"); number = substr(text, 1, at - 1); text = substr(text, at + 1)
 said = number == "" ? file : file ":" number
 if (number == "") {name = text; sub(/^[ \t]+/, "", name); sub(/[ \t=].*/, "", name)
  said = said ": " name}
 rest = text
 while (match(rest, /(^|[^A-Za-z0-9_.$%~}\/-])\/[A-Za-z0-9_.+@\/-]+[%$*{]?/)) {
  path = substr(rest, RSTART, RLENGTH); rest = substr(rest, RSTART + RLENGTH)
  sub(/^[^\/]/, "", path); if (path ~ /[%$*{]$/) sub(/\/[^\/]*$/, "", path)
  sub(/\/+$/, "", path); if (path != "" && path !~ /^\/\//) print "+ " path "\t" said}
 if (text ~ /(^|[|= \t\/])spamc([ \t"]|$)/ && text !~ / -[dU]/) print "> 783\t" said
 rest = text
 while (match(rest, /(127\.0\.0\.1|localhost)\]?:[0-9]+|inet6?:[0-9]+@(127\.0\.0\.1|localhost)/)) {
  port = substr(rest, RSTART, RLENGTH); rest = substr(rest, RSTART + RLENGTH)
  sub(/@.*/, "", port); sub(/.*:/, "", port); print "> " port "\t" said}
 rest = text
 while (match(rest, /https?:\/\/(127\.0\.0\.1|localhost)([\/"\047 \t]|$)/)) {
  port = substr(rest, RSTART, 5) == "https" ? 443 : 80; rest = substr(rest, RSTART + RLENGTH)
  print "> " port "\t" said}
 asks = text; sub(/^[^ \t]+[ \t]+inet[ \t]/, "", asks)
 rest = text ~ /^ *(mynetworks|mydestination|inet_interfaces|proxy_interfaces)/ ? "" : asks
 while (match(rest, /\[[A-Za-z0-9][A-Za-z0-9.-]*\.[A-Za-z0-9-]+\](:[0-9]+)?/)) {
  end = substr(rest, RSTART + 1, RLENGTH - 1); rest = substr(rest, RSTART + RLENGTH)
  sub(/\]/, "", end); if (end !~ /:/) end = end ":25"
  if (end ~ /[A-Za-z]|^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+:/) print "? " end "\t" said}
 if (text ~ /^ *[a-z_]*(networks|destination|interfaces|exceptions|hosts|clients|_list)/) rest = ""
 else rest = asks
 while (match(rest, /\[(IPv6:)?[0-9A-Fa-f]*:[0-9A-Fa-f:.]+\](:[0-9]+)?/)) {
  end = substr(rest, RSTART, RLENGTH); rest = substr(rest, RSTART + RLENGTH)
  sub(/IPv6:/, "", end); if (end ~ /\]$/) end = end ":25"; print "? " end "\t" said}
 if (match(text, /^DS[A-Za-z0-9][A-Za-z0-9.-]*\.[A-Za-z0-9-]+$/)) {
  print "? " substr(text, 3) ":25\t" said}
 rest = asks
 while (match(rest, /(^|[ \t,:=])[A-Za-z0-9][A-Za-z0-9-]*(\.[A-Za-z0-9-]+)+:[0-9]+/)) {
  end = substr(rest, RSTART, RLENGTH); rest = substr(rest, RSTART + RLENGTH)
  sub(/^[ \t,:=]/, "", end); if (end !~ /^127\./) print "? " end "\t" said}
 rest = text
 while (match(rest, /inet:[0-9]+@[A-Za-z0-9][A-Za-z0-9-]*(\.[A-Za-z0-9-]+)+/)) {
  end = substr(rest, RSTART + 5, RLENGTH - 5); rest = substr(rest, RSTART + RLENGTH)
  at = index(end, "@")
  if (end !~ /@127\./) print "? " substr(end, at + 1) ":" substr(end, 1, at - 1) "\t" said}
 rest = file == "doveconf" ? text : ""
 while (match(rest, /https?:\/\/[A-Za-z0-9][A-Za-z0-9-]*(\.[A-Za-z0-9-]+)+(:[0-9]+)?/)) {
  end = substr(rest, RSTART, RLENGTH); rest = substr(rest, RSTART + RLENGTH)
  port = end ~ /^https/ ? 443 : 80; sub(/^https?:\/\//, "", end); if (end !~ /:/) end = end ":" port
  if (end !~ /^127\./) print "? " end "\t" said}
 if (match(text, /^[ \t]*(imapc|pop3c|submission_relay)_(host|port) = /)) {
  name = text; gsub(/^[ \t]+|_(host|port) .*/, "", name)
  if (text ~ /_port = /) ports[name] = $NF; else {hosts[name] = $NF; places[name] = said}}
 rest = text
 while (match(rest, /(^|[ \t,])(mail_uid|mail_gid|uid|user)[ \t]*=[ \t]*[a-z_][A-Za-z0-9_-]*/)) {
  user = substr(rest, RSTART, RLENGTH); rest = substr(rest, RSTART + RLENGTH)
  sub(/.*[ \t=]/, "", user); print "& " user "\t" said}}
END {for (name in hosts) if (hosts[name] ~ /\./ && hosts[name] !~ /^127\./) {
 port = name in ports ? ports[name] : name == "imapc" ? 143 : name == "pop3c" ? 110 : 25
 print "? " hosts[name] ":" port "\t" places[name]}}
"""


# Each account reads its own. What is named there is printed, and nothing else of it.
_FORWARD = (
    'chroot -u "$name" -g "$gid" -G "$gid" / sh -c '
    """'[ -f "$1" ] && head -c 8192 "$1"' sh "$home/$file" 2>/dev/null </dev/null"""
)
_FORWARDED = r"""
!/^[ \t]*#/ {if ($0 ~ /(^|[| \t\/])spamc([ \t"]|$)/ && $0 !~ / -[dU]/) print "127.0.0.1:783"
 while (match($0, /(^|[|" \t:=])\/[A-Za-z0-9_.+@\/-]+/)) {
 path = substr($0, RSTART, RLENGTH); $0 = substr($0, RSTART + RLENGTH); sub(/^[^\/]/, "", path)
 print path}}
"""
HOMES = (
    'files=.forward; [ ! -x /usr/local/bin/procmail ] || files="$files .procmailrc"; '
    '[ ! -x /usr/local/bin/maildrop ] || files="$files .mailfilter"; '
    "awk -F: '$3 >= 1000 && $3 < 65530 {print $1, $3, $4, $6, $7}' /etc/passwd | "
    "while read -r name uid gid home shell; do "
    # pw(8) makes an empty mailbox for each account, also for one that nobody writes to.
    'case $shell in (*/nologin|*/false) [ -s "/var/mail/$name" ];; (*) [ -e "/var/mail/$name" ];; '
    'esac && echo "$name $uid /var/mail/$name"; '
    '[ ! -d "$home/Maildir" ] || echo "$name $uid $home/Maildir"; '
    'for file in $files; do [ ! -e "$home/$file" ] || { echo "$name $uid $home/$file"; '
    f"{_FORWARD} | awk {one_line(_FORWARDED)} | while read -r path; do "
    'case $path in (/*) [ -e "$path" ] || continue;; esac; echo "$name $uid $path $file"; done; }; '
    "done; done"
)
"""sh that prints where accounts have mail, and what their .forward, .procmailrc and .mailfilter
name: NAME UID PATH [FILE], or 127.0.0.1:PORT for a path.
"""


@dataclass(frozen=True)
class Said:
    """What is named, each with the setting or line that names it; what there is at each path.

    `ports` are of this machine, `others` ADDRESS:PORT of further ones, whose address may be a name,
    or of IPv6 in brackets.
    """

    paths: tuple[tuple[str, str], ...] = ()
    ports: tuple[tuple[str, str], ...] = ()
    others: tuple[tuple[str, str], ...] = ()
    accounts: tuple[tuple[str, str], ...] = ()
    there: There = field(default_factory=There)


class Settings(FactBase[Said]):
    """What the configurations of these daemons name, by their rc scripts."""

    default = Said

    @staticmethod
    def assumed(scripts: Sequence[str]) -> Look:
        known = "grep -vE '^/var/(spool|mail|run|log)(/|$)'"
        paths = f"grep -oE '/var/[a-z/]+|/home/[a-z/]+|/usr/home' | {known} | sort -u"
        return Look(
            f"{{ {_says(scripts)}; }} | {paths}",
            claim=f"{', '.join(scripts)} name no directories but those of the site file",
        )

    def command(self, scripts: Sequence[str]) -> str:
        return (
            f"named=$({{ {_says(scripts)}; }} 2>/dev/null | awk {one_line(_NAMED)} | sort -u); "
            'printf "%s\\n" "$named"; '
            "printf '%s\\n' \"$named\" | sed -n 's/^+ \\([^\t]*\\).*/\\1/p' | sort -u | "
            f"{{ {KINDS}; }}"
        )

    def process(self, output: list[str]) -> Said:
        """Lines "+ PATH<tab>SAID", "> PORT...", "? END...", "& ACCOUNT...", and those of KINDS."""

        def pairs(mark: str) -> tuple[tuple[str, str], ...]:
            rows = (row[2:].partition("\t") for row in output if row.startswith(mark))
            return tuple((first, said) for first, _, said in rows)

        return Said(pairs("+ "), pairs("> "), pairs("? "), pairs("& "), There.read(output))


def _says(scripts: Sequence[str]) -> str:
    return "; ".join(_SAYS[each] for each in scripts if each in _SAYS)


def are_known(script: str) -> bool:
    return script in _SAYS


@dataclass(frozen=True)
class Configuration:
    """The configuration of some mail daemons, as something that names paths."""

    scripts: tuple[str, ...]

    def named(self, ask: Ask) -> tuple[Named, ...]:
        said: Said = ask(Settings, scripts=self.scripts)
        return said.there.named(said.paths)

    def strangers(self, ask: Ask) -> list[Named]:
        """What is in directories of which the jail has its own: sockets of other daemons, and what
        Dovecot is told to keep beside its caches.
        """
        found = self.named(ask)
        kept = [each for each in found if is_in(each.path, _KEPT) and each.path not in _KEPT]
        sockets = [each for each in found if each.kind == "other" and is_in(each.path, _SHARED)]
        return [*kept, *(each for each in sockets if not is_in(each.path, _MASTERS))]
