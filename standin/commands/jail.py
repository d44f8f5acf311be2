"""jail(8), jls(8) and jexec(8)."""

from __future__ import annotations

import json
import shlex

from standin.commands import command
from standin.etc import jail_conf
from standin.etc.jail_conf import JailConfError, Params
from standin.linux.binaries import ENTER, REAL
from standin.linux.processes import PATH
from standin.linux.shim import Call, Failed, Reply, Unknown, getopt
from standin.model import jail_lifecycle
from standin.model.host import Host
from standin.model.jail import Jail
from standin.model.jail_lifecycle import JailError
from standin.rc.jail_service import configured

USAGE = "usage: jail [-dhilqv] [-J jid_file] -[cmr] [-f file] param=value ..."


@command("/usr/sbin/jail")
async def jail(host: Host, call: Call) -> Reply:
    found, rest = getopt(call, "cmrRf:qvldn:J:i", USAGE, 1)
    try:
        if "r" in found or "R" in found:
            return await _remove(host, found, rest)
        if "m" in found:
            return _modify(host, _params(rest))
        if "c" in found:
            return await _create(host, found, rest)
    except JailConfError as error:
        raise Failed(f"jail: {error}\n") from None
    except JailError as error:
        raise Failed(f"jail: {error}\n") from None
    raise Unknown(f"{USAGE}\n", 1)


def _params(words: list[str]) -> Params:
    params = Params()
    for place, word in enumerate(words):
        name, mark, value = word.partition("=")
        try:
            if name == "command":
                params.set("command", [shlex.join([value, *words[place + 1 :]])])
                break
            params.set(name, [value] if mark else [])
        except KeyError:
            raise JailError(f"unknown parameter: {name}") from None
    return params


async def _create(host: Host, found: dict[str, str], rest: list[str]) -> Reply:
    if rest and "=" not in rest[0]:
        out = ""
        for name in rest:
            params = configured(host, name, found.get("f", "/etc/jail.conf"))
            if params is None:
                raise JailError(f'"{name}" not found')
            await jail_lifecycle.create(host, params)
            out += f"{name}: created\n"
        return Reply(out)
    params = _params(rest)
    if not params.get("name"):
        params.set("name", [str(host.next_jid())])
    made = await jail_lifecycle.create(host, params)
    if line := params.get("command"):
        code, text = await host.processes.run(made.rootdir, ["/bin/sh", "-c", line])
        if not params.is_on("persist"):
            await jail_lifecycle.remove(host, made)
        return Reply(text, exit=code)
    return Reply()


def _modify(host: Host, params: Params) -> Reply:
    jail = host.jail(params.get("name") or params.get("jid"))
    if jail is None:
        raise JailError(f'"{params.get("name")}" not found')
    jail.params.values |= params.values
    return Reply()


async def _remove(host: Host, found: dict[str, str], rest: list[str]) -> Reply:
    out = ""
    for name in rest:
        jail = host.jail(name)
        if jail is None:
            raise JailError(f'"{name}" not found')
        if "R" not in found and configured(host, jail.name, found.get("f", "/etc/jail.conf")):
            await jail_lifecycle.remove(host, jail)
        else:
            await jail_lifecycle.remove_bare(host, jail)
        out += f"{jail.name}: removed\n" if "f" in found else ""
    return Reply(out)


@command("/usr/sbin/jls")
def jls(host: Host, call: Call) -> Reply:
    args = list(call.args)
    as_json = args[:2] == ["--libxo", "json"] or args[:1] == ["--libxo=json"]
    if as_json:
        args = args[2:] if args[0] == "--libxo" else args[1:]
    rest_call = Call(("jls", *args), call.rootdir, call.pid)
    usage = "usage: jls [-dhNnqv] [-j jail] [param ...]"
    found, names = getopt(rest_call, "dhj:Nnqsv", usage, 1)
    shown = list(host.jails.values()) if not call.rootdir.name else []
    if "j" in found:
        one = host.jail(found["j"])
        if one is None:
            raise Failed(f'jls: jail "{found["j"]}" not found\n')
        shown = [one]
    if as_json:
        return Reply(_json(shown))
    if names or {"n", "s"} & found.keys():
        wanted = names or ["name", "jid", "path", "host.hostname", "ip4.addr"]
        return Reply("".join(_line(jail, wanted, found) for jail in shown))
    return Reply(_verbose(shown) if "v" in found else _short(shown, by_name="N" in found))


