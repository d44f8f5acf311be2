"""A mail server that moves by overlap: its names, whom it relays for, its clients, submission.

Waiting runs in a subshell: `exit` must not end a shell that a person types into.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra import host
from pyinfra.api import operation

from operations.command import ANY, Commands, Reversible, one_line, quote, staged
from operations.facts import OwnAddresses

ACCESS, MAIN_CF = "/etc/mail/access", "/usr/local/etc/postfix/main.cf"

_ITSELF = (
    'sub(/^> /, "") && NF {v[++n] = $1} '
    "END {gsub(/[$]w/, v[2], v[1]); gsub(/[$]m/, v[3], v[1]); print v[1], v[3]}"
)
_PARTS = '{print $1, substr($1, index($1, ".") + 1)}'
_OWN_NAME = {
    "sendmail": rf"printf '$j\n$w\n$m\n' | /usr/sbin/sendmail -bt | awk '{_ITSELF}'",
    "postfix": "name=$(postconf -hx myorigin); "
    f'case $name in (/*) name=$(cat "$name");; esac; echo "$name" | awk \'{_PARTS}\'',
}


def own_name(script: str) -> str:
    """sh that prints what the MTA with this rc script calls itself, and its domain.

    sendmail prints $j as it is defined, which may be with $w or $m. An MTA that is not known is
    taken to use the hostname.
    """
    return _OWN_NAME.get(script, f"hostname | awk '{_PARTS}'")


@operation()
def own_name_kept(file: str, asked: str) -> Commands:
    """Let a jail's sendmail call itself what the host's MTA does, if the jail has `file`, its cf.

    Without this $j is the jail's hostname, and stands as the sender's domain in mail of its
    programs: on a host whose name is not in DNS that mail is refused with 553 5.1.8. `asked` is sh
    that prints the name and its domain. The lines come before all rules: sendmail expands $j in a
    rule when it reads it (asked of a 15.0: with Dj at the end, its greeting had the name, and
    recipients without a domain got the jail's). Undone with the jail's tree.
    """
    new = quote(f"{file}.name")
    lines = (
        '$1 !~ /^[0-9A-Za-z._-]+$/ {bad = 1; exit} {print "Dj" $1} '
        '$2 ~ /^[0-9A-Za-z._-]+$/ && $2 != "Undefined" {print "Dm" $2} END {exit bad || NR != 1}'
    )
    yield Reversible(
        f"if [ -f {quote(file)} ]; then {asked} | awk {quote(lines)} > {new} && "
        f"sed -i '' -e '/^D[jm]/d' -e {quote(f'/^V[0-9]/r {file}.name')} {quote(file)} "
        f"&& rm {new} && "
        f"grep -q '^Dj' {quote(file)}; fi",
        undo=":",
        says=f"in {file}, set the name by which the host's mail server calls itself",
    )


@operation()
def one_mailer(root: str, local_etc: str) -> Commands:
    """Let the mailer.conf of a package, in a jail that has never run, say what the jail's own does.

    mailwrapper(8) reads it before the one in /etc (seen on 15.0: the jail's queue runner was the
    sendmail of Postfix, which has none). Undone with the jail's tree.
    """
    path = f"{local_etc}/mail/mailer.conf"
    at, new = quote(path), quote(staged(path))
    yield Reversible(
        f"if [ -e {at} ]; then cp {quote(f'{root}/etc/mail/mailer.conf')} {new} && "
        f"mv -f {new} {at}; fi",
        undo=":",
        says=f"let {path}, if it is there, say the same as the jail's in /etc",
    )


@operation()
def names_kept(etc: str, relays: Sequence[str], sendmail: str = "/usr/sbin/sendmail") -> Commands:
    """Let a jail's sendmail accept mail for every name of the host, and relay for `relays`.

    What sendmail finds out by itself, hostname and addresses, differs in a jail, so the host's
    class w is written to `etc`/local-host-names, which sendmail.cf has to name. Programs that
    could relay because they came from 127.0.0.1 now come from the jails' addresses. Undone with the
    jail's tree.
    """
    names, cf = f"{etc}/local-host-names", quote(f"{etc}/sendmail.cf")
    yield Reversible(
        "".join(
            f"grep -q '^F{kind}.*{file}' {cf} || echo 'F{kind}-o /etc/mail/{file}' >> {cf}; "
            for kind, file in (("w", "local-host-names"), ("R", "relay-domains"))
        )
        + f"tail -n 1 {cf} >/dev/null",
        undo=":",
        says=f"let {etc}/sendmail.cf read local-host-names and relay-domains",
    )
    word = r"^(\[[0-9A-Za-z:.]+\]|[0-9A-Za-z._-]+)$"
    yield Reversible(
        f"(cat {quote(names)} 2>/dev/null; echo '$=w' | {sendmail} -bt | sed -e 's/^> //') "
        f"| grep -E {quote(word)} | sort -u > {quote(names + '.new')} && "
        f"mv -f {quote(names + '.new')} {quote(names)}",
        undo=":",
        says=f"write all names for which the host's sendmail accepts mail to {names}",
    )
    wanted = " ".join(map(quote, relays))
    yield Reversible(
        f"printf '%s\\n' {wanted} >> {quote(f'{etc}/relay-domains')}",
        undo=":",
        says=f"allow {', '.join(relays)} to relay, like 127.0.0.1, in {etc}/relay-domains",
    )


_FOR_JAIL = "# cellblock: a sender of mail from jail"


@operation()
def own_name_is_found(address: str, jail: str) -> Commands:
    """Let the host look up its own name, at its `address`, where neither DNS nor /etc/hosts has it.

    sendmail refuses a sender whose domain it cannot look up, and makes an exception for its own
    name and clients at 127.0.0.1 (asked of a 15.0: 451 4.1.8), which a jail's programs are no more.
    Of resolvers that do not answer, getent(1) asked for more than a minute there.
    For the first `jail` that sends mail, whose name is in the line; the undo removes just that.
    """
    at, new, mark = "/etc/hosts", "/etc/.hosts.cellblock", quote(f"{_FOR_JAIL} {jail}.")
    put = f"fsync {new} && mv -f {new} {at}"
    yield Reversible(
        'name=$(hostname); if ! timeout -k 1 20 getent hosts "$name" >/dev/null; '
        f"then cp -p {at} {new} && "
        f'{{ printf "%s\\t%s\\t%s\\n" {quote(address)} "$name" {mark} && cat {at}; }} > {new} '
        f"&& {put}; fi",
        undo=f"rm -f {new}; if grep -qF {mark} {at}; then cp -p {at} {new} && "
        f"grep -vF {mark} {at} > {new}; {put}; fi",
        says=f"let the host look up its own name, if it cannot, at {address} in {at}",
    )


@operation()
def relayed(script: str, address: str) -> Commands:
    """Let the host's MTA relay for a jail, whose programs it knew as 127.0.0.1 until now.

    sendmail looks into its access map for each connection, and a reload of Postfix ends none, so
    nobody notices. The undo puts the old files back, unless others changed them: then it takes the
    jail's address out of them.
    """
    if script == "postfix":
        yield _relayed_by_postfix(address)
    elif script == "sendmail":
        yield _relayed_by_sendmail(address)
    else:
        host.noop(f"{script} is not known: what it answers the jail is compared later")


def _relayed_by_sendmail(address: str) -> Reversible:
    at, line = ACCESS, f"Connect:{address}"
    make = f"makemap hash {at} < {at}"
    return Reversible(
        f"printf '%s\\tRELAY\\n' {quote(line)} >> {at} && {make} && fsync {at} {at}.db",
        undo=f"if grep -qs {quote(f'^{line}[[:space:]]')} {at}; then "
        f"sed -i '' -e {quote(f'/^{line}[[:space:]]/d')} {at}; "
        f'if [ ! -e "$KEEP/1" ] && [ ! -s {at} ]; then rm -f {at} {at}.db; '
        f'elif [ -e "$KEEP/2" ] && cmp -s {at} "$KEEP/1"; then '
        f'cp -p "$KEEP/1" {at} && cp -p "$KEEP/2" {at}.db; '
        f"else {make}; fi; fi",
        keep=(at, f"{at}.db"),
        says=f"let the host's sendmail relay for {address}, as for 127.0.0.1, in {at}",
    )


def _relayed_by_postfix(address: str) -> Reversible:
    at = MAIN_CF
    known = "postconf -h mynetworks"
    mine = f'case " $({known}) " in (*" {address} "*)'
    again = "if postfix status 2>/dev/null; then postfix reload; fi"
    # What this command made of the file from before, to see whether others changed it since.
    made = (
        'cp -p "$KEEP/1" "$KEEP/main.cf" && '
        f'postconf -c "$KEEP" -e "mynetworks=$(postconf -c "$KEEP" -hx mynetworks) {address}"'
    )
    return Reversible(
        f'postconf -e "mynetworks=$(postconf -hx mynetworks) {address}" && fsync {at} && {again}',
        undo=f'if [ -e "$KEEP/1" ]; then {mine} if {made} && cmp -s "$KEEP/main.cf" {at}; '
        f'then cp -p "$KEEP/1" {at}; else postconf -e "mynetworks=$({known} | sed -e '
        f"'s/ {address.replace('.', '[.]')}//')\"; fi; {again};; esac; fi",
        keep=(at,),
        says=f"let the host's Postfix relay for {address}, as for 127.0.0.1, in {at}",
        sees=ANY,
    )


_SOCKETS = r"""
function part(name,    found) {
 if (!match($0, "[=,][ \t]*" name "[a-z]*[ \t]*=[^,]*")) return ""
 found = substr($0, RSTART, RLENGTH); sub(/^.[^=]*=[ \t]*/, "", found); return found}
!/^O (Daemon|Client)PortOptions=/ {print; next}
{at = part("Addr"); six = part("Family") == "inet6" || at ~ /:/
 if (six && part("M") !~ /O/) {print "# " $0; next}
 if (at ~ /^(127[.]|localhost$)/ || index(own, " " at " ")) {
  if (at != "") sub("Addr[a-z]*[ \t]*=[ \t]*" at, "Addr=" new); at = new}
 port = part("Port"); if (port == "" || port == "25") port = "smtp"
 if (/^O Daemon/ && !six && bound[at, port]++) $0 = "# " $0
 print}
"""
"""awk: sendmail exits if it cannot bind one of its sockets (conf/daemon.c: "socket wedged"), unless
that is optional (M=O): 127.0.0.1 is the jail's address, too, and there is no IPv6.
"""


@operation()
def readdressed(file: str, old: str, new: str) -> Commands:
    """Change the addresses at which a jail's sendmail listens, and from which it sends, from `old`
    and the host's others to `new`. A second socket there, and IPv6, are left out. Undone with its
    tree.
    """
    has = host.get_fact(OwnAddresses, wan=old) or ()
    own = " ".join(dict.fromkeys([old, *(str(each.ip) for each in has)]))
    at, made = quote(file), quote(staged(file))
    yield Reversible(
        f"awk -v own={quote(f' {own} ')} -v new={quote(new)} {one_line(_SOCKETS)} {at} > {made} && "
        f"cat {made} > {at} && rm {made}",
        undo=":",
        says=f"in {file}, change the address of its sockets to {new}",
    )


@operation()
def postfix_fitted(etc: str, public: str, relays: Sequence[str]) -> Commands:
    """Adapt the main.cf of a Postfix, copied into a jail that has never run, to the jail.

    It listens on all of the jail's addresses: 127.0.0.1 means the jail's address there, and
    "localhost" is fatal. Its names stay the host's; `relays` may relay, in addition to those that
    may on the host. The host's addresses count as its own, as before: mail to them by [ADDRESS], or
    by an MX record, is for this system. Undone with the jail's tree.
    """
    more = " ".join(relays)
    has = host.get_fact(OwnAddresses, wan=public) or ()
    own = dict.fromkeys([public, *(str(each.ip) for each in has if not each.ip.is_loopback)])
    every = " ".join(each for each in own if each not in relays)
    at = (
        f"$(case $(postconf -h inet_interfaces) in (all) echo {every};; "
        f"(*) echo {public} $(postconf -hx inet_interfaces | tr -s ', ' '\\n\\n' | "
        "grep -E '^[0-9]+[.]' | grep -v '^127[.]');; esac) $(postconf -hx proxy_interfaces)"
    )
    yield Reversible(
        f"postconf -c {quote(etc)} -e inet_interfaces=all inet_protocols=ipv4 "
        f'"proxy_interfaces={at}" "myhostname=$(postconf -hx myhostname)" '
        f'"mydestination=$(postconf -hx mydestination)" '
        f'"mynetworks=$(postconf -hx mynetworks) {more}"',
        undo=":",
        says=f"adapt main.cf to the jail: its address, the host's names, and relaying for {more}",
    )


@operation()
def dovecot_fitted(file: str, lan: str) -> Commands:
    """Let a Dovecot, copied into a jail that has never run, listen on the jail's addresses.

    Its hostname (for greetings of LMTP and POP3's APOP, and Message-Ids) stays the host's. Clients
    in `lan`, the jails' network, may log in without TLS, as programs of the host could at any of
    its addresses: Dovecot takes a client for local whose address is the one that it asks
    (disable_plaintext_auth, ssl = required), and no program of a jail has the public one. The names
    in Dovecot 2.4 are others; such a block was asked of doveconf 2.3.
    """
    name = 'name=$(doveconf -h hostname); [ -n "$name" ] || name=$(hostname)'
    plain = (
        'if [ -n "$(doveconf -h auth_allow_cleartext 2>/dev/null)" ]; '
        "then plain='auth_allow_cleartext = yes'; else plain='disable_plaintext_auth = no'; fi; "
        'case $(doveconf -h ssl) in (required) plain="$plain\n  ssl = yes";; esac'
    )
    yield Reversible(
        f"{name}; {plain}; printf 'listen = *\nhostname = %s\nremote %s {{\n  %b\n}}\n' "
        f'"$name" {quote(lan)} "$plain" >> {quote(file)}',
        undo=":",
        says=f"in {file}, listen on the jail's address, keep the host's name, and take clients in "
        f"{lan} for local ones",
    )


@operation()
def queue_run(command: str) -> Commands:
    """Let the host's MTA try to deliver its whole queue once more."""
    yield Reversible(command, undo=":", live=True, says="run the host's mail queue once", sees=ANY)


@operation()
def sessions_ended(ports: Sequence[int], jail: str = "") -> Commands:
    """Give clients of a mail server that is about to stop up to 60 s to finish.

    On the host now; for a jail in the undo, before its daemons stop. No new clients come: by then
    traffic goes to the other server. When Postfix and Dovecot stop, they cut off their clients in
    the middle of a message or a login; sendmail's sessions continue by themselves. Draining Postfix
    is not enough: without the master, a session that has named its recipients is served to its end,
    but one that has not waits for a minute and more (seen on 13.2). A client that is still
    connected after a minute is idle, as mail programs are for hours, and connects again.
    """
    waited = _sessions_ended(ports, jail)
    there = f"if jls -j {quote(jail)} jid >/dev/null 2>&1; then {waited}; fi"
    yield Reversible(
        ":" if jail else waited,
        undo=there if jail else ":",
        live=True,
        limit=120,
        says=f"do nothing now; the undo gives clients of jail {jail} up to 60 s to finish"
        if jail
        else "give connected clients up to 60 s to finish",
    )


def _sessions_ended(ports: Sequence[int], jail: str) -> str:
    # Inside the jail, where only its own sockets are seen: sockstat -j NAME needs a kernel with
    # VIMAGE. "?" is a connection that no process holds any more.
    asks = f"jexec {quote(jail)} sockstat" if jail else "sockstat -j 0"
    own = f"^({'|'.join(map(str, ports))})$"
    held = f'$1 != "?" {{n = split($6, at, ":"); if (at[n] ~ /{own}/) on = 1}} END {{exit !on}}'
    return (
        f"(i=0; while {asks} -46cq -P tcp -p {','.join(map(str, ports))} | awk {quote(held)} && "
        "[ $i -lt 120 ]; do sleep 0.5; i=$((i + 1)); done)"
    )


@operation()
def submission(
    started: str = "service sendmail start", run: str = "timeout 30 /usr/sbin/sendmail -q -Ac"
) -> Commands:
    """Keep the queue runner of the host's null client, for mail that the jail could not accept.

    `service sendmail start` starts what rc.conf enables: by now only the runner. The undo delivers
    what still waits to the jail: a host whose MTA is Postfix does not read that queue.
    """
    yield Reversible(
        f"{started} || true",
        undo=f"{run} || true; service sendmail onestop || true",
        live=True,
        says="start the queue runner of the host's null client",
        sees=ANY,
    )
