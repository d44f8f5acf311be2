"""BIND's configuration in a jail, and the waits for its zones."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from operations import daemon, named
from operations.command import NewFile, Reversible
from operations.doors import Ways
from operations.facts import Bound, HasLine, Listeners, Networks, ServiceRuns
from tests.unit.operations.answering import ANSWERS, two_addresses
from tests.unit.operations.asking import reversible, typed, yielded

HOST, JAIL, LAN = "203.0.113.2", "10.80.0.2", "10.80.0.0/24"
NETWORKS = (
    IPv4Interface("203.0.113.2/24"),
    IPv4Interface("127.0.0.1/8"),
    IPv4Interface("10.80.0.2/32"),
)
NETS = "203.0.113.0/24; 127.0.0.0/8; 10.80.0.2/32; 10.80.0.0/24;"
SELF = "203.0.113.2; 127.0.0.1; 10.80.0.2; 10.80.0.0/24;"
AWKS = [awk for awk in ("awk", "mawk", "gawk", "original-awk") if shutil.which(awk)]


def fitted(tmp_path: Path, text: str, awk: str = "awk", **others: str) -> str:
    """named.conf as it is in the jail, when it was `text` on the host."""
    return fitted_by(None, tmp_path, text, awk, **others)


def fitted_by(ways: Ways | None, tmp_path: Path, text: str, awk: str, **others: str) -> str:
    """The same; with `ways`, on a host that answers at two addresses over UDP."""
    namedb = tmp_path / "namedb"
    namedb.mkdir()
    for name, content in {"named.conf": text, **others}.items():
        (namedb / name).write_text(content)
    file, command = yielded(
        named.readdressed,
        {Networks: NETWORKS, **two_addresses()},
        directory=str(tmp_path),
        old=HOST,
        new=JAIL,
        lan=LAN,
        ways=ways,
    )
    assert isinstance(file, NewFile)
    assert isinstance(command, Reversible)
    Path(file.staged).write_text(file.content)
    done = typed(command.do.replace(" awk ", f" {awk} "), tmp_path)
    assert done.returncode == 0, done.stderr
    assert not Path(file.staged).exists()
    return (namedb / "named.conf").read_text()


@pytest.mark.parametrize("awk", AWKS)
@pytest.mark.parametrize(
    ("on_the_host", "in_the_jail"),
    [
        ("listen-on { 203.0.113.2; 127.0.0.1; };", "listen-on { 10.80.0.2; 10.80.0.2; };"),
        ("listen-on port 53 { any; };", "listen-on port 53 { any; };"),
        ("query-source address 203.0.113.2;", "query-source address 10.80.0.2;"),
        ("allow-transfer { 203.0.113.2; };", "allow-transfer { 203.0.113.2; };"),
        ("masters { 127.0.0.1; };", "masters { 127.0.0.1; };"),
        ("allow-query { localnets; };", f"allow-query {{ {{ {NETS} }}; }};"),
        ("allow-query { !localhost; };", f"allow-query {{ !{{ {SELF} }}; }};"),
        (
            "rate-limit { exempt-clients { 127.0.0.1; }; };",
            "rate-limit { exempt-clients { { 127.0.0.1; 10.80.0.0/24; 203.0.113.2; }; }; };",
        ),
        (
            "acl own { 127.0.0.1; ::1; };",
            "acl own { { 127.0.0.1; 10.80.0.0/24; 203.0.113.2; }; ::1; };",
        ),
        (
            "allow-recursion { 203.0.113.2; };",
            "allow-recursion { { 203.0.113.2; 10.80.0.0/24; }; };",
        ),
        ("allow-query { 127/8; };", "allow-query { { 127/8; 10.80.0.0/24; 203.0.113.2; }; };"),
        ("forwarders { 127.0.0.1; };", "forwarders { 127.0.0.1; };"),
        ("acl localnets-too { any; };", "acl localnets-too { any; };"),
        ("// listen-on { 203.0.113.2; };", "// listen-on { 203.0.113.2; };"),
        ("/* listen-on {\n203.0.113.2; */ a;", "/* listen-on {\n203.0.113.2; */ a;"),
        ("/**/ listen-on { 203.0.113.2; };", "/**/ listen-on { 10.80.0.2; };"),
        ('file "127.0.0.1"; # 127.0.0.1', 'file "127.0.0.1"; # 127.0.0.1'),
        ("zone localhost { type primary; };", "zone localhost { type primary; };"),
        ('allow-query { "localnets"; };', f"allow-query {{ {{ {NETS} }}; }};"),
        ('acl "localnets" { any; };', 'acl "localnets" { any; };'),
        (
            "statistics-channels { inet 203.0.113.2 port 8053 allow { 127.0.0.1; }; };",
            "statistics-channels { inet 10.80.0.2 port 8053 allow { { 127.0.0.1; 10.80.0.0/24; "
            "203.0.113.2; }; }; };",
        ),
        (
            "controls { inet 127.0.0.1 port 953 allow { localhost; } keys { k; }; };",
            f"controls {{ inet 10.80.0.2 port 953 allow {{ {{ {SELF} }}; }} keys {{ k; }}; }};",
        ),
    ],
)
def test_only_what_it_is_bound_to_changes(
    tmp_path: Path, on_the_host: str, in_the_jail: str, awk: str
) -> None:
    assert fitted(tmp_path, f"{on_the_host}\n", awk) == f"{in_the_jail}\n"


def test_who_may_recurse_by_default_is_written_out(tmp_path: Path) -> None:
    found = fitted(tmp_path, 'options {\n  directory "/";\n};\n')
    recursion = f"allow-recursion {{ {NETS} {SELF} }};"
    assert found == f'options {{ {recursion}\n  directory "/";\n}};\n'


@pytest.mark.parametrize(
    "said", ["allow-recursion { any; };", "allow-query { any; };", "recursion no;"]
)
def test_who_says_who_may_recurse_is_left_alone(tmp_path: Path, said: str) -> None:
    text = f"options {{ {said} }};\n"
    assert fitted(tmp_path, text) == text


def test_an_included_file_may_say_it(tmp_path: Path) -> None:
    text = 'options {\n  include "more.conf";\n};\n'
    more = "options { allow-recursion { any; }; };\n"
    assert fitted(tmp_path, text, **{"a.conf": more}) == text


@pytest.mark.parametrize("awk", AWKS)
def test_an_included_file_is_a_part_of_what_includes_it(tmp_path: Path, awk: str) -> None:
    text = (
        'include "/usr/local/etc/namedb/ours.acl";\n'
        'options { include "/usr/local/etc/namedb/options.inc"; directory "/"; };\n'
        'include "/usr/local/etc/elsewhere"; listen-on { 203.0.113.2; };\n'
    )
    acl = 'acl ours {\n"localnets";\n};\n'
    more = {"ours.acl": acl, "options.inc": "allow-recursion { ours; };\n"}
    found = fitted(tmp_path, text, awk, **more)
    assert found == text.replace("listen-on { 203.0.113.2; }", "listen-on { 10.80.0.2; }")
    assert (tmp_path / "namedb/ours.acl").read_text() == f"acl ours {{\n{{ {NETS} }};\n}};\n"
    assert (tmp_path / "namedb/options.inc").read_text() == more["options.inc"]


def test_a_view_may_recurse_where_the_others_do_not(tmp_path: Path) -> None:
    text = 'options { recursion no; };\nview "in" { recursion yes; };\n'
    recursion = f"allow-recursion {{ {NETS} {SELF} }};"
    assert fitted(tmp_path, text) == text.replace("options {", f"options {{ {recursion}")


def test_rndc_conf_is_not_named_conf(tmp_path: Path) -> None:
    text = "options { default-server 127.0.0.1; };\n"
    fitted(tmp_path, "", **{"rndc.conf": text})
    assert (tmp_path / "namedb" / "rndc.conf").read_text() == text


# As drill 1.8.3 and rndc print what a BIND 9.18.49 says.
CONTENT = """\
example.org.\t3600\tIN\tSOA\tns.example.org. hostmaster.example.org. 7 3600 900 604800 300
example.org.\t3600\tIN\tTXT\t"a b"
example.org.\t3600\tIN\tNS\tns.example.org.
www.example.org.\t3600\tIN\tA\t203.0.113.2
example.org.\t3600\tIN\tSOA\tns.example.org. hostmaster.example.org. 7 3600 900 604800 300
"""
REFUSED = """\
;; ->>HEADER<<- opcode: QUERY, rcode: REFUSED, id: 0
;; flags: qr ra ; QUERY: 1, ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 0\x20
;; QUESTION SECTION:
;; example.org.\tIN\tAXFR

