"""loader(8) and rc(8): start the host, or a jail, from the files on disk."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Interface, IPv6Interface

from standin.etc.rc_conf import RcConf
from standin.linux.processes import ENVIRONMENT
from standin.linux.rootdir import RootDir
from standin.linux.shim import Reply
from standin.model import fstab
from standin.model.host import Host
from standin.model.kernel import MODULES, TUNABLE
from standin.model.mounts import Mount
from standin.model.network import mask_length
from standin.rc import jail_service, rcorder
from standin.rc.rc_scripts import foreign
from standin.rc.rc_subr import control, control_runner, has_queue_runner, kind_of

Part = Callable[[Host, RcConf], Awaitable[None]]


async def boot(host: Host, *, single_user: bool = False) -> None:
    """`single_user`: init(8) does not run rc(8)."""
    host.mounts.prepare_devices()
    _mount_root(host)
    host.mounts.mount(Mount("devfs", "/dev", "devfs"))
    _mount_disks(host)
    _clean_var_run(host)
    _load(host)
    host.faults.watch_sh()
    if not single_user:
        await rc(host, host.rootdir)


def _mount_root(host: Host) -> None:
    root = next((each for each in host.hardware.disks if each.target == "/"), None)
    source, kind = (root.source, root.kind) if root else ("/dev/vtbd0p3", "ufs")
    dump = "1 1" if kind == "ufs" else "0 0"
    host.mounts.mount(Mount(source, "/", kind, dump=dump, is_real=False))


def _mount_disks(host: Host) -> None:
    for each in host.hardware.disks:
        if each.target != "/":
            entry = Mount(each.source, each.target, each.kind, each.read_only)
            host.mounts.mount_disk(entry, host.hardware.place(host.where, each))


def _load(host: Host) -> None:
    """Do the work of loader(8): the kernel's environment, and modules."""
    conf = RcConf()
    for line in (host.rootdir.read("/boot/loader.conf") or "").splitlines():
        name, mark, value = line.partition("#")[0].strip().partition("=")
        if mark:
            conf.values[name] = value.strip('"')
    for name, value in conf.values.items():
        if not name.endswith("_load"):
            host.kernel.environment[name] = value
            if name in TUNABLE:
                host.kernel.sysctls[name] = value
    for name in [name for name in conf.values if name.endswith("_load") and conf.is_on(name)]:
        host.load_module(name.removesuffix("_load"))


def _clean_var_run(host: Host) -> None:
    for place in sorted(host.rootdir.path("/var/run").rglob("*"), reverse=True):
        if not place.is_dir():
            place.unlink()


async def rc(host: Host, rootdir: RootDir) -> None:
    """Run every enabled script of this root, in rcorder's order.

    rc.conf is read once, and again when a script sends SIGALRM to $RC_PID.
    """
    conf = RcConf.of(rootdir)
    told = asyncio.Event()
    if not rootdir.name:
        asyncio.get_running_loop().add_signal_handler(signal.SIGALRM, told.set)
    for script in rcorder.order(rcorder.scripts(rootdir)):
        if told.is_set():
            told.clear()
            conf = RcConf.of(rootdir)
        skipped = "nostart" in script.keywords or (rootdir.name and "nojail" in script.keywords)
        if skipped:
            continue
        kind = kind_of(script.path)
        if kind is not None:
            if kind.is_enabled(conf):
                await control(host, rootdir, kind, "onestart")
            elif has_queue_runner(rootdir, kind):
                await control_runner(host, rootdir, "start", Reply())
        elif script.path in PARTS:
            if not rootdir.name:
                await PARTS[script.path](host, conf)
        elif script.path.startswith("/usr/local/etc/rc.d/") or script.path in foreign(rootdir):
            known = {"autoboot": "yes", "_rc_conf_loaded": "true", "RC_PID": str(os.getpid())}
            code, text = await host.processes.run(
                rootdir,
                ["/bin/sh", script.path, "faststart"],
                {**ENVIRONMENT, **conf.values, **known},
            )
            host.note_console(f"{script.path}: exit {code}\n{text}")


async def kld(host: Host, conf: RcConf) -> None:
    for name in conf.get("kld_list").split():
        if name not in MODULES:
            host.note_console(f"kldload: can't load {name}: No such file or directory\n")
        elif not host.kernel.has(name):
            host.kernel.load(name)


async def local_mounts(host: Host, conf: RcConf) -> None:
    for words in fstab.read(host, "/etc/fstab"):
        options = words[3].split(",") if len(words) > 3 else ["rw"]
        if "noauto" not in options and host.mounts.at(host.rootdir.inner(words[1])) is None:
            try:
                fstab.mount_line(host, words)
            except OSError as error:
                host.note_console(f"mount: {words[1]}: {error.strerror}\n")


async def cleartmp(host: Host, conf: RcConf) -> None:
    """What is in /tmp itself, but not what is mounted there, nor what find(1) is told to leave."""
    if conf.is_on("clear_tmp_enable"):
        for place in host.rootdir.path("/tmp").iterdir():  # noqa: S108 # the host's
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink()


async def sysctl(host: Host, conf: RcConf) -> None:
    for line in (host.rootdir.read("/etc/sysctl.conf") or "").splitlines():
        name, mark, value = line.partition("#")[0].strip().partition("=")
        if mark and name in host.kernel.sysctls:
            host.kernel.sysctls[name] = value


