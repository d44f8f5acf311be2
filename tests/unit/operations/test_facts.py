"""Facts parse what a real FreeBSD printed, and read nothing that changes by itself."""

from __future__ import annotations

import inspect
import re
import subprocess
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path as LocalPath
from typing import Any

import pytest
from pyinfra.api.facts import FactBase

from operations import facts
from operations.facts import (
    AccessRules,
    Bound,
    Capabilities,
    Exempt,
    FoundNames,
    HasLine,
    HasOurLine,
    HostRules,
    Interfaces,
    IsDirectory,
    IsEmptyFileSystem,
    JailConf,
    JailListeners,
    JailRules,
    Jails,
    Kenv,
    LeadsTo,
    Listeners,
    Module,
    MountedBelow,
    Nats,
    Networks,
    OnePass,
    OwnAddresses,
    Path,
    RcConf,
    Replaceable,
    Restricted,
    Rotated,
    Routes,
    Rule,
    Rules,
    ServiceRuns,
    State,
    UsedAddresses,
    way,
)
from rollout import host as host_half
from tests.unit.operations.asking import recorded, typed

LOOKING = (LocalPath(host_half.__file__).parent / "looking.sh").read_text(encoding="utf-8")

QUESTIONS: dict[type[FactBase[Any]], dict[str, Any]] = {
    RcConf: {},
    Interfaces: {},
    Capabilities: {"interface": "vtnet0"},
    Module: {"module": "ipfw"},
    Kenv: {"variable": "net.inet.ip.fw.default_to_accept"},
    Rules: {},
    Nats: {},
    Networks: {},
    Routes: {},
    FoundNames: {"names": ("localhost",)},
    OwnAddresses: {"wan": "203.0.113.2"},
    HostRules: {"first": 20, "last": 29},
    OnePass: {},
    Listeners: {"ports": (53, 80)},
    JailListeners: {"ports": (53,)},
    UsedAddresses: {},
    HasLine: {"path": "/etc/resolv.conf", "line": "nameserver 127.0.0.1"},
    HasOurLine: {"path": "/etc/hosts", "line": "10.80.0.3\tmysql.example.org"},
    Jails: {},
    JailConf: {},
    JailRules: {"jail": "web"},
    AccessRules: {},
    Exempt: {},
    ServiceRuns: {"script": "named"},
    Rotated: {"logs": ["/var/log/httpd-access.log", "/var/log/mysql/"]},
    Path: {"path": "/etc/rc.conf"},
    IsDirectory: {"path": "/usr/local/man"},
    IsEmptyFileSystem: {"path": "/usr/jails/web"},
    MountedBelow: {"directories": ["/usr/home", "/srv"]},
    Restricted: {"directories": ["/usr/home", "/srv"]},
    Replaceable: {"path": "/var/run/mysql/mysql.sock"},
    LeadsTo: {"path": "/var/run/mysql/mysql.sock", "target": "/j/sock"},
}
FORWARDED = "fwd 10.80.0.2,{0} tcp from any to 203.0.113.2 {0} in"
LAST = Rule(65535, 31, "allow ip from any to any")


def test_every_fact_is_looked_at_here() -> None:
    ours = {
        each
        for _, each in inspect.getmembers(facts, inspect.isclass)
        if issubclass(each, FactBase) and each.__module__.startswith(facts.__name__)
    }
    assert ours == set(QUESTIONS)


@pytest.mark.parametrize("fact", QUESTIONS, ids=lambda fact: fact.__name__)
def test_a_question_is_one_line_and_asks_for_no_pid_counter_or_time(
    fact: type[FactBase[Any]],
) -> None:
    line = str(fact().command(**QUESTIONS[fact]))
    assert "\n" not in line
    if fact in (Listeners, JailListeners):
        line = line.replace("sockstat", "", 1)  # awk leaves its pids out
    if fact is Routes:
        line = line.replace("netstat", "", 1)  # and its counters
    assert not re.search(r"\b(ps|pid|jid|sockstat|netstat|date|uptime|ls -l)\b", line), line
    assert "ipfw -a" not in line and "ipfw show" not in line, "those print counters"


