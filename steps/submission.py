"""How programs in a jail send mail with sendmail(1): as they did on the host."""

from __future__ import annotations

from operations import mail
from rollout.plan.step import Use, use
from rollout.site import Site

_MAIL = "mail"


def fitted(site: Site, jail: str) -> list[Use]:
    """What adapts the jail's copy of /etc/mail before the jail first runs."""
    return [
        use(mail.own_name_kept, file=f"{site.root(jail)}/etc/mail/submit.cf", asked=own_name(site))
    ]


def own_name(site: Site) -> str:
    """sh that prints what the host's mail server calls itself, and its domain."""
    script = site.services[_MAIL].rc if _MAIL in site.services else ""
    return mail.OWN_NAME.get(script, mail.HOSTNAME)
