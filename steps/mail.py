"""Mail moves by overlap: no message is lost or duplicated, since no queue ever has two MTAs.

Two flavours, chosen by the rc script of services.mail: the base system's sendmail, and Postfix,
with the other daemons of its jail (Dovecot) as services of their own. The jail mounts the host's
directories with the users' mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from operations import daemon, files, firewall, logins, mail, queues, rc
from operations.logins import Accounts
from operations.mount import Nullfs
from operations.queues import POSTFIX, SENDMAIL, SUBMISSION, Queue
from rollout.errors import Refused
from rollout.plan.step import Check, Gate, Step, Use, check, use
from rollout.site import HOST, Site
from steps import dependents, forward, submission
from steps.base import starts_at_boot
from steps.preflight import of_service
from steps.render import render
from steps.thin import jail_steps, local_etc

REQUIRES = ("network",)

_NAME = "mail"
_CUTOVER = f"{_NAME}.cutover"
_SENDMAIL = "/usr/sbin/sendmail"


@dataclass(frozen=True)
class _Flavour:
    """`processes` matches the names of all processes that may hold a message; `run` runs the queue;
    `back` are the rc commands that start the host's MTA again; `ends` stops it, if the rc script's
    stop would cut off clients.
    """

    queues: tuple[Queue, ...]
    processes: str
    run: str
    back: tuple[str, ...]
    ends: str = ""


_FLAVOURS = {
    "sendmail": _Flavour((SENDMAIL, SUBMISSION), "sendmail", f"{_SENDMAIL} -q", ("stop", "start")),
    "postfix": _Flavour(
        (POSTFIX,),
        "master|qmgr|smtpd|smtp|cleanup|local|virtual|lmtp|pipe|pickup|bounce|error|postdrop",
        "/usr/local/sbin/postqueue -f",
        ("onestart",),
        # Postfix's stop sends SIGTERM to all its processes: to a session in the middle of a message
        # (seen on 13.2), and to a delivery that has written to a mailbox but not recorded it yet
        # (master_sig.c). This ends only the master; the others end when they are done.
        "/usr/local/sbin/postfix drain",
    ),
}


def _flavour(site: Site) -> _Flavour:
    script = site.services[_NAME].rc
    if script not in _FLAVOURS:
        raise Refused(
            f'{site.path}: services.mail.rc = "{script}": expected one of {", ".join(_FLAVOURS)}',
            todo="Cellblock does not know the queue of another MTA: take mail out of `order`",
        )
    return _FLAVOURS[script]


def moved(site: Site) -> tuple[str, ...]:
    """The services of the mail jail that are not subjects of their own, and mail itself, last.

    An MTA hands mail and passwords to them, so they start before it and move with it.
    """
    others = site.jails[site.jail_of(_NAME)].services
    return (*(each for each in others if each not in site.order), _NAME)


def _with_login(site: Site) -> list[str]:
    """The services with a test account to log in with."""
    told = [name for name, each in site.services.items() if each.test_account]
    for name in told:
        if site.services[name].rc != "dovecot":
            raise Refused(
                f"{site.path}: services.{name}.test_account: expected it at a service whose rc is "
                f'"dovecot"; this one is "{site.services[name].rc}"',
                todo="move the line to the table of Dovecot, or take it out",
            )
    return [name for name in told if name in moved(site)]


def preflight(site: Site) -> tuple[Check, ...]:
    """What must be healthy on the host before anything begins."""
    if _NAME not in site.services:
        return ()
    before = "mail.retire"
    return (
        check("mail::maps_can_be_rebuilt", until=before),
        check("mail::queue_can_be_moved", until=before),
        check("mail::named_paths_are_in_the_jail", until=_CUTOVER, service=_NAME),
        check("mail::accounts_mail_is_in_the_jail", until=_CUTOVER, service=_NAME),
        check("mail::local_helpers_are_reached", until=_CUTOVER, service=_NAME),
        check("mail::named_accounts_are_in_the_jail", until=_CUTOVER, service=_NAME),
        check("mail_server::sends_from_an_address_that_it_will_have", until=_CUTOVER),
        check("mail_server::settings_mean_the_same_in_a_jail", until=_CUTOVER),
        *(
            [check("mail_server::needs_no_chroot", until=_CUTOVER)]
            if site.services[_NAME].rc == "postfix"
            else []
        ),
        *(
            check("dovecot::test_account_can_log_in", until=before, service=name, where=HOST)
            for name in _with_login(site)
        ),
        *(each for name in moved(site)[:-1] for each in of_service(site, name, until=_CUTOVER)),
    )


def steps(site: Site) -> tuple[Step, ...]:
    name = site.jail_of(_NAME)
    flavour = _flavour(site)
    root = site.root(name)
    places = [(queue, queues.of_jail(queue, name)) for queue in flavour.queues]
    laid = [use(queues.made, queue=queue, jail=name) for queue in flavour.queues]
    mounts = [Nullfs(place, root + queue.directory, writable=True) for queue, place in places]
    return (
        *jail_steps(site, _NAME, [*laid, *_fitted(site, root)], mounts, moves_others=True),
        _standby(site, flavour),
        _cutover(site),
        _retire(site, flavour),
    )


def _fitted(site: Site, root: str) -> list[Use]:
    private = local_etc(site, site.jail_of(_NAME))
    relays = [str(jail.address) for jail in site.jails.values()]
    fitted = [
        *_logins(site, root),
        *(
            _sendmail_fitted(site, root, relays)
            if site.services[_NAME].rc == "sendmail"
            else [
                use(
                    mail.postfix_fitted,
                    etc=f"{private}/postfix",
                    public=str(site.host.wan_address),
                    relays=relays,
                )
            ]
        ),
    ]
    if any(site.services[name].rc == "dovecot" for name in moved(site)):
        file = f"{private}/dovecot/dovecot.conf"
        fitted.append(use(mail.dovecot_fitted, file=file, lan=str(site.lan.network)))
    return fitted


def _sendmail_fitted(site: Site, root: str, relays: list[str]) -> list[Use]:
    file = f"{root}/etc/mail/sendmail.cf"
    return [
        use(mail.names_kept, etc=f"{root}/etc/mail", relays=relays),
        use(mail.own_name_kept, file=file, asked=submission.own_name(site)),
        use(
            mail.readdressed,
            file=file,
            old=str(site.host.wan_address),
            new=str(site.jails[site.jail_of(_NAME)].address),
        ),
    ]


def _logins(site: Site, root: str) -> list[Use]:
    """Passwords for the accounts that the jail has, if any."""
    name = site.jail_of(_NAME)
    uids = site.jails[name].uids
    if uids is None:
        return []
    scripts = tuple(site.services[each].rc for each in moved(site))
    return [use(logins.carried, accounts=Accounts(name, uids), root=root, scripts=scripts)]


def _standby(site: Site, flavour: _Flavour) -> Step:
    jail = site.jail_of(_NAME)
    variables = [site.services[name].rcvar for name in moved(site)]
    if site.services[_NAME].rc == "sendmail":
        variables.append("sendmail_msp_queue_enable")
    return Step(
        name="mail.standby",
        does="start the jail's daemon, unused",
        why="The jail's mail server answers on its own address, with a queue of its own, while the "
        "host's mail server keeps serving clients.",
        operations=(
            *(
                use(
                    queues.returned,
                    queue=queue,
                    jail=jail,
                    processes=flavour.processes,
                    then=flavour.run + (" -Ac" if queue is SUBMISSION else ""),
                )
                for queue in flavour.queues
            ),
            *(starts_at_boot(site, jail, each) for each in variables),
            *(
                use(daemon.start, script=service.rc, jail=jail, ends=_ends(service.rc))
                for service in (site.services[name] for name in moved(site))
            ),
            *_sessions_ended(site, jail),
        ),
        checks=(
            *_each(
                site,
                "service::runs_in_jail",
                "service::starts_at_boot_in_jail",
            ),
            *(
                check("service::listens_on_the_jails_address", service=name, ways=None)
                for name in moved(site)
            ),
            *(
                check("jail::has_mounted", jail=jail, path=queue.directory)
                for queue in flavour.queues
            ),
            check("mail::is_accepted_for_every_host_name", until="mail.retire"),
            check("mail::jail_has_what_is_named", until=_CUTOVER, ahead=True, service=_NAME),
            check("mail::gives_the_same_answers", until="mail.retire", ahead=True),
            check("mail::calls_itself_the_same", until="mail.retire", ahead=True),
            *(
                check("dovecot::has_the_same_mailboxes", until="mail.retire", ahead=True)
                for name in moved(site)
                if site.services[name].rc == "dovecot"
            ),
            *(
                check("dovecot::logins_are_the_same", until="mail.retire", service=name)
                for name in _with_login(site)
            ),
            check("mail::accounts_are_in_the_jail"),
            *(
                check("service::runs_on_host", until="mail.retire", service=name)
                for name in moved(site)
            ),
        ),
    )


def _ends(script: str) -> str:
    return _FLAVOURS[script].ends if script in _FLAVOURS else ""


def _sessions_ended(site: Site, jail: str = "") -> list[Use]:
    """For all daemons except sendmail, whose sessions outlive it."""
    services = [site.services[name] for name in moved(site)]
    ports = [port for each in services if each.rc != "sendmail" for port in each.tcp_ports]
    return [use(mail.sessions_ended, ports=ports, jail=jail)] if ports else []


def _each(site: Site, *tests: str) -> Sequence[Check]:
    return [check(test, service=name) for name in moved(site) for test in tests]


def _cutover(site: Site) -> Step:
    sets = [site.places[name].set for name in moved(site)]
    rules = [each for name in moved(site) for each in forward.rules(site, name)]
    return Step(
        name="mail.cutover",
        does="new connections go to the jail",
        why="New connections go to the jail from one moment on, and so do those to 127.0.0.1 from "
        "the host and the other jails. The host's mail server gets no new mail.",
        operations=(
            *rules,
            *(use(firewall.switch, set=each) for each in sets),
            *(each for name in moved(site) for each in dependents.asked(site, name)),
        ),
        checks=(
            *(
                each
                for name in moved(site)
                for each in forward.checks(site, name, forward.ways(site, name))
            ),
            *_each(site, "service::answers_from_jail"),
            *(each for name in moved(site) for each in forward.answer_checks(site, name)),
            *(each for name in moved(site) for each in dependents.asked_checks(site, name)),
            *_own_mail(site, "sendmail"),
            *_virtual_mail(site),
            *submission.arrival_checks(site),
        ),
        gate=dependents.gate(site, *moved(site)),
        finds=tuple(each for name in moved(site) for each in dependents.found(name)),
    )


def _own_mail(site: Site, flavour: str) -> list[Check]:
    """When the host's own mail reaches the jail: with sendmail at the cut-over, since submission
    uses 127.0.0.1; with Postfix, which accepts its mail itself, when that is retired.
    """
    arrives = check("messages::from_the_host_arrive", leaves=True)
    return [arrives] if site.services[_NAME].rc == flavour else []


def _virtual_mail(site: Site) -> list[Check]:
    """Once is enough: the mailbox is somebody's."""
    if site.services[_NAME].rc != "postfix":
        return []
    return [check("messages::to_a_virtual_mailbox_arrive", until="mail.retire", leaves=True)]