;; ANSWER SECTION:

;; AUTHORITY SECTION:

;; ADDITIONAL SECTION:

;; Query time: 0 msec
;; WHEN: Thu Jan  1 00:00:00 1970
;; MSG SIZE  rcvd: 28
"""
STATUS = """\
name: example.org
type: primary
files: example.org.db
serial: 7
nodes: 3
last loaded: Sun, 29 Nov 2026 06:05:49 GMT
secure: no
dynamic: no
reconfigurable via modzone: no
"""
SIGNED = STATUS.replace("serial: 7\n", "serial: 5\nsigned serial: 7\n")
NOT_LOADED = "rndc: 'zonestatus' failed: zone not loaded\n"
SILENT = "rndc: connect failed: 127.0.0.1#953: connection refused\n"
AT_HOST, AT_JAIL = f"drill -I {JAIL} @{HOST}", f"drill @{JAIL}"
SAYS = {
    "host": "rndc zonestatus example.org IN",
    "jail": "jexec bind rndc zonestatus example.org IN",
}


def older(text: str) -> str:
    return text.replace(" 7 ", " 6 ").replace("serial: 7", "serial: 6")


def waits(
    tmp_path: Path,
    answers: dict[str, str],
    awk: str = "awk",
    zones: str = "example.org",
    view: str = "_default",
) -> subprocess.CompletedProcess[str]:
    """How the wait of one second for the jail's zones ends. What is not in `answers` fails."""
    (tmp_path / "asked").mkdir()
    for asked, said in answers.items():
        (tmp_path / "asked" / asked).write_text(said)
    [command] = reversible(
        named.zones_anew_in_jail, script="named", jail="bind", public=HOST, address=JAIL, limit=1
    )
    listed = "".join(f"echo '{zone} IN {view} primary'; " for zone in zones.split())
    says = (
        f'cat "{tmp_path}/asked/{{}}$*" 2>/dev/null || {{{{ echo "{SILENT.strip()}"; exit 1; }}}}'
    )
    stubs = {
        "service": "",
        "named-checkconf": f"{listed}:",
        "drill": f'cat "{tmp_path}/asked/drill $*" 2>/dev/null',
        "rndc": f'{says.format("rndc ")}; ! grep -q ^rndc: "{tmp_path}/asked/rndc $*"',
        "jexec": f'{says.format("jexec ")}; ! grep -q ^rndc: "{tmp_path}/asked/jexec $*"',
    }
    text = f"timeout 20 sh -eu <<'E'\n{command.do.replace('awk ', f'{awk} ')}\nE"
    return typed(text, tmp_path, None, **stubs)


