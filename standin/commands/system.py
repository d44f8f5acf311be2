"""uname(1), hostname(1), sysctl(8), kenv(1) and kernel modules."""

from __future__ import annotations

import time

from standin.commands import command
from standin.linux.shim import Call, Failed, Reply, Unknown, getopt
from standin.model.host import Host
from standin.model.kernel import MODULES, READ_ONLY, RELEASE, TUNABLE


def hostname_of(host: Host, call: Call) -> str:
    jail = host.jail_of(call.rootdir)
    return jail.hostname if jail else host.kernel.sysctls["kern.hostname"]


@command("/usr/bin/uname")
def uname(host: Host, call: Call) -> Reply:
    parts = {
        "s": "FreeBSD",
        "n": hostname_of(host, call),
        "r": RELEASE,
        "v": f"FreeBSD {RELEASE} releng/13.2 GENERIC",
        "m": "amd64",
        "p": "amd64",
        "i": "GENERIC",
        "U": host.kernel.sysctls["kern.osreldate"],
        "K": host.kernel.sysctls["kern.osreldate"],
    }
    found, _ = getopt(call, "asnrvmpiUK", "usage: uname [-abiKmnoprsUv]", 1)
    wanted = "snrvm" if "a" in found else ("".join(key for key in parts if key in found) or "s")
    return Reply(" ".join(parts[key] for key in wanted) + "\n")


@command("/bin/freebsd-version")
def freebsd_version(host: Host, call: Call) -> Reply:
    """A line for each of the kernel that is installed, the one that runs, and the programs."""
    found, _ = getopt(call, "kru", "usage: freebsd-version [-kru] [-j jail]", 1)
    return Reply(f"{RELEASE}\n" * max(len(found), 1))


@command("/bin/hostname")
def hostname(host: Host, call: Call) -> Reply:
    found, rest = getopt(call, "sf", "usage: hostname [-f] [-s | -d] [name-of-host]", 1)
    if rest:
        jail = host.jail_of(call.rootdir)
        if jail is None:
            host.kernel.sysctls["kern.hostname"] = rest[0]
        elif jail.params.get("allow.set_hostname", "1") in ("0", "false"):
            raise Failed("hostname: sethostname: Operation not permitted\n")
        else:
            jail.params.set("host.hostname", [rest[0]])
        return Reply()
    name = hostname_of(host, call)
    return Reply((name.partition(".")[0] if "s" in found else name) + "\n")


@command("/sbin/sysctl")
def sysctl(host: Host, call: Call) -> Reply:
    found, rest = getopt(call, "niqaeN", "usage: sysctl [-bdeFhiloqTtxn] name[=value] ...", 1)
    values = host.kernel.sysctls | {"security.jail.jailed": "1" if call.rootdir.name else "0"}
    values["kern.hostname"] = hostname_of(host, call)
    if (access := host.kernel.access) is not None:
        counted = {"rule_count": len(access.rules), "rule_slots": access.slots}
        values |= {f"security.mac.bsdextended.{key}": str(n) for key, n in counted.items()}
    out, err, code = "", "", 0
    for word in list(values) if "a" in found else rest:
        name, mark, new = word.partition("=")
        names = [one for one in values if one == name or one.startswith(f"{name}.")]
        if not names:
            if "i" not in found:
                err += f"sysctl: unknown oid '{name}'\n"
                code = 1
            continue
        for one in names:
            shown = values[one]
            if mark:
                if one in TUNABLE:
                    raise Failed(
                        f"sysctl: oid '{one}' is a read only tunable\n"
                        "sysctl: Tunable values are set in /boot/loader.conf\n"
                    )
                if one in READ_ONLY or call.rootdir.name:
                    raise Failed(f"sysctl: oid '{one}' is read only\n")
                host.kernel.sysctls[one] = new
                shown = f"{shown} -> {new}"
            if "q" not in found:
                glue = "=" if "e" in found else ": "
                out += f"{shown}\n" if "n" in found else f"{one}{glue}{shown}\n"
    return Reply(out, err, code)


