"""ifconfig(8): interfaces, aliases and capabilities."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Interface, IPv6Interface, NetmaskValueError

from standin.commands import command
from standin.linux.shim import Call, Failed, Reply, Unknown
from standin.model.host import Host
from standin.model.network import FLAGS, OPTIONS, Interface, mask_length

CLONES = ("lo", "bridge", "epair", "tap", "vlan")


@command("/sbin/ifconfig")
def ifconfig(host: Host, call: Call) -> Reply:
    args = list(call.args)
    cidr = False
    while args and args[0].startswith("-"):
        option = args.pop(0)
        if option == "-l":
            return Reply(" ".join(host.network.interfaces) + "\n")
        if option == "-f" and args:
            cidr = args.pop(0) == "inet:cidr"
        elif option != "-a":
            raise Unknown("usage: ifconfig [-f type:format] interface address_family ...\n", 1)
    own = host.addresses_of(call.rootdir) if call.rootdir.name else None
    if not args:
        return Reply("".join(_text(i, cidr, "", own) for i in host.network.interfaces.values()))
    name, *words = args
    if words[:1] == ["create"]:
        return _create(host, name)
    interface = host.network.interfaces.get(name)
    if interface is None:
        raise Failed(f"ifconfig: interface {name} does not exist\n")
    if not words or words in (["inet"], ["inet6"]):
        return Reply(_text(interface, cidr, "".join(words), own))
    if call.rootdir.name:
        raise Failed("ifconfig: ioctl (SIOCSIFFLAGS): Operation not permitted\n")
    _change(host, interface, words)
    return Reply()


@command("/usr/bin/netstat")
def netstat(host: Host, call: Call) -> Reply:
    """The routes of the interfaces themselves (`netstat -rn -f inet`); no other routes are known.

    Columns and flags as FreeBSD 13 to 15 print them (usr.bin/netstat/route.c).
    """
    if list(call.args) != ["-rn", "-f", "inet"]:
        raise Unknown("netstat: only -rn -f inet is known to the stand-in\n", 1)
    rows = []
    for name, each in host.network.interfaces.items():
        for one in each.inet:
            own = f"{one.ip!s:<18} link#{each.index:<13} {'UH' if each.is_loopback else 'UHS':<6}"
            if one.network.prefixlen < 32 and not each.is_loopback:
                rows.append(f"{one.network!s:<18} link#{each.index:<13} {'U':<6} {name:>8}")
            rows.append(f"{own} {name if each.is_loopback else 'lo0':>8}")
    head = f"{'Destination':<18} {'Gateway':<18} {'Flags':<6} {'Netif':>8} Expire"
    return Reply("\n".join(["Routing tables", "", "Internet:", head, *rows]) + "\n")


def _create(host: Host, name: str) -> Reply:
    if name in host.network.interfaces:
        raise Failed(f"ifconfig: interface {name} already exists\n")
    kind = name.rstrip("0123456789")
    if kind not in CLONES:
        raise Failed("ifconfig: SIOCIFCREATE2: Invalid argument\n")
    if kind != name:
        host.network.create(name)
        return Reply()
    number = 0
    while f"{name}{number}" in host.network.interfaces:
        number += 1
    host.network.create(f"{name}{number}")
    return Reply(f"{name}{number}\n")


def _change(host: Host, interface: Interface, words: list[str]) -> None:
    rest = list(words)
    if rest == ["destroy"]:
        if interface.name in ("lo0", host.network.nic):
            raise Failed("ifconfig: SIOCIFDESTROY: Invalid argument\n")
        del host.network.interfaces[interface.name]
    elif rest[0] in ("inet", "inet6"):
        _change_address(interface, rest[0], rest[1], rest[2:])
    elif rest[0] in ("alias", "-alias", "delete"):
        _change_address(interface, "inet", rest[1], rest[:1] + rest[2:])
    else:
        for word in rest:
            if word == "up":
                interface.bring_up()
            elif word == "down":
                interface.flags &= ~1
            elif not host.set_capability(interface.name, word):
                raise Unknown(f"ifconfig: {word}: bad value\n", 1)


def _change_address(interface: Interface, family: str, word: str, rest: list[str]) -> None:
    options = list(rest)
    remove, text = False, word
    while options:
        option = options.pop(0)
        if option in ("-alias", "delete"):
            remove = True
        elif option == "netmask" and options:
            text = f"{word}/{mask_length(options.pop(0))}"
        elif option == "prefixlen" and options:
            text = f"{word}/{options.pop(0)}"
        elif option not in ("alias", "add"):
            raise Unknown(f"ifconfig: {option}: bad value\n", 1)
    try:
        address = IPv4Interface(text) if family == "inet" else IPv6Interface(text)
    except (AddressValueError, NetmaskValueError, ValueError):
        raise Failed(f"ifconfig: {word}: bad value\n") from None
    if not remove:
        interface.add(address)
    elif not interface.remove(str(address.ip).partition("%")[0]):
        raise Failed("ifconfig: ioctl (SIOCDIFADDR): Can't assign requested address\n")


def _text(interface: Interface, cidr: bool, family: str, own: list[str] | None) -> str:
    flags = ",".join(name for bit, name in FLAGS.items() if interface.flags & bit)
    options = ",".join(name for bit, name in OPTIONS.items() if interface.options & bit)
    lines = [f"{interface.name}: flags={interface.flags:x}<{flags}> metric 0 mtu {interface.mtu}"]
    lines.append(f"\toptions={interface.options:x}<{options}>")
    if interface.ether and not family:
        lines.append(f"\tether {interface.ether}")
    if family != "inet" and own is None:
        lines += [_inet6(interface, address) for address in interface.inet6]
    if family != "inet6":
        visible = [a for a in interface.inet if own is None or str(a.ip) in own]
        lines += [_inet(interface, address, cidr) for address in visible]
    if not family:
        if interface.is_loopback:
            lines.append("\tgroups: lo")
            lines.append("\tnd6 options=21<PERFORMNUD,AUTO_LINKLOCAL>")
        else:
            lines.append("\tmedia: Ethernet autoselect (10Gbase-T <full-duplex>)")
            lines.append("\tstatus: active")
            lines.append("\tnd6 options=29<PERFORMNUD,IFDISABLED,AUTO_LINKLOCAL>")
    return "\n".join(lines) + "\n"


def _inet(interface: Interface, address: IPv4Interface, cidr: bool) -> str:
    length = address.network.prefixlen
    mask = f"/{length}" if cidr else f" netmask 0x{int(address.netmask):08x}"
    broadcast = "" if interface.is_loopback else f" broadcast {address.network.broadcast_address}"
    return f"\tinet {address.ip}{mask}{broadcast}"


def _inet6(interface: Interface, address: IPv6Interface) -> str:
    if address.is_link_local:
        scope = f"%{interface.name} prefixlen {address.network.prefixlen}"
        return f"\tinet6 {address.ip}{scope} scopeid 0x{interface.index:x}"
    return f"\tinet6 {address.ip} prefixlen {address.network.prefixlen}"