def transfers(host: str, jail: str) -> dict[str, str]:
    return {f"{AT_HOST} example.org AXFR": host, f"{AT_JAIL} example.org AXFR": jail}


def says(host: str, jail: str, view: str = "_default") -> dict[str, str]:
    """What rndc says."""
    return {f"{SAYS['host']} {view}": host, f"{SAYS['jail']} {view}": jail}


@pytest.mark.parametrize("awk", AWKS)
@pytest.mark.parametrize(
    "answers",
    [
        transfers(CONTENT, CONTENT),
        transfers(CONTENT, REFUSED) | says("", STATUS),
        transfers(REFUSED, REFUSED) | says(STATUS, SIGNED),
        says(NOT_LOADED, NOT_LOADED),
    ],
)
def test_the_jails_named_is_waited_for_to_the_same_zones(
    tmp_path: Path, awk: str, answers: dict[str, str]
) -> None:
    done = waits(tmp_path, answers, awk)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("awk", AWKS)
@pytest.mark.parametrize(
    ("answers", "serial"),
    [
        (transfers(CONTENT, ""), "none"),
        (transfers(CONTENT, older(CONTENT)), "6"),
        (transfers(CONTENT, REFUSED) | says("", NOT_LOADED), "none"),
        (transfers(REFUSED, REFUSED) | says(SIGNED, older(STATUS)), "6"),
    ],
)
def test_a_zone_that_never_catches_up_is_named_with_both_serials(
    tmp_path: Path, answers: dict[str, str], serial: str, awk: str
) -> None:
    done = waits(tmp_path, answers, awk)
    assert done.returncode == 1
    assert done.stdout == f"zone example.org: serial 7 on the host, {serial} in jail bind\n"


