"""Mail: maps and queue before the move; names, accounts and answers after it."""

from __future__ import annotations

import re
from shlex import quote
from typing import Any

from operations import logins, mail, mailers
from operations.carried import Ask, Further, is_in
from operations.jail import PROGRAMS
from operations.needs import Listener
from operations.queues import POSTFIX, SENDMAIL, Queue
from rollout.site import Site
from tests.checks import arrived, outsiders, smtp, trusting
from tests.checks.granted import ASKED, LOCAL, Client, Grants

_NAMES = "echo '$=w' | /usr/sbin/sendmail -bt | sed -e 's/^> //'"

# Each map is rebuilt from its text in a temporary directory, by the program that the administrator
# would use.
_MAKEMAP = (
    "d=$(mktemp -d /var/run/maps.XXXXXX) && "
    "awk '/^K/ && $2 ~ /^(hash|btree|dbm)$/ {print $2, $NF}' /etc/mail/sendmail.cf | sort -u | "
    'while read -r type file; do if [ -f "$file" ]; then '
    'makemap "$type" "$d/map" < "$file" 2>&1 || echo "makemap refuses $file"; rm -f "$d"/*; fi; '
    "done; awk -F'[=,]' '/^O AliasFile=/ {for (n = 2; n <= NF; n++) print $n}' "
    "/etc/mail/sendmail.cf | sed -e 's/.*://' | "
    'while read -r file; do if [ -f "$file" ]; then cp "$file" "$d/aliases"; '
    'out=$(/usr/sbin/sendmail -bi -oA"$d/aliases" 2>&1) || '
    'printf "newaliases refuses %s: %s\\n" "$file" "$out"; fi; done; rm -rf "$d"'
)
_POSTMAP = (
    "d=$(mktemp -d /var/run/maps.XXXXXX) && "
    "{ postconf -x | grep -oE '(hash|btree|dbm|cdb|lmdb):/[^, ]+'; echo; } | sort -u | "
    'while IFS=: read -r type file; do if [ -f "$file" ]; then cp "$file" "$d/map"; '
    'case $(postconf -hx alias_database) in *"$file"*) make=postalias;; *) make=postmap;; esac; '
    '"$make" "$type:$d/map" 2>&1 || echo "$make refuses $file"; '
    'for made in "$d/map".*; do of="$file.${made##*.}"; [ ! -e "$made" ] || [ -e "$of" ] || '
    'echo "$of is not there, so mail that needs it waits: run $make $type:$file"; done; '
    'rm -f "$d"/*; fi; done; '
    'rm -rf "$d"'
)


def _is_sendmail(site: Site) -> bool:
    return site.services["mail"].rc == "sendmail"


def queue_of(site: Site) -> Queue:
    return SENDMAIL if _is_sendmail(site) else POSTFIX


def map_question(site: Site) -> str:
    """sh that rebuilds every map in a temporary directory and prints the errors."""
    return _MAKEMAP if _is_sendmail(site) else _POSTMAP


def names_question(site: Site) -> str:
    """sh that prints the names for which an MTA accepts mail, with some text around them."""
    return _NAMES if _is_sendmail(site) else "postconf -hx mydestination | tr -s ', ' '\\n\\n'"


def test_maps_can_be_rebuilt(host: Any, site: Site) -> None:
    """Cellblock adds a line to a map and makes it anew: a broken one would stop the jail's mail. So
    does one of Postfix' that was never made.
    """
    said = host.check_output(map_question(site)).splitlines()
    wrong = [line for line in said if not line.startswith("WARNING")]
    assert not wrong, f"mail maps that are not in order: {'; '.join(wrong)}"


def _further(site: Site, jail: str) -> Further:
    return Further(
        names=(mailers.Configuration(_scripts(site, jail)),),
        there=(*site.paths(jail), *PROGRAMS, *mailers.OWN),
        trees=site.base.jails,
    )


