"""What else on the host hangs on a daemon that moves: led after it, or else shown at a gate."""

from __future__ import annotations

from operations import logs, rc
from rollout.plan.step import Check, Gate, Use, check, use
from rollout.site import Site
from steps.base import ASKED
from steps.render import render


def gate(site: Site, *names: str) -> Gate:
    """A stop before the cut-over, unless all that names the daemon goes on by itself.

    What uses its socket, its port or its data, reads its logs or asks it something by `service`
    goes on. What speaks to the daemon itself (by its pid file, a program of its own) or reads its
    configuration does not, and only a person knows what it is for.
    """
    jail, script = site.jail_of(names[-1]), site.services[names[-1]].rc
    return Gate(
        question="These name a daemon that is about to move, and will not find it. Go on?",
        look_at=(
            f"what they do afterwards: `service -j {jail} {script} ...` and `jexec {jail} ...` "
            "speak to it from the host",
        ),
        unless=tuple(check("dependents::all_keep_working", service=name) for name in names),
    )


def found(name: str) -> tuple[Check, ...]:
    """What `plan` lists: all that names the daemon, and what becomes of each."""
    return (check("dependents::none_are_found", service=name),)


def asked(site: Site, name: str) -> list[Use]:
    """From the cut-over on, `service X reload` on the host speaks to the jail's daemon."""
    service = site.services[name]
    if service.rc in rc.HOSTS_OWN:
        return []
    own = service.rcvar.removesuffix("_enable")
    content = render("service/rc.conf.d", rc=service.rc, jail=site.jail_of(name))
    return [
        use(rc.asked_in_jail, path=f"{ASKED}/{own}", content=content),
    ]


def moved_logs(site: Site, name: str) -> list[Use]:
    """Once the host's daemon has stopped its logs are the jail's to rotate, and still readable."""
    service, jail = site.services[name], site.jail_of(name)
    shared = [*service.logs, *service.data]
    if not shared and not service.log_files:
        return []
    shown = site.shown_logs(jail)
    return [
        use(
            logs.rotated_by_jail,
            jail=jail,
            root=site.root(jail),
            logs=service.log_files,
            shared=shared,
        ),
        *(
            use(logs.shown, path=path, target=f"{shown}/{path.removeprefix('/var/log/')}")
            for path in service.log_files
        ),
    ]


def asked_checks(site: Site, name: str) -> list[Check]:
    """Of what `asked` did."""
    if site.services[name].rc in rc.HOSTS_OWN:
        return []
    return [check("service::command_reaches_the_jail", service=name)]


def logs_checks(site: Site, name: str) -> list[Check]:
    """Of what `moved_logs` did."""
    service = site.services[name]
    found = []
    if service.logs or service.data or service.log_files:
        found.append(check("logs::are_rotated_once", service=name))
    if service.log_files:
        found.append(check("logs::are_readable_on_the_host", service=name))
    return found
