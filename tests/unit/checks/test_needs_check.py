"""Each need of a daemon ends as carried, reachable or refused; what was not read is told.

The rows of procstat are in the forms of usr.bin/procstat/procstat_files.c.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from operations.apache import Directives
from operations.logs import Forwarded
from operations.mysql import Options, Tables
from operations.needs import Daemons, Need, Running, Variables, listeners, served
from operations.php import Settings
from rollout import plan, site
from rollout.site import Site
from steps import carriers
from tests.checks import test_needs as checks
from tests.checks.asking import asking
from tests.checks.needing import Needing
from tests.rehearsal.sites import SAMPLE

TEXT = "  506 mariadbd          text v r r-------   -       - -   /usr/local/libexec/mariadbd \n"
BOUND = "mysql    mariadbd   506   21 tcp4   *:3306                *:*\n"
OTHER = "redis    redis-serv 700   6  tcp4   127.0.0.1:6379        *:*\n"
UNIX = (
    "mysql    mariadbd   506   22 stream /var/run/mysql/mysql.sock\n"
    "root     syslogd    501   6  dgram  /var/run/log\n"
)


@dataclass
class Told:
    """A host on which mariadbd has these rows, with these rc variables and these paths.

    `led` are symbolic links among the paths that are carried.
    """

    rows: str = ""
    variables: str = ""
    paths: tuple[str, ...] = ()
    led: str = ""
    text: str = TEXT
    asked: list[str] = field(default_factory=list)

    def run(self, command: str) -> SimpleNamespace:
        self.asked.append(command)
        if "procstat" in command:
            said = (
                f"{BOUND}{OTHER}= unix\n{UNIX}= first\n506 506 99 \n"
                f"= opened\n{self.text}{self.rows}"
            )
            return SimpleNamespace(stdout=f"{said}= led\n{self.led}")
        if "echo '= " not in command:  # what configurations name
            return SimpleNamespace(stdout="")
        lines = "".join(f"/etc/rc.conf:7:{line}" for line in self.variables.splitlines(True))
        return SimpleNamespace(stdout=f"{lines}= mysql_enable\n{self.variables}")

    def check_output(self, command: str) -> str:
        wanted = shlex.split(command.partition(";")[0].removeprefix("for each in "))
        return "".join(f"{each}\n" for each in wanted if each not in self.paths)


@pytest.fixture(scope="module")
def sample() -> Site:
    return site.read(SAMPLE)


def needing(host: Any, there: Site) -> Needing:
    ask = asking(host)
    carried = carriers.of(plan.make(there).steps, there)
    running = ask(Daemons, ports=[3306], scripts=["-"], places=carried.places())
    return Needing(host, ask, running, carried, there)


def meets(host: Any, there: Site, service: str = "mysql") -> None:
    checks.test_are_met(needing(host, there), service)


@pytest.mark.parametrize(
    ("address", "met"), [("*", True), ("127.0.0.1", True), ("127.0.0.2", False)]
)
def test_from_another_loopback_address_nothing_leads_to_a_jail(
    sample: Site, address: str, met: bool
) -> None:
    listens = listeners([f"mysql mariadbd 506 21 tcp4 {address}:3306 *:*"])
    running = Running(sockets=("mysql mariadbd 506 21 tcp4 " + address + ":3306 *:*",))
    assert next(iter(listens)).at_loopback
    [need] = served([3306], running)
    carried = carriers.of(plan.make(sample).steps, sample)
    answer = carried.answer("mysql", need, lambda *_, **__: ())
    assert (answer.outcome == "reachable") == met


@pytest.mark.parametrize(
    "value",
    [
        "/var/db/mysql",
        "/var/db/mysql/more",
        "--defaults-file=/usr/local/etc/mysql/my.cnf",
        "/usr/local/libexec/mysqld",
        "/not/on/the/host",
        "a/data/mysql",
    ],
)
def test_a_variable_with_what_the_jail_has_is_carried(sample: Site, value: str) -> None:
    meets(Told(variables=f"mysql_dbdir='{value}'\n", paths=("/data/mysql",)), sample)


@pytest.mark.parametrize("value", ["/data/mysql", "-x --datadir=/data/mysql", "a,/data/mysql"])
def test_a_variable_with_what_the_jail_lacks_is_told_with_file_and_line(
    sample: Site, value: str
) -> None:
    with pytest.raises(AssertionError) as told:
        meets(Told(variables=f"mysql_dbdir='{value}'\n", paths=("/data/mysql",)), sample)
    said = str(told.value)
    assert f"/etc/rc.conf:7: mysql_dbdir={value}: jail mysql will not have /data/mysql" in said
    assert "add it, or its directory, to services.mysql.data, .logs or .configuration" in said


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (
            "14 v r rw------   1       0 -   /data/ibdata1",
            "procstat -f 506 (mariadbd, 14): jail mysql will not have /data/ibdata1: add it",
        ),
        (
            "14 v r rw------   1       0 -   /usr/local/etc/mysql/relay.info",
            "jail mysql gets /usr/local/etc/mysql as a copy (in mysql.jail), and the daemon writes",
        ),
        (
            "14 v r -w------   1       0 -   /usr/local/share/mysql/errors",
            "jail mysql gets /usr/local/share read only (in mysql.jail), and the daemon writes",
        ),
        (
            "14 v r -w------   1       0 -   /var/log/mysql/error.log",
            "jail mysql will not have /var/log/mysql/error.log: add it, or its directory, to servi",
        ),
        (
            "cwd v d r-------   -       - -   /home/me",
            "or start the daemon anew in /, if it does not need this directory",
        ),
        (
            "15 s - rw------   1       0 UDS /var/run/other.sock",
            "jail mysql will not have the socket /var/run/other.sock (nobody now listens there)",
        ),
        (
            "16 s - rw------   1       0 TCP 127.0.0.1:44 127.0.0.1:6379",
            "in jail mysql nothing will answer at 127.0.0.1:6379/tcp, where redis-serv 700 listens",
        ),
        (
            "17 s - rw------   1       0 TCP 0 0 203.0.113.2:5000 192.0.2.7:3306",
            'jail mysql may not open connections to 192.0.2.7:3306: set outbound = "nat" in [jails',
        ),
        (
            "16 s - rw------   1       0 TCP 0 0 ::1.4444 ::1.999",
            "in jail mysql nothing will answer at ::1:999/tcp",
        ),
        (
            "16 s - rw------   1       0 UDP 127.0.0.1:44 127.0.0.1:25",
            "nobody now listens at 127.0.0.1:25/udp: over UDP 127.0.0.1 in jail mysql is the jail",
        ),
        (
            "16 s - rw------   1       0 UDP 127.0.0.1:44 127.0.0.1:514",
            "over UDP 127.0.0.1 in jail mysql is the jail itself: let the daemon send to 203.0.113",
        ),
    ],
)
def test_what_its_processes_have_open_is_told(sample: Site, row: str, says: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(says)):
        meets(Told(f"  506 mariadbd            {row} \n"), sample)


@pytest.mark.parametrize(
    ("row", "outcome"),
    [
        ("11 v r rw------   1       0 -   /var/db/mysql/ib_logfile0", "carried: mount of"),
        ("11 v r r-------   1       0 -   /etc/hosts.allow", "carried: copy of /etc/hosts.allow"),
        ("11 v r r-------   1       0 -   /usr/local/etc/mysql/my.cnf", "carried: copy of"),
        ("11 v r rw------   1       0 -   /etc/spwd.db", "carried: jail mysql has its own"),
        ("11 v r rw------   1       0 -   /tmp/ibXXXX", "carried: jail mysql has its own"),
        ("11 v r -w------   1       0 -   /var/log/mysqld.log", "carried: jail mysql has its own"),
        ("12 s - rw------   1       0 UDD /var/run/log", "jail mysql has its own syslogd"),
        ("13 s - rw------   1       0 TCP 0 0 127.0.0.1:5000 127.0.0.1:25", "reachable: a rule"),
        ("13 s - rw------   1       0 TCP 0 0 203.0.113.2:5000 203.0.113.2:25", "of the host's"),
        ("13 s - rw------   1       0 UDP 127.0.0.1:5000 127.0.0.1:53", "of its own resolv.conf"),
        ("13 s - rw------   1       0 TCP 127.0.0.1:5000 127.0.0.1:3306", "moves into jail mysql"),
    ],
)
def test_what_the_jail_has_or_reaches_is_listed_with_its_carrier(
    sample: Site, row: str, outcome: str
) -> None:
    host = Told(f"  506 mariadbd            {row} \n")
    meets(host, sample)
    with pytest.raises(AssertionError, match=f"(?s)needs of mysql: .*{outcome}") as told:
        checks.test_none_are_there(needing(host, sample), "mysql")
    assert "path /usr/local/libexec/mariadbd: carried: mount of" in str(told.value)


def test_what_the_host_asks_at_loopback_must_be_led_to_the_jail(sample: Site) -> None:
    """By the plan's own rules: afterwards nobody could tell that the daemon listened there."""
    there = needing(Told(), sample)
    less = [each for each in there.carriers.all if (each.jail, each.what) != ("", "tcp 3306")]
    without = replace(there, carriers=there.carriers._replace(all=tuple(less)))
    checks.test_are_met(there, "mysql")
    says = r"mariadbd 506 listens at \*:3306.*programs of the host that ask 127.0.0.1:3306/tcp"
    with pytest.raises(AssertionError, match=says):
        checks.test_are_met(without, "mysql")