def test_named_paths_are_in_the_jail(ask: Ask, site: Site, service: str) -> None:
    """By a mount, as a copy, or brought along; else the setting that names them is told."""
    jail = site.jail_of(service)
    strangers = [
        f"{each.said}: {each.path}"
        for each in mailers.Configuration(_scripts(site, jail)).strangers(ask)
        if not is_in(each.path, site.paths(jail))
    ]
    assert not strangers, (
        f"jail {jail} has directories of its own in the place of those with these: "
        f"{'; '.join(strangers)}: have each in a directory elsewhere, and add that to "
        f"jails.{jail}.mounts; a daemon may also listen at a port of 127.0.0.1"
    )
    lost = [f"{each.said}: {each.path}" for each in _further(site, jail).lost(ask)]
    assert not lost, (
        f"jail {jail} would not have these: {'; '.join(lost)}: add each to services.{service}."
        f"configuration (is copied) or .data, or its directory to jails.{jail}.mounts; or take "
        f"{service} out of `order`"
    )


def test_accounts_mail_is_in_the_jail(
    host: Any, ask: Ask, listening: list[Listener], site: Site, service: str
) -> None:
    """Where accounts have mail, and what their .forward and .procmailrc name."""
    jail = site.jail_of(service)
    low, high = site.jails[jail].uids or (1, 0)
    further = _further(site, jail)
    there = (*further.there, *(each.path for each in further.shown(ask)))
    rows = [row.split() for row in host.check_output(mailers.HOMES).splitlines()]
    strangers = {row[0]: row[1] for row in rows if not low <= int(row[1]) <= high}
    some = "; ".join(f"{name}, uid {uid}" for name, uid in list(strangers.items())[:10])
    assert not strangers, (
        f"{len(strangers)} accounts with mail would not be in jail {jail}: {some}: give jails."
        f"{jail}.uids a range that has their uids"
    )
    unreached = {
        f"127.0.0.1:{one.port}"
        for one in listening
        if one.at_loopback and one.port not in site.tcp_ports
    }
    ports = sorted({f"{row[0]}: {row[3]}: {row[2]}" for row in rows if row[2] in unreached})
    assert not ports, (
        f"jail {jail} would not reach what {len(ports)} accounts name: {'; '.join(ports[:10])}: "
        "describe the daemon that listens there as [services.NAME], with that port and public = "
        "false, and leave NAME out of `order`"
    )
    rows = [row for row in rows if row[2].startswith("/")]
    lost = [row for row in rows if not is_in(row[2], there)]
    named = "; ".join(f"{name}: {' '.join([path, *why])}" for name, _, path, *why in lost[:10])
    assert not lost, (
        f"jail {jail} would not have {len(lost)} paths of accounts: {named}: add their "
        f"directories to jails.{jail}.mounts"
    )


def test_only_logins_have_passwords(host: Any, ask: Ask, site: Site, jail: str) -> None:
    """The host's, if the mail daemons ask the system for them; else none. Names alone are read."""
    uids = site.jails[jail].uids or (1, 0)
    drivers = ask(logins.Drivers, scripts=_scripts(site, jail))
    wanted = logins.by_system(drivers)
    rows = host.check_output(logins.differences(logins.Accounts(jail, uids), wanted)).splitlines()
    if wanted and rows and host.check_output("find /etc/master.passwd -mmin -2"):
        rows = []  # a password that was just changed is on its way: the script runs each minute
    named = {
        kind: [row.split()[1] for row in rows if row.startswith(kind)]
        for kind in ("extra", "lacks")
    }
    assert not named["extra"], (
        f"in jail {jail} these accounts have a password that is not the host's: "
        f"{', '.join(named['extra'])}"
    )
    assert not named["lacks"], (
        f"these accounts could not log in to read mail, since jail {jail} does not have their "
        f"password: {', '.join(named['lacks'])}"
    )


def test_local_helpers_are_reached(
    host: Any, ask: Ask, listening: list[Listener], site: Site, service: str
) -> None:
    """Milters, filters and policy servers at 127.0.0.1, which is the jail itself in a jail."""
    jail = site.jail_of(service)
    own = {
        one.pid
        for name in site.jails[jail].services
        for each in site.services[name].tcp_ports
        for one in listening
        if one.port == each
    }
    helpers = {str(one.port) for one in listening if one.pid not in own}
    known = {str(port) for port in site.tcp_ports}
    lost = [
        f"{said}: 127.0.0.1:{port}"
        for port, said in _settings(ask, site, jail).ports
        if port in helpers - known
    ]
    assert not lost, (
        f"jail {jail} would not reach these: {'; '.join(lost)}: describe the daemon that listens "
        "there as [services.NAME], with that port and public = false, and leave NAME out of `order`"
    )
    named = [int(port) for port, _ in _settings(ask, site, jail).ports]
    closed = trusting.refusing(host, site, jail, named)
    assert not closed, (
        f"the mail server asks these daemons, which would turn away jail {jail}, "
        f" whose address is {site.jails[jail].address}: {'; '.join(closed)}"
    )
    strangers = _unknown_to_mysql(host, site, jail)
    assert not strangers, (
        f"MySQL would not let these in from jail {jail}, whose address is "
        f"{site.jails[jail].address}: {'; '.join(strangers)}: create these users for that address, "
        "too, with the rights that SHOW GRANTS prints"
    )


