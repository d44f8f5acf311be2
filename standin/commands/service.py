"""service(8), and FreeBSD's rc scripts that are no daemons."""

from __future__ import annotations

import shlex
from dataclasses import replace

from standin.commands import command
from standin.etc.rc_conf import RcConf
from standin.linux.rootdir import RootDir
from standin.linux.shim import Call, Failed, Reply, Unknown
from standin.model.host import Host
from standin.rc import boot, jail_service, rc_subr, rcorder
from standin.rc.rc_scripts import BASE

USAGE = (
    "Usage: service [-j <jail name or id>] -e\n"
    "       service [-j <jail name or id>] -R\n"
    "       service [-j <jail name or id>] [-v] -l | -r\n"
    "       service [-j <jail name or id>] [-v] <rc.d script> start|stop|etc.\n"
    "       service -h\n"
)
CLEAN = "cd /; exec env -i HOME=/ PATH=/sbin:/bin:/usr/sbin:/usr/bin"


@command("/usr/sbin/service")
async def service(host: Host, call: Call) -> Reply:
    args = list(call.args)
    rootdir = call.rootdir
    if args[:1] == ["-j"] and len(args) > 1:
        jail = host.jail(args[1])
        if jail is None:
            raise Failed(f'jexec: jail "{args[1]}" not found\n')
        rootdir, args = jail.rootdir, args[2:]
    args = [word for word in args if word != "-v"]
    match args:
        case ["-e"]:
            return Reply("".join(f"{path}\n" for path in _enabled(rootdir)))
        case ["-l"]:
            names = sorted(script.name for script in rcorder.scripts(rootdir))
            return Reply("".join(f"{name}\n" for name in names))
        case ["-r"]:
            ordered = rcorder.order(rcorder.scripts(rootdir))
            return Reply("".join(f"{script.path}\n" for script in ordered))
        case [name, *_] if name.startswith("-"):
            raise Unknown(USAGE, 1)
        case [name, word, *rest]:
            script = rc_subr.script_of(rootdir, name)
            is_own = rootdir == call.rootdir
            if script and is_own and rc_subr.has_own_configuration(rootdir, script):
                return Reply(then=f"{CLEAN} {shlex.join([script, word, *rest])}")
            here = replace(call, rootdir=rootdir, pid=call.pid if is_own else 0)
            return await _control(host, here, name, word, rest)
        case _:
            raise Unknown(USAGE, 1)


def _enabled(rootdir: RootDir) -> list[str]:
    conf = RcConf.of(rootdir)
    found = []
    for script in rcorder.order(rcorder.scripts(rootdir)):
        text = rootdir.read(script.path) or ""
        rcvar = [line for line in text.splitlines() if line.startswith("rcvar=")]
        if rcvar and conf.is_on(shlex.split(rcvar[0].partition("=")[2])[0]):
            found.append(script.path)
    return found


async def _control(host: Host, call: Call, name: str, word: str, rest: list[str]) -> Reply:
    rootdir = call.rootdir
    script = rc_subr.script_of(rootdir, name)
    if script is None:
        return Reply(
            f"{name} does not exist in /etc/rc.d or the local startup\n"
            "directories (/usr/local/etc/rc.d), or is not executable\n",
            exit=1,
        )
    if rc_subr.is_rewritten(host, rootdir, script):
        return await _own(host, call, [script, word, *rest])
    if kind := rc_subr.kind_of(script):
        return await rc_subr.control(host, rootdir, kind, word, call.pid)
    if script == "/etc/rc.d/jail":
        return await jail_service.control(host, rootdir, word, rest)
    if script in boot.PARTS:
        return await _part(host, rootdir, script, word)
    if script.startswith("/etc/rc.d/") and name in BASE:
        raise Unknown(f"service {name} {word}: this script has no model in the stand-in\n", 70)
    return await _own(host, call, [script, word, *rest])


