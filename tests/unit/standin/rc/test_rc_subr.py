"""Daemons: what their rc scripts print, and why one does not start."""

from __future__ import annotations

import pytest

from standin import QueryFailed, StandIn
from tests.unit.standin.conftest import add_thin_jail

PUBLIC = "203.0.113.2"


def test_a_daemon_is_a_process(server: StandIn) -> None:
    pid = server.run("cat /var/run/named/pid").stdout.strip()
    assert server.run(f"kill -0 {pid}").returncode == 0
    assert server.run(f"ps -o user= -o comm= -p {pid}").stdout.split() == ["bind", "named"]
    assert server.run("pgrep -x named").stdout.strip() == pid
    server.run(f"kill {pid}; sleep 0.2")
    assert server.run("service named onestatus").returncode == 1
    assert server.who_answers(PUBLIC, 53, "udp") is None


def test_a_killed_daemon_leaves_its_pid_file(server: StandIn) -> None:
    server.run("kill -9 $(cat /var/run/named/pid); sleep 0.2")
    assert server.run("cat /var/run/named/pid").returncode == 0
    assert server.run("service named onestatus").returncode == 1


def test_a_title_for_ps_reaches_to_the_end_of_its_word(server: StandIn) -> None:
    own = "-p $$"
    assert server.run(f"ps -o pid=,ppid= {own} | head -1").stdout.strip() == ",ppid="
    assert server.run(f"ps -o pid,ppid= {own} | tail -1 | wc -w").stdout.strip() == "2"
    assert server.run(f"ps -o pid= -o ppid= {own} | wc -lw").stdout.split() == ["1", "2"]


def test_timeout_kills_the_daemon_that_was_left_behind(server: StandIn) -> None:
    server.run("service named onestop")
    assert server.run("timeout 0.3 service named onestart").returncode == 124
    assert server.run("service named onestatus").returncode == 1
    assert server.run("timeout --foreground 3 service named onestart").returncode == 0
    assert server.run("service named onestatus").returncode == 0


def test_a_start_whose_caller_is_killed_meanwhile_starts_nothing(server: StandIn) -> None:
    server.delay = 0.4
    server.power_off()
    server.boot()
    server.run("service named onestop")
    assert server.run("timeout 0.1 service named onestart").returncode == 124
    server.run("sleep 0.6")
    assert server.run("service named onestatus").returncode == 1


def test_an_apache_that_cannot_open_its_error_log_ends_and_holds_no_port(server: StandIn) -> None:
    log = "/var/log/httpd-error.log"
    server.run(f"service apache24 onestop; rm -f {log}; mkdir {log}; service apache24 onestart")
    assert server.run("service apache24 onestatus").returncode == 1
    assert server.run(f"rmdir {log}; service apache24 onestart").returncode == 0
    assert server.run("service apache24 onestatus").returncode == 0
    assert server.who_answers(PUBLIC, 80) == "host"


def test_off_in_rc_conf_says_so_and_succeeds(server: StandIn) -> None:
    server.run("service named onestop; sysrc named_enable=NO")
    done = server.run("service named start")
    assert done.returncode == 0
    assert "Set named_enable to YES" in done.stdout
    assert server.run("service named onestatus").returncode == 1


@pytest.mark.parametrize(
    ("service", "harm", "exit"),
    [
        ("apache24", "rm /usr/local/etc/apache24/httpd.conf", 0),
        ("apache24", "sed -i '' -e 's/^Listen 80/Listen 10.9.9.9:80/' $conf", 0),
        ("named", "rm /usr/local/etc/namedb/named.conf", 1),
        ("mysql-server", "mv /var/db/mysql /var/db/mysql.old", 0),
        ("mysql-server", "chown root /var/db/mysql", 0),
        ("mysql-server", "mount -t nullfs -o ro /var/db/mysql /var/db/mysql.ro && sysrc mysql=1"
         " && sed -i '' -e 's,/var/db/mysql,/var/db/mysql.ro,' /usr/local/etc/mysql/my.cnf", 0),
    ],
)  # fmt: skip
def test_reasons_why_a_daemon_does_not_start(
    server: StandIn, service: str, harm: str, exit: int
) -> None:
    server.run(f"service {service} onestop; mkdir -p /var/db/mysql.ro")
    done = server.run(f"conf=/usr/local/etc/apache24/httpd.conf; {harm}")
    assert done.returncode == 0, done.stderr
    done = server.run(f"service {service} onestart")
    assert (done.returncode, "WARNING" in done.stderr) == (exit, bool(exit))
    assert server.run(f"service {service} onestatus").returncode == 1