def _unknown_to_mysql(host: Any, site: Site, jail: str) -> list[str]:
    """Users of tables that log in at 127.0.0.1 now, and would come from the jail's address."""
    mysql = site.services.get("mysql")
    asked = mailers.database_users(_scripts(site, jail)) if mysql else ":"
    rows = [row.split() for row in host.run(asked).stdout.splitlines()]
    if mysql is None or not rows or jail == site.jail_of("mysql"):
        return []
    if not mysql.client:
        why = "set services.mysql.client, by which Cellblock can read whom MySQL lets in"
        return [f"{place}: {user} ({why})" for place, user in rows]
    grants = Grants.read(host.check_output(f"{mysql.client} -N -B -e {quote(ASKED)}"))
    now, before = Client(str(site.jails[jail].address)), Client(*LOCAL[:1], LOCAL[1:])
    return [
        f"{place}: '{user}'@'{now.address}'"
        for place, user in rows
        if grants.let_in(user, before)
        and (not grants.let_in(user, now) or grants.lost(user, before, now))
    ]


def test_named_accounts_are_in_the_jail(host: Any, ask: Ask, site: Site, service: str) -> None:
    """Mail to, or a command as, an account that the jail does not have fails."""
    jail = site.jail_of(service)
    named = dict(_settings(ask, site, jail).accounts)
    lost = outsiders.lost(host, named, site.jails[jail].uids)
    assert not lost, (
        f"jail {jail} would not have these: {'; '.join(lost)}: give jails.{jail}.uids a range that "
        "has the uid"
    )


def test_jail_has_what_is_named(host: Any, ask: Ask, site: Site, service: str) -> None:
    """Asked in the jail, for each path that exists on the host."""
    jail = site.jail_of(service)
    said = _settings(ask, site, jail)
    copied = (*site.services[service].configuration, *mailers.OWN)
    missing = arrived.lost(host, jail, said.there.named(said.paths), copied)
    assert not missing, f"jail {jail} does not have these: {'; '.join(missing)}"


def _settings(ask: Ask, site: Site, jail: str) -> mailers.Said:
    said: mailers.Said = ask(mailers.Settings, scripts=_scripts(site, jail))
    return said


def _scripts(site: Site, jail: str) -> tuple[str, ...]:
    return tuple(site.services[name].rc for name in site.jails[jail].services)


INSTANCES = "postconf -nx | sed -n 's/^multi_instance_directories = //p'"


def test_queue_can_be_moved(host: Any, site: Site) -> None:
    """What waits in the host's queue is delivered by the jail after the move."""
    queue = queue_of(site)
    at = quote(queue.directory)
    asked = (
        "awk -F= '/^O QueueDirectory=/ {print $2}' /etc/mail/sendmail.cf"
        if _is_sendmail(site)
        else "postconf -h queue_directory"
    )
    configured = host.check_output(asked)
    assert configured == queue.directory, (
        f"the mail queue is in {configured or 'an unknown directory'}; expected {queue.directory}, "
        "without queue groups"
    )
    more = "" if _is_sendmail(site) else host.run(INSTANCES).stdout.strip()
    assert not more, (
        f"main.cf: multi_instance_directories = {more}: Cellblock moves one Postfix with its "
        "queue, and mail in that of another would be left behind: take mail out of `order`, or end "
        "those instances (postmulti(1))"
    )
    assert host.run(f"[ -d {at} ] && [ ! -L {at} ]").rc == 0, (
        f"{at}: expected a directory, and no link"
    )
    here, above = host.check_output(f"stat -f %d {at} {at}/..").split()
    assert here == above, (
        f"{at} is a file system of its own, so messages could not be renamed into the jail's queue "
        "beside it"
    )