@pytest.mark.parametrize("there", [True, False])
def test_whether_a_link_leads_to_its_target(tmp_path: LocalPath, there: bool) -> None:
    link = tmp_path / "sock"
    link.symlink_to("/j/sock" if there else "/j/other")
    line = LeadsTo().command(path=str(link), target="/j/sock")
    said = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
    assert LeadsTo().process(said.splitlines()) is there


def test_interfaces_are_read_with_both_kinds_of_addresses() -> None:
    found = Interfaces().process(recorded("ifconfig lo1", 2))
    assert found == {"lo1": ("fe80::1", "10.80.0.2", "10.80.0.3")}


def test_interfaces_of_ifconfig_a_are_kept_apart() -> None:
    output = recorded("ifconfig vtnet0 | head -2") + recorded("ifconfig lo1", 2)
    found = Interfaces().process(output)
    assert found == {"vtnet0": (), "lo1": ("fe80::1", "10.80.0.2", "10.80.0.3")}


def test_rules_are_read_with_number_and_set() -> None:
    assert Rules().process(recorded("ipfw -S list", 0)) == (
        Rule(1000, 20, FORWARDED.format(80)),
        Rule(1000, 20, FORWARDED.format(443)),
        LAST,
    )


def test_rules_of_a_disabled_set_are_read_too() -> None:
    assert Rules().process(recorded("ipfw -S list", 1)) == (
        Rule(1000, 20, FORWARDED.format(80), enabled=False),
        Rule(1000, 20, FORWARDED.format(443), enabled=False),
        LAST,
    )


def test_without_ipfw_there_are_no_rules() -> None:
    assert Rules().process(recorded("ipfw list", 0)) == ()


def test_networks_are_read_with_their_masks() -> None:
    lines = [line for line in recorded("ifconfig lo1", 2) if line.split()[:1] == ["inet"]]
    wire = "\tinet 203.0.113.2 netmask 0xffffff00 broadcast 203.0.113.255"
    assert Networks().process([wire, *lines]) == (
        IPv4Interface("203.0.113.2/24"),
        IPv4Interface("10.80.0.2/32"),
        IPv4Interface("10.80.0.3/32"),
    )


def test_routes_are_read_without_the_default_one() -> None:
    lines = ["10.80.0.0/24 lo1", "192.168.7.1 vlan0", "", "default"]
    assert Routes().process(lines) == (
        (IPv4Network("10.80.0.0/24"), "lo1"),
        (IPv4Network("192.168.7.1/32"), "vlan0"),
    )


def test_an_address_is_led_to_by_its_narrowest_route_vlans_too() -> None:
    routes = Routes().process(["10.0.0.0/8 em1", "10.7.0.0/16 em0.100"])
    found = [way(each, routes) for each in ("10.7.0.1", "10.8.0.1", "192.0.2.1", "a.example")]
    assert found == ["em0.100", "em1", "", ""]


def test_of_a_name_the_first_ipv4_address_counts() -> None:
    lines = [
        "a.example 2001:db8::1  a.example",
        "a.example 192.0.2.1   a.example",
        "a.example 192.0.2.2   a.example",
    ]
    assert FoundNames().process(lines) == {"a.example": "192.0.2.1"}


def test_nat_instances_are_read_by_number() -> None:
    configured = "ip 203.0.113.2 same_ports redirect_port udp 10.80.0.2:53 53"
    assert Nats().process(recorded("ipfw nat show config", 0)) == {7: configured}
    assert Nats().process(recorded("ipfw nat show config", 1)) == {}


def test_jails_are_read_by_name() -> None:
    assert Jails().process(["web", "mysql", ""]) == ("web", "mysql")
    assert Jails().process([]) == ()


def test_rc_conf_is_read_as_sh_would() -> None:
    lines = [
        "# sshd_enable=YES",
        'hostname="dcserver.example.org"',
        "named_enable=YES # ours",
        "jail_list=''",
        "\tmysql_args='--log \"x\"'",
        'apache24_enable="NO"',
        'apache24_enable="YES"',
        "",
    ]
    assert RcConf().process(lines) == {
        "hostname": "dcserver.example.org",
        "named_enable": "YES",
        "jail_list": "",
        "mysql_args": '--log "x"',
        "apache24_enable": "YES",
    }


