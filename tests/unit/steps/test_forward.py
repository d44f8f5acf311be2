"""The rules that lead a service's public ports into its jail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollout import site
from rollout.errors import Refused
from rollout.site import Listen, Site
from steps import forward

SAMPLE = site.read(Path(__file__).parents[3] / "site.example.toml")


def changed(service: str, *ports: Listen) -> Site:
    new = SAMPLE.services[service].model_copy(update={"ports": ports})
    return SAMPLE.model_copy(update={"services": {**SAMPLE.services, service: new}})


def bodies(site: Site, service: str, **more: Any) -> list[str]:
    return list(forward.rules(site, service, **more)[0].arguments["bodies"])


def test_a_public_port_is_forwarded_as_it_comes_in() -> None:
    assert bodies(SAMPLE, "web") == ["fwd 10.80.0.4,80 tcp from any to 203.0.113.2 80 in"]


def test_with_localhost_the_host_and_the_other_jails_reach_it_where_they_always_did() -> None:
    assert bodies(SAMPLE, "mysql", localhost=True) == [
        "fwd 10.80.0.3,3306 tcp from any to 203.0.113.2 3306 in",
        "fwd 10.80.0.3,3306 tcp from any to 127.0.0.1 3306",
        "fwd 10.80.0.3,3306 tcp from any to 10.80.0.2 3306",
        "fwd 10.80.0.3,3306 tcp from any to 10.80.0.4 3306",
        "fwd 10.80.0.3,3306 tcp from any to 10.80.0.5 3306",
    ]


def test_a_port_that_is_not_public_is_not_forwarded_from_outside() -> None:
    quiet = changed("mysql", Listen(port=3306, public=False))
    assert not [body for body in bodies(quiet, "mysql", localhost=True) if "203.0.113.2" in body]


def test_the_rules_on_the_disk_are_those_in_the_kernel() -> None:
    live, disk = forward.rules(SAMPLE, "mysql", localhost=True)
    set_, number = live.arguments["set"], live.arguments["number"]
    assert disk.arguments["path"] == "/usr/local/etc/cellblock/rules/mysql.rules"
    assert disk.arguments["content"] == "".join(
        f"add {number + n} set {set_} {body}\n" for n, body in enumerate(live.arguments["bodies"])
    )


def test_every_service_has_a_set_and_numbers_of_its_own() -> None:
    found = [forward.rules(SAMPLE, name)[0].arguments for name in SAMPLE.services]
    assert [each["set"] for each in found] == [20, 21, 22, 23]
    assert [each["number"] for each in found] == [50, 70, 90, 110]


def grown(where: Path, jails: int, ports: str) -> Site | None:
    """A site of so many jails, each with a service that has these ports; None when refused."""
    text = SAMPLE.path.read_text()
    for n in range(jails):
        text += (
            f'[jails.j{n}]\naddress = "10.80.0.{100 + n}"\nhostname = "j{n}"\n'
            f'services = ["s{n}"]\n[services.s{n}]\nrc = "s{n}"\nrcvar = "s{n}_enable"\n'
            f"ports = [{ports.format(1000 + n, 2000 + n)}]\n"
        )
    path = where / "grown.toml"
    path.write_text(text)
    try:
        return site.read(path)
    except Refused:
        return None


def numbers(site: Site, service: str) -> range:
    try:
        given = forward.rules(site, service, localhost=True)[0].arguments
    except Refused:
        return range(0)
    return range(given["number"], given["number"] + len(given["bodies"]))


def test_no_two_services_have_a_rule_number_in_common(tmp_path: Path) -> None:
    """Or the second one's step would be refused in the middle of the rollout."""
    crowded = grown(tmp_path, 7, "{{ port = {} }}, {{ port = {} }}")
    if crowded is None:
        return
    taken: set[int] = set()
    for service in crowded.services:
        assert not taken & set(numbers(crowded, service)), service
        taken |= set(numbers(crowded, service))


def test_more_services_than_sets_are_refused(tmp_path: Path) -> None:
    """Set 31 is ipfw's own and cannot be switched off."""
    many = grown(tmp_path, 8, "{{ port = {} }}")
    if many is None:
        return
    try:
        highest = forward.rules(many, "s7")[0].arguments["set"]
    except Refused:
        return
    assert highest <= 30


@pytest.mark.parametrize("service", SAMPLE.services)
def test_udp_is_not_forwarded_as_tcp(service: str) -> None:
    """fwd carries TCP alone: an answer to a forwarded datagram leaves from the jail's address."""
    udp = [each.port for each in SAMPLE.services[service].ports if each.proto == "udp"]
    tcp = [each.port for each in SAMPLE.services[service].ports if each.proto == "tcp"]
    forwarded = [int(body.split()[1].split(",")[1]) for body in bodies(SAMPLE, service)]
    assert forwarded == tcp, f"udp ports {udp} among {forwarded}"
