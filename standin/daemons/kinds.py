"""The daemons that the stand-in models: their names, files, users and sockets."""

from __future__ import annotations

from standin.daemons import configs
from standin.linux.rootdir import RootDir
from standin.model.daemon import Kind, UnixSocket


def _mysql_unix(rootdir: RootDir) -> list[UnixSocket]:
    return [UnixSocket("stream", configs.mysql_socket(rootdir), 22)]


def _syslogd_unix(rootdir: RootDir) -> list[UnixSocket]:
    return [
        UnixSocket("dgram", "/var/run/log", 6),
        UnixSocket("dgram", "/var/run/logpriv", 7),
    ]


def _devd_unix(rootdir: RootDir) -> list[UnixSocket]:
    return [
        UnixSocket("stream", "/var/run/devd.pipe", 4),
        UnixSocket("seqpac", "/var/run/devd.seqpacket.pipe", 5),
    ]


def _sshd_unix(rootdir: RootDir) -> list[UnixSocket]:
    return [UnixSocket("stream", "", 6)]


def _pools(rootdir: RootDir) -> list[UnixSocket]:
    found = configs.fpm_sockets(rootdir)
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
        "/var/run/php-fpm.pid", config=configs.FPM, unix=_pools, listens=configs.fpm_listens,
        is_checked=True,
        commands=("reload", "configtest", "logrotate"),
    ),
    Kind(
        "mysql", "/usr/local/etc/rc.d/mysql-server", "mariadbd", "/usr/local/libexec/mariadbd",
        "mysql", "/var/run/mysql/mysqld.pid", config="/usr/local/etc/mysql/my.cnf",
        listens=configs.mysql_listens, folder=configs.mysql_folder, unix=_mysql_unix,
        fails_in_silence=True,
    ),
    Kind(
        "redis", "/usr/local/etc/rc.d/redis", "redis-server", "/usr/local/bin/redis-server",
        "redis", "/var/run/redis/redis.pid", config=configs.REDIS,
        listens=configs.redis_listens, unix=configs.redis_unix, writes=configs.redis_writes,
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
        unix=configs.dovecot_unix, commands=("reload",),
    ),
    Kind(
        "sshd", "/etc/rc.d/sshd", "sshd", "/usr/sbin/sshd", "root", "/var/run/sshd.pid",
        config="/etc/ssh/sshd_config", listens=configs.sshd_listens, unix=_sshd_unix,
        commands=("reload", "configtest"),
    ),
    Kind(
        "local_unbound", "/etc/rc.d/local_unbound", "local-unbound", "/usr/sbin/local-unbound",
        "unbound", "/var/run/local_unbound.pid", config="/var/unbound/unbound.conf",
        listens=configs.unbound_listens,
    ),
)  # fmt: skip
QUEUE_RUNNER = Kind(
    "sendmail_msp_queue", "/etc/rc.d/sendmail", "sendmail", "/usr/libexec/sendmail/sendmail",
    "root", "/var/spool/clientmqueue/sm-client.pid", config="/etc/mail/submit.cf",
    title="sendmail: Queue runner@00:30:00 for /var/spool/clientmqueue",
)  # fmt: skip
"""sendmail's rc script controls it, too."""
BY_SCRIPT = {kind.script: kind for kind in KINDS}
