"""Cellblock's ipfw rules, in sets of their own; existing rules stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from shlex import quote

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError

from operations import files
from operations.command import Commands, Reversible
from operations.doors import Ends, View, Ways
from operations.facts import (
    HostRules,
    JailListeners,
    Kenv,
    Listeners,
    Module,
    Nats,
    OnePass,
    OwnAddresses,
    Routes,
    Rule,
    Rules,
    UsedAddresses,
)
from operations.host_decisions import Obstacle, of_host
from operations.placing import Placed

_LOADED = "ipfw list >/dev/null 2>&1"
_DEFAULT = "net.inet.ip.fw.default_to_accept"


@operation()
def loaded() -> Commands:
    """Load ipfw without locking anybody out: its built-in last rule denies unless set before.

    ipfw_nat is loaded, too. The undo unloads what was loaded, and only while it is unused: no rule
    except that last one, no nat instance.
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
        says="make 'allow' the default rule of ipfw before it is loaded",
        sees=f'{_DEFAULT}="1"',
    )
    yield Reversible(
        "kldload ipfw",
        # Rules of number 65535 are the kernel's own: one on 13.2, two on 15.0.
        undo=f"if {_LOADED} && ! ipfw -S list | grep -qv '^65535 '; then kldunload ipfw; fi",
        live=True,
        says="load ipfw",
    )


@operation()
def rules(number: int, set: int, bodies: Sequence[str]) -> Commands:
    """Add rules to a disabled set, all with one number: they exist, but have no effect yet.

    ipfw keeps rules of one number in the order in which they were added. Nothing else may use the
    set. One without rules is disabled and enabled as the others are.
    """
    yield from _added(set, [(number, body) for body in bodies])


def _added(set: int, placed: Sequence[Placed]) -> Commands:
    """`set N delete M` deletes rule M from set N; `delete set N M`, which looks alike, would delete
    the whole sets N and M.
    """
    there = [rule for rule in host.get_fact(Rules) if set == rule.set]
    if there and sorted((rule.number, rule.body) for rule in there) == sorted(placed):
        host.noop(f"set {set} has these rules already")
        return
    if there:
        rule = min(there, key=lambda each: (each.number, each.body) in placed)
        raise OperationError(
            f"ipfw rule {rule.number} exists (set {rule.set}: {rule.body}): "
            f"expected set {set} to be unused"
        )
    yield Reversible(
        f"ipfw -q set disable {set}",
        undo=f"if {_LOADED}; then ipfw -q set enable {set}; fi",
        live=True,
        says=f"disable ipfw set {set} while rules are added to it",
    )
    for number, body in placed:
        yield Reversible(
            f"ipfw -q add {number} set {set} {_typed(body)}",
            undo=f"if {_LOADED}; then ipfw -qf set {set} delete {number}; fi",
            live=True,
            says=f"add ipfw rule {number}: {body}",
            owns={f"ipfw rule {number} set {set}": ""},
        )


def _typed(body: str) -> str:
    """For sh, which would take the parentheses of table(1) for its own."""
    return " ".join(map(quote, body.split(" ")))


@operation()
def nat(number: int, config: str) -> Commands:
    """Configure a nat instance. It has no effect until a rule sends packets to it.

    `config` as in ipfw(8): ip, flags, redirections. ipfw prints the redirections last first.
    """
    there = host.get_fact(Nats).get(number)
    if there is not None and _parts(there) == _parts(config):
        host.noop(f"nat {number} is configured already")
        return
    if there is not None:
        raise OperationError(f"ipfw nat {number} exists ({there}): expected it to be unused")
    yield Reversible(
        f"ipfw -q nat {number} config {config}",
        undo=f"if {_LOADED}; then ipfw -qf nat {number} delete; fi",
        live=True,
        says=f"configure ipfw nat {number}: {config}",
        owns={f"ipfw nat {number}": ""},
    )


def _parts(config: str) -> tuple[str, list[str]]:
    first, *redirections = config.split(" redirect_")
    return first, sorted(redirections)


@operation()
def opened(set: int, ways: Ways, path: str, *, fixed: Sequence[Placed] = ()) -> Commands:
    """Add the rules of `ways` to a disabled set, and save them in `path` for the next boot.

    Each stands directly before the rule of the host that lets its packets pass, so the host's own
    rules decide their numbers. `fixed` are further rules, with theirs.
    """
    view = _seen(ways)
    try:
        rules = [*fixed, *ways.placed(view)]
    except Obstacle as obstacle:
        raise OperationError(str(obstacle)) from None
    configs = ways.nats(view)
    for instance, config in configs.items():
        yield from nat._inner(instance, config)
    yield from _added(set, rules)
    lines = [f"nat {instance} config {config}\n" for instance, config in configs.items()]
    lines += [f"add {number} set {set} {body}\n" for number, body in rules]
    yield from files.put._inner(path, "".join(lines))


def _seen(ways: Ways) -> View:
    """The host, as facts tell it, for these ways."""
    first, last = ways.beside.sets
    theirs: tuple[Rule, ...] = host.get_fact(HostRules, first=first, last=last)
    view = _addresses(ways)
    one_pass: bool = host.get_fact(OnePass)
    return replace(
        view,
        wall=of_host(theirs, nats=view.nats, ends_at_nat=one_pass, floor=ways.beside.floor),
        ours=tuple(rule for rule in host.get_fact(Rules) if first <= rule.set <= last),
    )


def _addresses(ways: Ways) -> View:
    """The same without any rules."""
    beside = ways.beside
    has = host.get_fact(OwnAddresses, wan=beside.wan) or ()
    nats: dict[int, str] = host.get_fact(Nats)
    return View(
        of_host(()),
        beside.own([each.ip for each in has]),
        host.get_fact(Listeners, ports=ways.ports),
        nats=nats,
        apart=beside.apart,
        used=host.get_fact(UsedAddresses),
        routes=host.get_fact(Routes),
        inside=host.get_fact(JailListeners, ports=ways.ports),
    )


def further(ways: Ways | None) -> dict[str, Ends]:
    """Jail (its primary address) -> the addresses of the host that have one of their own there, for
    what is sent to them over UDP. Raises OperationError if none is left.
    """
    if ways is None:
        return {}
    try:
        return ways.further(_addresses(ways))
    except Obstacle as obstacle:
        raise OperationError(str(obstacle)) from None


@operation()
def switch(set: int, more: Sequence[int] = ()) -> Commands:
    """Enable a set, and those of `more`, at one moment; the undo disables them."""
    sets = " ".join(map(str, (set, *more)))
    yield Reversible(
        f"ipfw -q set enable {sets}",
        undo=f"if {_LOADED}; then ipfw -q set disable {sets}; fi",
        live=True,
        says=f"enable ipfw set {sets.replace(' ', ' and ')}",
        limit=10,
    )


@operation()
def switched_off(set: int, file: str) -> Commands:
    """Disable a set, now and for the next boot, at which `file` would load its rules.

    The undo enables it again, even if the host was restarted since.
    """
    # The file is removed last, so that the undo restores it before the undo of the set needs it.
    yield Reversible(
        f"ipfw -q set disable {set}",
        undo=f"if {_LOADED}; then if ! ipfw -S list | grep -q ' set {set} ' && [ -e {file} ]; "
        f"then ipfw -q {file}; fi; ipfw -q set enable {set}; fi",
        live=True,
        says=f"disable ipfw set {set}",
        limit=10,
    )
    yield from files.removed._inner(file)
