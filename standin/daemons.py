"""Daemons as data: what each is called, wants, listens on and leaves behind."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from standin import configs
from standin.configs import Listen
from standin.rcconf import RcConf
from standin.realm import Realm


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
    # Other switches that start it too, if only for itself.
    also: tuple[str, ...] = ()
    config: str = ""
    listens: Callable[[Realm], list[Listen]] = configs.nothing
    folder: Callable[[Realm], str] = configs.no_folder
    unix: Callable[[Realm], list[UnixSocket]] = lambda realm: []
    workers: tuple[str, ...] = ()
    # The rc script says nothing and exits 0 when the daemon did not come up.
    fails_in_silence: bool = False
    # BIND goes on with the addresses that it could bind; others refuse to start.
    needs_every_address: bool = True
    # It looks at its configuration first, and says so: on stdout, and the verdict on stderr.
    is_checked: bool = False
    commands: tuple[str, ...] = ()
    # What it calls itself in ps(1), by setproctitle(3).
    title: str = ""

    @property
    def enable(self) -> str:
        return self.rcvar or f"{self.rc}_enable"

    def is_enabled(self, conf: RcConf) -> bool:
        if conf.get(self.enable).upper() == "NONE":  # sendmail's word for all its switches
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
    realm: Realm
    pid: int
    sockets: list[Socket]
    folder: str
    worker_pids: list[int] = field(default_factory=list)
    reaper: int = 0
    variables: dict[str, str] = field(default_factory=dict)
    inodes: set[tuple[int, int]] = field(default_factory=set)


def _mysql_unix(realm: Realm) -> list[UnixSocket]:
    return [UnixSocket("stream", configs.mysql_socket(realm), 22)]


def _syslogd_unix(realm: Realm) -> list[UnixSocket]:
    return [
        UnixSocket("dgram", "/var/run/log", 6),
        UnixSocket("dgram", "/var/run/logpriv", 7),
    ]


def _devd_unix(realm: Realm) -> list[UnixSocket]:
    return [
        UnixSocket("stream", "/var/run/devd.pipe", 4),
        UnixSocket("seqpac", "/var/run/devd.seqpacket.pipe", 5),
    ]


def _sshd_unix(realm: Realm) -> list[UnixSocket]:
    return [UnixSocket("stream", "", 6)]


def _pools(realm: Realm) -> list[UnixSocket]:
    found = re.findall(r"^listen = (/\S+)$", realm.read(configs.FPM) or "", re.MULTILINE)
    return [UnixSocket("stream", path, 7 + place) for place, path in enumerate(found)]


KINDS = (
    Kind(
        "devd", "/etc/rc.d/devd", "devd", "/sbin/devd", "root", "/var/run/devd.pid",
        unix=_devd_unix,
    ),
    Kind(
        "syslogd", "/etc/rc.d/syslogd", "syslogd", "/usr/sbin/syslogd", "root",
        "/var/run/syslog.pid", config="/etc/syslog.conf", unix=_syslogd_unix,
        listens=configs.syslogd_listens, commands=("reload",),
    ),
    Kind(
        "named", "/usr/local/etc/rc.d/named", "named", "/usr/local/sbin/named", "bind",
        "/var/run/named/pid", config="/usr/local/etc/namedb/named.conf",
        listens=configs.named_listens, folder=configs.named_folder, needs_every_address=False,
        commands=("reload", "configtest"),
    ),
    Kind(
        "apache24", "/usr/local/etc/rc.d/apache24", "apache2", "/usr/local/sbin/httpd", "root",
        "/var/run/apache24/httpd.pid", config="/usr/local/etc/apache24/httpd.conf",
        listens=configs.apache_listens, folder=configs.apache_folder, workers=("www",),
        fails_in_silence=True,
        is_checked=True,
        commands=("graceful", "gracefulstop", "reload", "configtest"),
    ),
    Kind(
        "php_fpm", "/usr/local/etc/rc.d/php-fpm", "php-fpm", "/usr/local/sbin/php-fpm", "root",
        "/var/run/php-fpm.pid", config=configs.FPM, unix=_pools, is_checked=True,
        commands=("reload", "configtest", "logrotate"),
    ),
    Kind(
        "mysql", "/usr/local/etc/rc.d/mysql-server", "mariadbd", "/usr/local/libexec/mariadbd",
        "mysql", "/var/run/mysql/mysqld.pid", config="/usr/local/etc/mysql/my.cnf",
        listens=configs.mysql_listens, folder=configs.mysql_folder, unix=_mysql_unix,
        fails_in_silence=True,
    ),
    Kind(
        "cron", "/etc/rc.d/cron", "cron", "/usr/sbin/cron", "root", "/var/run/cron.pid",
    ),
    Kind(
        "sendmail", "/etc/rc.d/sendmail", "sendmail", "/usr/libexec/sendmail/sendmail", "root",
        "/var/run/sendmail.pid", config="/etc/mail/sendmail.cf",
        listens=configs.sendmail_listens, also=("sendmail_submit_enable",),
        title="sendmail: accepting connections (sendmail)",
    ),
    Kind(
        "postfix", "/usr/local/etc/rc.d/postfix", "master", "/usr/local/libexec/postfix/master",
        "root", "/var/spool/postfix/pid/master.pid", config=configs.MAIN_CF,
        listens=configs.postfix_listens, commands=("reload",),
    ),
    Kind(
        "dovecot", "/usr/local/etc/rc.d/dovecot", "dovecot", "/usr/local/sbin/dovecot", "root",
        "/var/run/dovecot/master.pid", config=configs.DOVECOT, listens=configs.dovecot_listens,
        commands=("reload",),
    ),
    Kind(
        "sshd", "/etc/rc.d/sshd", "sshd", "/usr/sbin/sshd", "root", "/var/run/sshd.pid",
        config="/etc/ssh/sshd_config", listens=configs.sshd_listens, unix=_sshd_unix,
        commands=("reload", "configtest"),
    ),
    Kind(
        "local_unbound", "/etc/rc.d/local_unbound", "local-unbound", "/usr/sbin/local-unbound",
        "unbound", "/var/run/local_unbound.pid", config="/var/unbound/unbound.conf",
    ),
)  # fmt: skip
BY_SCRIPT = {kind.script: kind for kind in KINDS}
