"""FreeBSD's own rc scripts, as far as their order and their rc variables matter."""

from __future__ import annotations

from dataclasses import dataclass

from standin.daemons.kinds import KINDS
from standin.linux.rootdir import RootDir

FOLDERS = ("/etc/rc.d", "/usr/local/etc/rc.d")


@dataclass(frozen=True)
class Header:
    requires: str = ""
    before: str = ""
    keywords: str = ""
    rcvar: str = ""
    provides: str = ""


BASE: dict[str, Header] = {
    "DAEMON": Header("NETWORKING SERVERS"),
    "FILESYSTEMS": Header("mountcritlocal cleanvar"),
    "LOGIN": Header("DAEMON"),
    "NETWORKING": Header("netif ipfw routing"),
    "SERVERS": Header("NETWORKING"),
    "cleanvar": Header("mountcritlocal", rcvar="cleanvar_enable"),
    "cleartmp": Header("mountcritremote tmp", "DAEMON"),
    "cron": Header("LOGIN FILESYSTEMS", keywords="shutdown", rcvar="cron_enable"),
    "devd": Header("netif", "NETWORKING", "nojail shutdown", "devd_enable"),
    "hostid": Header("sysctl", keywords="nojail", rcvar="hostid_enable"),
    "hostid_save": Header("hostid", keywords="nojail", rcvar="hostid_enable"),
    "hostname": Header("FILESYSTEMS", "netif"),
    "ipfw": Header("netif", keywords="nojail", rcvar="firewall_enable"),
    "jail": Header("LOGIN FILESYSTEMS", keywords="shutdown nojail", rcvar="jail_enable"),
    "kld": Header("kldxref", "netif", "nojail"),
    "kldxref": Header("FILESYSTEMS mixer", "netif", "nojail", "kldxref_enable"),
    "local_unbound": Header("FILESYSTEMS defaultroute", rcvar="local_unbound_enable"),
    "mixer": Header("FILESYSTEMS", keywords="nojail shutdown", rcvar="mixer_enable"),
    "mountcritlocal": Header("hostid_save", keywords="nojail"),
    "mountcritremote": Header("NETWORKING FILESYSTEMS", keywords="nojail"),
    "mountlate": Header("DAEMON", "LOGIN", "nojail"),
    "netif": Header("FILESYSTEMS hostname kld", keywords="nojail shutdown"),
    "newsyslog": Header("FILESYSTEMS syslogd", rcvar="newsyslog_enable"),
    "routing": Header("netif ipfw", keywords="nojail"),
    "securelevel": Header("ipfw", keywords="nojail", rcvar="kern_securelevel_enable"),
    "sendmail": Header("LOGIN FILESYSTEMS", keywords="shutdown", rcvar="sendmail_enable"),
    "sshd": Header("LOGIN FILESYSTEMS", keywords="shutdown", rcvar="sshd_enable"),
    "sysctl": Header(),
    "syslogd": Header("NETWORKING", "SERVERS", "shutdown", "syslogd_enable"),
    "tmp": Header("mountcritlocal"),
    "ugidfw": Header("FILESYSTEMS", "LOGIN", "nojail shutdown", "ugidfw_enable"),
}
PORTS: dict[str, Header] = {
    "apache24": Header("LOGIN cleanvar", keywords="shutdown", rcvar="apache24_enable"),
    "mysql-server": Header("LOGIN", keywords="shutdown", rcvar="mysql_enable", provides="mysql"),
    "php-fpm": Header("LOGIN", keywords="shutdown", rcvar="php_fpm_enable"),
    "redis": Header("LOGIN", "securelevel", "shutdown", "redis_enable"),
    "named": Header("NETWORKING ldconfig syslogd", "SERVERS", "shutdown", "named_enable"),
}
RC_NAMES = {kind.script_name: kind.rc for kind in KINDS}


def foreign(rootdir: RootDir) -> list[str]:
    """Scripts in /etc/rc.d that FreeBSD did not put there."""
    folder = rootdir.path("/etc/rc.d")
    names = [place.name for place in folder.iterdir() if place.name not in BASE]
    return [f"/etc/rc.d/{name}" for name in names]


def text(name: str, header: Header) -> str:
    lines = ["#!/bin/sh", "#", f"# PROVIDE: {header.provides or name}"]
    lines += [f"# REQUIRE: {header.requires}"] if header.requires else []
    lines += [f"# BEFORE: {header.before}"] if header.before else []
    lines += [f"# KEYWORD: {header.keywords}"] if header.keywords else []
    if name.isupper():
        return "\n".join(lines) + "\n"
    lines += ["", ". /etc/rc.subr", "", f'name="{RC_NAMES.get(name, name)}"']
    lines += [f'rcvar="{header.rcvar}"'] if header.rcvar else []
    lines += ["load_rc_config $name"]
    # The model takes over its own scripts only after rc.conf.d was read.
    ends = (
        'exec /libexec/standin/bin/rcscript "$0" "$1"'
        if name in RC_NAMES
        else 'run_rc_command "$1"'
    )
    lines += [ends, ""]
    return "\n".join(lines)