def test_two_databases_do_not_share_one_directory(server: StandIn) -> None:
    add_thin_jail(server, "db", "10.80.0.4", "'mysql_enable=\"YES\"'")
    server.run(
        "mkdir -p /usr/jails/db/var/db/mysql;"
        "echo '/var/db/mysql /usr/jails/db/var/db/mysql nullfs rw 0 0' >>/etc/fstab.db;"
        "service jail onestart db"
    )
    assert server.run("service -j db mysql-server onestatus").returncode == 1
    assert "Unable to lock ./ibdata1" in server.run("cat /usr/jails/db/var/log/mysql.err").stdout
    server.query("INSERT INTO rows VALUES ('before')", PUBLIC)
    server.run("service mysql-server onestop")
    with pytest.raises(QueryFailed, match="no database answers"):
        server.query("SELECT 1", PUBLIC)
    server.run("service -j db mysql-server onestart")
    assert server.query("SELECT * FROM rows", "10.80.0.4", source="host")[-1] == "before"
    server.query("INSERT INTO rows VALUES ('after')", "10.80.0.4", source="host")
    server.run("service jail onestop db; service mysql-server onestart")
    assert server.query("SELECT * FROM rows", PUBLIC)[-2:] == ["before", "after"]


def test_on_an_empty_directory_a_new_database_is_made(server: StandIn) -> None:
    server.run(
        "service mysql-server onestop; mv /var/db/mysql /var/db/old;"
        "install -d -o mysql -g mysql /var/db/mysql; service mysql-server onestart"
    )
    assert server.query("SELECT COUNT(*) FROM rows", PUBLIC) == ["0"]


def test_statements(shared: StandIn) -> None:
    assert shared.query("SELECT 1", PUBLIC) == ["1"]
    shared.query("SET GLOBAL innodb_max_dirty_pages_pct = 0", PUBLIC)
    assert shared.query("SELECT @@innodb_max_dirty_pages_pct", PUBLIC) == ["0"]
    status = "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'"
    assert shared.run(f'mysql -N -e "{status}"').stdout == "Innodb_buffer_pool_pages_dirty\t0\n"
    assert shared.run("mysqladmin ping").stdout == "mysqld is alive\n"
    with pytest.raises(QueryFailed, match="ERROR 1064"):
        shared.query("DROP TABLE rows", PUBLIC)


def test_pages_come_from_the_virtual_host(shared: StandIn) -> None:
    assert shared.run("fetch -qo - http://shop.example.org/").stdout == "user001's page\n"
    assert shared.run("fetch -qo - http://203.0.113.2/nosuch").returncode == 1


def test_zones_are_answered(shared: StandIn) -> None:
    answer = shared.run("drill SOA example.org @203.0.113.2 | awk '/^example.org/'").stdout
    assert answer.split()[:6] == [
        "example.org.",
        "300",
        "IN",
        "SOA",
        "ns1.example.org.",
        "hostmaster.example.org.",
    ]


@pytest.mark.parametrize(
    "word", ["service named reload", "rndc reload", "service named onerestart"]
)
def test_a_zone_is_answered_as_it_was_loaded(server: StandIn, word: str) -> None:
    asked = "drill example.org SOA @203.0.113.2 | awk '/^example.org/ {print $7}'"
    file = "/usr/local/etc/namedb/primary/example.org.db"
    server.run(f"sed -i '' -e 's/2023042701/2023042702/' {file}")
    assert server.run(asked).stdout == "2023042701\n"
    server.run(word)
    assert server.run(asked).stdout == "2023042702\n"


@pytest.mark.parametrize(
    "file", ["/etc/rc.conf.local", "/etc/rc.conf.d/mysql", "/usr/local/etc/rc.conf.d/mysql"]
)
def test_mysql_dbdir_beats_my_cnf(server: StandIn, file: str) -> None:
    server.run(
        "service mysql-server onestop; mkdir -p /data /usr/local/etc/rc.conf.d /etc/rc.conf.d; "
        f"mv /var/db/mysql /data/mysql; echo mysql_dbdir=/data/mysql > {file}"
    )
    assert server.run("service mysql-server onestart").returncode == 0
    assert server.query("SELECT COUNT(*) FROM rows", PUBLIC) == ["1000"]