@pytest.mark.parametrize(
    "row",
    [
        " 11 v r rw------   1       0 -   /data/db/ibdata1",
        "cwd v d r-------   -       - -   /data/db",
    ],
)
def test_a_path_behind_a_link_is_that_of_the_site_file(sample: Site, row: str) -> None:
    told = Told(f"  506 mariadbd           {row} \n", led="/var/db/mysql /data/db\n")
    meets(told, sample)


def test_processes_that_nobody_shows_are_told(sample: Site) -> None:
    with pytest.raises(AssertionError, match=r"procstat -f 506 \(mariadbd\) shows nothing"):
        meets(Told(text=""), sample)
    with pytest.raises(AssertionError, match="no process listens on 53, so none could be asked"):
        meets(Told(), sample, "bind")


class Quiet(Told):
    """A host that says nothing."""

    def run(self, command: str) -> SimpleNamespace:
        return SimpleNamespace(stdout="")


def needs_of_apache(sample: Site, age: int, program: str) -> list[str]:
    """What a child of Apache's with this program is said to need. `age` is in seconds."""
    rows = (
        "  506 apache2  text v r r-------   -       - -   /usr/local/sbin/httpd",
        f"  777 sendmail text v r r-------   -       - -   {program}",
        "  777 sendmail  cwd v d r-------   -       - -   /var/spool/elsewhere",
    )
    bound = "www      apache2    506   3  tcp4   *:80                  *:*"
    said = [bound, "= first", f"506 506 99 777 506 {age} ", "= opened", *rows]
    quiet = Quiet()
    there = replace(needing(quiet, sample), running=Daemons().process(said))
    return replace(there, ask=asking(quiet)).of("web").refused


