"""What else on the host depends on a daemon that moves: it is redirected, or shown at a gate."""

from __future__ import annotations

from operations import logs, rc
from rollout.plan.step import Check, Gate, Use, check, use
from rollout.site import Site
from steps import forward
from steps.base import ASKED
from steps.render import render


def gate(site: Site, *names: str) -> Gate:
    """A stop before the cut-over, unless everything that refers to the daemon keeps working.

    What uses its socket, port or data, reads its logs or calls `service` keeps working. What speaks
    to the daemon itself (through its pid file or its own programs) or reads its configuration does
    not, and only a person knows what it is for. Nor do other machines reach a port that is not
    public in the site file.
    """
    jail, script = site.jail_of(names[-1]), site.services[names[-1]].rc
    return Gate(
        question="These refer to a daemon that is about to move, and will not find it. Go on?",
        look_at=(
            f"how to change them: `service -j {jail} {script} ...` and `jexec {jail} ...` reach "
            "the daemon from the host",
        ),
        unless=(
            *(check("dependents::all_keep_working", service=name) for name in names),
            *(
                check("dependents::nobody_is_shut_out", service=name, ways=forward.ways(site, name))
                for name in names
                if not all(each.public for each in site.services[name].ports)
            ),
        ),
    )


def found(name: str) -> tuple[Check, ...]:
    """What `plan` lists: all references to the daemon, and what happens to each."""
    return (check("dependents::none_are_found", service=name),)


def asked(site: Site, name: str) -> list[Use]:
    """From the cut-over on, `service X reload` on the host reaches the jail's daemon."""
    service = site.services[name]
    if service.rc in rc.HOSTS_OWN:
        return []
    return [asked_in_jail(site.jail_of(name), service.rc, service.rcvar)]


def asked_in_jail(jail: str, script: str, rcvar: str) -> Use:
    """The same for one rc script."""
    path = f"{ASKED}/{rcvar.removesuffix('_enable')}"
    content = render("service/rc.conf.d", rc=script, jail=jail)
    return use(rc.asked_in_jail, path=path, content=content)


def moved_logs(site: Site, name: str) -> list[Use]:
    """Once the host's daemon has stopped, the jail rotates its logs; the host can read them."""
    service, jail = site.services[name], site.jail_of(name)
    shared = [*service.logs, *service.data]
    if not shared and not service.log_files:
        return []
    return [
        use(
            logs.rotated_by_jail,
            jail=jail,
            root=site.root(jail),
            logs=service.log_files,
            shared=shared,
        ),
        *(use(logs.shown, path=path, target=site.shown(jail, path)) for path in service.log_files),
    ]


def asked_checks(site: Site, name: str) -> list[Check]:
    """The checks for what `asked` does."""
    if site.services[name].rc in rc.HOSTS_OWN:
        return []
    return [check("service::command_reaches_the_jail", service=name)]


def logs_checks(site: Site, name: str) -> list[Check]:
    """The checks for what `moved_logs` does."""
    service = site.services[name]
    found = []
    if service.logs or service.data or service.log_files:
        found.append(check("logs::are_rotated_once", service=name))
    if service.log_files:
        found.append(check("logs::are_readable_on_the_host", service=name))
    return found
