"""Decides whether a daemon would start: its files, addresses, ports and data directory."""

from __future__ import annotations

import os
import stat
from ipaddress import ip_address, ip_network

from standin.daemons import configs
from standin.etc.passwd import uid_of
from standin.linux.rootdir import RootDir
from standin.model.daemon import Kind, Listen, Socket
from standin.model.host import Host


class CannotStart(Exception):
    """The message that the daemon writes into its log."""


def sockets(host: Host, rootdir: RootDir, kind: Kind) -> list[Socket]:
    """The sockets that it would open. Raises CannotStart for the first fault."""
    if not os.access(rootdir.path(kind.binary), os.X_OK):
        raise CannotStart(f"{kind.binary}: not found")
    if kind.binary == configs.SENDMAIL and configs.mailer(rootdir) != kind.binary:
        # rc.d/sendmail starts /usr/sbin/sendmail, which is mailwrapper(8) (seen on a 15.0: Postfix'
        # has no queue runner and ends).
        raise CannotStart(f"mailwrapper: {configs.mailer(rootdir)} is not sendmail's")
    if kind.config and rootdir.read(kind.config) is None:
        raise CannotStart(f"could not open configuration file {kind.config}")
    for user in (kind.user, *kind.workers):
        if uid_of(rootdir, user) is None:
            raise CannotStart(f"bad user name {user}")
    _check_folder(host, rootdir, kind)
    for log in configs.named_logs(rootdir) if kind.rc == "named" else ():
        _check_log(host, rootdir, kind, log)
    if kind.rc == "dovecot":  # as its master says (service-listen.c), and ends
        for each in kind.unix(rootdir):
            if not rootdir.path(each.path).parent.is_dir():
                raise CannotStart(f"net_listen_unix({each.path}) failed: No such file or directory")
    return _bound(host, rootdir, kind)


def _bound(host: Host, rootdir: RootDir, kind: Kind) -> list[Socket]:
    found: list[Socket] = []
    for listen in kind.listens(rootdir):
        for socket in _bind(host, rootdir, kind, listen):
            # sendmail tries for a while, and ends: "server SMTP socket wedged" (daemon.c).
            if kind.rc == "sendmail" and any(_is_twice(socket, one) for one in found):
                raise CannotStart(f"cannot bind {socket.address}:{socket.port}: in use")
            if all(
                (socket.proto, socket.address, socket.port, socket.fd) != _key(s) for s in found
            ):
                found.append(socket)
    return found


def _is_twice(one: Socket, other: Socket) -> bool:
    same = (one.proto, one.address, one.port) == (other.proto, other.address, other.port)
    return same and one.fd != other.fd


def _check_log(host: Host, rootdir: RootDir, kind: Kind, log: str) -> None:
    """By then named is its user (bin/named/server.c): it makes or opens the file."""
    place = rootdir.path(log)
    place = place if place.exists() else place.parent
    if not place.exists() or host.owner(place)[0] != uid_of(rootdir, kind.user):
        raise CannotStart(f"isc_stdio_open '{log}' failed: permission denied")


def _key(socket: Socket) -> tuple[str, str, int, int]:
    return socket.proto, socket.address, socket.port, socket.fd


def _check_folder(host: Host, rootdir: RootDir, kind: Kind) -> None:
    folder = kind.folder(rootdir)
    if not folder:
        return
    place = rootdir.path(folder)
    if not place.is_dir():
        raise CannotStart(f"directory {folder} does not exist")
    if kind.rc != "mysql":
        return
    found = place.stat()
    if host.owner(place)[0] != uid_of(rootdir, kind.user) or not found.st_mode & stat.S_IWUSR:
        raise CannotStart(
            f"mariadbd: Can't create test file {folder}/test.lower-test (Errcode: 13)"
        )
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        raise CannotStart(
            f"mariadbd: Can't create test file {folder}/test.lower-test (Errcode: 30)"
        )
    for other in host.daemons:
        if other.kind.rc == "mysql":
            theirs = other.rootdir.path(other.folder).stat()
            if (theirs.st_dev, theirs.st_ino) == (found.st_dev, found.st_ino):
                raise CannotStart(
                    "InnoDB: Unable to lock ./ibdata1 error: 35; another mariadbd process is"
                    " using the same InnoDB data or log files"
                )


def _bind(host: Host, rootdir: RootDir, kind: Kind, listen: Listen) -> list[Socket]:
    own = host.addresses_of(rootdir)
    if "/" in listen.address:
        net = ip_network(listen.address, strict=False)
        wanted = [each for each in own if ip_address(each) in net]
    elif not rootdir.name:
        wanted = [listen.address]
    elif listen.address == "*":
        wanted = own
    else:
        local = listen.address.startswith("127.") or listen.address == "localhost"
        wanted = own[:1] if local else [listen.address]
    if not wanted and kind.needs_every_address:
        raise CannotStart(f"could not bind to address {listen.address}:{listen.port}")
    found = []
    for address in wanted:
        try:
            found.append(_bind_one(host, rootdir, own, listen, address))
        except CannotStart:
            if kind.needs_every_address:
                raise
    return found


def _bind_one(host: Host, rootdir: RootDir, own: list[str], listen: Listen, address: str) -> Socket:
    address = "127.0.0.1" if address == "localhost" else address
    if address != "*" and (address not in own or host.network.owner(address) is None):
        raise CannotStart(
            f"could not bind to address {address}:{listen.port}: Can't assign requested address"
        )
    for daemon in host.daemons:
        for other in daemon.sockets:
            clash = other.address == address and other.port == listen.port
            if clash and other.proto[:3] == listen.proto[:3] and _same_family(other, listen):
                # BIND shares its ports with other BINDs: SO_REUSEPORT_LB.
                if daemon.kind.rc == "named" and listen.fd == other.fd:
                    continue
                raise CannotStart(f"could not bind to address {address}:{listen.port}: in use")
    return Socket(listen.proto, address, listen.port, listen.fd)


def _same_family(one: Socket, other: Listen) -> bool:
    return bool(set(one.proto[3:]) & set(other.proto[3:]))
