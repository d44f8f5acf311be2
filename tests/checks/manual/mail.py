"""Mail: maps and queue before the move; names, accounts and delivery after it."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from operations import logins, mail, mailers
from operations.command import ANY, Look
from rollout.site import Site
from tests.checks import smtp, test_mail, trusting

_NAMES = "/root/cellblock-names"


def maps_can_be_rebuilt(site: Site) -> Iterator[Look]:
    yield Look(f"({test_mail.map_question(site)}) | grep -v ^WARNING")


def named_paths_are_in_the_jail(site: Site, service: str) -> Iterator[Look]:
    """Each path (+) must be in the jail: by the site file, copied, or mounted."""
    yield from _named(site, service)


def accounts_mail_is_in_the_jail(site: Site, service: str) -> Iterator[Look]:
    """Each account must have a uid in the jail's range, and each path must be in the jail."""
    yield Look(f"({mailers.HOMES}) | head -n 20", ANY)


def only_logins_have_passwords(site: Site, jail: str) -> Iterator[Look]:
    """If Dovecot asks the system for passwords (pam, passwd): those of the host; else none."""
    uids = site.jails[jail].uids or (1, 0)
    scripts = [site.services[name].rc for name in site.jails[jail].services]
    accounts = logins.Accounts(jail, uids)
    asked = f"{{ {logins.Drivers().command(scripts)}; }} | grep -qxE '{'|'.join(logins.SYSTEMS)}'"
    yield Look(
        f"if {asked}; then {logins.differences(accounts, wanted=True)}; "
        f"else {logins.differences(accounts, wanted=False)}; fi"
    )


def local_helpers_are_reached(site: Site, service: str) -> Iterator[Look]:
    """Each port (>) must be one of the mail server itself, or of a service of the site file."""
    yield from _named(site, service)


def named_accounts_are_in_the_jail(site: Site, service: str) -> Iterator[Look]:
    """Each account (&) must be the system's, or have a uid in the jail's range."""
    yield from _named(site, service)


def _named(site: Site, service: str) -> Iterator[Look]:
    jail = site.jails[site.jail_of(service)]
    scripts = [site.services[name].rc for name in jail.services]
    yield Look(mailers.Settings().command(scripts), ANY)


def jail_has_what_is_named(site: Site, service: str) -> Iterator[Look]:
    """The paths (=) that the host has: each must be in the jail, too."""
    for look in _named(site, service):
        asked = f"{{ {look.line}; }} | sed -n 's/^= [df][a-z]* //p' | while read -r each; do "
        inside = f'jexec {site.jail_of(service)} test -e "$each"'
        yield Look(f'{asked}{inside} || echo "$each"; done')


def queue_can_be_moved(site: Site) -> Iterator[Look]:
    at = test_mail.queue_of(site).directory
    yield Look(f"[ -d {at} ] && [ ! -L {at} ] && echo a directory", "a directory")
    yield Look(f"stat -f %d {at} {at}/.. | uniq | wc -l", "1")
    if site.services["mail"].rc == "postfix":
        yield Look(test_mail.INSTANCES)


def is_accepted_for_every_host_name(site: Site) -> Iterator[Look]:
    yield from _missing(site, test_mail.names_question(site), "| grep -v -e ' ' -e IPv6 -e '^>$'")


def calls_itself_the_same(site: Site) -> Iterator[Look]:
    """Both lines print the same."""
    asked = mail.own_name(site.services["mail"].rc)
    yield Look(asked, ANY)
    yield Look(f"jexec {site.jail_of('mail')} sh -c {quote(asked)}", ANY)


def base_has_sendmail(site: Site) -> Iterator[Look]:
    yield Look("[ -x /usr/libexec/sendmail/sendmail ] && echo it is there", "it is there")


def programs_hand_their_mail_to_this_host(site: Site) -> Iterator[Look]:
    yield Look("grep -E '^D[{]MTAHost[}]' /etc/mail/submit.cf", f"D{{MTAHost}}{ANY}127.0.0.1{ANY}")


def php_sends_by_sendmail(site: Site) -> Iterator[Look]:
    """It must name no other program than /usr/sbin/sendmail."""
    yield Look(f"{{ {test_mail.SENDMAIL_PATH}; }} | grep -v /usr/sbin/sendmail")


def access_map_is_up_to_date(site: Site) -> Iterator[Look]:
    if site.services["mail"].rc == "sendmail":
        at = mail.ACCESS
        yield Look(f"grep -c '^Kaccess hash .*{at}$' /etc/mail/sendmail.cf", "1")
        yield Look(f"if [ {at} -nt {at}.db ]; then echo makemap was forgotten; fi")


def takes_mail_from_jails_as_from_this_host(site: Site) -> Iterator[Look]:
    """A person has to judge the lines: they must let in the jails' network as 127.0.0.1."""
    if site.services["mail"].rc == "sendmail":
        yield Look(trusting.ALLOWING, ANY)
    elif site.services["mail"].rc != "postfix":
        places = " ".join(site.services["mail"].configuration)
        yield Look(f"grep -D skip -rF 127.0.0.1 {places}", ANY)


def queue_runner_runs_in_jail(site: Site, jail: str) -> Iterator[Look]:
    yield Look(
        f"service -j {jail} sendmail onestatus | grep _queue",
        f"sendmail_msp_queue is running as pid {ANY}",
    )


def gives_the_same_answers(site: Site) -> Iterator[Look]:
    """The recipients; then the answers of both servers for the first, which are the same."""
    yield Look(test_mail.recipients_question(site), ANY)
    for address in (site.host.wan_address, site.jails[site.jail_of("mail")].address):
        talk = (
            "(sleep 2; printf 'EHLO localhost\\r\\n'; sleep 2; printf 'MAIL FROM:<>\\r\\nRCPT TO:<'"
        )
        first = f"{{ {test_mail.recipients_question(site)}; }} | head -n 1 | tr -d '\\n'"
        end = "printf '>\\r\\nQUIT\\r\\n')"
        yield Look(f"{talk}; {first}; {end} | nc -w 30 {address} 25 | grep -v '^250[- ][A-Z]'", ANY)


def is_taken_from_jails_as_from_the_host(site: Site, senders: str) -> Iterator[Look]:
    """Each line prints the same: what the server answers on the host, and in each jail."""
    asked = "\\r\\n".join(smtp.questions("root", ["root", test_mail.FAR]))
    talk = f"(sleep 2; printf 'EHLO localhost\\r\\n'; sleep 2; printf '{asked}\\r\\nQUIT\\r\\n') | "
    for where in ("", *(f"jexec {name} " for name in senders.split())):
        yield Look(f"{talk}{where}nc -w 30 127.0.0.1 25 | grep -v '^250[- ][A-Z]'", ANY)


def accounts_are_in_the_jail(site: Site) -> Iterator[Look]:
    yield from _missing(site, test_mail.PEOPLE, "")


def _missing(site: Site, question: str, among: str) -> Iterator[Look]:
    """What the host prints and the jail does not."""
    jail = site.jail_of("mail")
    yield Look(f"jexec {jail} sh -c {quote(question)} | sort -u > {_NAMES}")
    yield Look(f"({question}) {among} | sort -u | comm -23 - {_NAMES}; rm {_NAMES}")


def ports_are_closed_on_host(site: Site, service: str) -> Iterator[Look]:
    for listen in site.services[service].ports:
        yield Look(f"sockstat -46lq -j 0 -P {listen.proto} -p {listen.port}")


def host_queue_is_empty(site: Site) -> Iterator[Look]:
    queue = test_mail.queue_of(site)
    yield Look(f"(cd {queue.directory} && {queue.control})")
