"""The daemons' own programs, which only check a configuration; rc scripts start the daemons."""

from __future__ import annotations

import os
import signal

from standin.commands import command
from standin.daemons import configs, start_stop
from standin.daemons.kinds import KINDS
from standin.daemons.zones import read
from standin.linux.shim import Call, Failed, Reply, Unknown
from standin.model.daemon import Daemon
from standin.model.host import Host

APACHE = next(kind for kind in KINDS if kind.rc == "apache24")


@command("/usr/local/sbin/httpd", "/usr/local/sbin/apachectl")
def apachectl(host: Host, call: Call) -> Reply:
    words = [word for word in call.args if word != "-k"]
    if words in (["-t"], ["configtest"]):
        if problem := configs.apache_problem(call.rootdir):
            raise Failed(f"httpd: Syntax error: {problem}\n")
        folder = configs.apache_folder(call.rootdir)
        if not call.rootdir.path(folder).is_dir():
            raise Failed(
                f"AH00112: Warning: DocumentRoot [{folder}] does not exist\nSyntax OK\n", 0
            )
        return Reply(err="Syntax OK\n")
    daemon = start_stop.daemon_of(host, call.rootdir, APACHE)
    signals = {"graceful": signal.SIGUSR1, "graceful-stop": signal.SIGWINCH, "stop": signal.SIGTERM}
    if len(words) != 1 or words[0] not in signals:
        raise Unknown(f"{call.name}: {' '.join(call.args)} is not known to the stand-in\n", 1)
    if daemon is None:
        raise Failed("httpd (no pid file) not running\n")
    os.kill(daemon.pid, signals[words[0]])
    return Reply()


@command("/usr/local/bin/named-checkconf", "/usr/local/sbin/named-checkconf")
def named_checkconf(host: Host, call: Call) -> Reply:
    file = next((word for word in call.args if not word.startswith("-")), configs.NAMED)
    text = call.rootdir.read(call.rootdir.inner(file, call.cwd))
    if text is None:
        raise Failed(f"open: {file}: file not found\n")
    if text.count("{") != text.count("}"):
        raise Failed(f"{file}:{text.count(chr(10))}: unbalanced braces\n")
    zones = configs.zone_files(call.rootdir)
    if "-l" in call.args:
        kinds = configs.zone_kinds(call.rootdir)
        return Reply("".join(f"{zone} IN _default {kinds[zone]}\n" for zone in zones))
    if "-px" in call.args:
        return Reply(configs.named_printed(call.rootdir))
    if "-z" not in call.args:
        return Reply()
    empty = [zone for zone, path in zones.items() if not _has_soa(call, zone, path)]
    return Reply(
        "".join(
            f"zone {zone}/IN: has 0 SOA records\nzone {zone}/IN: not loaded due to errors.\n"
            f"_default/{zone}/IN: bad zone\n"
            if zone in empty
            else f"zone {zone}/IN: loaded\n"
            for zone in zones
        ),
        exit=1 if empty else 0,
    )


def _has_soa(call: Call, zone: str, path: str) -> bool:
    """The only thing that the stand-in checks in a zone."""
    return any(record.kind == "SOA" for record in read(zone, call.rootdir.read(path) or ""))


@command("/usr/local/bin/named-checkzone", "/usr/local/sbin/named-checkzone")
def named_checkzone(host: Host, call: Call) -> Reply:
    zone, file = call.args[-2:]
    if not _has_soa(call, zone, call.rootdir.inner(file, call.cwd)):
        raise Failed(f"zone {zone}/IN: has 0 SOA records\nzone {zone}/IN: not loaded\n", 1)
    return Reply(f"zone {zone}/IN: loaded\nOK\n")


def _zonestatus(daemon: Daemon, zone: str) -> Reply:
    """The lines of a BIND 9.18 for a static zone, without its times."""
    if zone not in daemon.loaded:
        raise Failed(
            f"rndc: 'zonestatus' failed: not found\nno matching zone '{zone}' in view '_default'\n",
            1,
        )
    start = [one for one in read(zone, daemon.loaded[zone]) if one.kind == "SOA"]
    if not start:
        raise Failed("rndc: 'zonestatus' failed: zone not loaded\n", 1)
    return Reply(
        f"name: {zone}\ntype: primary\nserial: {start[0].value.split()[2]}\nsecure: no\n"
        "dynamic: no\nreconfigurable via modzone: no\n"
    )


@command("/usr/local/sbin/rndc")
def rndc(host: Host, call: Call) -> Reply:
    named = next(kind for kind in KINDS if kind.rc == "named")
    daemon = start_stop.daemon_of(host, call.rootdir, named)
    if daemon is None:
        raise Failed("rndc: connect failed: 127.0.0.1#953: connection refused\n")
    match call.args:
        case ("reload", *_):
            start_stop.reload(daemon)
            return Reply("server reload successful\n")
        case ("status",):
            return Reply("server is up and running\n")
        case ("flush",) | ("freeze",) | ("thaw",):
            return Reply()
        case ("zonestatus", zone, "IN", "_default"):
            return _zonestatus(daemon, zone)
        case _:
            raise Unknown(f"rndc: '{' '.join(call.args)}' failed: unknown command\n", 1)