@command("/bin/kenv")
def kenv(host: Host, call: Call) -> Reply:
    found, rest = getopt(call, "qu", "usage: kenv [-hNq] | [-qv] variable[=value]", 1)
    if not rest:
        lines = (f'{name}="{value}"' for name, value in host.kernel.environment.items())
        return Reply("".join(f"{line}\n" for line in lines))
    name, mark, value = rest[0].partition("=")
    if "u" in found:
        if name not in host.kernel.environment:
            raise Failed(f"kenv: unable to unset {name}\n", 255)
        del host.kernel.environment[name]
        return Reply()
    if mark:
        host.kernel.environment[name] = value
        return Reply(f'{name}="{value}"\n')
    if name not in host.kernel.environment:
        quiet = "q" in found
        raise Failed("" if quiet else f"kenv: unable to get {name}\n", 255)
    return Reply(host.kernel.environment[name] + "\n")


@command("/sbin/kldload")
def kldload(host: Host, call: Call) -> Reply:
    found, names = getopt(call, "nqv", "usage: kldload [-nqv] file ...", 1)
    for word in names:
        name = word.rpartition("/")[2].removesuffix(".ko")
        if name not in MODULES:
            raise Failed(f"kldload: can't load {word}: No such file or directory\n")
        if host.kernel.has(name):
            if "n" in found:
                continue
            raise Failed(f"kldload: can't load {word}: module already loaded or in kernel\n")
        host.load_module(name)
    return Reply()


@command("/sbin/kldunload")
def kldunload(host: Host, call: Call) -> Reply:
    _, names = getopt(call, "fv", "usage: kldunload [-fv] [-n] name ...", 1)
    for word in names:
        name = word.removesuffix(".ko")
        if not host.kernel.has(name):
            raise Failed(f"kldunload: can't find file {word}\n")
        if not host.kernel.unload(name):
            raise Failed("kldunload: can't unload file: Device busy\n")
    return Reply()


@command("/sbin/kldstat")
def kldstat(host: Host, call: Call) -> Reply:
    found, rest = getopt(call, "qvm:n:i:", "usage: kldstat [-dhqv] [-i id] [-n filename]", 1)
    name = found.get("m") or found.get("n", "").removesuffix(".ko")
    if name:
        is_there = name in ("kernel", "g_md") or host.kernel.has(name)
        if not is_there:
            what = "can't find module" if "m" in found else "can't find file"
            quiet = "q" in found
            raise Failed("" if quiet else f"kldstat: {what} {name}: No such file or directory\n")
        if "q" in found:
            return Reply()
    if rest:
        raise Unknown("usage: kldstat [-dhqv] [-i id] [-n filename]\n", 1)
    lines = [
        "Id Refs Address                Size Name",
        " 1    1 0xffffffff80200000  1f3e2d0 kernel",
    ]
    for loaded, number in host.kernel.loaded.items():
        if not name or name in (loaded, "kernel"):
            lines.append(f"{number:2}    1 0xffffffff82800000     5000 {loaded}.ko")
    return Reply("\n".join(lines) + "\n")


@command("/usr/bin/last")
def last(host: Host, call: Call) -> Reply:
    if call.args[-1:] != ("reboot",):
        raise Unknown("last: only `last [-n] reboot` is known\n", 1)
    when = time.strftime("%a %b %e %H:%M", time.gmtime())
    return Reply(f"boot time                                  {when}\n")


@command("/usr/bin/logger")
async def logger(host: Host, call: Call) -> Reply:
    found, words = getopt(call, "46Ait:p:f:s", "usage: logger [-46Ais] [-p pri] [message ...]", 1)
    tag = found.get("t", "root")
    when = time.strftime("%b %e %H:%M:%S", time.gmtime())
    name = hostname_of(host, call).partition(".")[0]
    text = " ".join(words) if words else (await call.stdin_text()).rstrip("\n")
    running = any(d.kind.rc == "syslogd" and d.rootdir == call.rootdir for d in host.daemons)
    if running:
        with call.rootdir.path("/var/log/messages").open("a") as file:
            for line in text.splitlines():
                file.write(f"{when} {name} {tag}[{call.pid}]: {line}\n")
    return Reply(err=f"{tag}: {text}\n" if "s" in found else "")


@command("/sbin/devfs")
def devfs(host: Host, call: Call) -> Reply:
    rules = {"1": "100 hide", "2": "100 path null unhide", "3": "100 path 'ptyp*' unhide"}
    rules["4"] = "100 include 1\n200 include 2\n300 include 3"
    match call.args:
        case ("rule", "-s", number, "show"):
            return Reply(rules[number] + "\n" if number in rules else "")
        case ("rule", "showsets"):
            return Reply("".join(f"{number}\n" for number in rules))
        case _:
            raise Unknown("usage: devfs rule [-s ruleset] ...\n", 1)
