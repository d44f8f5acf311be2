"""The server at one moment: what its fingerprint says, with the names of the site file.

Nothing is guessed. Where a port leads is read from the rules and nat instances on the host; None
means that neither says it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from operations.facts import Nats, Rule, Rules
from rollout.site import Listen, Site
from rollout.site.policy import HOST, INTERNET

_POLICY = "policy"  # the part of our rule set that denies


def read(site: Site, facts: Sequence[str]) -> dict[str, Any]:
    """The picture that a fingerprint gives."""
    told: dict[str, list[str]] = {}
    for fact in facts:
        kind, _, text = fact.partition(" ")
        told.setdefault(kind, []).append(text)
    rules = Rules().process(told.get("rule", []))
    nats = Nats().process(told.get("nat", []))
    daemons = [text.removesuffix(" runs") for text in told.get("service", [])]
    mounts = [_mount(text) for text in told.get("mount", [])]
    jails = [_jail(site, text, mounts) for text in told.get("jail", [])]
    order = [*site.jails, *(jail["name"] for jail in jails)]
    jails.sort(key=lambda jail: order.index(jail["name"]))
    within = [mount for jail in jails for mount in jail["mounts"]]
    limited = _in_force(site, rules)
    return {
        "facts": len(facts),
        "interfaces": _interfaces(told.get("address", [])),
        "daemons": daemons,
        "jails": jails,
        "mounts": [mount for mount in mounts if mount not in within],
        "ports": list(_ports(site, rules, nats, daemons)),
        "rules": [
            {"number": each.number, "set": each.set, "on": each.enabled, "text": each.body}
            for each in rules
        ],
        "nats": [{"number": number, "text": text} for number, text in nats.items()],
        "limited": limited,
        "reach": _reach(site, [jail["name"] for jail in jails]) if limited else None,
    }


def _interfaces(lines: Iterable[str]) -> list[dict[str, Any]]:
    """The fingerprint has them sorted, each as ifconfig names it: `lo0: 127.0.0.1`."""
    pairs = [(name.rstrip(":"), address) for name, _, address in (t.partition(" ") for t in lines)]
    return [
        {"name": name, "addresses": [address for _, address in each]}
        for name, each in groupby(pairs, key=lambda pair: pair[0])
    ]


def _mount(text: str) -> dict[str, str]:
    # mount -p writes a blank within a path as \040.
    source, point, kind, mode = (*text.split(" "), "", "", "")[:4]
    return {"source": source, "point": point, "type": kind, "mode": mode}


def _jail(site: Site, text: str, mounts: Iterable[dict[str, str]]) -> dict[str, Any]:
    name, path, addresses = (*text.split(" "), "", "")[:3]
    ours = site.jails.get(name) if path and path == site.root(name) else None
    return {
        "name": name,
        "path": path,
        "addresses": [each for each in addresses.split(",") if each not in ("", "-")],
        "of_site": ours is not None,
        "services": list(ours.services) if ours else [],
        "mounts": [each for each in mounts if path and f"{each['point']}/".startswith(f"{path}/")],
    }


def _ports(
    site: Site, rules: Sequence[Rule], nats: dict[int, str], daemons: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for name, service in site.services.items():
        for listen in service.ports:
            to, by = _led(site, listen, rules, nats)
            if to is None and service.rc in daemons:
                to, by = HOST, f"service {service.rc} runs on the host"
            yield {
                "service": name,
                "port": listen.port,
                "proto": listen.proto,
                "public": listen.public,
                "leads_to": to,
                "by": by,
            }


def _led(
    site: Site, listen: Listen, rules: Sequence[Rule], nats: dict[int, str]
) -> tuple[str | None, str]:
    """Where the first rule in force that takes the port leads, and that rule."""
    for rule in rules:
        match = re.match(r"(fwd|nat) (\S+) (tcp|udp) from (.+?) to (.+)", rule.body)
        if not rule.enabled or match is None or match[3] != listen.proto:
            continue
        at, port = (*match[5].replace("dst-port ", "").split(), "")[:2]
        if str(site.host.wan_address) not in at.split(",") or port != str(listen.port):
            continue
        address = match[2].partition(",")[0]
        if match[1] == "nat":
            address = _redirected(nats.get(int(match[2]), ""), listen, site)
        if address:
            return _whose(site, address), f"rule {rule.number}: {rule.body}"
    return None, ""


def _redirected(config: str, listen: Listen, site: Site) -> str:
    """A further address of the host leads to another one of the jail (docs/decisions/0033)."""
    port = re.search(rf"redirect_port {listen.proto} ([0-9.]+):\d+ {listen.port}(?= |$)", config)
    wan = re.escape(str(site.host.wan_address))
    found = port or re.search(rf"redirect_addr ([0-9.]+) {wan}(?= |$)", config)
    return found[1] if found else ""


def _whose(site: Site, address: str) -> str:
    names = [name for name, jail in site.jails.items() if address in map(str, jail.addresses)]
    return names[0] if names else address


def _in_force(site: Site, rules: Iterable[Rule]) -> bool:
    """The deny rules of the policy are there and enabled."""
    if _POLICY not in site.places:
        return False
    place = site.places[_POLICY]
    return any(
        rule.enabled and (rule.number, rule.set) == place and rule.body.startswith("deny ip from ")
        for rule in rules
    )


def _reach(site: Site, there: Sequence[str]) -> list[dict[str, Any]]:
    """What [policy] allows, and what is implicit: host to jails, internet to public ports."""
    found: list[dict[str, Any]] = []
    for name, jail in site.jails.items():
        if name in there:
            found.append({"from": HOST, "to": name, "ports": ["any"]})
            public = [
                f"{each.port}/{each.proto}"
                for service in jail.services
                for each in site.services[service].ports
                if each.public
            ]
            if public:
                found.append({"from": INTERNET, "to": name, "ports": public})
    found += [
        {"from": allow.source, "to": allow.to, "ports": list(allow.ports)}
        for allow in site.policy.allow
        if allow.source in there and allow.to in (*there, HOST, INTERNET)
    ]
    return found