def test_what_a_page_runs_for_a_moment_comes_and_goes(sample: Site) -> None:
    """A check of every step: PHP's mail() had a step undone, by the sendmail that it started."""
    sendmail = "/usr/libexec/sendmail/sendmail"
    assert needs_of_apache(sample, 3, sendmail) == []
    assert "procstat -f 777 (sendmail, cwd)" in needs_of_apache(sample, 70, sendmail)[0]
    assert needs_of_apache(sample, 3, "/usr/local/sbin/httpd"), "a worker of Apache's own"


def test_a_worker_that_has_ended_since_is_not_missed(sample: Site) -> None:
    there = needing(Told(), sample)
    rows = ("www apache2 9 3 tcp4 *:80 *:*", "www apache2 8 3 tcp4 *:80 *:*")
    gone = replace(there.running, sockets=rows, first=(("8", "8"),), opened=())
    assert [each.split("(")[0] for each in replace(there, running=gone).of("web").unread] == [
        "procstat -f 8 "
    ]
    all_gone = replace(there, running=replace(gone, first=()))
    assert all_gone.of("web").unread == [
        "what listened on a port of web has ended while it was asked"
    ]


def test_all_services_are_asked_in_one_command_each_for_processes_and_variables(
    sample: Site,
) -> None:
    host = Told()
    there = needing(host, sample)
    for service in ("mysql", "mysql", "web"):
        there.of(service)
    assert len(host.asked) == len(
        {Daemons, Options, Tables, Variables, Forwarded, Directives, Settings}
    )