async def securelevel(host: Host, conf: RcConf) -> None:
    if conf.is_on("kern_securelevel_enable"):
        host.kernel.sysctls["kern.securelevel"] = conf.get("kern_securelevel") or "-1"


async def load_access_rules(host: Host, conf: RcConf) -> bool:
    """rc.d/ugidfw: the rules are what the script of rc.conf sets. False without that script."""
    if not host.kernel.has("mac_bsdextended"):
        host.load_module("mac_bsdextended")
    script = conf.get("bsdextended_script") or "/etc/rc.bsdextended"
    if not host.rootdir.path(script).is_file():
        return False
    code, text = await host.processes.run(host.rootdir, ["/bin/sh", script], ENVIRONMENT)
    host.note_console(f"ugidfw: exit {code}\n{text}")
    return True


async def ugidfw(host: Host, conf: RcConf) -> None:
    if conf.is_on("ugidfw_enable"):
        await load_access_rules(host, conf)


async def hostname(host: Host, conf: RcConf) -> None:
    host.kernel.sysctls["kern.hostname"] = conf.get("hostname")


async def netif(host: Host, conf: RcConf) -> None:
    """Clones first, then each interface's own line and its aliases, up to the first gap."""
    for name in conf.get("cloned_interfaces").split():
        if name not in host.network.interfaces:
            host.network.create(name)
    for name in list(host.network.interfaces):  # ifnet_rename of network.subr(8), before the rest
        if called := conf.get(f"ifconfig_{name}_name"):
            host.network.rename(name, called)
    for name in host.network.interfaces:
        own = conf.get(f"ifconfig_{name}") or conf.get("ifconfig_DEFAULT") * (name[:2] != "lo")
        lines = [own, *conf.get(f"ifconfig_{name}_aliases").split("  ")]
        number = 0
        while line := conf.get(f"ifconfig_{name}_alias{number}"):
            lines.append(line)
            number += 1
        lines.append(conf.get(f"ifconfig_{name}_ipv6"))
        for line in filter(None, lines):
            _configure(host, name, line)


_LEASE = "inet 203.0.113.2/24"
"""What a DHCP server gives a machine that does not say it, the same each time."""


def _configure(host: Host, name: str, line: str) -> None:
    words = shlex.split(line)
    if {"DHCP", "SYNCDHCP", "NOSYNCDHCP"} & {*words}:
        words += host.hardware.lease.get(name, _LEASE).split()
    starts = [place for place, word in enumerate(words) if word in ("inet", "inet6")]
    for start, end in zip(starts, [*starts[1:], len(words)], strict=True):
        family, address, *rest = _plain(words[start:end])
        if "netmask" in rest:
            address += f"/{mask_length(rest[rest.index('netmask') + 1])}"
        if "prefixlen" in rest:
            address += f"/{rest[rest.index('prefixlen') + 1]}"
        make = IPv4Interface if family == "inet" else IPv6Interface
        host.network.interfaces[name].add(make(address))
    for word in words:  # -tso and the like stand among the other words
        host.set_capability(name, word)


def _plain(words: list[str]) -> list[str]:
    """Without what makes it an address of carp(4): vhid 1 advskew 100 pass TEXT alias ADDRESS.

    This machine is the master, so it has the address as any other.
    """
    options = ("vhid", "advbase", "advskew", "pass", "state")
    if "vhid" not in words:
        return words
    rest = list(words[1:])
    plain = [words[0]]
    while rest:
        word = rest.pop(0)
        if word in options:
            rest.pop(0)
        elif word != "alias":
            plain.append(word)
    return plain


async def ipfw(host: Host, conf: RcConf) -> None:
    if not conf.is_on("firewall_enable"):
        return
    for module in ("ipfw", *(("ipfw_nat",) if conf.is_on("firewall_nat_enable") else ())):
        if not host.kernel.has(module):
            host.load_module(module)
    script = conf.get("firewall_script") or "/etc/rc.firewall"
    code, text = await host.processes.run(host.rootdir, ["/bin/sh", script])
    host.note_console(f"ipfw: exit {code}\n{text}")
    for coscript in conf.get("firewall_coscripts").split():
        if host.rootdir.path(coscript).is_file():
            code, text = await host.processes.run(
                host.rootdir, [coscript, "quietstart"], ENVIRONMENT
            )
            host.note_console(f"{coscript}: exit {code}\n{text}")


async def jail(host: Host, conf: RcConf) -> None:
    if jail_service.settings(host.rootdir).is_on("jail_enable"):
        reply = await jail_service.control(host, host.rootdir, "onestart", [])
        host.note_console(reply.out + reply.err)


async def nothing_to_do(host: Host, conf: RcConf) -> None:
    """Scripts that change nothing which the model keeps."""


PARTS: dict[str, Part] = {
    "/etc/rc.d/kld": kld,
    "/etc/rc.d/mountcritlocal": local_mounts,
    "/etc/rc.d/mountlate": local_mounts,
    "/etc/rc.d/cleartmp": cleartmp,
    "/etc/rc.d/sysctl": sysctl,
    "/etc/rc.d/hostname": hostname,
    "/etc/rc.d/netif": netif,
    "/etc/rc.d/ipfw": ipfw,
    "/etc/rc.d/jail": jail,
    "/etc/rc.d/securelevel": securelevel,
    "/etc/rc.d/ugidfw": ugidfw,
}
