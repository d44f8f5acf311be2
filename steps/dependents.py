"""What else on the host hangs on a daemon that moves: a gate where something will not find it."""

from __future__ import annotations

from rollout.site import Site
from rollout.step import Gate, check


def gate(site: Site, name: str) -> Gate:
    """A stop before the cut-over, unless nothing on the host names the daemon.

    What uses its socket, its port or its data goes on as it is: the paths lead to the same place.
    What speaks to the daemon itself (by its rc script, its pid file, a program of its own) or reads
    its configuration does not, and only a person knows what it is for.
    """
    jail, script = site.jail_of(name), site.services[name].rc
    return Gate(
        question="These name a daemon that is about to move, and will not find it. Go on?",
        look_at=(
            f"what they do afterwards: `service -j {jail} {script} ...` and `jexec {jail} ...` "
            "speak to it from the host",
        ),
        unless=(check("dependents::nothing_names_the_daemon", service=name),),
    )
