"""How programs in a jail send mail with sendmail(1): as they did on the host.

The base system's sendmail hands it to 127.0.0.1, which leads to the mail server wherever that is;
what it could not hand over waits for the jail's queue runner. The queue lies beside the host's:
what still waits there when the jail goes is the host's to send.
"""

from __future__ import annotations

from operations import jail as jails
from operations import mail, queues
from operations.mount import Nullfs
from rollout.plan.step import Check, Gate, Use, check, use
from rollout.site import HOST, INTERNET, Site
from steps.base import until_policy
from steps.render import render

_MAIL = "mail"
_BEFORE = f"{_MAIL}.cutover"
_QUEUE = queues.SUBMISSION
_DELIVER = "/usr/libexec/sendmail/sendmail -q -Ac"
_MTAS = "sendmail|master|exim"
"""The daemons of the host that may take the mail: sendmail's, Postfix's, Exim's."""


def is_mails(site: Site, jail: str) -> bool:
    """Whether the mail server itself is in the jail, or moves there."""
    return _MAIL in site.jails[jail].services


def sends(site: Site, jail: str) -> bool:
    """Whether programs in the jail send mail to a server elsewhere."""
    return _MAIL in site.services and not is_mails(site, jail)


def by_itself(site: Site) -> bool:
    """Whether no service takes the mail of jails: it goes out by the host's mailer.conf."""
    return _MAIL not in site.services


def mounts(site: Site, jail: str) -> list[Nullfs]:
    if not sends(site, jail):
        return []
    target = site.root(jail) + _QUEUE.directory
    return [Nullfs(queues.of_jail(_QUEUE, jail), target, writable=True, nosuid=True)]


def fitted(site: Site, jail: str) -> list[Use]:
    """What adapts the jail's copy of /etc/mail before the jail first runs."""
    root = site.root(jail)
    found = [use(mail.own_name_kept, file=f"{root}/etc/mail/submit.cf", asked=own_name(site))]
    if not sends(site, jail):
        return found
    found += [
        use(queues.made, queue=_QUEUE, jail=jail),
        use(queues.returned, queue=_QUEUE, jail=jail, processes=_MTAS, then=_DELIVER),
    ]
    content = render("mail/mailer.conf")
    found.append(use(jails.private, root=root, name="etc/mail/mailer.conf", content=content))
    if _host_serves(site, jail):
        script, address = site.services[_MAIL].rc, str(site.jails[jail].address)
        found.append(use(mail.own_name_is_found, address=str(site.host.wan_address), jail=jail))
        found.append(use(mail.relayed, script=script, address=address))
    return found


def wrapped(site: Site, jail: str, local_etc: str) -> list[Use]:
    """What lets mailwrapper(8) hear of the jail's sendmail, wherever it reads that first."""
    if not sends(site, jail):
        return []
    return [use(mail.one_mailer, root=site.root(jail), local_etc=local_etc)]


def own_name(site: Site) -> str:
    """sh that prints what the host's mail server calls itself, and its domain."""
    script = site.services[_MAIL].rc if _MAIL in site.services else ""
    return mail.own_name(script)


def _host_serves(site: Site, jail: str) -> bool:
    """Whether the host's mail server still takes the jail's mail when the jail is built."""
    return _MAIL not in site.order or _position(site, jail) < site.order.index(_MAIL)


def _position(site: Site, jail: str) -> int:
    return min(site.order.index(each) for each in site.jails[jail].services if each in site.order)


def preflight(site: Site) -> tuple[Check, ...]:
    """What must be right on the host before a jail is built whose programs may send mail."""
    first = next((name for name in site.built if not is_mails(site, name)), None)
    if first is None or _MAIL not in site.services:
        return ()
    return (
        check("mail::base_has_sendmail"),
        check("mail::programs_hand_their_mail_to_this_host"),
        check("mail::php_sends_by_sendmail", until="web.cutover"),
        check("mail::access_map_is_up_to_date", until=_BEFORE),
        check("mail::takes_mail_from_jails_as_from_this_host", until=_BEFORE),
    )


def checks(site: Site, jail: str) -> tuple[Check, ...]:
    """After a jail is built: its programs' mail is taken as the host's, and nothing is kept."""
    if not sends(site, jail):
        return ()
    there = [name for name in site.built if not is_mails(site, name)]
    so_far = there[: there.index(jail) + 1]
    later = there[len(so_far) :]
    until = f"{site.builder(later[0])}.jail" if later else _ends(site)
    return (
        check("mail::queue_runner_runs_in_jail", jail=jail),
        check("jail::has_mounted", jail=jail, path=_QUEUE.directory),
        # Each asks for all jails so far at once, and ends the one before.
        check("mail::is_taken_from_jails_as_from_the_host", until=until, senders=" ".join(so_far)),
    )


def arrival_checks(site: Site) -> tuple[Check, ...]:
    """Once mail has moved: a message from each other jail that is built by then."""
    before = site.order[: site.order.index(_MAIL)]
    built = [name for name in site.built if not is_mails(site, name)]
    there = [name for name in built if any(each in before for each in site.jails[name].services)]
    if not there:
        return ()
    senders = " ".join(there)
    return (check("messages::from_jails_arrive", until=_ends(site), leaves=True, senders=senders),)


def _ends(site: Site) -> str | None:
    return until_policy(site) if _shut_in(site) else None


def _shut_in(site: Site) -> list[str]:
    """The jails whose programs cannot send mail under the policy."""
    return [
        name
        for name in site.built
        if _MAIL in site.services
        and not is_mails(site, name)
        and not any(
            allow.source == name and allow.to != INTERNET and 25 in allow.numbers("tcp")
            for allow in site.policy.allow
        )
    ]


def under_policy(site: Site) -> tuple[Check, ...]:
    """What the policy must leave: the jails that it lets send mail still do."""
    shut_in = _shut_in(site)
    left = [n for n in site.built if not is_mails(site, n) and n not in shut_in]
    if not shut_in or not left or _MAIL not in site.services:
        return ()
    return (check("mail::is_taken_from_jails_as_from_the_host", senders=" ".join(left)),)


def gate(site: Site) -> Gate | None:
    """A stop before the policy takes from jails the way to the mail server."""
    shut_in = _shut_in(site)
    if not shut_in:
        return None
    return Gate(
        question="Programs in some jails will not be able to send mail: what PHP or cron sends by "
        "sendmail(1) will be kept in the jail. Is that intended?",
        look_at=(
            f"jails {', '.join(shut_in)}: [policy] does not let them connect to port 25 of mail",
            f'if not: allow it, as {{ from = "{shut_in[0]}", to = '
            f'"{site.jail_of(_MAIL) if _MAIL in site.order else HOST}", ports = ["25/tcp"] }}',
        ),
    )