async def _own(host: Host, call: Call, argv: list[str]) -> Reply:
    """The script itself runs, where it is: in a jail that is not the caller's by jexec(8)."""
    if call.rootdir != host.rootdir_at(call.rootdir.root) or not call.pid:
        code, text = await host.processes.run(call.rootdir, argv)
        return Reply(text, exit=code)
    return Reply(then=f"{CLEAN} {shlex.join(argv)}")


async def _part(host: Host, rootdir: RootDir, script: str, word: str) -> Reply:
    """netif, ipfw and the like: repeat what the boot does."""
    regardless, action = rc_subr.split(word)
    name = script.rpartition("/")[2]
    conf = RcConf.of(rootdir)
    rcvar = BASE[name].rcvar
    if rcvar and action != "enabled" and not regardless and not conf.is_on(rcvar):
        return Reply(rc_subr.not_enabled(name, rcvar, word))
    if name == "ugidfw" and action in ("start", "stop", "restart"):
        return Reply(await _ugidfw(host, conf, action))
    return await _repeated(host, conf, script, action, rcvar)


async def _repeated(host: Host, conf: RcConf, script: str, action: str, rcvar: str) -> Reply:
    name = script.rpartition("/")[2]
    match name, action:
        case _, "start" | "restart":
            if rcvar:
                conf.values[rcvar] = "YES"
            await boot.PARTS[script](host, conf)
            return Reply()
        case "netif", "cloneup":
            await boot.PARTS[script](host, conf)
            return Reply()
        case "ipfw", "stop":
            host.kernel.sysctls["net.inet.ip.fw.enable"] = "0"
            return Reply()
        case "ipfw", "status":
            on = host.kernel.sysctls.get("net.inet.ip.fw.enable") == "1"
            return Reply(f"ipfw is {'' if on else 'not '}enabled\n", exit=0 if on else 1)
        case _, "enabled":
            return Reply(exit=0 if rcvar and conf.is_on(rcvar) else 1)
        case _:
            raise Unknown(f"{script}: unknown directive '{action}'.\n", 1)


async def _ugidfw(host: Host, conf: RcConf, action: str) -> str:
    """As recorded on 15.0. Its stop removes the rules of all, and leaves the module loaded."""
    said = ""
    if action != "start" and host.kernel.access is not None and host.kernel.access.rules:
        host.kernel.access.rules.clear()
        said += "MAC bsdextended rules flushed.\n"
    if action != "stop" and await boot.load_access_rules(host, conf):
        said += "MAC bsdextended rules loaded.\n"
    return said


@command("/sbin/rcorder")
def rcorder_(host: Host, call: Call) -> Reply:
    files, skipped = [], []
    words = list(call.args)
    while words:
        word = words.pop(0)
        if word == "-s" and words:
            skipped.append(words.pop(0))
        elif word.startswith("-"):
            raise Unknown("usage: rcorder [-gp] [-k keep] [-s skip] file ...\n", 1)
        else:
            files.append(word)
    found = [rcorder.read(path, call.rootdir.read(path) or "") for path in files]
    ordered = [
        script.path for script in rcorder.order(found) if not set(skipped) & set(script.keywords)
    ]
    return Reply("".join(f"{path}\n" for path in ordered))


@command("/libexec/standin/bin/rc")
async def rc(host: Host, call: Call) -> Reply:
    """Called by /etc/rc and /etc/rc.shutdown of the tree."""
    if call.args == ("start",):
        await boot.rc(host, call.rootdir)
        return Reply()
    for daemon in reversed([one for one in host.daemons if one.rootdir == call.rootdir]):
        await rc_subr.control(host, call.rootdir, daemon.kind, "forcestop")
    return Reply()


@command("/libexec/standin/bin/rcscript")
async def rcscript(host: Host, call: Call) -> Reply:
    """One of the model's own scripts, called by its path."""
    path, word = call.args
    reply = await _control(host, call, path.rpartition("/")[2], word, [])
    if reply.then:
        raise Unknown(f"{path}: sets neither {word}_cmd nor command\n", 1)
    return reply
