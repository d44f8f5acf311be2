"""Names: who resolves them, and that they are there."""

from __future__ import annotations

from typing import Any


def test_host_resolves(host: Any, name: str) -> None:
    answer = host.run("host -t SOA %s", name)
    assert answer.rc == 0, f"the host does not resolve {name}: {answer.stdout.strip()}"


def _addresses(answer: str) -> list[str]:
    return [line.split()[0] for line in answer.splitlines() if line.strip()]


def test_resolves_on_host(host: Any, name: str, address: str) -> None:
    found = _addresses(host.run("getent hosts %s", name).stdout)
    assert found == [address], f"{name} is {found or 'unknown'} on the host: expected {address}"


def test_resolves_in_jail(host: Any, jail: str, name: str, address: str) -> None:
    found = _addresses(host.run("jexec %s getent hosts %s", jail, name).stdout)
    assert found == [address], f"{name} is {found or 'unknown'} in {jail}: expected {address}"


def test_answers(host: Any, name: str, port: int) -> None:
    answer = host.run("nc -z -w 10 %s %s", name, str(port))
    assert answer.rc == 0, f"{name}:{port} does not answer the host"


def test_localhost_is_closed(host: Any, port: int) -> None:
    answer = host.run("nc -z -w 10 127.0.0.1 %s", str(port))
    assert answer.rc != 0, f"127.0.0.1:{port} still answers on the host"
