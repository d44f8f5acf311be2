"""What a jail would change of a mail server: the address that it sends from, its chroots, and what
judges its clients by their address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from shlex import quote
from typing import Any, NamedTuple

from operations import logins, mailers
from operations.queues import POSTFIX
from rollout.site import Site
from tests.checks.trusting import is_within

# The address from which it sends: FILE:NUMBER or a setting's name, and the address.
_FROM = {
    "sendmail": (
        "awk '/^O ClientPortOptions=/ {text = $0; while (match(text, /Addr(ess)?=[0-9.]+/)) "
        '{said = substr(text, RSTART, RLENGTH); sub(/.*=/, "", said); '
        'print FILENAME ":" FNR ": ClientPortOptions", said; '
        "text = substr(text, RSTART + RLENGTH)}}' /etc/mail/sendmail.cf"
    ),
    "postfix": (
        "{ postconf -nx | grep '^smtp_bind_address ' | sed -e 's/^/main.cf: /'; "
        "postconf -M | grep smtp_bind_address | sed -e 's/^/master.cf: /'; } | "
        "sed -nE 's/^([a-z.]+): .*(smtp_bind_address) *= *([0-9.]+).*/\\1: \\2 \\3/p'"
    ),
}


def sent_from(script: str) -> str:
    """sh that prints where an MTA is told the address from which it sends, and that address."""
    return _FROM[script]


def test_sends_from_an_address_that_it_will_have(host: Any, site: Site) -> None:
    """Others know the server by it: SPF, its name in DNS, the allow list of a smart host."""
    name = site.jail_of("mail")
    jail = site.jails[name]
    here = jail.public_addresses if jail.outbound == "public" else (site.host.wan_address,)
    has = [*map(str, here), "0.0.0.0"]  # noqa: S104 # means any
    rows = host.check_output(sent_from(site.services["mail"].rc)).splitlines()
    wrong = [row for row in rows if row.split()[-1] not in has and not row.endswith(" 127.0.0.1")]
    assert not wrong, (
        f"{'; '.join(wrong)}: jail {name} would send from {', '.join(map(str, here))} instead, "
        f'which others may refuse: set outbound = "public" and public_addresses in [jails.{name}] '
        "to an address that only mail uses, or take the setting out"
    )


_OWN = (
    "active|bounce|corrupt|defer|deferred|flush|hold|incoming|maildrop|pid|private|public|saved|"
    "trace"
)
# Before compatibility_level 1 a dash means yes (postconf(5), master(5)).
CHROOTED = (
    "old=$(postconf -h compatibility_level | awk '{print $1 < 1}'); postconf -M | "
    'awk -v old="$old" \'$5 == "y" || ($5 == "-" && old) {print $1 "/" $2}\''
)
IN_CHROOT = f"ls {POSTFIX.directory} | grep -vxE '{_OWN}'"
"""What an administrator has put there: etc/resolv.conf, libraries, devices."""


def test_needs_no_chroot(host: Any, site: Site) -> None:
    """A service with chroot = y has the queue's directory as its root, of which a jail has its own.

    Without files of the administrator there a service finds as little in the jail as on the host.
    """
    services = host.check_output(CHROOTED).splitlines()
    there = host.run(IN_CHROOT).stdout.splitlines() if services else []
    places = ", ".join(f"{POSTFIX.directory}/{each}" for each in there[:5])
    jail = site.jail_of("mail")
    assert not there, (
        f"master.cf: {', '.join(services[:5])}: chroot = y, and jail {jail} would not have "
        f"{places}, which they use: postconf -F '*/*/chroot=n' and postfix reload (the jail "
        "confines them, too)"
    )


_MAIL = "/usr/local/etc/mail"
_MILTERS = (f"{_MAIL}/opendkim.conf", f"{_MAIL}/opendmarc.conf")
_SAYS = {
    "sendmail": "grep -nHE '^[VX]' /etc/mail/sendmail.cf; "
    "grep -nHsE '^[A-Za-z_]+:' /etc/mail/access",
    # What names mynetworks has the jails in the jail's copy.
    "postfix": f"{mailers.SETTINGS['postfix']}; "
    "postconf -n | grep '[$][{(]*mynetworks' | sed -e 's/^/main.cf::/'",
    # Of files of passwords the addresses alone are read.
    "dovecot": f"{mailers.SETTINGS['dovecot']}; "
    "grep -noHsE 'allow_nets=[0-9a-fA-F.:/,]*' /dev/null "
    "$(doveconf -n | sed -nE 's/^ *args = (.* )?(\\/[^ ]+)$/\\2/p')",
}
_FILES = {"sendmail": "sendmail.cf", "postfix": "postconf", "dovecot": "doveconf"}
JUDGING = (
    f"grep -nHsE '^[[:space:]]*[A-Z]' {' '.join(_MILTERS)}; "
    f"grep -nHsE '^[^#]*[0-9]+[.][0-9]+' {_MAIL}/greylist.conf; "
    # The rc script gives it to opendkim as -p, which counts more than Socket.
    f"sysrc -qin milteropendkim_socket | sed -e 's,^,{_MILTERS[0]}::Socket ,'"
)
"""sh that prints what milters are told of whom they trust, as FILE:NUMBER:TEXT."""


def settings_asked(scripts: Iterable[str]) -> str:
    """sh that prints the settings of these daemons and of milters, as FILE:NUMBER:TEXT."""
    return "; ".join([*(_SAYS[each] for each in scripts if each in _SAYS), JUDGING, ":"])


class Line(NamedTuple):
    file: str
    number: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.number}" if self.number else self.file


def test_settings_mean_the_same_in_a_jail(host: Any, site: Site) -> None:
    """Programs of jails came from 127.0.0.1 until now, and what trusts that has to know the jails.

    A milter that signs (opendkim) takes mail of anybody else for a stranger's. Quotas of file
    systems are not told in a jail.
    """
    name = site.jail_of("mail")
    scripts = [site.services[each].rc for each in site.jails[name].services]
    rows = host.run(settings_asked(scripts)).stdout.splitlines()
    lines = [Line(*row.split(":", 2)) for row in rows if row.count(":") > 1]
    unread = [e for e in scripts if e in _SAYS and not any(_FILES[e] in one.file for one in lines)]
    assert not unread, f"jail {name}: {', '.join(unread)} does not tell its settings"
    jails = [str(site.jails[each].address) for each in site.built if each != name]
    wrong = _for_this_host_alone(host, lines, jails, str(site.host.wan_address)) if jails else []
    assert not wrong, (
        f"{'; '.join(wrong)}: this is for 127.0.0.1, from which programs of jails came until now; "
        f"they come from {', '.join(jails)}: name {site.lan.network} there, too (in a map a line "
        f"for each address; InternalHosts 127.0.0.1,{site.lan.network}), or take mail out of "
        "`order`"
    )
    quota = [
        f"doveconf: {each.text.strip()}"
        for each in lines
        if each.file == "doveconf"
        and re.match(r"\s*(quota\w* = fs\b|quota_driver = fs\b)", each.text)
    ]
    strangers = _unknown_modules(host, scripts)
    assert not strangers, (
        f"{'; '.join(strangers)}: Dovecot asks PAM for passwords, and of the modules there "
        f"Cellblock brings into jail {name} what those of the base system need: let Dovecot ask "
        "that server itself (passdb), or take mail out of `order`"
    )
    assert not quota, (
        f"{'; '.join(quota)}: in jail {name} Dovecot cannot ask for the quotas of a file system: "
        "let it count itself (quota = count), or take mail out of `order`"
    )


def _for_this_host_alone(
    host: Any, lines: Sequence[Line], jails: Sequence[str], wan: str
) -> list[str]:
    """Lists of clients that have 127.0.0.1, and not each of these jails."""
    files = dict.fromkeys(each for line in lines for each in _maps(line))
    words = " ".join(map(quote, files))
    asked = f'awk \'!/^[ \\t]*(#|$)/ {{print FILENAME ":" FNR ":" $1}}\' {words}'
    rows = host.run(asked).stdout.splitlines() if files else []
    more = [Line(*row.split(":", 2)) for row in rows]
    found = [*_lists(lines, more), *_milters(lines, more), *_by_tag(lines)]
    blocks = re.compile(rf"remote (127[.]|::1|localhost|{re.escape(wan)}\b)")
    return [
        *(f"{place}: {what}" for place, what, ends in found if not _know(ends, jails)),
        *(f"doveconf: {each.text.rstrip(' {')}" for each in lines if blocks.match(each.text)),
    ]


_KNOWN = "unix|permit|deny|nologin|login_access|opie|opieaccess|self|group|lastlog|rootok|echo"
_SERVICES = ("dovecot", "imap", "pop3", "smtp", "sieve", "system", "other")
_PAM = "grep -nHsE '^(auth|account)' " + " ".join(
    f"{folder}/pam.d/{name}" for folder in ("/etc", "/usr/local/etc") for name in _SERVICES
)


def _unknown_modules(host: Any, scripts: Sequence[str]) -> list[str]:
    """Lines of pam.conf(5) that ask others for passwords, as pam_radius does by /etc/radius.conf.

    A service of its own is read instead of `other`, so all are looked through.
    """
    drivers = logins.Drivers().command(scripts)
    if "dovecot" not in scripts or "pam" not in host.run(drivers).stdout.split():
        return []
    rows = [row.split() for row in host.run(_PAM).stdout.splitlines()]
    found = [(row[0].partition(":auth")[0].partition(":account")[0], row[2:]) for row in rows]
    own = re.compile(rf"(\S*/)?pam_({_KNOWN})[.]so[.0-9]*|system|other|include")
    return [
        f"{place}: {words[0]}"
        for place, words in found
        if words and "." in words[0] and not own.fullmatch(words[0])
    ]


_List = tuple[str, str, Sequence[str]]
"""Where a list of clients is said, its name, and its words."""
_CLIENTS = re.compile(
    r"(smtpd_client_event_limit_exceptions|smtpd_sasl_exceptions_networks|login_trusted_networks)"
    r" = (.*)"
)
_MAP = re.compile(
    r"(check_client_access|postscreen_access_list|smtpd_milter_maps)[ =][^/]*?"
    r"(?:hash|btree|cidr|lmdb|cdb|texthash):(/[^, ]+)"
)


def _maps(line: Line) -> Iterator[str]:
    """The files that a line names by which clients are judged before mynetworks are let in."""
    if line.file == "postconf":
        for each in _MAP.finditer(line.text):
            if "permit_mynetworks" not in line.text[: each.end()]:
                yield each[2]
    if found := re.match(r"\s*(?:InternalHosts|IgnoreHosts)\s+(?:(?:re)?file:)?(/\S+)", line.text):
        yield found[1]


def _lists(lines: Iterable[Line], more: Sequence[Line]) -> Iterator[_List]:
    fitted = [each.text.split()[0] for each in lines if each.file == "main.cf"]
    for line in lines:
        if (found := _CLIENTS.match(line.text)) and found[1] not in fitted:
            yield line.file, found[1], re.split(r"[,\s]+", found[2])
        elif line.file == "postconf":
            for file in _maps(line):
                yield from _of_file(file, more)
        elif found := re.search(r"\ballow_nets ?= ?(\S+)", line.text):  # of a password in Dovecot
            yield line.place, "allow_nets", found[1].split(",")
        elif line.file.endswith("/greylist.conf") and "127." in line.text:
            every = " ".join(each.text for each in lines if each.file == line.file)
            yield line.place, "127.0.0.1", re.findall(r"[0-9./]+", every)


def _of_file(file: str, more: Iterable[Line]) -> Iterator[_List]:
    theirs = [each for each in more if each.file == file]
    for each in theirs:
        if _covers(each.text, "127.0.0.1"):
            yield each.place, each.text, [one.text for one in theirs]


def _milters(lines: Sequence[Line], more: Sequence[Line]) -> Iterator[_List]:
    """opendkim signs what comes from InternalHosts, opendmarc does not judge IgnoreHosts: both have
    127.0.0.1 alone where nothing is said (opendkim.conf(5), opendmarc.conf(5)).
    """
    asked = [e.text for e in lines if re.search(r"milters ?=", e.text)]
    asked += [each.text for each in lines if each.file.endswith("/sendmail.cf")]
    for file, option in zip(_MILTERS, ("InternalHosts", "IgnoreHosts"), strict=True):
        own = [each for each in lines if each.file == file]
        said = {each.text.split()[0]: each for each in own if len(each.text.split()) > 1}
        at = said["Socket"].text.split()[1] if "Socket" in said else ""
        end = re.sub(r"^\w+:|@.*", "", at)
        if not end or not any(end in text for text in asked):
            continue
        line = said.get(option, Line(file, "1", f"{option} 127.0.0.1"))
        value = line.text.split(maxsplit=1)[1].removeprefix("csl:")
        words = re.split(r"[,\s]+", value)
        for path in _maps(line):
            words = [each.text for each in more if each.file == path]
        yield line.place, option, ["127.0.0.1", *words]


def _by_tag(lines: Sequence[Line]) -> Iterator[_List]:
    """sendmail's access map: limits, and greet pauses, of a client."""
    theirs = [each for each in lines if each.file.endswith("/access")]
    for line in theirs:
        tag, _, end = line.text.split()[0].partition(":")
        if end.startswith("127") and tag.lower() in ("clientrate", "clientconn", "greetpause"):
            keys = [each.text.split()[0] for each in theirs]
            yield line.place, f"{tag}:{end}", [e[len(tag) + 1 :] for e in keys if e.startswith(tag)]


def _know(words: Sequence[str], clients: Sequence[str]) -> bool:
    """Whether a list that has 127.0.0.1 has all of these clients, too."""
    if not any(_covers(each, "127.0.0.1") for each in words):
        return True
    return all(any(_covers(each, client) for each in words) for client in clients)


def _covers(word: str, client: str) -> bool:
    """A network, an address, or the beginning of one, as maps of Postfix and sendmail have it."""
    begins = bool(re.fullmatch(r"[0-9.]+", word)) and f"{client}.".startswith(f"{word}.")
    return is_within(client, word.strip('[]"{};!')) or begins
