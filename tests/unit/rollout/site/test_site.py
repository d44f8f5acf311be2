"""The site file: frozen values, or refused with file, key, value and what was expected."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from pydantic import ValidationError

from rollout import site
from rollout.errors import Refused

SAMPLE = Path(__file__).parents[4] / "site.example.toml"
TEXT = SAMPLE.read_text()


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., site.Site]:
    """Reads the sample with changes: text that is in it -> what stands there instead."""

    def read(*changes: tuple[str, str]) -> site.Site:
        text = TEXT
        for old, new in changes:
            assert old in text, f"the sample has no {old!r} any more"
            text = text.replace(old, new, 1)
        path = tmp_path / "my-site.toml"
        path.write_text(text)
        return site.read(path)

    return read


Written = Callable[..., site.Site]


def test_the_sample_is_read() -> None:
    sample = site.read(SAMPLE)
    assert sample.name == "dcserver"
    assert sample.host.wan_address == IPv4Address("203.0.113.2")
    assert sample.jail_of("web") == "web"
    assert sample.root("mysql") == "/usr/jails/mysql/root"
    assert sample.path == SAMPLE


def test_what_was_read_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        site.read(SAMPLE).jails["web"].hostname = "x"


def test_leaving_out_what_the_sample_calls_default_changes_nothing(written: Written) -> None:
    tables = TEXT[: TEXT.index("[services.")]
    lines = re.findall(r"^\w+ = .*# default(?!: \d).*\n", tables, flags=re.MULTILINE)
    assert len(lines) > 6
    shorter = written(*((line, "") for line in lines))
    assert shorter.model_dump() == site.read(SAMPLE).model_dump()


def test_what_the_sample_shows_in_comments_is_read_too(written: Written) -> None:
    shown = re.findall(r"^# (\w+ = .*)$", TEXT, flags=re.MULTILINE)
    assert len(shown) > 6
    read = written(*((f"# {line}", line) for line in shown))
    assert read.jails["mysql"].mounts[0].source == "/srv"
    assert read.jails["mysql"].limits.cpus == "0-1"
    assert read.jails["mysql"].parameters == {"allow.raw_sockets": "1"}
    assert read.services["mysql"].client == "/usr/local/bin/mysql -u root"


def refused(written: Written, *changes: tuple[str, str]) -> str:
    """The whole message; it always names the file and where the keys are explained."""
    with pytest.raises(Refused) as caught:
        written(*changes)
    message = str(caught.value)
    assert "my-site.toml: " in message
    assert f"see {SAMPLE}, which explains each key" in message
    assert caught.value.code == 1
    return message


UNKNOWN_KEYS = [
    ("", ('name = "dcserver"', 'name = "dcserver"\ncolour = "red"'), "colour = 'red'"),
    ("host", ('user = "root"', 'user = "root"\nusr = "x"'), "host.usr = 'x'"),
    ("jail", ('hostname = "www', 'ip = "10.0.0.1"\nhostname = "www'), "jails.web.ip = '10.0.0.1'"),
    (
        "port",
        ("port = 80, probe", "port = 80, tls = true, probe"),
        "services.web.ports, entry 1: tls = true",
    ),
    ("table", ("[run]", "[extra]\nx = 1\n[run]"), "extra = { x = 1 }"),
]


@pytest.mark.parametrize(
    ("change", "told"), [row[1:] for row in UNKNOWN_KEYS], ids=[row[0] for row in UNKNOWN_KEYS]
)
def test_an_unknown_key_is_refused(written: Written, change: tuple[str, str], told: str) -> None:
    assert f"{told}: unknown key" in refused(written, change)


def test_a_key_that_is_needed_is_named(written: Written) -> None:
    told = refused(written, ('wan_address = "203.0.113.2" ', "# "))
    assert "host.wan_address: missing, and needed" in told


def test_all_that_is_wrong_is_told_at_once(written: Written) -> None:
    told = refused(written, ("port = 22 ", "port = 99999 "), ('kind = "host"', 'kind = "zfs"'))
    assert "2 value(s)" in told
    assert "host.port = 99999: " in told
    assert "65535" in told
    assert "base.kind = 'zfs': " in told
    assert "'host' or 'tree'" in told


def test_two_jails_with_one_address(written: Written) -> None:
    told = refused(written, ('"10.80.0.4"', '"10.80.0.3"'))
    assert "jails.web.address = 10.80.0.3: jails.mysql has it already" in told


def test_an_address_outside_the_lan(written: Written) -> None:
    told = refused(written, ('"10.80.0.4"', '"10.81.0.4"'))
    assert (
        "jails.web.address = 10.81.0.4: expected an address in lan.network = 10.80.0.0/24" in told
    )


def test_the_address_of_the_wan(written: Written) -> None:
    told = refused(written, ('"10.80.0.4"', '"203.0.113.2"'))
    assert "jails.web.address = 203.0.113.2: is host.wan_address; expected an address" in told


def test_a_lan_that_has_the_wan_in_it(written: Written) -> None:
    told = refused(written, ('wan_address = "203.0.113.2"', 'wan_address = "10.80.0.99"'))
    assert "host.wan_address = 10.80.0.99: lies in lan.network" in told
    line = 'wan_address = "203.0.113.2"'
    told = refused(written, (line, f'{line}\nseen_at = {{ "203.0.113.2" = "10.80.0.7" }}'))
    assert 'host.seen_at = { "203.0.113.2" = "10.80.0.7" }: lies in lan.network' in told


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ('{ memory = "2 GB" }', "memory = '2 GB': expected a number of bytes, as \"512M\""),
        ("{ memory = 1.5 }", "memory = 1.5: expected a whole number"),
        ('{ memory = "9000000T" }', "memory = 9895604649984000000: expected less than or"),
        ("{ processes = 0 }", "processes = 0: expected greater than or equal to 1"),
        ("{ processes = true }", "processes = true: expected a whole number"),
        ('{ cpu = "50%" }', "cpu = '50%': expected a whole number"),
        ('{ cpus = "0,2-1" }', "cpus = '0,2-1': 2-1: expected the smallest first: 1-2"),
        ('{ cpus = "all" }', "cpus = 'all': "),
        ('{ disk = "5M" }', "disk = '5M': expected whole mebibytes, 64 or more, as \"10G\""),
        ("{ disk = 100000001 }", "disk = 100000001: expected whole mebibytes, 64 or more"),
        ("{ inodes = 5 }", "inodes = 5: unknown key"),
    ],
)
def test_limits_that_say_nothing(written: Written, limits: str, told: str) -> None:
    line = 'services = ["bind"]\n'
    assert f"jails.bind.limits.{told}" in refused(written, (line, f"{line}limits = {limits}\n"))


def test_limits_are_rules_as_rctl_prints_them(written: Written) -> None:
    line = 'services = ["bind"]\n'
    said = 'limits = { memory = "1G", cpu = 50, write_bytes = 7, cpus = "0-1,3" }\n'
    limits = written((line, line + said)).jails["bind"].limits
    assert limits.disk_mib is None
    assert limits.rules("bind") == (
        "jail:bind:memoryuse:deny=1073741824",
        "jail:bind:pcpu:deny=50",
        "jail:bind:writebps:throttle=7",
    )
    assert limits.numbers == (0, 1, 3)


@pytest.mark.parametrize("key", ["exec.created", "exec.poststop"])
def test_a_parameter_that_would_end_limits(written: Written, key: str) -> None:
    line = 'services = ["bind"]\n'
    said = f'limits = {{ cpus = "0" }}\nparameters = {{ "{key}" = "true" }}\n'
    assert f"jails.bind.parameters: {key} would take the place" in refused(
        written, (line, line + said)
    )


def test_a_parameter_that_would_leave_services_running(written: Written) -> None:
    line = 'services = ["bind"]\n'
    said = 'parameters = { "exec.prestop" = "true" }\n'
    assert "jails.bind.parameters: exec.prestop would take" in refused(written, (line, line + said))


def test_a_parameter_that_would_start_a_jail_without_its_rules(written: Written) -> None:
    line = 'services = ["bind"]\n'
    said = 'parameters = { "exec.prepare" = "true" }\n'
    assert "jails.bind.parameters: exec.prepare would take" in refused(written, (line, line + said))


@pytest.mark.parametrize("address", ["10.80.0.300", "www", "fd00::1", ""])
def test_what_is_no_ipv4_address(written: Written, address: str) -> None:
    told = refused(written, ('"10.80.0.4"', f'"{address}"'))
    assert f"jails.web.address = {address!r}: " in told
    assert "valid IPv4 address" in told


def test_a_port_that_is_claimed_twice(written: Written) -> None:
    told = refused(written, ('{ port = 80, probe = "http"', '{ port = 3306, probe = "http"'))
    assert "services.web.ports: 3306/tcp is claimed by services.mysql already" in told


def test_one_number_of_tcp_and_udp_is_two_ports() -> None:
    ports = site.read(SAMPLE).services["bind"].ports
    assert {(each.port, each.proto) for each in ports} == {(53, "udp"), (53, "tcp")}


def test_a_service_without_a_jail(written: Written) -> None:
    told = refused(
        written,
        (
            "[services.mail]",
            '[services.ftp]\nrc = "ftpd"\nrcvar = "ftpd_enable"\nports = [{ port = 21 }]\n'
            "[services.mail]",
        ),
    )
    assert "services.ftp: belongs to no jail; name it in the services of one" in told


def test_a_jail_that_names_an_unknown_service(written: Written) -> None:
    told = refused(written, ('services = ["web"]', 'services = ["web", "wbe"]'))
    assert "jails.web.services: 'wbe' is no service; expected one of bind, mysql, web, mail" in told


def test_a_service_in_two_jails(written: Written) -> None:
    told = refused(written, ('services = ["mail"]', 'services = ["mail", "web"]'))
    assert "jails.mail.services: 'web' is in jails.web already" in told


def test_a_base_tree_that_is_not_named(written: Written) -> None:
    told = refused(written, ('kind = "host"', 'kind = "tree"'))
    assert 'base.tree: missing, and needed with base.kind = "tree"' in told


@pytest.mark.parametrize(
    "path",
    [
        "/a b",
        "/a'b",
        '/a\\"b',
        "/a$b",
        "/a;b",
        "/a\\nb",
        "relative",
        "",
        "/",
        "/a/../b",
        "//",
        "/ä",
    ],
)
def test_a_path_that_sh_or_fstab_could_not_say(written: Written, path: str) -> None:
    told = refused(written, ('data = ["/usr/local/www"]', f'data = ["{path}"]'))
    assert "services.web.data, entry 1 = " in told
    assert "expected an absolute path of letters, digits and . _ + @ - /" in told


def test_a_slash_at_the_end_of_a_path_is_no_part_of_it(written: Written) -> None:
    read = written(('jails = "/usr/jails"', 'jails = "/usr/jails/"'))
    assert read.root("web") == "/usr/jails/web/root"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("allow.raw_sockets", "1; persist"),
        ("allow.raw_sockets", '1\\"'),
        ("allow.raw_sockets", "1}"),
        ("exec.start", "a\\nb"),
        ("exec.start", "a\\\\b"),
        ("Allow", "1"),
        ("a b", "1"),
        ("", "1"),
    ],
)
def test_a_parameter_that_would_break_jail_conf(written: Written, name: str, value: str) -> None:
    line = f'uids = [1001, 1999]\nparameters = {{ "{name}" = "{value}" }}'
    told = refused(written, ("\nuids = [1001, 1999]", "\n" + line))
    assert "jails.web.parameters = " in told
    assert f"{name} = " in told
    assert "expected a parameter of jail(8)" in told


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('rc = "apache24"', 'rc = "apache24; reboot"', "services.web.rc = 'apache24; reboot'"),
        ("[jails.web]", '[jails."we b"]', "jails.we b"),
        ('interface = "lo1"', 'interface = "lo 1"', "lan.interface = 'lo 1'"),
        ('hostname = "www.', 'hostname = "w w.', "jails.web.hostname = 'w w.example.org'"),
        ("10.80.0.0/24", "10.80.0.0/33", "lan.network = '10.80.0.0/33'"),
        ("first_set = 20", "first_set = 31", "firewall.first_set = 31"),
        ("confirm_within = 120", "confirm_within = 0", "run.confirm_within = 0"),
        ('order = ["preflight"', 'order = [1, "preflight"', "order, entry 1 = 1"),
        ('probe = "http"', 'probe = "gopher"', "services.web.ports, entry 1: probe = 'gopher'"),
        (
            'rcvar = "sendmail_enable"',
            'rcvar = "sendmail_enable"\ntest_account = { name = "ann", password = "secret" }',
            'services.mail.test_account.password = "...": unknown key',
        ),
    ],
)
def test_a_value_that_is_not_as_expected(written: Written, old: str, new: str, told: str) -> None:
    assert told in refused(written, (old, new))


@pytest.mark.parametrize(
    ("address", "use"), [("10.80.0.0", "network"), ("10.80.0.255", "broadcast")]
)
def test_an_address_that_no_jail_can_have(written: Written, address: str, use: str) -> None:
    told = refused(written, ('"10.80.0.4"', f'"{address}"'))
    assert f"jails.web.address = {address}: is the {use} address of lan.network = 10.80.0.0" in told


def test_a_network_of_two_addresses_has_no_other_use_for_them(written: Written) -> None:
    told = refused(written, ("10.80.0.0/24", "10.80.0.4/31"))
    assert "jails.mysql.address = 10.80.0.3: expected an address in lan.network" in told
    assert "jails.web.address" not in told


def test_uids_the_wrong_way_round(written: Written) -> None:
    told = refused(written, ("\nuids = [1001, 1999]", "\nuids = [2000, 1000]"))
    assert (
        "jails.web.uids = [2000, 1000]: the first uid is larger than the last; "
        "expected the smallest first: [1000, 2000]"
    ) in told


def test_a_range_of_one_uid(written: Written) -> None:
    assert written(("\nuids = [1001, 1999]", "\nuids = [1001, 1001]")).uids[0] == (1001, 1001)


HUGE = f"0x{'f' * 5000}"


@pytest.mark.parametrize(
    ("old", "key"),
    [
        ("port = 22", "host.port"),
        ("confirm_within = 120", "run.confirm_within"),
        ("free_space_mib = 200", "run.free_space_mib"),
        ("probes_per_second = 20", "run.probes_per_second"),
        ("probed = 100", "accounts.probed"),
        ("probe_port = 8999", "egress.probe_port"),
    ],
)
def test_a_number_that_nobody_can_print(written: Written, old: str, key: str) -> None:
    told = refused(written, (old, f"{old.partition(' ')[0]} = {HUGE}"))
    assert f"{key} = a number of more than 200 digits: " in told


@pytest.mark.parametrize("uid", ["-1", HUGE])
def test_a_uid_that_no_account_can_have(written: Written, uid: str) -> None:
    assert "jails.web.uids, entry " in refused(
        written, ("\nuids = [1001, 1999]", f"\nuids = [0, {uid}]")
    )


def test_a_value_of_any_length_is_told_shortly(written: Written) -> None:
    told = refused(written, ('user = "root"', f'user = "{"x y" * 9999}"'))
    assert "host.user = 'x yx y" in told
    assert len(told) < 1000


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("x = 2026-11-29", "x = 2026-11-29: unknown key"),
        ("x = [true, {}, { a = [[]] }]", "x = [true, {}, { a = [...] }]: unknown key"),
        ('"\\u001b[2J" = 1', "?[2J = 1: unknown key"),
        (f"{'.'.join('x' * 3000)} = 1", "x = { x = { x = { x = ... } } }: unknown key"),
    ],
)
def test_a_value_is_told_as_the_file_has_it(written: Written, line: str, told: str) -> None:
    assert told in refused(written, ('name = "dcserver"', f'name = "dcserver"\n{line}'))


def test_what_should_be_a_table(written: Written) -> None:
    head = TEXT[TEXT.index("[jails.bind]") : TEXT.index("[jails.mysql]")]
    told = refused(written, (head, "[jails]\nbind = 5\n"))
    assert "jails.bind = 5: expected a table" in told


def test_a_client_of_several_lines(written: Written) -> None:
    told = refused(written, ("# client = ", 'client = "a\\u0000b"\n# client = '))
    assert 'services.mysql.client = "...": ' in told


def test_a_file_that_begins_with_a_byte_order_mark(tmp_path: Path) -> None:
    """As some editors write it."""
    path = tmp_path / "s.toml"
    path.write_text(TEXT, encoding="utf-8-sig")
    assert site.read(path).hash == site.read(SAMPLE).hash


def test_a_number_with_too_many_digits(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(f"x = {'9' * 5000}")
    with pytest.raises(Refused, match=r"s\.toml: a number has too many digits"):
        site.read(path)


def test_what_is_not_toml(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('name = "x\n')
    with pytest.raises(Refused, match=r"s\.toml: not TOML: .*line 1"):
        site.read(path)


def test_what_is_not_even_text(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Refused, match=r"s\.toml: not TOML: the byte 0xff at offset 0 is not UTF"):
        site.read(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"nosuch\.toml: cannot be read: No such file"):
        site.read(tmp_path / "nosuch.toml")


def test_a_fifo_instead_of_a_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "site.toml")
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: pytest.fail("nobody writes to it"))
    with pytest.raises(Refused, match=r"site\.toml: is not a file; expected a TOML file"):
        site.read(tmp_path / "site.toml")


def test_a_directory_instead_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is a directory; expected a TOML file"):
        site.read(tmp_path)


REACH: list[tuple[str, str]] = [
    ('address = "203.0.113.2"  ', 'address = "server.example.org"  '),
    ('user = "root"', 'user = "toor"'),
    ('user = "root"', 'user = "toor"\nbecome = "doas"'),
    ("port = 22", "port = 2222"),
    ("# key = ", "key = "),
    ("# known_hosts = ", "known_hosts = "),
]
CARE = [
    ("confirm_within = 120", "confirm_within = 600"),
    ("mib = 200", "mib = 500"),
    ("queue = 100", "queue = 5"),
]
MATTERS: list[tuple[str, str]] = [
    ('name = "dcserver"', 'name = "other"'),
    ('"mysql", "web", "mail", "policy"]', '"mysql", "web"]'),
    ('wan_interface = "vtnet0"', 'wan_interface = "em0"'),
    ('wan_address = "203.0.113.2"', 'wan_address = "203.0.113.3"'),
    ('interface = "lo1"', 'interface = "lo2"'),
    ("10.80.0.0/24", "10.80.0.0/23"),
    ("# resolvers = ", "resolvers = "),
    ('jails = "/usr/jails"', 'jails = "/jails"'),
    ("first_rule = 1 ", "first_rule = 60 "),
    ("first_set = 20", "first_set = 19"),
    ('"10.80.0.4"', '"10.80.0.14"'),
    ('hostname = "www.', 'hostname = "w3.'),
    ("\nuids = [1001, 1999]", "\nuids = [1001, 2999]"),
    ("# parameters = ", "parameters = "),
    ('source = "/usr/home", writable = true', 'source = "/usr/home", writable = false'),
    ('software = "shared"', 'software = "pkg"'),
    ('rc = "apache24"', 'rc = "apache22"'),
    ("{ port = 80, ", "{ port = 81, "),
    ("public = true", "public = false"),
    ('data = ["/usr/local/www"]', 'data = ["/www"]'),
    ("# client = ", "client = "),
]


@pytest.mark.parametrize("change", REACH, ids=[new for _, new in REACH])
def test_the_hash_does_not_depend_on_how_the_host_is_reached(
    written: Written, change: tuple[str, str]
) -> None:
    assert written(change).hash == site.read(SAMPLE).hash


@pytest.mark.parametrize("change", CARE, ids=[new for _, new in CARE])
def test_the_hash_does_not_depend_on_patience_so_that_a_rollout_may_get_more_of_it(
    written: Written, change: tuple[str, str]
) -> None:
    assert written(change).hash == site.read(SAMPLE).hash


@pytest.mark.parametrize("change", MATTERS, ids=[new for _, new in MATTERS])
def test_the_hash_depends_on_everything_else(written: Written, change: tuple[str, str]) -> None:
    assert written(change).hash != site.read(SAMPLE).hash


def test_the_hash_does_not_depend_on_comments(written: Written) -> None:
    assert written(("# Programs in this jail", "# x")).hash == site.read(SAMPLE).hash


def test_a_home_directory_is_the_operators(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/op")
    assert written(("# key = ", "key = ")).host.key == Path("/home/op/.ssh/id_ed25519")


@pytest.mark.parametrize(
    ("change", "meant"),
    [
        (
            ('user = "root"', 'user = "root"\nusr = "x"'),
            "host.usr = 'x': unknown key; did you mean user?",
        ),
        (('hostname = "www', 'hostnam = "x"\nhostname = "www'), "did you mean hostname?"),
        (("port = 80, probe", "port = 80, pubic = true, probe"), "did you mean public?"),
        (("[run]", "[jail]\nx = 1\n[run]"), "jail = { x = 1 }: unknown key; did you mean jails?"),
    ],
    ids=["table", "table of tables", "list", "top"],
)
def test_a_misspelt_key_gets_the_one_that_was_meant(
    written: Written, change: tuple[str, str], meant: str
) -> None:
    assert meant in refused(written, change)


def test_an_unknown_key_is_not_matched_with_another_tables(written: Written) -> None:
    told = refused(written, ('user = "root"', 'user = "root"\nhostname = "x"'))
    assert "host.hostname = 'x': unknown key\n" in told


def test_a_whole_number_is_asked_for_in_words(written: Written) -> None:
    told = refused(written, ("port = 22 ", 'port = "ssh" '))
    assert "host.port = 'ssh': expected a whole number\n" in told


def test_what_only_follows_from_a_problem_is_not_told(written: Written) -> None:
    told = refused(
        written,
        ('hostname = "www', 'services = ["a b"]\nhostname = "www'),
        ('services = ["web"]', ""),
    )
    assert "1 value(s)" in told
    assert "jails.web.services, entry 1 = 'a b': expected a name" in told
    assert "at least" not in told
    empty = refused(written, ('services = ["web"]', "services = []"))
    assert "jails.web.services = []: " in empty


def test_a_syntax_error_is_to_be_corrected_in_its_line(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("name = dcserver\n")
    with pytest.raises(Refused, match="not TOML") as caught:
        site.read(tmp_path / "bad.toml")
    assert caught.value.todo == "correct that line"


def test_what_is_expected_of_a_policy_is_told_for_a_jail_without_ports(written: Written) -> None:
    told = refused(written, ('services = ["mail"]', 'services = ["mial"]'))
    assert "no service in jail mail has 25/tcp; expected a port of one of its services" in told
