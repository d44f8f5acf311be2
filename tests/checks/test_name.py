"""Host names: what they resolve to, on the host and in the jails."""

from __future__ import annotations

from typing import Any


def test_can_be_looked_up_on_host(host: Any, name: str, server: str) -> None:
    """If the host asks that server at all: another one in its resolv.conf answers as before."""
    asks = f"awk -v at={server} '$1 == \"nameserver\" && $2 == at {{print at}}' /etc/resolv.conf"
    for each in host.run(asks).stdout.split():
        answer = host.run("host -t SOA %s %s", name, each)
        assert answer.rc == 0, (
            f"the host cannot look up {name} at {each}, to which its /etc/resolv.conf leads: "
            f"{answer.stdout.strip()}"
        )


def _addresses(answer: str) -> list[str]:
    return [line.split()[0] for line in answer.splitlines() if line.strip()]


def test_resolves_on_host(host: Any, name: str, address: str) -> None:
    found = _addresses(host.run("getent hosts %s", name).stdout)
    assert found == [address], (
        f"{name} on the host: expected {address}; found {', '.join(found) or 'no address'}"
    )


def test_resolves_in_jail(host: Any, jail: str, name: str, address: str) -> None:
    found = _addresses(host.run("jexec %s getent hosts %s", jail, name).stdout)
    assert found == [address], (
        f"{name} in jail {jail}: expected {address}; found {', '.join(found) or 'no address'}"
    )