@pytest.mark.parametrize("awk", AWKS)
def test_with_views_each_is_asked_for_by_its_name(tmp_path: Path, awk: str) -> None:
    done = waits(tmp_path, says(STATUS, older(STATUS), "inside"), awk, view="inside")
    assert done.stdout == (
        "zone example.org in view inside: serial 7 on the host, 6 in jail bind\n"
    )


@pytest.mark.parametrize("awk", AWKS)
@pytest.mark.parametrize(
    ("host", "jail", "where"),
    [
        (
            CONTENT,
            CONTENT.replace("www.example.org.\t3600\tIN\tA\t203.0.113.2\n", ""),
            "on the host",
        ),
        (
            CONTENT.replace("www.example.org.\t3600\tIN\tA\t203.0.113.2\n", ""),
            CONTENT,
            "in jail bind",
        ),
    ],
)
def test_other_content_with_the_same_serial_is_a_difference(
    tmp_path: Path, host: str, jail: str, where: str, awk: str
) -> None:
    done = waits(tmp_path, transfers(host, jail), awk)
    assert done.returncode == 1
    assert done.stdout == (
        "zone example.org: serial 7 on the host, 7 in jail bind\n"
        f"  only {where}: www.example.org.\t3600\tIN\tA\t203.0.113.2\n"
    )


def test_a_zone_that_catches_up_late_is_enough(tmp_path: Path) -> None:
    there = tmp_path / "asked" / f"{AT_JAIL} example.org AXFR"
    new = tmp_path / "new"
    new.write_text(CONTENT)
    late = threading.Timer(0.5, lambda: new.replace(there))
    late.start()
    done = waits(tmp_path, transfers(CONTENT, older(CONTENT)))
    late.join()
    assert (done.returncode, done.stdout) == (0, "")


def test_a_host_that_is_silent_was_not_compared(tmp_path: Path) -> None:
    """Nor is a named that is silent asked for every zone."""
    done = waits(tmp_path, {}, zones="z1 z2")
    assert done.returncode == 1
    assert "zone z1: serial none on the host, none in jail bind\n" in done.stdout


def test_only_ten_zones_are_told(tmp_path: Path) -> None:
    done = waits(tmp_path, {}, zones=" ".join(f"z{n}" for n in range(12)))
    assert len(done.stdout.splitlines()) == 11
    assert done.stdout.endswith("\nand 2 more zones\n")


def test_a_named_without_zones_is_not_waited_for(tmp_path: Path) -> None:
    assert waits(tmp_path, {}, zones="").returncode == 0


def test_a_list_of_zones_that_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    [command] = reversible(named.zones_in_jail, jail="bind", public=HOST, address=JAIL)
    done = typed(f"sh -eu <<'E'\n{command.do}\nE", tmp_path, None, **{"named-checkconf": "exit 1"})
    assert done.returncode != 0


def test_each_named_is_asked_for_each_zone_once(tmp_path: Path) -> None:
    """Not a process more, so that 2,000 zones fit into the limit; here are a tenth of them."""
    soa = CONTENT.splitlines()[0]
    [command] = reversible(named.zones_in_jail, jail="bind", public=HOST, address=JAIL)
    listed = (
        'i=0; while [ $i -lt 200 ]; do i=$((i + 1)); echo "z$i.example IN _default primary"; done'
    )
    stubs = {"named-checkconf": listed, "drill": f"echo \"$*\" >> {tmp_path}/log; echo '{soa}'"}
    began = time.monotonic()
    done = typed(f"sh -eu <<'E'\n{command.do}\nE", tmp_path, None, **stubs)
    assert (done.returncode, done.stdout) == (0, "")
    assert len((tmp_path / "log").read_text().splitlines()) == 400
    assert 10 * (time.monotonic() - began) < command.limit