def test_is_accepted_for_every_host_name(host: Any, site: Site) -> None:
    """Where the jail's MTA does not know a name as its own, that mail bounces or loops."""
    ask = names_question(site)
    jail = site.jail_of("mail")
    ours = set(host.check_output(f"jexec {jail} sh -c {quote(ask)}").splitlines())
    theirs = {name for name in host.check_output(ask).splitlines() if " " not in name}
    missing = sorted(name for name in theirs - ours if "IPv6" not in name and name != ">")
    assert theirs, "the host's MTA names no host for which it accepts mail"
    assert not missing, f"jail {jail} does not accept mail for {', '.join(missing)}"


# Accounts with mail on this system: name, uid, and spool, maildir or forward.
PEOPLE = (
    "awk -F: '$3 >= 1000 && $3 < 65530 {print $1, $3, $6}' /etc/passwd | "
    "while read -r name uid home; do "
    "if [ -s /var/mail/$name ]; then echo $name $uid spool; fi; "
    "if [ -d $home/Maildir ]; then echo $name $uid maildir; fi; "
    "if [ -e $home/.forward ]; then echo $name $uid forward; fi; done"
)


def test_calls_itself_the_same(host: Any, site: Site) -> None:
    """The name in greetings and of senders without a domain."""
    jail, asked = site.jail_of("mail"), mail.own_name(site.services["mail"].rc)
    wanted = host.check_output(asked).split()
    found = host.check_output(f"jexec {jail} sh -c {quote(asked)}").split()
    assert wanted, f"the host's MTA does not say what it calls itself: {asked}"
    assert found == wanted, (
        f"the mail server in jail {jail} calls itself {' '.join(found) or 'nothing'}, the host's "
        f"{' '.join(wanted)}: mail in that name would be refused"
    )


def test_base_has_sendmail(host: Any) -> None:
    """The host stays a null client, and its programs send mail by the base system's sendmail."""
    assert host.run("test -x /usr/libexec/sendmail/sendmail").rc == 0, (
        "the host has no /usr/libexec/sendmail/sendmail: programs in jails send mail with it"
    )


def test_programs_hand_their_mail_to_this_host(host: Any) -> None:
    """Those of jails would hand it to the same server, which the policy does not know."""
    asked = r"sed -nE 's/^D[{]MTAHost[}](.*)/\1/p' /etc/mail/submit.cf 2>/dev/null"
    to = host.run(asked).stdout.strip()
    assert to.strip("[]") in ("", "127.0.0.1", "localhost"), (
        f"/etc/mail/submit.cf: MTAHost {to}: programs of this host hand mail to that server, and "
        "those of jails would: let sendmail(1) hand it to the server here (FEATURE(`msp', "
        "`[127.0.0.1]') in submit.mc), and let that relay it"
    )


# The settings of PHP that name a program which sends mail, with file and line.
SENDMAIL_PATH = (
    "grep -D skip -rnsE '^[^;]*sendmail_path' /usr/local/etc/php.ini /usr/local/etc/php "
    "/usr/local/etc/php-fpm.conf /usr/local/etc/php-fpm.d || true"
)


def test_php_sends_by_sendmail(host: Any) -> None:
    """PHP's mail() in the web jail hands its messages to that program."""
    wrong = []
    for line in host.check_output(SENDMAIL_PATH).splitlines():
        place, _, setting = line.partition("sendmail_path")
        program = setting.partition("=")[2].strip(" \"'").split()
        if program[:1] not in ([], ["/usr/sbin/sendmail"], ["sendmail"]):
            file, number = place.split(":")[:2]
            wrong.append(f"{file}:{number}: sendmail_path = {' '.join(program)}")
    assert not wrong, (
        f"{'; '.join(wrong)}: the jails do not have what that program needs; expected "
        "/usr/sbin/sendmail -t -i, which hands the mail to the same server"
    )


