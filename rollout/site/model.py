"""The site as frozen values: one class per table of the site file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, NamedTuple, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from rollout.errors import Refused
from rollout.site.limits import Limits
from rollout.site.mac import Mac
from rollout.site.monitoring import Monitoring
from rollout.site.policy import PROTOS, Egress, Policy, Proto


def is_plain(path: str) -> bool:
    """Whether a site file can name this path, which ends up in fstab(5), jail.conf(5) and sh: no
    white space, no quotes, no "..".
    """
    fits = re.fullmatch(r"(/[A-Za-z0-9._+@-]+)+", path)
    return fits is not None and ".." not in PurePosixPath(path).parts


def _absolute(path: str) -> str:
    if not is_plain(path.removesuffix("/")):
        raise ValueError("expected an absolute path of letters, digits and . _ + @ - /")
    return path.rstrip("/")


def _log(path: str) -> str:
    # The host shows only this directory of a jail's log files; `logs` are mounted directories.
    if not re.fullmatch(r"/var/log/[^/]+", path):
        raise ValueError("expected a file in /var/log; for a directory of its own there is logs")
    return path


def _word(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name):
        raise ValueError("expected a name of letters, digits, _ and -")
    return name


def _outside(path: str, trees: Iterable[str]) -> str:
    """A path without the tree that it is in, if it is in one."""
    return next(
        (path.removeprefix(tree) for tree in trees if path.startswith(f"{tree}/")),
        path,
    )


def _expanded(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("expected a path of this machine")
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("expected a path; there is no such home on this machine") from None


LAST_SET = 30  # 31 is ipfw's own
# The parts of our rule set before and after those of the services (Site.places).
PARTS_BEFORE = ("traffic", "policy")
PARTS_AFTER = ("localhost", "lan", "answers", "egress")

SHOWN = ".shown"
"""A directory beside the jails: no jail can have this name."""

DISKS = ".disks"
"""A directory beside the jails, with the file systems of those whose disk is limited."""

JOURNAL = "/var/db/cellblock"
"""Where the host keeps its journal of a rollout."""

HostPath = Annotated[str, AfterValidator(_absolute)]
"""An absolute path on the host (or in a jail)."""
LogFile = Annotated[HostPath, AfterValidator(_log)]
Name = Annotated[str, AfterValidator(_word)]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9 ./_-]+$")]
"""A word that files on the host may contain."""
LocalPath = Annotated[Path, AfterValidator(_expanded)]
"""A path on the operator's machine; ~ is expanded."""
Port = Annotated[int, Field(ge=1, le=65535)]
Uid = Annotated[int, Field(ge=0, le=2**32 - 1)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HostTable(_Table):
    """[host]: the server, and how to reach it."""

    address: Annotated[str, Field(pattern=r"^[A-Za-z0-9:][A-Za-z0-9.:_%-]*$")]
    user: Name = "root"
    become: Literal["doas", "sudo", "mdo"] | None = None
    port: Port = 22
    key: LocalPath | None = None
    known_hosts: LocalPath | None = None
    wan_interface: Name
    wan_address: IPv4Address
    seen_at: dict[IPv4Address, IPv4Address] = {}
    """Address of the host -> the one at which clients find it, where a router translates them."""


class Lan(_Table):
    """[lan]: the cloned interface and the network of the jails' addresses."""

    interface: Annotated[str, Field(pattern=r"^[a-z]+[0-9]+$")] = "lo1"
    network: IPv4Network
    resolvers: tuple[IPv4Address, ...] = ()


class Base(_Table):
    """[base]: where the jails' programs come from. `tree` is needed for kind = "tree" only."""

    kind: Literal["host", "tree"] = "host"
    tree: HostPath | None = None
    jails: HostPath = "/usr/jails"

    @property
    def source(self) -> str:
        return "" if self.kind == "host" else str(self.tree)


class Place(NamedTuple):
    """The number and the set in ipfw of one part of our rules."""

    number: int
    set: int


class Firewall(_Table):
    """[firewall]: the rule numbers and sets of ipfw that Cellblock uses, and no one else."""

    first_rule: Annotated[int, Field(ge=1, le=60000)] = 1
    first_set: Annotated[int, Field(ge=1, le=20)] = 20


class Run(_Table):
    """[run]: limits of a run. Times are in seconds."""

    confirm_within: Annotated[int, Field(ge=10, le=3600)] = 120
    free_space_mib: Annotated[int, Field(ge=0, le=2**32)] = 200
    probes_per_second: Annotated[float, Field(gt=0, le=100)] = 20
    probe_timeout: Annotated[float, Field(gt=0, le=30)] = 1
    tell: tuple[Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")], ...] = ()


class Hooks(_Table):
    """[hooks]: a command on the operator's machine that is run at every event."""

    command: Annotated[str, Field(pattern=r"^[^\x00]+$")] | None = None
    timeout: Annotated[float, Field(gt=0, le=600)] = 10


class Mount(_Table):
    """An extra nullfs mount of a jail: a directory of the host at the same or another path."""

    source: HostPath
    target: HostPath | None = None
    writable: bool = False
    nosuid: bool = False

    @property
    def point(self) -> str:
        return self.target or self.source


PlainProbe = Literal["tcp", "http", "mysql", "dns", "dns-tcp", "smtp", "imap", "pop3"]
TlsProbe = Literal[
    "https", "smtps", "imaps", "pop3s", "smtp-starttls", "imap-starttls", "pop3-starttls"
]
Probe = Literal[PlainProbe, TlsProbe]
"""How a port is asked; rollout/probe/protocols/ has a class for each."""


class Listen(_Table):
    """A port of a service. `probe` is the kind of probe that tests whether it answers."""

    port: Port
    proto: Proto = "tcp"
    public: bool = True
    probe: Probe = "tcp"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] | None = None
    path: Annotated[str, Field(pattern=r"^/[!-~]*$")] = "/"

    @property
    def has_certificate(self) -> bool:
        """Whether its probe speaks TLS."""
        return self.probe in get_args(TlsProbe)

    @model_validator(mode="after")
    def _can_be_probed(self) -> Listen:
        if self.probe.startswith("dns") and self.name is None:
            raise ValueError(f'probe = "{self.probe}": expected name, too: the zone to ask for')
        if self.public and (self.proto == "udp") != (self.probe == "dns"):
            raise ValueError(f'probe = "{self.probe}": cannot be asked over {self.proto}')
        return self


# Every user of the host can read a command line in ps(1), and the journal keeps it.
_PASSWORD = re.compile(r"(^|\s)(-p\S|--password\b|(?i:-\S*pass(word|wd)?[= ]\S))|MYSQL_PWD")


class Companion(_Table):
    """A second daemon that a service needs, and that moves with it where the host enables it."""

    rc: Name
    rcvar: Name
    configuration: tuple[HostPath, ...] = ()


class Login(_Table):
    """An account that a check may log in with. Its password is the first line of a file that only
    root of the host can read: it never leaves the host.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+@-]*$")]
    password_file: HostPath


class Service(_Table):
    """[services.NAME]: a daemon. Paths are the host's, and the same in its jail."""

    rc: Name
    rcvar: Name
    user: Name = "root"
    ports: tuple[Listen, ...]
    addresses: tuple[IPv4Address, ...] = ()
    configuration: tuple[HostPath, ...] = ()
    data: tuple[HostPath, ...] = ()
    logs: tuple[HostPath, ...] = ()
    nosuid: bool = False
    log_files: tuple[LogFile, ...] = ()
    socket: HostPath | None = None
    names: tuple[Word, ...] = ()
    programs: tuple[Word, ...] = ()
    configtest: Word | None = None
    stop_within: Annotated[int, Field(ge=10, le=86400)] = 240
    overlap: bool = True
    client: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$")] | None = None
    test_account: Login | None = None
    companions: tuple[Companion, ...] = ()
    move: Literal["overlap", "handover"] | None = None
    questions: tuple[Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$")], ...] = ()

    @field_validator("ports")
    @classmethod
    def _has_some(cls, ports: tuple[Listen, ...]) -> tuple[Listen, ...]:
        if not ports:
            raise ValueError(
                "expected one port at least, by which Cellblock finds the daemon; let one that "
                "listens at its socket alone (skip-networking) listen at 127.0.0.1, too "
                "(bind-address = 127.0.0.1), and write its port with public = false"
            )
        return ports

    @property
    def reached_at(self) -> str:
        """Where it answers, as ipfw says it: at every address of the host, or at these."""
        return ",".join(map(str, self.addresses)) or "me"

    @property
    def tcp_ports(self) -> tuple[int, ...]:
        return tuple(listen.port for listen in self.ports if listen.proto == "tcp")

    @property
    def pages(self) -> tuple[Listen, ...]:
        """The ports at which it sends pages."""
        return tuple(listen for listen in self.ports if listen.probe in ("http", "https"))

    @field_validator("client")
    @classmethod
    def _without_password(cls, client: str | None) -> str | None:
        if client is not None and _PASSWORD.search(client):
            raise ValueError(
                "no password is allowed here, since every user could read it in ps; expected an "
                'option file of root, as in "mysql --defaults-extra-file=/root/.my.cnf"'
            )
        return client

    @field_validator("questions")
    @classmethod
    def _without_passwords(cls, questions: tuple[str, ...]) -> tuple[str, ...]:
        for each in questions:
            if _PASSWORD.search(each):
                raise ValueError(
                    f"no password is allowed in {each.split()[0]!r} ..., since every user could "
                    "read it in ps; expected a file that only root can read"
                )
        return questions


def _end_on_host(word: str) -> str:
    number, _, proto = word.partition("/")
    is_port = proto in PROTOS and number.isdecimal() and 1 <= int(number) <= 65535
    if not is_port and not PurePosixPath(word).is_absolute():
        raise ValueError('expected a port and its protocol, as "6379/tcp", or the path of a socket')
    return word


class Jail(_Table):
    """[jails.NAME]: a jail. `parameters` go into jail.conf(5) as they are."""

    address: IPv4Address
    hostname: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$")]
    services: Annotated[tuple[Name, ...], Field(min_length=1)]
    software: Literal["shared", "pkg"] = "shared"
    packages: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    parameters: dict[str, str] = Field(default_factory=dict)
    limits: Limits = Limits()
    uids: tuple[Uid, Uid] | None = None
    outbound: Literal["none", "nat", "public"] = "none"
    public_addresses: tuple[IPv4Address, ...] = ()
    unreached: tuple[Annotated[str, AfterValidator(_end_on_host)], ...] = ()

    @property
    def addresses(self) -> tuple[IPv4Address, ...]:
        """Its own in the LAN, then its public ones."""
        return (self.address, *self.public_addresses)

    @field_validator("uids")
    @classmethod
    def _in_order(cls, uids: tuple[int, int] | None) -> tuple[int, int] | None:
        if uids is not None and uids[0] > uids[1]:
            raise ValueError(
                "the first uid is larger than the last; "
                f"expected the smallest first: [{uids[1]}, {uids[0]}]"
            )
        return uids

    @field_validator("parameters")
    @classmethod
    def _plain(cls, parameters: dict[str, str]) -> dict[str, str]:
        for name, value in parameters.items():
            if not re.fullmatch(r"[a-z0-9_.]+", name) or re.search(r'[";{}\\\n]', value):
                raise ValueError(f"{name} = {value!r}: expected a parameter of jail(8)")
        return parameters


class Accounts(_Table):
    """[accounts]: what belongs to users. Their uids are those of the jails' `uids`."""

    handler: Literal["fpm", "suexec", "suphp"] | None = None
    public: Name = "public_html"
    include: HostPath = "/usr/local/etc/apache24/Includes/cellblock.conf"
    modules: Annotated[str, Field(pattern=r"^[A-Za-z0-9/._-]+$")] = "libexec/apache24"
    php_cgi: HostPath = "/usr/local/bin/php-cgi"
    fpm: Name = "php-fpm"
    fpm_rcvar: Name = "php_fpm_enable"
    children: Annotated[int, Field(ge=1, le=1000)] = 5
    probed: Annotated[int, Field(ge=1, le=2**32)] = 100
    quota_minutes: Annotated[int, Field(ge=1, le=59)] = 5
    shared_databases: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_$@-]+$")], ...] = ()


class Site(_Table):
    """The whole site file."""

    name: Name
    host: HostTable
    lan: Lan
    base: Base = Base()
    firewall: Firewall = Firewall()
    run: Run = Run()
    hooks: Hooks = Hooks()
    watch: Monitoring = Monitoring()
    egress: Egress = Egress()
    policy: Policy = Policy()
    accounts: Accounts = Accounts()
    mac: Mac = Mac()
    jails: dict[Name, Jail]
    services: dict[Name, Service]
    order: Annotated[tuple[Name, ...], Field(min_length=1)]
    _path: Path = PrivateAttr(default=Path("site.toml"))

    @property
    def path(self) -> Path:
        """The file from which it was read, for messages."""
        return self._path

    def read_from(self, path: Path) -> Self:
        """Set the file that messages name, and return the site."""
        self._path = path
        return self

    def jail_of(self, service: str) -> str:
        """The jail of a service. Raises Refused for an unknown service."""
        for name, jail in self.jails.items():
            if service in jail.services:
                return name
        raise Refused(
            f"{self.path}: order names {service!r}, but there is no [services.{service}]",
            todo="describe the service and its jail, or take it out of the order",
        )

    @property
    def order_line(self) -> str:
        """The order as it stands in the site file, for messages."""
        return f"order = {json.dumps(self.order)}"

    @property
    def built(self) -> tuple[str, ...]:
        """The jails that services of the order move into, in the order in which they are built."""
        moved = (self.jail_of(name) for name in self.order if name in self.services)
        return tuple(dict.fromkeys(moved))

    def builder(self, jail: str) -> str:
        """The service of the order with which a jail is built."""
        return next(name for name in self.order if name in self.jails[jail].services)

    @property
    def staying(self) -> tuple[str, ...]:
        """The services that the order does not move, by themselves or with one of their jail."""
        moving = {each for jail in self.built for each in self.jails[jail].services}
        return tuple(name for name in self.services if name not in moving)

    def companions(self, service: str) -> tuple[Companion, ...]:
        """Those of a service that cellblock does not configure itself (`accounts.handler`)."""
        found = self.services[service].companions
        return tuple(
            each for each in found if self.accounts.handler != "fpm" or each.rc != self.accounts.fpm
        )

    def configuration(self, jail: str) -> tuple[str, ...]:
        """Of its services, and of the companions that move along where the host has them."""
        names = self.jails[jail].services
        services = [path for name in names for path in self.services[name].configuration]
        companions = [each for name in names for each in self.companions(name)]
        return (*services, *(path for each in companions for path in each.configuration))

    def paths(self, jail: str) -> tuple[str, ...]:
        """What a jail has of the host's files besides its programs, by this site file."""
        places = [each.point for each in self.mounts(jail)]
        for name in self.jails[jail].services:
            each = self.services[name]
            places += [*each.configuration, *each.data, *each.logs, *each.log_files]
            for companion in self.companions(name):
                places += companion.configuration
        return tuple(places)

    def mounts(self, jail: str) -> tuple[Mount, ...]:
        """The mounts of a jail, each with the source that it has in this order.

        A path in the tree of a jail that this order does not build means the same path on the host:
        the service stays there, and so does what the mount is for.
        """
        trees = [self.root(other) for other in self.jails if other not in self.built]
        return tuple(
            each.model_copy(update={"source": _outside(each.source, trees), "target": each.point})
            for each in self.jails[jail].mounts
        )

    @property
    def uids(self) -> tuple[tuple[int, int], ...]:
        """The ranges of users' uids: each range that a jail gets, once."""
        return tuple(dict.fromkeys(jail.uids for jail in self.jails.values() if jail.uids))

    @property
    def places(self) -> dict[str, Place]:
        """The parts of our rule set in the order in which ipfw searches them, with their places.

        Rules first count packets, then deny or allow them. fwd to a service ends the search, so the
        nat rules for what jails send (answers over UDP, then their own connections) come last.
        """
        parts = (*PARTS_BEFORE, *self.services, *PARTS_AFTER)
        first = self.firewall
        return {
            part: Place(first.first_rule + n, first.first_set + n) for n, part in enumerate(parts)
        }

    @property
    def tcp_ports(self) -> tuple[int, ...]:
        """The TCP ports of all services, moved or not."""
        return tuple(sorted(port for each in self.services.values() for port in each.tcp_ports))

    @property
    def served(self) -> dict[tuple[int, str], str]:
        """Port and protocol -> the jail of the service that has them, moved or not."""
        return {
            (listen.port, listen.proto): name
            for name, jail in self.jails.items()
            for service in jail.services
            if service in self.services
            for listen in self.services[service].ports
        }

    def lets(self, jail: str, to: str, port: int, proto: Proto) -> bool:
        """Whether a jail may connect there once all steps are done: [policy], if it is in `order`,
        says which others it reaches.
        """
        return "policy" not in self.order or to == jail or self.policy.lets(jail, to, port, proto)

    def root(self, jail: str) -> str:
        """The root directory of the jail, on the host."""
        return f"{self.base.jails}/{jail}/root"

    def disk(self, jail: str) -> tuple[str, str] | None:
        """The file with a jail's own file system, and the rc script that mounts it.

        None if the site file does not limit its disk.
        """
        if self.jails[jail].limits.disk is None:
            return None
        return f"{self.base.jails}/{DISKS}/{jail}", f"/usr/local/etc/rc.d/cellblock_disk_{jail}"

    def first_step(self, jail: str) -> str:
        """The step that first makes something of a jail."""
        return f"{self.builder(jail)}.{'disk' if self.jails[jail].limits.disk else 'jail'}"

    def shown(self, jail: str, directory: str = "") -> str:
        """Where the host's accounts see a directory of a jail, whose own tree they cannot enter."""
        return f"{self.base.jails}/{SHOWN}/{jail}{directory}"

    def shown_socket(self, service: str) -> str | None:
        """Where the host's programs find the socket of a service that has moved.

        None without a socket, or if it stays where it is, in a directory that the jail mounts
        writable.
        """
        socket, jail = self.services[service].socket, self.jail_of(service)
        if socket is None or any(
            PurePosixPath(socket).is_relative_to(e) for e in self.shared(jail)
        ):
            return None
        return self.shown(jail, socket)

    def nosuid(self, jail: str) -> tuple[tuple[str, str], ...]:
        """What a jail mounts without set-uid bits: the host's directory, and its place there."""
        services = [self.services[each] for each in self.jails[jail].services]
        data = [path for each in services if each.nosuid for path in (*each.data, *each.logs)]
        mounts = [(each.source, each.point) for each in self.mounts(jail) if each.nosuid]
        return (*((path, path) for path in data), *mounts)

    def shared(self, jail: str) -> tuple[str, ...]:
        """What a jail and the host both write, at one path."""
        mounts = [e.source for e in self.mounts(jail) if e.writable and e.source == e.point]
        return (*self._data(jail), *mounts)

    def written(self, jail: str) -> tuple[str, ...]:
        """The host's directories that a jail writes, at whichever path: no tree of a jail's."""
        paths = [*self._data(jail), *(e.source for e in self.mounts(jail) if e.writable)]
        return tuple(e for e in dict.fromkeys(paths) if not e.startswith(f"{self.base.jails}/"))

    def _data(self, jail: str) -> list[str]:
        services = [self.services[each] for each in self.jails[jail].services]
        return [path for each in services for path in (*each.data, *each.logs)]

    @property
    def hash(self) -> str:
        """Over everything that the plan depends on, without how the operator reaches the host, and
        is told.
        """
        apart = ("run", "hooks", "watch")
        reach = {"address", "user", "become", "port", "key", "known_hosts"}
        text = self.model_dump_json(exclude={"host": reach, **dict.fromkeys(apart, True)})
        return sha256(text.encode()).hexdigest()[:16]
