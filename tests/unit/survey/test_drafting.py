"""The draft as a whole: jails, homes, what stays, and what may connect to what."""

from __future__ import annotations

import tomllib
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from operations import apache
from rollout import plan, site
from rollout.errors import Refused
from survey import drafting, fitting, text
from survey.drafting import Way, drafted
from survey.facts import Account, Script
from tests.unit.survey.seen import host
from tests.unit.survey.test_services import HTTPD, lines

WAY = Way("203.0.113.2")
PEOPLE = (
    Account("anna", 1001, "/home/anna", "/usr/home/anna"),
    Account("bob", 2017, "/data/home/bob", "/disk2/home/bob"),
    Account("vmail", 1500, "/var/vmail", "/var/vmail"),
)
REDIS = Script("redis", (("redis_enable", True),))
SOCKET = "redis    redis-server 800 6  tcp4   127.0.0.1:6379        *:*"


def test_a_draft_is_a_site_file_with_a_plan() -> None:
    draft = drafted(host(), WAY)
    made = fitting.parsed(draft)
    assert made.site.order == (*drafting.FIRST, "bind", "mysql", "web", "mail", "policy")
    assert made.site.host.wan_interface == "vtnet0"
    assert [str(each.address) for each in made.site.jails.values()] == [
        f"10.80.0.{number}" for number in (2, 3, 4, 5)
    ]
    assert [(each.key, each.table) for each in draft.questions] == [
        ("client", "services.mysql"),
        ("allow", "policy"),
    ]
    assert [each.daemon for each in draft.strangers] == ["sshd"]
    read = tomllib.loads(text.text(draft, ["made here"]))
    assert read == draft.data()
    assert plan.make(site.parse(read, Path("site.toml"))).steps == made.steps


def test_the_way_in_is_said_as_it_was_typed() -> None:
    draft = drafted(host(), Way("www.example.org", "anna", "doas", 2222, "~/.ssh/id"))
    there = fitting.parsed(draft).site.host
    assert (there.address, there.user, there.become, there.port) == (
        *("www.example.org", "anna", "doas"),
        2222,
    )
    assert Way("h", key="~/x").key_file == Path("~/x").expanduser()


def test_a_host_that_a_router_translates_says_where_it_is_seen() -> None:
    draft = drafted(host(), Way("198.51.100.7"))
    there = site.parse(tomllib.loads(text.text(draft, [])), Path("site.toml")).host
    assert there.seen_at == {IPv4Address("203.0.113.2"): IPv4Address("198.51.100.7")}
    for typed in ("203.0.113.2", "192.168.7.9", "127.0.0.1", "www.example.org"):
        assert "seen_at" not in drafted(host(), Way(typed)).data()["host"], typed


def test_jails_reach_each_other_and_the_internet_as_on_the_host() -> None:
    there = fitting.parsed(drafted(host(), WAY)).site
    for source in there.jails:
        assert there.policy.lets(source, "internet", 443, "tcp")
        for other, jail in there.jails.items():
            for service in jail.services:
                for listen in there.services[service].ports:
                    if other != source:
                        assert there.policy.lets(source, other, listen.port, listen.proto)


def test_homes_are_mounted_where_daemons_go_there() -> None:
    """Under the path that passwd has, too; nothing as large as /var for one account."""
    draft = drafted(host(people=PEOPLE), WAY)
    assert draft.get("jails.mail", "uids") == [1001, 2999]
    assert draft.get("jails.mail", "mounts") == [
        {"source": "/usr/home", "writable": True},
        {"source": "/disk2/home", "writable": True},
        {"source": "/disk2/home", "target": "/data/home", "writable": True},
    ]
    assert draft.get("jails.web", "uids") is None
    assert draft.get("jails.bind", "mounts") is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("UserDir public_html", "UserDir"),
        ("DocumentRoot /home/anna/www", "/home/anna/www"),
        ("SuexecUserGroup anna anna", "anna"),
        ("UserDir disabled", ""),
        ("DocumentRoot /usr/local/www", ""),
    ],
)
def test_apache_has_homes_where_its_configuration_names_them(said: str, why: str) -> None:
    facts: dict[type, Any] = {apache.Directives: apache.Said(lines(f"{HTTPD}:8: {said}"))}
    draft = drafted(host(people=PEOPLE, facts=facts), WAY)
    assert bool(draft.get("jails.web", "uids")) == bool(why)
    if why:
        assert why in draft.tables["jails.web"]["mounts"].seen
        assert f"{HTTPD}:8" in draft.tables["jails.web"]["mounts"].seen