def test_access_map_is_up_to_date(host: Any, site: Site) -> None:
    """It gets a line for each jail, and is made anew: no other change may begin to count then."""
    at = mail.ACCESS
    other = not _is_sendmail(site)  # another mail server does not read it
    assert other or host.run(f"grep -q '^Kaccess hash .*{at}$' /etc/mail/sendmail.cf").rc == 0, (
        f"/etc/mail/sendmail.cf has no access map {at} (FEATURE(access_db)): it is to let sendmail "
        "relay for the jails, whose programs it knew as 127.0.0.1"
    )
    new = f"[ ! -e {at} ] || {{ [ -e {at}.db ] && [ ! {at} -nt {at}.db ]; }}"
    assert other or host.run(new).rc == 0, (
        f"{at} was changed after {at}.db was made: run makemap hash {at} < {at}, or take the "
        "change back"
    )


def test_takes_mail_from_jails_as_from_this_host(host: Any, site: Site) -> None:
    """What says who may send, and is left as it is: hosts.allow of sendmail, and the configuration
    of a server that is neither sendmail nor Postfix.
    """
    if _is_sendmail(site):
        _must_be_let_in(host, site)
    elif site.services["mail"].rc not in mailers.ALIASES:
        _must_relay(host, site)


def _must_relay(host: Any, site: Site) -> None:
    """Exim's relay_from_hosts and the like know programs of this host as 127.0.0.1."""
    table = site.services["mail"]
    senders = [name for name in site.built if "mail" not in site.jails[name].services]
    jails = {name: str(site.jails[name].address) for name in senders}
    places = " ".join(map(quote, table.configuration))
    rows = host.run(f"grep -D skip -rhIsE '^[^#]*[0-9]+[.][0-9]+[.]' {places}").stdout
    words = re.findall(r"[0-9]+(?:[.][0-9]+)+(?:/[0-9]+)?", rows)
    lost = [
        name
        for name, at in jails.items()
        if not any(trusting.is_within(at, word) for word in words)
    ]
    assert not lost, (
        f"services.mail: Cellblock cannot tell {table.rc} for whom to relay: programs in "
        f"{', '.join(f'jail {each}' for each in lost)} send their mail to 127.0.0.1 as now, and it "
        f"sees them come from {', '.join(jails[each] for each in lost)}: let it relay for "
        f"{site.lan.network}, as it does for 127.0.0.1 (Exim: relay_from_hosts), in a file of "
        "services.mail.configuration"
    )


def _must_be_let_in(host: Any, site: Site) -> None:
    """By hosts.allow, which sendmail asks for each client: each jail as 127.0.0.1 is now."""
    rows = host.run(trusting.ALLOWING).stdout.splitlines()
    now, _ = trusting.decides(rows, "sendmail", "127.0.0.1", "localhost")
    senders = [each for each in site.built if "mail" not in site.jails[each].services]
    for jail in (site.jails[each] for each in senders if now):
        lets, number = trusting.decides(rows, "sendmail", str(jail.address), jail.hostname)
        assert lets, (
            f"/etc/hosts.allow:{number} keeps {jail.address} from sendmail, and lets in 127.0.0.1, "
            "from which programs of jails send mail now: put a line before it: "
            f"sendmail : {site.lan.network} : allow"
        )


def test_queue_runner_runs_in_jail(host: Any, jail: str) -> None:
    """On a slow host it is a moment before it has written its pid (an emulated 15.0)."""
    runs = f"service -j {jail} sendmail onestatus | grep -q 'sendmail_msp_queue is running'"
    said = host.run(f"i=0; until {runs}; do i=$((i + 1)); [ $i -lt 10 ] || exit 1; sleep 1; done")
    assert said.rc == 0, (
        f"no queue runner runs in jail {jail}: mail of its programs that cannot be handed over at "
        "once would be kept for ever"
    )


FAR = "nobody@[192.0.2.1]"
"""RFC 5737: nobody's. Without a name to look up, which takes a minute where no resolver answers."""


_KEYS = "sed -nE 's/^([A-Za-z0-9._-]+)[[:space:]]*:.*/\\1/p'"
_TABLE = "awk '!/^#/ && $1 ~ /@/ {print $1}'"
_FILES = 'while read -r file; do if [ -f "$file" ]; then'
_SOME = '"$file" | head -n 20; fi; done'


