"""Ingredients of addresses, rules, resolvers and other jails."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.hosts.ingredient import PUBLIC, SERVICES, Ingredient, Piece

SECOND = "203.0.113.3"
FIRST = (10, 15, 15, 15)
"""Numbers of a first rule: Cellblock's own have up to 10 before all of the host's."""
PORTS = "22,25,53,80,110,143,587,3306"
BLOCKED = "192.0.2.200"
LO_FIRST = "ipfw -q add {first} allow ip from any to any via lo0"
RULES = {
    "open": f"{LO_FIRST}\nipfw -q add 65000 allow ip from any to any",
    "loopback first": "ipfw -q add 100 allow ip from any to any via lo0\n"
    "ipfw -q add 200 deny ip from any to 127.0.0.0/8\n"
    "ipfw -q add 65000 allow ip from any to any",
    "stateful": f"{LO_FIRST}\nipfw -q add 101 check-state\n"
    "ipfw -q add 200 allow tcp from me to any out via vtnet0 setup keep-state\n"
    "ipfw -q add 210 allow udp from me to any out via vtnet0 keep-state\n"
    f"ipfw -q add 400 allow tcp from any to me {PORTS} in via vtnet0 setup keep-state\n"
    "ipfw -q add 410 allow udp from any to me 53 in via vtnet0 keep-state\n"
    "ipfw -q add 999 deny log ip from any to any",
    "default deny": f"{LO_FIRST}\n"
    "ipfw -q add 300 allow tcp from any to any established\n"
    f"ipfw -q add 400 allow tcp from any to me {PORTS} in via vtnet0 setup\n"
    "ipfw -q add 410 allow udp from any to me 53 in via vtnet0\n"
    "ipfw -q add 420 allow ip from me to any out via vtnet0\n"
    "ipfw -q add 64000 deny ip from any to any",
    "block table": f"{LO_FIRST}\nipfw -q table 22 create type addr\n"
    "ipfw -q table 22 add {banned}\n"
    "ipfw -q add 20 deny ip from 'table(22)' to any\n"
    "ipfw -q add 65000 allow ip from any to any",
    "own nat": f"{LO_FIRST}\nipfw -q nat 1 config if vtnet0\n"
    "ipfw -q add 40 nat 1 ip from 10.99.0.0/24 to any out via vtnet0\n"
    "ipfw -q add 65000 allow ip from any to any",
}


def rules(name: str) -> Ingredient:
    def made(dice: Random) -> Piece:
        flush = dice.choice(("", "ipfw -q -f flush\n"))
        # The second network has the machine in it on which Cellblock runs.
        banned = dice.choice((*["192.0.2.128/25"] * 3, "198.51.100.0/24"))
        text = RULES[name].format(first=dice.choice(FIRST), banned=banned)
        denied = name == "block table" and banned.startswith("192.")
        ports = (("bind", 53), ("mysql", 3306), ("web", 80), ("mail", 25))
        return Piece(
            r"ipfw|firewall|\brules?\b",
            files={"/etc/ipfw.rules": f"#!/bin/sh\n{flush}{text}\n"},
            append={"/etc/rc.conf": 'firewall_enable="YES"\nfirewall_script="/etc/ipfw.rules"'},
            ask=tuple(
                (service, {"port": port, "address": PUBLIC, "from": BLOCKED, "refused": denied})
                for service, port in ports
            ),
        )

    return Ingredient(f"rules: {name}", made, kind="rules")


def second_address(dice: Random) -> Piece:
    mask = dice.choice(("/32", " netmask 255.255.255.255"))
    where = dice.choice(("/etc/rc.conf", "/etc/rc.conf.local"))
    ports: list[tuple[str, dict[str, Any]]] = [("web", {"port": 80}), ("sendmail", {"port": 25})]
    told: tuple[str, ...] = ()
    if dice.random() < 0.5:  # named is at both, as ns1 and ns2 of one machine
        ports += [("bind", {"port": 53}), ("bind", {"port": 53, "proto": "udp"})]
        told = (
            f"sed -i '' -e 's/listen-on {{/& {SECOND};/' /usr/local/etc/namedb/named.conf",
            "service named onerestart",
        )
    return Piece(
        r"203\.0\.113\.3",
        append={where: f'ifconfig_vtnet0_alias0="inet {SECOND}{mask}"'},
        before=told,
        ask=tuple((service, {"address": SECOND, **port}) for service, port in ports),
    )


def private_side(dice: Random) -> Piece:
    number = dice.randint(1, 9)
    address = f"192.168.{number}.1"
    return Piece(
        rf"192\.168\.{number}\.1|vlan{number}",
        append={
            "/etc/rc.conf": f'cloned_interfaces="vlan{number}"\n'
            f'ifconfig_vlan{number}="inet {address}/24"'
        },
        ask=tuple(
            (service, {"port": port, "address": address})
            for service, port in (("web", 80), ("sendmail", 25))
        ),
    )


def resolvers(dice: Random) -> Piece:
    options = dice.choice(("", "options timeout:2\n", "options edns0 ndots:2\n"))
    return Piece(
        r"resolv|/etc/hosts|192\.0\.2\.53",
        files={"/etc/resolv.conf": f"search example.org\nnameserver 192.0.2.53\n{options}"},
        append={"/etc/hosts": "192.168.99.5 db2.internal relay.internal"},
        ask=tuple(
            (service, {"sh": "grep -c db2.internal /etc/hosts", "where": f"jail:{service}"})
            for service in ("mysql", "web", "mail")
        ),
    )


def other_jail(dice: Random) -> Piece:
    name = dice.choice(("old", "build-9", "www2"))
    conf = (
        f'{name} {{\n    path = "/usr/jails/{name}";\n    host.hostname = "{name}.example.org";\n'
        "    persist;\n}\n"
    )
    files = {f"/usr/jails/{name}/etc/motd": "x\n"}
    match dice.randrange(3):
        case 0:
            files["/etc/jail.conf"] = conf
        case 1:
            files["/etc/jail.conf"] = 'exec.clean;\n.include "/etc/jail.conf.d/*.conf";\n'
            files[f"/etc/jail.conf.d/{name}.conf"] = conf
        case _:
            second = f"{name}b {{ path = /usr/jails/{name}b; persist; }}"
            files["/etc/jail.conf"] = f"{name} {{ path = /usr/jails/{name}; persist; }} {second}\n"
            files[f"/usr/jails/{name}b/etc/motd"] = "x\n"
    wanted = dice.choice(("", f'\njail_list="{name}"'))
    question = {"sh": f"jls -j {name} name", "where": "host"}
    return Piece(
        rf"\b{name}|jail\.conf|jail_list|jail_enable",
        files=files,
        append={"/etc/rc.conf": f'jail_enable="YES"{wanted}'},
        ask=(("", question),),
    )


def taken_name(dice: Random) -> Piece:
    name = dice.choice(("web", "mysql", "mail", "bind"))
    return Piece(
        rf"\b{name}\b.*(jail\.conf|jls|jails)",
        files={
            f"/etc/jail.conf.d/{name}.conf": f'{name} {{\n    path = "/data/jails/{name}";\n'
            "    persist;\n}\n",
            f"/data/jails/{name}/etc/motd": "x\n",
        },
    )


def unknown_name(dice: Random) -> Piece:
    name = dice.choice(("box.internal.example", "srv7", "a-b.c-d.example"))
    return Piece(
        rf"{name}|hostname|does not resolve|domain of sender",
        append={"/etc/rc.conf": f'hostname="{name}"'},
    )


def other_network(dice: Random) -> Piece:
    third = dice.randint(81, 99)
    return Piece(
        rf"10\.{third}\.0",
        site={
            "lan": {"network": f"10.{third}.0.0/24"},
            "jails": {
                name: {"address": f"10.{third}.0.{number}"}
                for number, name in enumerate(("bind", "mysql", "web", "mail"), 2)
            },
        },
    )


def limits(dice: Random) -> Piece:
    jail = dice.choice(SERVICES)
    amounts = {
        "memory": dice.choice(("8K", "4G")),
        "processes": dice.choice((1, 400)),
        "write_operations": 5000,
        "cpus": dice.choice(("0", "0-1", "1,9")),
    }
    chosen = dice.sample(sorted(amounts), dice.randint(1, 3))
    counted = dice.random() < 0.7
    return Piece(
        rf"jails\.{jail}\.limits|kern\.racct\.enable",
        site={"jails": {jail: {"limits": {each: amounts[each] for each in chosen}}}},
        append={"/boot/loader.conf": "kern.racct.enable=1"} if counted else {},
    )


INGREDIENTS = (
    *(rules(name) for name in RULES),
    Ingredient("a second address", second_address),
    Ingredient("a private side", private_side),
    Ingredient("resolvers", resolvers, kind="resolv.conf"),
    Ingredient("another jail", other_jail, kind="jail.conf"),
    Ingredient("a taken name", taken_name),
    Ingredient("a name without DNS", unknown_name),
    Ingredient("another network for jails", other_network),
    Ingredient("limits", limits),
)

__all__ = ["INGREDIENTS"]