def test_mysqls_socket_is_where_pages_look_for_it() -> None:
    """Not where every jail has a directory of its own, as in /tmp."""
    people = PEOPLE[:1]
    assert drafted(host(people=people), WAY).get("jails.web", "mounts") is None
    seen = host(people=people, unix=(("628", "/var/run/mysql/mysql.sock"),))
    assert drafted(seen, WAY).get("jails.web", "mounts") == [
        {"source": "/usr/jails/mysql/root/var/run/mysql", "target": "/var/run/mysql"}
    ]


def test_a_daemon_that_nobody_knows_stays_and_is_reached_from_jails() -> None:
    draft = drafted(host(SOCKET, started=(("redis", "800"),), scripts=(REDIS,)), WAY)
    made = fitting.parsed(draft)
    assert made.site.staying == ("redis",)
    assert "redis" not in made.site.order
    assert draft.get("services.redis", "ports") == [{"port": 6379, "public": False}]
    assert made.site.policy.lets("web", "redis", 6379, "tcp")
    told = next(each for each in draft.strangers if each.daemon == "redis")
    assert told.listens == ("127.0.0.1:6379/tcp4",)
    assert "it stays" in told.why


def test_one_that_no_script_has_started_is_told_and_asked_about() -> None:
    draft = drafted(host("anna python3.11 901 6 tcp4 127.0.0.1:9000 *:*"), WAY)
    fitting.parsed(draft)
    assert draft.get("jails.web", "unreached") == ["9000/tcp"]
    [question] = [each for each in draft.questions if each.key == "unreached"]
    assert "python3.11" in question.what
    assert "9000/tcp" in question.why
    assert [each.daemon for each in draft.strangers] == ["sshd", "python3.11"]


@pytest.mark.parametrize(("name", "table"), [("Mail-d", "services.mail_d"), ("7web.sh", "")])
def test_a_script_is_described_if_a_site_file_can_name_it(name: str, table: str) -> None:
    script = Script(name, (("x_enable", True),))
    draft = drafted(host(SOCKET, started=((name, "800"),), scripts=(script,)), WAY)
    fitting.parsed(draft)
    assert draft.get(table or "services.mysql", "rc") == (name if table else "mysql-server")
    assert draft.get("jails.web", "unreached") == (None if table else ["6379/tcp"])


def test_a_service_that_is_named_like_a_part_of_ours_has_another_name() -> None:
    script = Script("traffic", (("traffic_enable", True),))
    draft = drafted(host(SOCKET, started=(("traffic", "800"),), scripts=(script,)), WAY)
    fitting.parsed(draft)
    assert draft.get("services.traffic_of_host", "rc") == "traffic"


def test_name_servers_of_others_are_the_jails_too() -> None:
    others = drafted(host(servers=("192.0.2.53", "192.0.2.54")), WAY)
    assert others.get("lan", "resolvers") == ["192.0.2.53", "192.0.2.54"]
    for own in ("127.0.0.1", "203.0.113.2"):
        draft = drafted(host(servers=(own, "192.0.2.53")), WAY)
        assert draft.get("lan", "resolvers") is None


def test_a_daemon_without_a_port_is_told() -> None:
    """As mysqld with skip-networking; sendmail's queue runner has no socket, and is none."""
    started = (("mariadb-server", "630"), ("postfix", "640"))
    scripts = tuple(Script(name, (("x_enable", True),)) for name, _ in started)
    seen = host(started=started, scripts=scripts, unix=(("630", "/var/run/mysql/mysql.sock"),))
    draft = drafted(seen, WAY)
    told, *others = draft.strangers
    assert (told.daemon, told.listens) == ("mariadb-server", ("/var/run/mysql/mysql.sock",))
    assert "let it listen at 127.0.0.1" in told.why
    assert [each.daemon for each in others] == ["sshd"]


def test_nothing_that_can_move_is_refused_with_what_listens() -> None:
    bare = host()
    object.__setattr__(bare.running, "scripts", ())
    with pytest.raises(Refused, match="none of the daemons that Cellblock moves") as refused:
        drafted(bare, WAY)
    assert "mariadbd listens at *:3306/tcp4" in refused.value.evidence


def test_without_root_the_draft_says_what_is_missing() -> None:
    about = host().about._replace(uid="1001")
    draft = drafted(host(about=about), WAY)
    assert "uid 1001" in draft.unseen[0]
    assert "Not seen:" in text.text(draft, ["made here"])