def test_a_value_of_rc_conf_over_several_lines_is_read_whole() -> None:
    """Otherwise the undo of rc.variable would write back a torn value."""
    found = RcConf().process(['jail_list="db', '  www"', 'sshd_enable="YES"'])
    assert found["jail_list"].split() == ["db", "www"]
    assert found["sshd_enable"] == "YES"


def test_rc_conf_local_comes_after_rc_conf_and_wins(tmp_path: LocalPath) -> None:
    found = answered(RcConf, tmp_path, rc_conf='a="1"\nb="1"\n', local='b="2"\n')
    assert found == {"a": "1", "b": "2"}


def test_an_rc_conf_without_a_last_newline_does_not_swallow_rc_conf_local(
    tmp_path: LocalPath,
) -> None:
    assert answered(RcConf, tmp_path, rc_conf='a="1"', local='b="2"\n') == {"a": "1", "b": "2"}


def test_no_rc_conf_at_all_is_an_empty_one(tmp_path: LocalPath) -> None:
    assert answered(RcConf, tmp_path) == {}


def answered(
    fact: type[RcConf], root: LocalPath, rc_conf: str | None = None, local: str | None = None
) -> dict[str, str]:
    (root / "etc").mkdir()
    for name, text in (("rc.conf", rc_conf), ("rc.conf.local", local)):
        if text is not None:
            (root / "etc" / name).write_text(text)
    told = typed(fact().command().replace("/etc/", f"{root}/etc/"), root)
    assert told.returncode == 0
    return fact().process(told.stdout.splitlines())


def test_an_address_is_used_that_somebody_has_now_or_with_the_next_start(
    tmp_path: LocalPath,
) -> None:
    """Also by a jail that does not run, and by what rc.conf.local names."""
    texts = {
        "rc.conf.local": 'ifconfig_lo1="inet 10.80.0.1/32"',
        "jail.conf": '.include "/etc/more.conf"\nold { ip4.addr = "lo1|10.80.0.2/32"; }',
        "more.conf": "older { ip4.addr = 10.80.0.3, 10.80.0.4; }",
        "jail.conf.d/new.conf": "new { ip4.addr = 10.80.0.5; }",
    }
    (tmp_path / "etc" / "jail.conf.d").mkdir(parents=True)
    for name, text in texts.items():
        (tmp_path / "etc" / name).write_text(f"{text}\n".replace("/etc/", f"{tmp_path}/etc/"))
    line = UsedAddresses().command().replace("/etc/", f"{tmp_path}/etc/")
    inet = "lo1: flags=8049\\n\\tinet 10.80.0.6 netmask 0xffffffff\\n\\tinet6 fe80::1"
    done = typed(line, tmp_path, ifconfig=f"printf '{inet}\\n'", jls="echo 10.80.0.7,10.80.0.8")
    found = UsedAddresses().process(done.stdout.splitlines())
    assert sorted(map(str, found)) == [f"10.80.0.{n}" for n in range(1, 9)], done.stderr
    assert UsedAddresses().process(["999.1.1.1"]) == ()


def test_where_daemons_in_jails_listen_the_hosts_are_not_reached(tmp_path: LocalPath) -> None:
    """At each address of the jail, if at all; a socket of IPv6 alone is none."""
    asked = (
        'case "$3" in db) echo "mysql mysqld 991 21 tcp46 *:3306 *:*";; '
        'web) echo "www httpd 995 3 tcp4 10.9.0.2:80 *:*"; '
        'echo "www httpd 995 4 tcp6 *:80 *:*";; esac'
    )
    jails = "printf 'db 10.9.0.1,10.9.0.3\\nweb 10.9.0.2\\nsix -\\n'"
    done = typed(JailListeners().command((80, 3306)), tmp_path, jls=jails, sockstat=asked)
    assert JailListeners().process(done.stdout.splitlines()) == (
        Bound("tcp", "mysqld", "10.9.0.1", 3306),
        Bound("tcp", "mysqld", "10.9.0.3", 3306),
        Bound("tcp", "httpd", "10.9.0.2", 80),
    ), done.stderr


