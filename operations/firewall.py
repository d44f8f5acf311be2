"""ipfw rules of our own, in sets of our own, beside whatever rules are there."""

from __future__ import annotations

from collections.abc import Sequence

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError

from operations import files
from operations.command import Commands, Reversible
from operations.facts import Kenv, Module, Nats, Rules

_LOADED = "ipfw list >/dev/null 2>&1"
_DEFAULT = "net.inet.ip.fw.default_to_accept"


@operation()
def loaded() -> Commands:
    """Load ipfw without locking anybody out: its built-in last rule is deny unless told before.

    ipfw_nat comes with it. The undo unloads what it loaded, and only while nobody uses it: no rule
    but that last one, no nat instance.
    """
    yield from _ipfw()
    if host.get_fact(Module, module="ipfw_nat"):
        host.noop("ipfw_nat is loaded")
        return
    yield Reversible(
        "kldload ipfw_nat",
        undo='if kldstat -q -m ipfw_nat && [ -z "$(ipfw nat show config)" ]; '
        "then kldunload ipfw_nat; fi",
        live=True,
        says="load ipfw_nat",
    )


def _ipfw() -> Commands:
    if host.get_fact(Module, module="ipfw"):
        host.noop("ipfw is loaded")
        return
    before = host.get_fact(Kenv, variable=_DEFAULT)
    yield Reversible(
        f"kenv {_DEFAULT}=1",
        undo=f"kenv {_DEFAULT}={before}" if before else f"kenv -q -u {_DEFAULT} || true",
        live=True,
        says="ipfw's last rule, once loaded, is to accept",
        sees=f'{_DEFAULT}="1"',
    )
    yield Reversible(
        "kldload ipfw",
        undo=f'if {_LOADED} && [ "$(ipfw -S list | wc -l)" -eq 1 ]; then kldunload ipfw; fi',
        live=True,
        says="load ipfw",
    )


@operation()
def rules(number: int, set: int, bodies: Sequence[str]) -> Commands:
    """Add rules to a disabled set, all at one number: there, but without effect yet.

    ipfw keeps rules of one number in the order in which they came. The set and the number must be
    ours alone. `set N delete M` takes M's rules out of set N; `delete set N M`, which looks alike,
    would delete the whole sets N and M.
    """
    ours = [(number, set, body) for body in bodies]
    there = [rule for rule in host.get_fact(Rules) if set == rule.set or number == rule.number]
    if [(rule.number, rule.set, rule.body) for rule in there] == ours:
        host.noop(f"the rules of set {set} are there")
        return
    if there:
        rule = min(there, key=lambda each: (each.number, each.set, each.body) in ours)
        raise OperationError(
            f"ipfw rule {rule.number} (set {rule.set}: {rule.body}) is in the place of ours: "
            f"expected set {set} and number {number} to be free"
        )
    yield Reversible(
        f"ipfw -q set disable {set}",
        undo=f"if {_LOADED}; then ipfw -q set enable {set}; fi",
        live=True,
        says=f"disable ipfw set {set} while it is filled",
    )
    for body in bodies:
        yield Reversible(
            f"ipfw -q add {number} set {set} {body}",
            undo=f"if {_LOADED}; then ipfw -qf set {set} delete {number}; fi",
            live=True,
            says=f"ipfw rule {number}: {body}",
            owns={f"ipfw rule {number} set {set}": ""},
        )


@operation()
def nat(number: int, config: str) -> Commands:
    """Configure a nat instance. It does nothing until a rule leads packets to it.

    `config` as ipfw(8) has it, in the order in which ipfw prints it: ip, flags, redirections.
    """
    there = host.get_fact(Nats).get(number)
    if there == config:
        host.noop(f"nat {number} is there")
        return
    if there is not None:
        raise OperationError(
            f"ipfw nat {number} ({there}) is in the place of ours: expected it to be free"
        )
    yield Reversible(
        f"ipfw -q nat {number} config {config}",
        undo=f"if {_LOADED}; then ipfw -qf nat {number} delete; fi",
        live=True,
        says=f"ipfw nat {number}: {config}",
        owns={f"ipfw nat {number}": ""},
    )


@operation()
def switch(set: int, more: Sequence[int] = ()) -> Commands:
    """Let the rules of a set, and of `more`, take effect in one moment; the undo ends that."""
    sets = " ".join(map(str, (set, *more)))
    yield Reversible(
        f"ipfw -q set enable {sets}",
        undo=f"if {_LOADED}; then ipfw -q set disable {sets}; fi",
        live=True,
        says=f"switch ipfw set {sets.replace(' ', ' and ')} on",
        limit=10,
    )


@operation()
def switched_off(set: int, file: str) -> Commands:
    """Take the effect of a set's rules away, now and at the next boot, when `file` brings them.

    The undo has them again even if the host was restarted since.
    """
    # The file goes last, so that it is there again before the undo of the set asks for it.
    yield Reversible(
        f"ipfw -q set disable {set}",
        undo=f"if {_LOADED}; then if ! ipfw -S list | grep -q ' set {set} ' && [ -e {file} ]; "
        f"then ipfw -q {file}; fi; ipfw -q set enable {set}; fi",
        live=True,
        says=f"switch ipfw set {set} off",
        limit=10,
    )
    yield from files.removed._inner(file)
