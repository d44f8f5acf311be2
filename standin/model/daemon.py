"""A kind of daemon, and a running daemon with its process and its sockets."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from standin.etc.rc_conf import RcConf
from standin.linux.rootdir import RootDir


@dataclass(frozen=True)
class Listen:
    """`address` is "*" where the daemon accepts any."""

    proto: str
    address: str
    port: int
    fd: int


def _nothing(rootdir: RootDir) -> list[Listen]:
    return []


def _no_folder(rootdir: RootDir) -> str:
    return ""


@dataclass(frozen=True)
class UnixSocket:
    kind: str
    path: str
    fd: int


@dataclass(frozen=True)
class Kind:
    """`rc` is the name in rc.subr's sense. `workers` are further users of the same sockets."""

    rc: str
    script: str
    process: str
    binary: str
    user: str
    pidfile: str
    rcvar: str = ""
    # Other rc variables that start it, too, if only for local use.
    also: tuple[str, ...] = ()
    config: str = ""
    listens: Callable[[RootDir], list[Listen]] = _nothing
    folder: Callable[[RootDir], str] = _no_folder
    unix: Callable[[RootDir], list[UnixSocket]] = lambda rootdir: []
    # The files that it holds open for writing.
    writes: Callable[[RootDir], list[str]] = lambda rootdir: []
    workers: tuple[str, ...] = ()
    # The rc script prints nothing and exits 0 when the daemon did not come up.
    fails_in_silence: bool = False
    # BIND continues with the addresses that it could bind; other daemons refuse to start.
    needs_every_address: bool = True
    # Its rc script checks the configuration first, and prints so on stdout, the verdict on stderr.
    is_checked: bool = False
    commands: tuple[str, ...] = ()
    # The name that it gives itself in ps(1), by setproctitle(3).
    title: str = ""

    @property
    def enable(self) -> str:
        return self.rcvar or f"{self.rc}_enable"

    def is_enabled(self, conf: RcConf) -> bool:
        if conf.get(self.enable).upper() == "NONE":  # sendmail's value for all its rc variables
            return False
        return any(conf.is_on(name) for name in (self.enable, *self.also))

    @property
    def script_name(self) -> str:
        return self.script.rpartition("/")[2]


@dataclass(frozen=True)
class Socket:
    """A bound socket; `address` is "*" for the host's wildcard."""

    proto: str
    address: str
    port: int
    fd: int

    def speaks(self, proto: str) -> bool:
        return self.proto.startswith(proto) and self.proto != f"{proto}6"


@dataclass
class Daemon:
    kind: Kind
    rootdir: RootDir
    pid: int
    sockets: list[Socket]
    folder: str
    worker_pids: list[int] = field(default_factory=list)
    reaper: int = 0
    variables: dict[str, str] = field(default_factory=dict)
    listeners: dict[str, socket.socket] = field(default_factory=dict)  # at these paths
    inodes: set[tuple[int, int]] = field(default_factory=set)
    # What it read when it started or was told to reload: zone -> its text.
    loaded: dict[str, str] = field(default_factory=dict)