def test_jail_conf_names_its_own_jails_and_nothing_else() -> None:
    text = """\
# old { path = "/none"; }
exec.start = "/bin/sh /etc/rc";
* { mount.devfs; }
/* gone {
} */
db {
    path = "/jails/db"; // not { this
    ip4.addr = 10.0.0.9;
}
"www-1" {
    path = "/jails/www";
}
"""
    assert JailConf().process(text.splitlines()) == ("db", "www-1")


def test_a_glob_in_jail_conf_begins_no_comment() -> None:
    text = '.include "/etc/jail.conf.d/*.conf";\ndb {\n}\n/* the old one: */\nwww {\n}\n'
    assert JailConf().process(text.splitlines()) == ("db", "www")


def test_jail_conf_may_have_two_jails_on_a_line_and_braces_in_values() -> None:
    text = """db { path = /a; } 'www' { path = "/b"; exec.start = "sh -c 'old { x; }'"; } *.x { }"""
    assert JailConf().process([text]) == ("db", "www")


@pytest.mark.parametrize("elsewhere", ["", 'jail_conf="/etc/jails/own.conf" # ours\n'])
def test_jail_conf_has_what_it_includes(tmp_path: LocalPath, elsewhere: str) -> None:
    etc = tmp_path / "etc"
    (etc / "jail.conf.d").mkdir(parents=True)
    includes = '.include "/etc/jail.conf.d/*.conf";\n.include "more.conf";\n.include "none*";'
    (etc / "rc.conf").write_text(elsewhere.replace("/etc/", f"{etc}/"))
    (etc / "jails").mkdir()
    conf, more = ("jails/own.conf", "jails/more.conf") if elsewhere else ("jail.conf", "more.conf")
    (etc / conf).write_text(includes.replace("/etc/", f"{etc}/"))
    (etc / "jail.conf.d" / "a.conf").write_text("a { path = /a; }")
    (etc / "jail.conf.d" / "b.conf").write_text("b {\n}")
    (etc / "jail.conf.d" / "c.txt").write_text("c {\n}")
    (etc / more).write_text('d {\n}\n.include "more.conf";\n')
    told = typed(re.sub(r'(?<=[ "])/etc/', f"{etc}/", JailConf().command()), tmp_path)
    assert (told.returncode, told.stderr) == (0, "")
    assert JailConf().process(told.stdout.splitlines()) == ("a", "b", "d")


@pytest.mark.parametrize(
    ("said", "runs"),
    [
        ("named is running as pid 615.", True),
        ("named is not running.", False),
        # The output of sendmail's script, which also reports its queue runner.
        ("sendmail is running as pid 615.\\nsendmail_msp_queue is not running.", True),
        ("sendmail is not running.\\nsendmail_msp_queue is running as pid 7.", False),
        # 15.0's, once rc.conf enables the queue runner alone or the host's submission.
        ("sendmail_msp_queue is running as pid 1455.", False),
        ("sendmail_submit is running as pid 998.", True),
        ("nosuch does not exist in /etc/rc.d", False),
    ],
)
@pytest.mark.parametrize("code", [0, 1])
def test_a_service_runs_or_not_by_what_is_said_of_it_first(
    tmp_path: LocalPath, said: str, runs: bool, code: int
) -> None:
    """Not by the exit code; and its pid is not part of the fact. A fingerprint says the same."""
    script = f"printf '{said}\\n'; exit {code}"
    told = typed(ServiceRuns().command("named"), tmp_path, service=script)
    assert told.stdout == ("yes\n" if runs else "no\n")
    (tmp_path / "watch").write_text("service named\n")
    without = ("kldstat", "find", "ifconfig", "mount", "ipfw", "rctl", "ugidfw", "jls")
    stubs = {"service": script, **dict.fromkeys(without, "exit 1")}
    printed = typed(f"cd {tmp_path}; {LOOKING}fingerprint", tmp_path, None, **stubs)
    assert ("service named runs" in printed.stdout.splitlines()) is runs, printed
    assert ServiceRuns().process(told.stdout.splitlines()) is runs