def _retire(site: Site, flavour: _Flavour) -> Step:
    jail = site.jail_of(_NAME)
    services = [site.services[name] for name in moved(site)]
    null_client = {
        "sendmail_enable": "NO",
        "sendmail_submit_enable": "NO",
        "sendmail_outbound_enable": "NO",
        "sendmail_msp_queue_enable": "YES",
    }
    wanted = {service.rcvar: "NO" for service in services} | null_client
    return Step(
        name="mail.retire",
        does="stop the host's daemon for good",
        why="The host's mail server runs its queue once more, stops, and no longer starts at boot; "
        "undelivered messages move to the jail's queue. From now on the host is a null client: "
        "its programs send mail to 127.0.0.1, and so to the jail.",
        operations=(
            *(_mailer(site)),
            use(mail.queue_run, command=flavour.run),
            *_sessions_ended(site),
            *(
                use(
                    daemon.stop,
                    script=service.rc,
                    ends=_ends(service.rc),
                    back=flavour.back if service.rc in _FLAVOURS else ("onestart",),
                    ports=service.tcp_ports,
                )
                for service in reversed(services)
            ),
            use(queues.ended, processes=flavour.processes),
            use(queues.moved, queue=flavour.queues[0], jail=jail, then=flavour.run),
            *(use(rc.variable, name=name, value=value) for name, value in wanted.items()),
            use(mail.submission),
            *(each for name in moved(site) for each in dependents.moved_logs(site, name)),
        ),
        checks=(
            *_each(
                site,
                "service::does_not_run_on_host",
                "mail::ports_are_closed_on_host",
                "service::answers_from_jail",
            ),
            check("mail::host_queue_is_empty"),
            *(each for name in moved(site) for each in dependents.logs_checks(site, name)),
            *(
                check("dovecot::test_account_can_log_in", service=name, where=jail)
                for name in _with_login(site)
            ),
            *_own_mail(site, "postfix"),
        ),
        tell=("editors of aliases and maps: from now on edit those in the jail, not the host's",),
        gate=Gate(
            question="Does mail arrive and leave, served by the jail?",
            look_at=(
                "a message to you from outside, and your reply",
                "the jail's /var/log/maillog and mailq",
                "editors of aliases and maps: from now on they edit those in the jail",
            ),
        ),
    )


def _mailer(site: Site) -> list[Use]:
    """What `sendmail` runs on the host: Postfix's would wait for a Postfix that is gone."""
    if site.services[_NAME].rc == "sendmail":
        return []
    return [
        use(files.directory, path="/usr/local/etc/mail"),
        use(
            files.put,
            path="/usr/local/etc/mail/mailer.conf",
            content=render("mail/mailer.conf"),
        ),
    ]
