"""Ingredients of BIND, MySQL, Apache and mail: variables, data, backends, sockets, logs."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.hosts.ingredient import PEOPLE, PUBLIC, Ingredient, Piece, rc

VHOSTS = "/usr/local/etc/apache24/extra/vhosts.conf"
ODD = ("with space", "it's", "döner", "a;b", "$HOME", "-n", "back\\slash", 'say "x"')


def odd(dice: Random) -> str:
    return dice.choice(ODD)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def variable(dice: Random) -> Piece:
    script, line, service = dice.choice(
        (
            ("named", 'named_flags="-4"', "bind"),
            ("apache24", 'apache24_flags="-DSHOP"', "web"),
            ("mysql", 'mysql_args="--skip-name-resolve"', "mysql"),
        )
    )
    name = line.partition("=")[0]
    asked = f". /etc/rc.subr; load_rc_config {script}; echo ${name}"
    return Piece(
        rf"{name}|rc\.conf\.d/{script}",
        append=rc(dice, script, line),
        ask=((service, {"sh": asked, "where": f"jail:{service}"}),),
    )


def wrong_rcvar(dice: Random) -> Piece:
    name = dice.choice(("web_enable", "httpd_enable", "apache_enable"))
    return Piece(rf"rcvar|{name}", site={"services": {"web": {"rcvar": name}}})


def wrong_socket(dice: Random) -> Piece:
    path = dice.choice(("/tmp/mysql.sock", "/var/run/mysqld.sock"))  # of the host
    return Piece("socket", site={"services": {"mysql": {"socket": path}}})


def mysql_dbdir(dice: Random) -> Piece:
    there = f"/data/{dice.choice(('mysql', 'db/mysql', 'My-SQL'))}"
    return Piece(
        rf"{there}|mysql_dbdir|rc\.conf\.d/mysql",
        site={"services": {"mysql": {"data": [there]}}},
        files={
            "/usr/local/etc/mysql/my.cnf": "[mysqld]\nsocket = /var/run/mysql/mysql.sock\n"
            "port = 3306\n"
        },
        append=rc(dice, "mysql", f'mysql_dbdir="{there}"'),
        before=(
            f"service mysql-server onestop; mkdir -p {there.rpartition('/')[0]}; rm -rf {there}; "
            f"mv /var/db/mysql {there}; service mysql-server onestart",
        ),
    )


def mysql_data_is_a_link(dice: Random) -> Piece:
    there = f"/data/{dice.choice(('mysql', 'sql/data'))}"
    return Piece(rf"{there}|/var/db/mysql", links={"/var/db/mysql": there})


def mysql_elsewhere_unsaid(dice: Random) -> Piece:
    return Piece(
        r"/var/db/mariadb|datadir",
        before=(
            "service mysql-server onestop; mv /var/db/mysql /var/db/mariadb; "
            "install -d -o mysql -g mysql -m 700 /var/db/mysql; "
            "sed -i '' -e 's,/var/db/mysql,/var/db/mariadb,' /usr/local/etc/mysql/my.cnf; "
            "service mysql-server onestart",
        ),
    )


def private_mysql(dice: Random) -> Piece:
    """At "*" the site file would close to others what was open, and say so."""
    del dice
    return Piece(
        r"3306|my\.cnf|bind-address|127\.0\.0\.1",
        site={
            "services": {"mysql": {"ports": [{"port": 3306, "probe": "mysql", "public": False}]}}
        },
        append={"/usr/local/etc/mysql/my.cnf": "bind-address = 127.0.0.1"},
        ask=(("mysql", {"port": 3306, "address": "127.0.0.1", "from": "host"}),),
    )


def linked(*paths: str) -> Ingredient:
    def made(dice: Random) -> Piece:
        path = dice.choice(paths)
        there = f"/data/{dice.choice(('etc', 'git/etc', 'conf.d'))}/{path.rpartition('/')[2]}"
        return Piece(rf"{path}|{there}", links={path: there})

    return Ingredient(
        f"{', '.join(path.rpartition('/')[2] for path in paths)} a link", made, kind="link"
    )


def page_is_a_link(dice: Random) -> Piece:
    place = "/usr/local/www/example.org/files"
    asked = {"sh": f"cat {place}/note", "where": "jail:web"}
    return Piece(
        rf"{place}|/data/files",
        files={"/data/files/note": "a note\n"},
        before=(f"mkdir -p /usr/local/www/example.org; ln -s /data/files {place}",),
        ask=(("web", asked),),
        pages=(("www.example.org", "/files/note"),),
    )


def odd_page(dice: Random) -> Piece:
    path = f"/usr/local/www/{odd(dice)}/index.html"
    asked = {"sh": f"cat {quoted(path)}", "where": "jail:web"}
    return Piece("/usr/local/www", files={path: "odd\n"}, ask=(("web", asked),))


def odd_root(dice: Random) -> Piece:
    name = dice.choice(("with space", "it's", "döner", "a;b"))
    path = f"/data/{name}"
    asked = {"sh": f"cat {quoted(path + '/index.html')}", "where": "jail:web"}
    return Piece(
        r"vhosts\.conf|/data/",
        files={f"{path}/index.html": "odd\n"},
        append={
            VHOSTS: "<VirtualHost *:80>\n    ServerName odd.example.org\n"
            f'    DocumentRoot "{path}"\n</VirtualHost>'
        },
        ask=(("web", asked),),
        pages=(("odd.example.org", "/"),),
    )


def php_fpm(dice: Random) -> Piece:
    path = dice.choice(("/var/run/php-fpm.sock", "/var/run/fpm/www.sock"))
    return Piece(
        r"php-fpm|php_fpm|/var/run/",
        append={
            **rc(dice, "php_fpm", 'php_fpm_enable="YES"'),
            VHOSTS: "<VirtualHost *:80>\n    ServerName fpm.example.org\n"
            '    DocumentRoot "/usr/local/www/example.org"\n'
            f'    SetHandler "proxy:unix:{path}|fcgi://localhost"\n</VirtualHost>',
        },
        files={
            "/usr/local/etc/php-fpm.conf": f"[www]\nuser = www\ngroup = www\nlisten = {path}\n"
            "pm = ondemand\npm.max_children = 5\n",
            "/var/run/fpm/kept": "",
        },
        pages=(("fpm.example.org", "/"),),
    )


def backend(dice: Random) -> Piece:
    to = dice.choice(("http://127.0.0.1:8080/", "http://localhost:9000/", "unix:/var/run/app.sock"))
    to = f"{to}|http://app/" if to.startswith("unix") else to
    return Piece(
        r"vhosts\.conf|8080|9000|app\.sock",
        append={
            VHOSTS: "<VirtualHost *:80>\n    ServerName app.example.org\n"
            f'    ProxyPass "/" "{to}"\n</VirtualHost>'
        },
    )


def php_ini(dice: Random) -> Piece:
    files = {
        "/usr/local/etc/php.ini": "mysqli.default_socket = /var/run/mysql/mysql.sock\n",
        "/usr/local/etc/php/ext-20-mysqli.ini": "extension=mysqli.so\n",
    }
    asked = {"sh": f"cat {' '.join(files)}", "where": "jail:web"}
    return Piece(r"php", files=files, ask=(("web", asked),))


def logs_elsewhere(dice: Random) -> Piece:
    place = dice.choice(("/data/logs", "/var/log/apache", "/var/log/www/shop"))
    more = {}
    if dice.random() < 0.5:
        more = {
            "/etc/newsyslog.conf.d/shop.conf": f"{place}/shop-access.log www:www 640 7 * @T00 B "
            "/var/run/apache24/httpd.pid 30\n"
        }
    return Piece(
        rf"{place}|newsyslog|vhosts\.conf",
        files={f"{place}/kept": "", **more},
        append={
            VHOSTS: "<VirtualHost *:80>\n    ServerName logs.example.org\n"
            '    DocumentRoot "/usr/local/www/example.org"\n'
            f'    CustomLog "{place}/shop-access.log" combined\n</VirtualHost>'
        },
        ask=(("web", {"sh": f"ls -d {place}", "where": "jail:web"}),),
        pages=(("logs.example.org", "/"),),
    )


def nested_home(dice: Random) -> Piece:
    home = f"/usr/home/user{dice.randint(1, PEOPLE):03}"
    return Piece(
        rf"{home}|tmpfs",
        append={"/etc/fstab": f"tmpfs\t{home}\ttmpfs\trw\t0\t0"},
        ask=(("web", {"sh": f"mount -p | grep -c ' {home}'; ls -d {home}", "where": "host"}),),
    )


def stays(dice: Random) -> Piece:
    return Piece(
        r"3306|my\.cnf|mysql",
        site={
            "services": {"mysql": {"ports": [{"port": 3306, "probe": "mysql", "public": False}]}}
        },
        ask=(("web", {"port": 3306, "address": "127.0.0.1", "from": "web"}),),
    )


def other_jails_directory(dice: Random) -> Piece:
    place = dice.choice(("/data/jails", "/usr/local/jails"))
    return Piece(
        rf"{place}|/usr/jails",
        site={
            "base": {"jails": place},
            "jails": {
                "web": {
                    "mounts": [
                        {"source": "/usr/home", "writable": True},
                        {
                            "source": f"{place}/mysql/root/var/run/mysql",
                            "target": "/var/run/mysql",
                        },
                    ]
                }
            },
        },
    )


def cron(dice: Random) -> Piece:
    line = dice.choice(
        (
            "7 4 * * * mysqldump -h localhost shop > /root/shop.sql",
            "* * * * * service apache24 reload",
            "0 0 * * * apachectl graceful",
            "5 5 * * * rndc reload",
        )
    )
    return Piece(r"cron|mysqldump|apachectl|rndc", append={"/var/cron/tabs/root": line})


def login(dice: Random) -> Piece:
    user = f"user{dice.randint(1, PEOPLE):03}"
    command = f"awk -F: '$1 == \"{user}\" {{print length($2) > 1}}' /etc/master.passwd"
    return Piece(
        r"pam|passw|login|/etc/master",
        append={
            "/usr/local/etc/dovecot/dovecot.conf": "passdb {\n  driver = pam\n}\n"
            "userdb {\n  driver = passwd\n}"
        },
        before=(f"printf '%s\\n' '$6$abc$0123456789abcdef' | pw usermod {user} -H 0",),
        ask=(("mail", {"sh": command, "where": "jail:mail"}),),
    )


def milter(dice: Random) -> Piece:
    to = dice.choice(("unix:/var/run/opendkim/opendkim.sock", "inet:127.0.0.1:8891"))
    return Piece(
        r"milter|opendkim|8891",
        append={"/usr/local/etc/postfix/main.cf": f"smtpd_milters = {to}"},
    )


def cache(dice: Random) -> Piece:
    """Of which only pages know."""
    path = "/var/run/redis/redis.sock"
    said, opened = dice.choice(
        (
            ("bind 127.0.0.1", ":"),
            (
                f"port 0\nunixsocket {path}",
                f"while [ ! -S {path} ]; do sleep 0.1; done; chmod 777 {path}",
            ),
        )
    )
    return Piece(
        r"redis",
        files={"/usr/local/etc/redis.conf": f"{said}\n"},
        append={"/etc/rc.conf": 'redis_enable="YES"'},
        before=(
            "pw useradd redis -s /usr/sbin/nologin",
            "mkdir -p /var/run/redis",
            "service redis start",
            opened,
        ),
    )


def described(dice: Random) -> Piece:
    """A cache that moves by the lines of the site file; some of what can be wrong in them."""
    data = dice.choice(("/var/db/redis", "/data/redis"))
    at = dice.choice((*["127.0.0.1"] * 4, "0.0.0.0", PUBLIC))  # noqa: S104 # written
    more = dice.choice((*[""] * 6, "appendonly yes", "aclfile /root/users.acl"))
    table: dict[str, Any] = {
        "rc": "redis",
        "rcvar": "redis_enable",
        "user": "redis",
        "ports": [{"port": 6379, "probe": "tcp", "public": False}],
        "configuration": ["/usr/local/etc/redis.conf"],
        "data": dice.choice(([data], [data], [data], ["/var/db/redis"])),
        "move": dice.choice(("handover", "overlap")),
        "questions": [f"nc -z 127.0.0.1 6379 && cat {data}/dump.rdb"],
    }
    jail = {"address": "10.80.0.9", "hostname": "cache.example.org", "services": ["cache"]}
    said = f"bind {at}\nport 6379\nprotected-mode no\ndir {data}\n{more}\n"
    return Piece(
        r"cache|redis|6379|no account has a uid",
        site={
            "firewall": {"first_set": 15},
            "services": {"cache": table},
            "jails": {"cache": {**jail, "uids": dice.choice((*[[535, 535]] * 6, [600, 601]))}},
        },
        files={
            "/usr/local/etc/redis.conf": said,
            f"{data}/dump.rdb": "REDIS0011\n",
            "/root/users.acl": "user default on nopass\n",
        },
        append={"/etc/rc.conf": 'redis_enable="YES"'},
        before=(
            "pw useradd redis -u 535 -s /usr/sbin/nologin",
            f"mkdir -p /var/run/redis /var/db/redis && chown -R redis /var/run/redis {data}",
            "service redis start",
        ),
        ask=(
            ("", {"port": 6379, "address": "127.0.0.1", "from": "host"}),
            ("", {"sh": f"cat {data}/dump.rdb"}),
        ),
        moves=("cache",),
    )


def virtual_mailboxes(dice: Random) -> Piece:
    place = dice.choice(("/var/vmail", "/data/mail"))
    kept = f"{place}/example.net/ann/cur/1.old"
    return Piece(
        place,
        files={kept: "Subject: old\n"},
        append={
            "/usr/local/etc/postfix/main.cf": "virtual_mailbox_domains = example.net\n"
            f"virtual_mailbox_base = {place}\n"
            "virtual_mailbox_maps = hash:/usr/local/etc/postfix/vmailbox\n"
            "virtual_uid_maps = static:5000\nvirtual_gid_maps = static:5000"
        },
        ask=(("mail", {"sh": f"cat {kept}", "where": "jail:mail"}),),
    )


WEB, MYSQL, MAIL = ("web",), ("mysql",), ("mail",)
INGREDIENTS = (
    Ingredient("an rc variable", variable, about=("bind", "web", "mysql")),
    Ingredient("a wrong rcvar", wrong_rcvar, about=WEB),
    Ingredient("a wrong socket", wrong_socket, about=MYSQL),
    Ingredient("mysql_dbdir", mysql_dbdir, about=MYSQL, kind="mysql's data"),
    Ingredient("MySQL's data a link", mysql_data_is_a_link, about=MYSQL, kind="mysql's data"),
    Ingredient("MySQL elsewhere, unsaid", mysql_elsewhere_unsaid, MYSQL, kind="mysql's data"),
    Ingredient("a private MySQL", private_mysql, about=MYSQL, kind="mysql's ports"),
    Ingredient("MySQL may stay", stays, about=WEB, kind="mysql's ports"),
    linked("/usr/local/etc/apache24", "/usr/local/etc/namedb", "/usr/local/etc/mysql"),
    Ingredient("a page a link", page_is_a_link, about=WEB),
    Ingredient("an odd page", odd_page, about=WEB),
    Ingredient("an odd DocumentRoot", odd_root, about=WEB),
    Ingredient("php-fpm", php_fpm, about=WEB),
    Ingredient("a backend", backend, about=WEB),
    Ingredient("php.ini", php_ini, about=WEB),
    Ingredient("logs elsewhere", logs_elsewhere, about=WEB),
    Ingredient("a nested home", nested_home, about=("web", "mail")),
    Ingredient("jails elsewhere", other_jails_directory),
    Ingredient("a cache", cache, about=WEB, kind="redis"),
    Ingredient("a daemon that is described", described, kind="redis"),
    Ingredient("cron", cron),
    Ingredient("logins by PAM", login, about=MAIL, base="postfix"),
    Ingredient("a milter", milter, about=MAIL, base="postfix"),
    Ingredient("virtual mailboxes", virtual_mailboxes, about=MAIL, base="postfix"),
)

__all__ = ["INGREDIENTS"]