def test_a_service_of_a_jail_is_asked_in_the_jail() -> None:
    assert ServiceRuns().command("named", jail="dns").startswith("service -j dns named onestatus")


@pytest.mark.parametrize("code", [0, 1])
def test_a_module_is_loaded_or_not(tmp_path: LocalPath, code: int) -> None:
    told = typed(Module().command("ipfw"), tmp_path, kldstat=f"exit {code}")
    assert Module().process(told.stdout.splitlines()) is (code == 0)


@pytest.mark.parametrize(
    ("output", "value"),
    [
        (recorded("kenv net.inet.ip.fw.default_to_accept", 0), ""),
        (recorded("kenv net.inet.ip.fw.default_to_accept", 1), "1"),
    ],
    ids=["unset", "set"],
)
def test_a_kernel_environment_variable_is_its_value(output: list[str], value: str) -> None:
    assert Kenv().process(output) == value


def test_what_is_at_a_path(tmp_path: LocalPath) -> None:
    (tmp_path / "it's a file").write_text("x")
    (tmp_path / "it's a file").chmod(0o640)
    (tmp_path / "folder").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("/no where")
    subprocess.run(["mkfifo", tmp_path / "pipe"], check=True)
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    owner = f"{(tmp_path / 'folder').owner()}:{(tmp_path / 'folder').group()}"
    expected = {
        "it's a file": State("file", "640", owner, digest),
        "folder": State("directory", "700", owner),
        "link": State("link", target="/no where"),
        "pipe": State("other"),
        "nothing": State(),
    }
    for name, state in expected.items():
        told = typed(Path().command(str(tmp_path / name)), tmp_path)
        assert Path().process(told.stdout.splitlines()) == state, name


def test_no_slash_stands_in_brackets_of_awk() -> None:
    """FreeBSD's awk takes it for the pattern's end: nonterminated character class."""
    assert not re.search(r"\[[^]]*/[^]]*\]", Rotated().command(**QUESTIONS[Rotated]))


def test_a_path_that_could_not_be_asked_is_absent() -> None:
    assert Path().process([]) == State()


def test_what_an_interface_has_switched_on_is_read_as_13_2_prints_it() -> None:
    there, off = (
        ["there", *recorded("ifconfig vtnet0 | sed -n 2p", nth)[0].split()] for nth in (1, 0)
    )
    assert {"TSO4", "TSO6", "LRO", "VLAN_HWTSO"} <= set(Capabilities().process(there) or ())
    left = Capabilities().process(off) or ()
    assert "RXCSUM" in left
    assert not {"TSO4", "TSO6", "LRO", "VLAN_HWTSO"} & set(left)
    assert Capabilities().process([]) is None


def test_a_log_that_grows_is_the_same_log(tmp_path: LocalPath) -> None:
    log = tmp_path / "httpd-error.log"
    line = str(Replaceable().command(str(log)))

    def asked() -> State:
        said = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout
        return Replaceable().process(said.splitlines())

    assert asked() == State("absent")
    log.write_text("one\n")
    before = asked()
    assert before == State("file")
    log.write_text("one\ntwo\n")
    assert asked() == before
    log.unlink()
    log.symlink_to("/jail's log")
    assert asked() == State("link", target="/jail's log")


@pytest.mark.parametrize(("asked", "up"), [(1, True), (3, True), (60, False)])
def test_a_daemon_is_waited_for_until_it_runs(tmp_path: LocalPath, asked: int, up: bool) -> None:
    """Apache's start returns before its pid file exists: a single check would call it failed."""
    service = (
        f'echo >> asked; [ "$(wc -l < asked)" -ge {asked} ] && echo "httpd is running as pid 7."'
    )
    for name, text in (("service", service), ("sleep", "exit 0")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    line = f"set -eu; {facts.comes_up('apache24')}; echo up"
    said = subprocess.run(
        ["sh", "-c", line],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.stdout == ("up\n" if up else "")
    assert (said.returncode == 0) is up