def test_a_connection_to_another_host_needs_a_way_out_that_the_policy_allows(sample: Site) -> None:
    row = "17 s - rw------   1       0 TCP 0 0 203.0.113.2:5000 192.0.2.7:3306"
    host = Told(f"  506 mariadbd            {row} \n")
    jail = sample.jails["mysql"].model_copy(update={"outbound": "nat"})
    led_out = sample.model_copy(update={"jails": {**sample.jails, "mysql": jail}})
    line = '{ from = "mysql", to = "internet", ports = ["3306/tcp"] }'
    with pytest.raises(AssertionError, match=re.escape(f"add {line} to `allow` in [policy]")):
        meets(host, led_out)
    order = tuple(each for each in sample.order if each != "policy")
    meets(host, led_out.model_copy(update={"order": order}))


def reached(there: Site, end: str, routes: str) -> carriers.Answer:
    """What becomes of a connection of mysql to `end`, on a host with these routes."""
    carried = carriers.of(plan.make(there).steps, there)
    ask = asking(SimpleNamespace(run=lambda command: SimpleNamespace(stdout=routes)))
    return carried.answer("mysql", Need("connection", end, "my.cnf:1"), ask)


def test_a_server_that_is_reached_by_another_interface_is_refused(sample: Site) -> None:
    jail = sample.jails["mysql"].model_copy(update={"outbound": "nat"})
    order = tuple(each for each in sample.order if each != "policy")
    led_out = sample.model_copy(update={"jails": {**sample.jails, "mysql": jail}, "order": order})
    routes = "192.168.7.0/24 vlan0\n192.168.7.9 vtnet0\n192.168.7.2 lo0\n"
    inner = reached(led_out, "tcp 192.168.7.20:3306", routes)
    assert inner.outcome == "refused"
    assert inner.by.startswith(
        "192.168.7.20 is reached by vlan0, and jail mysql gets out by vtnet0"
    )
    for end in ("192.168.7.9:3306", "192.168.7.2:3306", "192.0.2.1:3306", "db.example.net:3306"):
        assert reached(led_out, f"tcp {end}", routes).outcome == "reachable", end


def test_a_server_of_ipv6_is_refused(sample: Site) -> None:
    told = reached(sample, "tcp [2001:db8::25]:587", "")
    assert told.outcome == "refused"
    assert told.by.startswith("[2001:db8::25] is an address of IPv6, which jail mysql does not")


def test_what_a_rule_leads_to_must_be_let_by_the_policy(sample: Site) -> None:
    """By default [policy] denies: the rule alone lets nobody through."""
    told = reached(sample, "tcp 203.0.113.2:80", "")
    assert told.outcome == "refused"
    assert '{ from = "mysql", to = "web", ports = ["80/tcp"] }' in told.by
    carried = carriers.of(plan.make(sample).steps, sample)
    asked = carried.answer("mysql", Need("port", "tcp 127.0.0.1:80", "it"), lambda *_: None)
    assert asked.outcome == "refused" and "add { from" in asked.by
    assert reached(sample, "tcp 203.0.113.2:25", "").outcome == "reachable"


def test_what_other_hosts_opened_is_no_need(sample: Site) -> None:
    row = "17 s - rw------   1       0 TCP 0 0 203.0.113.2:3306 192.0.2.7:5000"
    meets(Told(f"  506 mariadbd            {row} \n"), sample)


def test_the_log_of_the_step_that_started_it_is_no_need(sample: Site) -> None:
    """Dovecot keeps it as its stderr; its rollback ended stuck by that (seen on 15.0)."""
    row = "2 v r -wa-----   2       0 -   /var/db/cellblock/steps/007-mail.retire/log"
    meets(Told(f"  506 mariadbd            {row} \n"), sample)