def recipients_question(site: Site) -> str:
    """sh that prints local recipients: accounts, aliases, virtual addresses; twenty of each map."""
    low, high = site.jails[site.jail_of("mail")].uids or (1, 0)
    people = f"($3 >= {low} && $3 <= {high} || $7 !~ /(nologin|false)$/)"
    accounts = (
        f"awk -F: '$3 >= 1000 && $3 < 65530 && {people} {{print $1}}' /etc/passwd | head -n 20; "
    )
    names = names_question(site).replace("| sed", "2>/dev/null | sed")
    domains = f"{names} | grep -E '^[a-z0-9.-]+[.][a-z]+$' | head -n 20 | sed -e 's/^/root@/'; "
    aliases = mailers.ALIASES["sendmail" if _is_sendmail(site) else "postfix"]
    if _is_sendmail(site):
        tables = "awk '/^Kvirtuser/ {print $NF}' /etc/mail/sendmail.cf"
    else:
        tables = "postconf -nx | grep -E '^virtual_(alias|mailbox)_maps' | grep -oE '/[^, ]+'"
    return (
        f"{accounts}{domains}{aliases} | {_FILES} {_KEYS} {_SOME}; "
        f"{tables} | {_FILES} {_TABLE} {_SOME}"
    )


def test_gives_the_same_answers(host: Any, site: Site) -> None:
    """For accounts, aliases, names and virtual addresses, and for one that does not exist.

    The jail's server is asked from an address that it trusts (mynetworks). The host's may trust its
    own public address less: there it may ask for a better EHLO, greylist, or refuse to relay for an
    address whose domain is not its own. So its answer at 127.0.0.1 counts as well.
    """
    jail = site.jail_of("mail")
    rows = dict.fromkeys(host.check_output(recipients_question(site)).split())
    known = [row for row in rows if re.fullmatch(r"[\w.+-]*(@[\w.-]+)?", row)]
    known = [f"somebody{row}" if row.startswith("@") else row for row in known]
    asked = smtp.questions("", [*known, "nosuch-cellblock"])
    said = smtp.answers(
        host,
        asked,
        {
            "host": ("", str(site.host.wan_address)),
            "trusted": ("", "127.0.0.1"),
            "jail": ("", str(site.jails[jail].address)),
        },
    )
    assert said["host"].answers, "the host's mail server does not answer"
    wrong = smtp.differences(asked, said["host"], said["jail"])
    if said["trusted"].answers:
        other = smtp.differences(asked, said["trusted"], said["jail"])
        questions = {line.rpartition(": ")[0] for line in other}
        wrong = [line for line in wrong if line.rpartition(": ")[0] in questions]
    assert not wrong, (
        f"the mail server in jail {jail} does not answer as the host's: {'; '.join(wrong[:10])}"
    )


def test_is_taken_from_jails_as_from_the_host(host: Any, site: Site, senders: str) -> None:
    """By who serves 127.0.0.1 now: for an account of this system, and for another machine."""
    names = senders.split()
    sender = f"root@{host.check_output(mail.own_name(site.services['mail'].rc)).split()[0]}"
    asked = smtp.questions(sender, ["root", FAR])
    askers = {"": ("", "127.0.0.1"), **{name: (name, "127.0.0.1") for name in names}}
    said = smtp.answers(host, asked, askers)
    wrong = [
        f"jail {name}: the mail server {line}"
        for name in names
        for line in smtp.differences(asked, said[""], said[name])
    ]
    assert not wrong, (
        "mail of programs in a jail is not taken as that of the host's programs: "
        f"{'; '.join(wrong)}"
    )


def test_accounts_are_in_the_jail(host: Any, site: Site) -> None:
    jail = site.jail_of("mail")
    on_host = set(host.check_output(PEOPLE).splitlines())
    in_jail = set(host.check_output(f"jexec {jail} sh -c {quote(PEOPLE)}").splitlines())
    missing = sorted(on_host - in_jail)
    assert not missing, (
        f"jail {jail} does not see the mail of these accounts: {', '.join(missing)}; see "
        f"jails.{jail}.uids, jails.{jail}.mounts and services.mail.data"
    )


def test_ports_are_closed_on_host(host: Any, site: Site, service: str) -> None:
    for listen in site.services[service].ports:
        rows = host.check_output(f"sockstat -46lq -j 0 -P {listen.proto} -p {listen.port}")
        assert not rows, f"the host still listens on port {listen.port}: {rows}"


def test_host_queue_is_empty(host: Any, site: Site) -> None:
    queue = queue_of(site)
    left = host.check_output(f"cd {queue.directory} && {queue.control}")
    assert not left, f"messages are still in {queue.directory}: {', '.join(left.split())}"
