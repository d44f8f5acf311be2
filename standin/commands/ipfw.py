"""ipfw(8): rules, sets and nat, with its exit codes."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network

from standin.commands import command
from standin.linux.shim import Call, Failed, Reply, Unknown
from standin.model.firewall import LAST_SET, parse_nat
from standin.model.host import Host
from standin.model.rules import Rule, RuleError, parse

USAGE = 'ipfw: bad command, try "ipfw -h"\n'
OPTIONS = "aqSfnNtdeh"
FORCED = "without a person"
"""Set by -f, or when stdin is no terminal: then deleting a missing rule is no error."""


@command("/sbin/ipfw")
def ipfw(host: Host, call: Call) -> Reply:
    options, rest = set[str](), list(call.args)
    while rest and rest[0].startswith("-"):
        letters = set(rest.pop(0)[1:])
        if letters - set(OPTIONS):
            raise Unknown(f"ipfw: illegal option -- {sorted(letters)[0]}\n", 64)
        options |= letters
    if not call.is_at_terminal():
        options.add(FORCED)
    if len(rest) == 1 and rest[0].startswith("/"):
        return _file(host, call, rest[0], options)
    return _perform(host, options, rest, in_jail=bool(call.rootdir.name))


def _file(host: Host, call: Call, path: str, options: set[str]) -> Reply:
    text = call.rootdir.read(path)
    if text is None:
        raise Failed(f"ipfw: fopen: {path}: No such file or directory\n", 66)
    out = ""
    for number, line in enumerate(text.splitlines(), 1):
        words = shlex.split(line, comments=True)
        if words:
            try:
                out += _perform(host, options, words, in_jail=bool(call.rootdir.name)).out
            except (Failed, Unknown) as error:
                raise Failed(f"Line {number}: {error}", error.reply.exit, out) from None
    return Reply(out)


def _perform(host: Host, options: set[str], rest: list[str], *, in_jail: bool) -> Reply:
    verb, *words = rest or [""]
    if verb == "show":
        verb, options = "list", options | {"a"}
    if verb not in VERBS:
        raise Unknown(USAGE, 64)
    if not host.kernel.has("ipfw") or in_jail:
        if verb == "list":
            raise Failed("ipfw: retrieving config failed: Protocol not available\n", 71)
        if [verb, *words] == ["set", "show"]:
            raise Failed("ipfw: requesting config failed: Protocol not available\n", 71)
        if verb not in ("add", "nat"):
            raise Failed("ipfw: setsockopt(IP_FW_XDEL): Protocol not available\n", 69)
    return VERBS[verb](host, options, words)


def _flush(host: Host, options: set[str], words: list[str]) -> Reply:
    if not {"f", "q"} & options:
        raise Failed("ipfw: it asks a person; -f is for scripts\n", 64)
    host.firewall.rules = ()
    return Reply("" if "q" in options else "Flushed all rules.\n")


def _switch_firewall(value: str) -> Callable[[Host, set[str], list[str]], Reply]:
    def switch(host: Host, options: set[str], words: list[str]) -> Reply:
        if words != ["firewall"]:
            raise Unknown(USAGE, 64)
        host.kernel.sysctls["net.inet.ip.fw.enable"] = value
        return Reply()

    return switch


def _add(host: Host, options: set[str], words: list[str]) -> Reply:
    loaded = host.kernel.has("ipfw")
    try:
        rule = parse(words, host.firewall.next_number())
        if not loaded and "n" not in options:
            raise RuleError("getsockopt(IP_FW_XADD): Protocol not available", 69)
        needed = {"nat": "ipfw_nat", "pipe": "dummynet", "queue": "dummynet"}.get(rule.action)
        if needed and not host.kernel.has(needed):
            raise RuleError("getsockopt(IP_FW_XADD): Invalid argument", 69)
    except RuleError as error:
        unknown = error.exit == 64
        text = f"ipfw: {error}\n"
        raise (Unknown(text, 64) if unknown else Failed(text, error.exit)) from None
    if "n" not in options:
        host.firewall.add(rule)
    return Reply("" if "q" in options else f"{_text(rule, set())}\n")


def _text(rule: Rule, options: set[str], wide: tuple[int, int] = (0, 0)) -> str:
    counters = ""
    if "a" in options:
        packets, bytes_ = wide
        counters = f" {rule.counter.packets:{packets}} {rule.counter.bytes:{bytes_}}"
    group = f" set {rule.set}" if "S" in options else ""
    return f"{rule.number:05}{counters}{group} {rule.text()}"


def _default(host: Host) -> Rule:
    action = "allow" if host.firewall.accepts_by_default else "deny"
    rule = parse([action, "ip", "from", "any", "to", "any"], 1)
    return replace(rule, number=65535, set=LAST_SET)


def _list(host: Host, options: set[str], words: list[str]) -> Reply:
    ranges = []
    for word in words:
        low, _, high = word.partition("-")
        if not (low.isdigit() and (high.isdigit() or not high)):
            raise Unknown(f"ipfw: invalid rule number ``{word}''\n", 64)
        ranges.append((int(low), int(high or low)))
    lines, shown = [], set()
    counters = [rule.counter for rule in host.firewall.rules]
    # The rule at 65535 has counted some traffic on any host that can be reached.
    packets = max([3, *(len(str(one.packets)) for one in counters)])
    wide = packets, max([5, *(len(str(one.bytes)) for one in counters)])
    for rule in (*host.firewall.rules, _default(host)):
        hits = [pair for pair in ranges if pair[0] <= rule.number <= pair[1]]
        if ranges and not hits:
            continue
        shown.update(hits)
        off = rule.set in host.firewall.disabled
        if not off:
            lines.append(_text(rule, options, wide))
        elif "S" in options:
            lines.append(f"# DISABLED {_text(rule, options, wide)}")
    missing = [pair for pair in ranges if pair not in shown]
    err = "".join(f"ipfw: rule {low} does not exist\n" for low, _ in missing)
    return Reply("".join(f"{line}\n" for line in lines), err, 69 if missing else 0)


def _delete(host: Host, options: set[str], words: list[str]) -> Reply:
    if words[:1] == ["set"] and len(words) == 2 and words[1].isdigit():
        gone = host.firewall.delete(group=int(words[1]))
    elif words and all(word.isdigit() for word in words):
        gone = min(host.firewall.delete(number=int(word)) for word in words)
    else:
        raise Unknown(USAGE, 64)
    return Reply() if gone else _missing(options, f"rule {' '.join(words)} not found")


def _missing(options: set[str], what: str) -> Reply:
    return Reply(
        err="" if "q" in options else f"ipfw: {what}\n",
        exit=0 if {"f", FORCED} & options else 69,
    )


def _set(host: Host, options: set[str], words: list[str]) -> Reply:
    match words:
        case ["show"]:
            off = " ".join(str(one) for one in sorted(host.firewall.disabled))
            on = " ".join(str(one) for one in range(LAST_SET) if one not in host.firewall.disabled)
            return Reply(f"disable {off} enable {on}\n" if off else f"enable {on}\n")
        case ["swap", one, other]:
            host.firewall.swap(int(one), int(other))
            return Reply()
        case ["move", "rule", number, "to", group]:
            _move(host, group, number=int(number))
            return Reply()
        case ["move", old, "to", group]:
            _move(host, group, old=int(old))
            return Reply()
        case ["enable" | "disable", *_]:
            return _switch(host, words)
        case [group, "delete", *numbers] if numbers and all(map(str.isdigit, [group, *numbers])):
            gone = min(
                host.firewall.delete(number=int(number), group=int(group)) for number in numbers
            )
            return Reply() if gone else _missing(options, f"rule {numbers[0]} not found")
        case _:
            raise Unknown(f"ipfw: invalid set command {' '.join(words[:1])}\n\n", 64)


def _move(host: Host, group: str, *, number: int | None = None, old: int | None = None) -> None:
    host.firewall.rules = tuple(
        replace(rule, set=int(group)) if rule.number == number or rule.set == old else rule
        for rule in host.firewall.rules
    )


def _switch(host: Host, words: list[str]) -> Reply:
    """All at once: `set disable 1 2 enable 3`."""
    verb, disabled = "", set(host.firewall.disabled)
    for word in words:
        if word in ("enable", "disable"):
            verb = word
        elif not word.isdigit() or int(word) >= LAST_SET:
            raise Unknown(f"ipfw: invalid set number {word}\n\n", 64)
        elif verb == "enable":
            disabled.discard(int(word))
        else:
            disabled.add(int(word))
    host.firewall.disabled = frozenset(disabled)
    return Reply()


def _nat(host: Host, options: set[str], words: list[str]) -> Reply:
    if words == ["show", "config"]:
        return Reply("".join(f"{nat.text}\n" for nat in host.firewall.nats.values()))
    if not words or not words[0].isdigit():
        raise Unknown(USAGE, 64)
    number = int(words[0])
    match words[1:]:
        case ["config", *rest]:
            if not host.kernel.has("ipfw_nat"):
                raise Failed("ipfw: setsockopt(IP_FW_NAT44_XCONFIG): Invalid argument\n")
            try:
                nat = parse_nat(number, rest)
            except ValueError as error:
                raise Unknown(f"ipfw: unrecognised option ``{error}''\n", 64) from None
            host.firewall.nats = {**host.firewall.nats, number: nat}
            return Reply("" if "q" in options else f"{nat.text}\n")
        case ["show", "config"] | ["show"]:
            known = host.firewall.nats.get(number)
            return Reply(f"{known.text}\n" if known else "")
        case ["delete"]:
            if number not in host.firewall.nats:
                return _missing(options, f"nat {number} not available: No such process")
            left = {one: nat for one, nat in host.firewall.nats.items() if one != number}
            host.firewall.nats = left
            host.firewall.links.asked.clear()
            return Reply()
        case _:
            raise Unknown(USAGE, 64)


# Recorded on 15.0 without a terminal: the entry is there, but without -q ipfw fails.
_ODD = "ipfw: {} record failed: Inappropriate ioctl for device\n"


def _table(host: Host, options: set[str], words: list[str]) -> Reply:
    tables = host.firewall.tables
    match words:
        case [name, "create", *kind] if kind in ([], ["type", "addr"]):
            tables.setdefault(name, {})
        case [name, "add", address, *value] if len(value) < 2:
            network = _network(address)
            tables.setdefault(name, {})[network] = (*value, "0")[0]
            if "q" in options:
                return Reply()
            return Reply(f"added: {network} {tables[name][network]}\n", _ODD.format("Adding"), 71)
        case [name, "delete", address]:
            tables.get(name, {}).pop(_network(address), None)
            return Reply() if "q" in options else Reply(err=_ODD.format("Deleting"), exit=71)
        case [name, "list"] if name in tables:
            return Reply("".join(f"{one} {value}\n" for one, value in tables[name].items()))
        case [name, "flush" | "destroy"] if name in tables:
            del tables[name]
        case [_, "flush"]:
            return Reply() if "q" in options else Reply(err=_ODD.format("Flushing"), exit=71)
        case _:
            raise Unknown(USAGE, 64)
    return Reply()


def _network(word: str) -> str:
    try:
        return str(ip_network(word, strict=False))
    except ValueError:
        raise Failed(f"ipfw: Unable to parse key: {word}\n", 64) from None


def _shape(host: Host, options: set[str], words: list[str]) -> Reply:
    """Of a pipe or queue. What it limits is not modelled."""
    if len(words) < 2 or not words[0].isdigit() or words[1] != "config":
        raise Unknown(USAGE, 64)
    if not host.kernel.has("dummynet"):
        raise Failed("ipfw: setsockopt(IP_DUMMYNET3): Protocol not available\n", 71)
    return Reply()


VERBS: dict[str, Callable[[Host, set[str], list[str]], Reply]] = {
    "add": _add,
    "delete": _delete,
    "disable": _switch_firewall("0"),
    "enable": _switch_firewall("1"),
    "flush": _flush,
    "list": _list,
    "nat": _nat,
    "pipe": _shape,
    "queue": _shape,
    "set": _set,
    "table": _table,
}
