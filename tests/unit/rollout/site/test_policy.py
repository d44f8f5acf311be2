"""Policy and egress in the site file: read, or refused with key, value and what was expected."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rollout import site
from rollout.errors import Refused

SAMPLE = Path(__file__).parents[4] / "site.example.toml"
Written = Callable[..., site.Site]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Reads the sample with another policy, or with changes."""

    def read(allow: str = "", *changes: tuple[str, str]) -> site.Site:
        text = SAMPLE.read_text()
        text, given = re.subn(r"(?ms)^allow = \[.*?^\]\n", f"allow = [{allow}]\n", text)
        assert given == 1
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "my-site.toml"
        path.write_text(text)
        return site.read(path)

    return read


def refused(written: Written, allow: str = "", *changes: tuple[str, str]) -> str:
    with pytest.raises(Refused) as caught:
        written(allow, *changes)
    assert "my-site.toml: " in str(caught.value)
    assert caught.value.code == 1
    return str(caught.value)


def line(source: str, to: str, *ports: str) -> str:
    return f'{{ from = "{source}", to = "{to}", ports = {list(ports)} }},'


def test_the_sample_allows_what_it_says() -> None:
    first = site.read(SAMPLE).policy.allow[0]
    assert (first.source, first.to) == ("web", "mysql")
    assert (first.numbers("tcp"), first.numbers("udp"), first.everything) == ((3306,), (), False)


def test_ports_are_read_by_protocol_and_in_order(written: Written) -> None:
    [allow] = written(line("web", "internet", "443/tcp", "80/tcp", "123/udp")).policy.allow
    assert allow.numbers("tcp") == (80, 443)
    assert allow.numbers("udp") == (123,)


UNKNOWN = "no such jail; expected one of bind, mysql, web, mail"


@pytest.mark.parametrize(
    ("allow", "told"),
    [
        (line("wbe", "mysql", "3306/tcp"), f"policy.allow, entry 1: from = 'wbe': {UNKNOWN}"),
        (line("web", "myqsl", "3306/tcp"), f"to = 'myqsl': {UNKNOWN}, host, internet"),
        (line("host", "mysql", "3306/tcp"), "from = 'host': expected a jail"),
        (line("internet", "web", "80/tcp"), "from = 'internet': expected a jail"),
        (line("web", "web", "80/tcp"), "to = 'web': a jail always reaches itself"),
        (line("web", "mysql", "3307/tcp"), "no service in jail mysql has 3307/tcp; expected 3306"),
        (line("web", "mysql", "3306/udp"), "no service in jail mysql has 3306/udp"),
        (line("web", "host", "53/udp"), '53/udp is served by jail bind; expected to = "bind"'),
        (line("web", "mysql", "any"), '"any" is for the internet'),
        (line("mysql", "internet", "80/tcp"), 'jails.mysql.outbound is "none": there is no way'),
        (line("web", "mysql", "3306"), "expected a port and its protocol"),
        (line("web", "mysql", "0/tcp"), "expected a port and its protocol"),
        (line("web", "mysql", "70000/tcp"), "expected a port and its protocol"),
        (line("web", "mysql", "80/sctp"), "expected a port and its protocol"),
        (line("web", "mysql"), "policy.allow, entry 1: ports"),
        ('{ from = "web", ports = ["80/tcp"] }', "policy.allow, entry 1: to: missing, and needed"),
        ('{ frm = "web" }', "policy.allow, entry 1: frm = 'web': unknown key"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(written: Written, allow: str, told: str) -> None:
    assert told in refused(written, allow)


OUTBOUND = 'services = ["web"]\noutbound = "nat"'


def public(*addresses: str) -> tuple[str, str]:
    new = f'services = ["web"]\noutbound = "public"\npublic_addresses = {list(addresses)}'
    return (OUTBOUND, new)


def test_a_jail_may_have_several_public_addresses(written: Written) -> None:
    jail = written("", public("203.0.113.20", "203.0.113.21")).jails["web"]
    assert list(map(str, jail.addresses)) == ["10.80.0.4", "203.0.113.20", "203.0.113.21"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (public(), "jails.web.public_addresses: needed with outbound"),
        (
            (OUTBOUND, f'{OUTBOUND}\npublic_addresses = ["203.0.113.20"]'),
            "jails.web.public_addresses: needed with outbound",
        ),
        (public("203.0.113.2"), "203.0.113.2: expected a public address of its own"),
        (public("10.80.0.9"), "10.80.0.9: expected a public address of its own"),
        ((OUTBOUND, OUTBOUND.replace("nat", "tunnel")), "jails.web.outbound = 'tunnel'"),
        (("probe_port = 8999", "probe_port = 80"), "egress.probe_port = 80: is in use"),
        (("probe_port = 8999", "probe_port = 22"), "egress.probe_port = 22: is in use"),
        (('peer = "operator"', 'peer = "me"'), 'expected "operator", or an IPv4 address'),
        (('peer = "operator"', 'peer = "192.0.2.1:99999"'), 'expected "operator"'),
    ],
)
def test_a_way_out_that_cannot_be_is_refused(
    written: Written, change: tuple[str, str], told: str
) -> None:
    assert told in refused(written, "", change)


def test_two_jails_with_one_public_address(written: Written) -> None:
    mail = '# for .forward files and maildirs\noutbound = "nat"'
    also = mail.replace('"nat"', '"public"\npublic_addresses = ["203.0.113.20"]')
    told = refused(written, "", public("203.0.113.20"), (mail, also))
    assert "jails.mail.public_addresses: 203.0.113.20: jails.web has it already" in told


def test_a_jail_cannot_be_called_what_has_a_meaning_in_policy(written: Written) -> None:
    told = refused(written, "", ("[jails.web]", "[jails.internet]"))
    assert "jails.internet: 'internet' has another meaning in [policy]" in told


def test_a_peer_may_be_anybody_with_an_address(written: Written) -> None:
    assert written("", ('peer = "operator"', 'peer = "192.0.2.9:9"')).egress.peer == "192.0.2.9:9"


def test_the_jails_that_are_built_are_those_of_the_order() -> None:
    sample = site.read(SAMPLE)
    assert sample.model_copy(update={"order": ("base", "mysql", "web")}).built == ("mysql", "web")
    assert sample.model_copy(update={"order": ("base", "web")}).built == ("web",)