def _value(jail: Jail, name: str) -> str:
    known = {
        "jid": str(jail.jid),
        "name": jail.name,
        "path": jail.path,
        "ip4.addr": ",".join(jail.addresses) or "-",
        "dying": "false",
    }
    if name in known:
        return known[name]
    if name in jail_conf.BOOLEAN:
        return "true" if jail.params.is_on(name) else "false"
    if name in jail_conf.VALUED:
        return ",".join(jail.params.all(name)) or '""'
    raise Unknown(f"jls: unknown parameter: {name}\n", 1)


def _line(jail: Jail, names: list[str], found: dict[str, str]) -> str:
    named = bool({"n", "s"} & found.keys())
    return (
        " ".join(f"{name}={_value(jail, name)}" if named else _value(jail, name) for name in names)
        + "\n"
    )


def _short(shown: list[Jail], *, by_name: bool) -> str:
    lines = [f" {'JID':<15} IP Address      Hostname                      Path" if by_name else
             "   JID  IP Address      Hostname                      Path"]  # fmt: skip
    for jail in shown:
        first = f" {jail.name:<15} " if by_name else f"{jail.jid:6}  "
        address = jail.addresses[0] if jail.addresses else ""
        lines.append(f"{first}{address:<15} {jail.hostname:<29} {jail.path}")
    return "\n".join(lines) + "\n"


def _verbose(shown: list[Jail]) -> str:
    lines = [
        "   JID  Hostname                      Path",
        "        Name                          State",
        "        CPUSetID",
        "        IP Address(es)",
    ]
    for jail in shown:
        lines.append(f"{jail.jid:6}  {jail.hostname:<29} {jail.path}")
        lines.append(f"        {jail.name:<29} ACTIVE")
        lines.append(f"        {jail.jid + 2}")
        lines += [f"        {address}" for address in jail.addresses]
    return "\n".join(lines) + "\n"


def _json(shown: list[Jail]) -> str:
    entries = [
        {
            "jid": jail.jid,
            **({"ipv4": jail.addresses[0]} if jail.addresses else {}),
            "hostname": jail.hostname,
            "path": jail.path,
        }
        for jail in shown
    ]
    body = ",".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
    return f'{{"__version": "2", "jail-information": {{"jail": [{body}]}}}}\n'


@command("/usr/sbin/jexec")
def jexec(host: Host, call: Call) -> Reply:
    usage = "usage: jexec [-l] [-u username | -U username] jail [command ...]"
    found, rest = getopt(call, "lnu:U:", usage, 1)
    if not rest:
        raise Unknown(f"{usage}\n", 1)
    jail = host.jail(rest[0])
    if jail is None:
        raise Failed(f'jexec: jail "{rest[0]}" not found\n')
    words = rest[1:] or ["/bin/sh"]
    search = call.environment().get("PATH", PATH) if call.pid else PATH
    if not jail.rootdir.has_command(words[0], search):
        raise Failed(f"jexec: execvp: {words[0]}: No such file or directory\n")
    user = found.get("u") or found.get("U")
    enter = [f"{REAL}/chroot", f"--userspec={user}"] if user else [ENTER]
    argv = [*enter, jail.path]
    clean = ["/usr/bin/env", "-i", "HOME=/root", f"PATH={PATH}"] if "l" in found else []
    return Reply(then=f"exec {shlex.join([*argv, *clean, *words])}")