def test_the_zones_are_noted_before_the_hosts_named_stops_and_before_the_jails_does() -> None:
    [command] = reversible(
        daemon.handover,
        {ServiceRuns: True},
        script="named",
        jail="bind",
        sets=[22],
        ports=[53],
        twin=named.same_zones("bind", HOST, JAIL),
    )
    assert command.undo is not None
    noted, stopped, waited = '> "$KEEP/zones"', "service named onestop", 'cat "$KEEP/zones"'
    assert command.do.index(noted) < command.do.index(stopped) < command.do.index(waited)
    back, ended, started = (
        '> "$KEEP/back"',
        "service -j bind named onestop",
        "service named onestart",
    )
    order = [command.undo.index(each) for each in (back, ended, started, 'cat "$KEEP/back"')]
    assert order == sorted(order)


def test_the_way_back_asks_nothing_of_the_jail() -> None:
    [command] = reversible(
        named.zones_on_the_way_back, script="named", jail="bind", public=HOST, address=JAIL
    )
    assert command.undo is not None
    assert command.undo.startswith("service named onerestart && ")
    for line in (command.do, command.undo):
        assert "jexec" not in line
        assert f"@{JAIL}" not in line


def test_updates_that_are_held_are_taken_again_on_the_way_back() -> None:
    [command] = reversible(named.updates_held)
    assert (command.do, command.undo, command.live) == ("rndc freeze", "rndc thaw || true", True)


def test_where_nobody_has_read_the_host_its_networks_are_read_as_the_line_is_typed(
    tmp_path: Path,
) -> None:
    namedb = tmp_path / "namedb"
    namedb.mkdir()
    (namedb / "named.conf").write_text(
        "allow-query { localnets; };\nallow-transfer { localhost; };"
    )
    addresses = {
        "203.0.113.77": "0xffffff80",
        "172.31.200.9": "0xfff00000",
        "10.80.0.2": "0xffffffff",
        "127.0.0.1": "0xff000000",
    }
    rows = "".join(f"\tinet {each} netmask {mask}\n" for each, mask in addresses.items())
    (tmp_path / "ifconfig").write_text(f"lo0: flags=8049\n\tinet6 ::1 prefixlen 128\n{rows}")
    file, command = yielded(
        named.readdressed, {Networks: None}, directory=str(namedb), old=HOST, new=JAIL, lan=LAN
    )
    assert isinstance(file, NewFile)
    assert isinstance(command, Reversible)
    Path(file.staged).write_text(file.content)
    done = typed(command.do, tmp_path, ifconfig=f'[ "$1" = -a ] && cat {tmp_path}/ifconfig')
    assert done.returncode == 0, done.stderr
    nets = f"203.0.113.0/25; 172.16.0.0/12; 10.80.0.2/32; 127.0.0.0/8; {LAN};"
    own = f"{' '.join(f'{each};' for each in addresses)} {HOST}; {LAN};"
    text = " ".join((namedb / "named.conf").read_text().split())
    assert text == f"allow-query {{ {{ {nets} }}; }}; allow-transfer {{ {{ {own} }}; }};"


@pytest.mark.parametrize("awk", AWKS)
def test_where_it_listens_at_a_second_address_it_listens_at_the_jails_second(
    tmp_path: Path, awk: str
) -> None:
    """Over UDP each needs one of its own; access lists and all else keep the host's."""
    listens = "listen-on { 203.0.113.2; 127.0.0.1; !192.0.2.1; 203.0.113.3; };"
    text = f"options {{ {listens} allow-query {{ 203.0.113.3; }}; }};"
    assert fitted_by(ANSWERS, tmp_path, text, awk).startswith(
        "options { listen-on { 10.80.0.2; 10.80.0.2; !192.0.2.1; 10.80.0.254; }; "
        "allow-query { 203.0.113.3; };"
    )


@pytest.mark.parametrize(
    ("bound", "commands"),
    [
        ([], 1),
        ([Bound("udp", "named", "127.0.0.1", 53), Bound("tcp", "unbound", "127.0.0.1", 53)], 1),
        ([Bound("udp", "named", HOST, 53), Bound("udp", "unbound", "192.168.7.1", 53)], 1),
        ([Bound("udp", "named", HOST, 53), Bound("udp", "local-unbo", "127.0.0.1", 53)], 0),
    ],
)
def test_the_host_goes_on_asking_another_name_server(bound: list[Bound], commands: int) -> None:
    """An authoritative named would refuse what local_unbound has looked up."""
    facts = {Listeners: tuple(bound), HasLine: True}
    assert len(yielded(named.resolver, facts, new=JAIL)) == commands
