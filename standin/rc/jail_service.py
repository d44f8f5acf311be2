"""/etc/rc.d/jail: starts and stops jails by the names of their configuration."""

from __future__ import annotations

import re

from standin.etc import jail_conf
from standin.etc.jail_conf import JailConfError, Params
from standin.etc.rc_conf import RcConf
from standin.linux.rootdir import RootDir
from standin.linux.shim import Reply, Unknown
from standin.model import jail_lifecycle
from standin.model.host import Host
from standin.rc import rc_subr

CONF = "/etc/jail.conf"


def settings(rootdir: RootDir) -> RcConf:
    """With those of rc.conf.d/jail, as load_rc_config of rc.subr(8) reads them."""
    return RcConf.for_script(rootdir, "jail")


def conf_of(host: Host) -> str:
    """rc.d/jail starts from $jail_conf all jails, and one that has no file of its own."""
    return settings(host.rootdir).get("jail_conf") or CONF


def configured(host: Host, name: str, file: str | None = None) -> Params | None:
    """Searches as rc.d/jail and jail(8) do: a file of the jail's own first, then jail.conf.

    What jail.conf includes out of jail.conf.d is not looked for there by itself.
    """
    places = [file] if file else _places(host, name)
    for place in places:
        text = jail_conf.read(host.rootdir, place)
        if text is not None:
            params = jail_conf.parse(text, place).get(name)
            if params is not None:
                return params
    return None


def _places(host: Host, name: str) -> list[str]:
    own = [f"/etc/jail.{name}.conf"]
    conf = conf_of(host)
    if not re.search(r"(?m)^\s*\.include\s*[\"']?/etc/jail.conf.d/", host.rootdir.read(conf) or ""):
        own.append(f"/etc/jail.conf.d/{name}.conf")
    return [*own, conf]


def all_names(host: Host) -> list[str]:
    """What an empty jail_list starts: the jails of jail.conf, and of what it includes."""
    conf = conf_of(host)
    return list(jail_conf.parse(jail_conf.read(host.rootdir, conf) or "", conf))


async def control(host: Host, rootdir: RootDir, word: str, names: list[str]) -> Reply:
    regardless, action = rc_subr.split(word)
    conf = settings(rootdir)
    if not regardless and not conf.is_on("jail_enable"):
        return Reply(rc_subr.not_enabled("jail", "jail_enable", word))
    wanted = names or conf.get("jail_list").split()
    match action:
        case "start":
            return await _start(host, wanted)
        case "stop":
            return await _stop(host, names or list(reversed(host.jails)))
        case "restart":
            stopped = await _stop(host, names or list(reversed(host.jails)))
            started = await _start(host, wanted)
            return Reply(stopped.out + started.out, stopped.err + started.err)
        case "status":
            return _status(host)
        case "enabled":
            return Reply()
        case _:
            raise Unknown(f"/etc/rc.d/jail: unknown directive '{word}'.\n", 1)


async def _start(host: Host, names: list[str]) -> Reply:
    """Those, or all. Exit 0 whatever happens, as the real script."""
    out, err = "Starting jails:", ""
    try:
        names = names or all_names(host)
    except JailConfError as error:
        return Reply(f"{out}jail: {error}\n.\n")
    for name in names:
        try:
            params = configured(host, name)
        except JailConfError as error:
            out += f' cannot start jail  "{name}": \njail: {error}\n'
            continue
        if params is None or not params.get("path") or not params.get("host.hostname"):
            err += _ignored(name)
            continue
        try:
            await jail_lifecycle.create(host, params)
            out += f" {name}"
        except jail_lifecycle.JailError as error:
            out += f' cannot start jail  "{name}": \njail: {error}\n'
    return Reply(out + ".\n", err)


async def _stop(host: Host, names: list[str]) -> Reply:
    """Uses its configuration, too: without one a jail keeps running (13.2), with exit 0."""
    out, err = "Stopping jails:", ""
    for name in names:
        if jail := host.jails.get(name):
            if configured(host, name) is None:
                err += _ignored(name)
                continue
            out += f" {name}"
            try:
                await jail_lifecycle.remove(host, jail)
            except jail_lifecycle.JailError as error:
                out += f"jail: {error}\n"
    return Reply(out + ".\n", err)


def _ignored(name: str) -> str:
    return (
        f"/etc/rc.d/jail: WARNING: Invalid configuration for {name}  (no jail.conf,"
        f" no hostname, or no path).   Jail {name} was ignored.\n"
    )


def _status(host: Host) -> Reply:
    lines = [" JID             IP Address      Hostname                      Path"]
    for jail in host.jails.values():
        address = jail.addresses[0] if jail.addresses else "-"
        lines.append(f" {jail.name:<15} {address:<15} {jail.hostname:<29} {jail.path}")
    return Reply("\n".join(lines) + "\n")
