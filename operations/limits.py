"""What a jail may take at most: rules of rctl(8), and the CPUs of cpuset(1)."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError

from operations.command import Commands, Reversible
from operations.facts import JailRules


def at_start(jail: str, rules: Sequence[str], cpus: str | None) -> list[str]:
    """The commands of exec.created in jail.conf(5), before the jail has its first process.

    None of them fails: a service without limits is better than none. The checks find it.
    """
    lines = [f"rctl -a {' '.join(rules)}"] if rules else []
    lines += [f"cpuset -l {cpus} -j {jail}"] if cpus else []
    return [
        f"{each} || logger -t cellblock -p daemon.err 'jail {jail}: no limits by {each.split()[0]}'"
        for each in lines
    ]


def at_stop(rules: Sequence[str]) -> list[str]:
    """The commands of exec.poststop: rules outlive their jail. Its CPUs end with it."""
    return [f"{_removed(rules)} 2>/dev/null || :"] if rules else []


def _removed(rules: Sequence[str]) -> str:
    """These very rules, by amount and by what it is counted for; no other of the jail's."""
    return f"rctl -r {' '.join(f'{each}/jail' for each in rules)}"


@operation()
def given(jail: str, rules: Sequence[str]) -> Commands:
    """Limit a jail that does not run yet; the undo removes these very rules.

    The kernel keeps rules for the name of a jail, whether or not there is one. Of two that deny the
    same resource it keeps the later (rctl_rule_add in sys/kern/kern_rctl.c), so one that others
    have given is refused: the undo could not bring it back.
    """
    there = host.get_fact(JailRules, jail=jail)
    others = [each for each in there if each not in rules]
    if others:
        raise OperationError(
            f"rctl has {others[0]} already: expected no limit of jail {jail} that the site file "
            "does not say"
        )
    new = [each for each in rules if each not in there]
    if not new:
        host.noop(f"jail {jail} has its limits")
        return
    listed = " ".join(f"-e {each}" for each in new)
    yield Reversible(
        f"rctl -a {' '.join(new)}",
        undo=f"{_removed(new)} 2>/dev/null || ! rctl jail:{jail} 2>/dev/null | grep -qxF {listed}",
        live=True,
        says=f"limit what jail {jail} may take",
    )
