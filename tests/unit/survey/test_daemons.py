"""Which daemon listens where, and how a site file says it."""

from __future__ import annotations

from survey import daemons
from survey.facts import Script
from tests.unit.survey.seen import host

REDIS = "redis    redis-server 800 6  tcp4   127.0.0.1:6379        *:*"


def test_a_daemon_is_known_by_the_script_that_started_it() -> None:
    scripts = (Script("redis", (("redis_enable", True),)),)
    seen = host(REDIS, started=(("redis", "800"),), scripts=scripts)
    found, others = daemons.by_script(seen)
    assert list(found) == ["named", "mysql-server", "apache24", "sendmail", "redis"]
    assert [each.command for each in others] == ["sshd"]
    # A worker, of which no script tells, has its parent's socket.
    assert found["apache24"].pids == {"700", "701"}
    assert (found["apache24"].user, found["named"].user) == ("www", "bind")
    assert found["sendmail"].user == "root"
    assert all("4" in each.proto for each in found["sendmail"].listens)


def test_ports_say_how_they_are_asked_and_whether_they_are_public() -> None:
    found, _ = daemons.by_script(host())
    name = {"name": "example.org"}
    more = {"dns": name, "dns-tcp": name}
    assert daemons.ports(found["named"], {53: "dns"}, udp=(53,), without=(953,), more=more) == [
        {"port": 53, "probe": "dns-tcp", "name": "example.org"},
        {"port": 53, "proto": "udp", "probe": "dns", "name": "example.org"},
    ]
    assert daemons.ports(found["named"], {}) == [{"port": 53}, {"port": 953, "public": False}]
    found, _ = daemons.by_script(host("root httpd 700 5 tcp4 127.0.0.1:8080 *:*"))
    assert daemons.ports(found["apache24"], {80: "http"}) == [
        {"port": 80, "probe": "http"},
        {"port": 8080, "public": False},
    ]


def test_where_it_listens_is_told_without_pids() -> None:
    found, _ = daemons.by_script(host())
    assert daemons.seen(found["mysql-server"]) == "sockstat -46l: mariadbd listens at *:3306/tcp4"
