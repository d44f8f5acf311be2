"""What BIND needs to move by overlap: a configuration that fits a jail, and its zones there."""

from __future__ import annotations

from pathlib import Path

from pyinfra import host
from pyinfra.api import operation

from operations.command import ANY, Commands, NewFile, Reversible, quote, staged
from operations.facts import Networks

_AWK = Path(__file__).with_name("named.awk")

# The zones that this named itself is configured to have, and the serial that a named answers with
# authority. From an address of the LAN (drill -I), the public address is the host's own named,
# whoever else is forwarded to.
_ZONES = (
    "named-checkconf -l | "
    "awk '$2 == \"IN\" && $4 ~ /^(primary|master|secondary|slave)$/ {print $1}'"
)
_SERIAL = (
    'serial() { drill "$@" SOA 2>/dev/null | '
    "awk '/flags:.* aa / {aa = 1} aa && $4 == \"SOA\" {print $7; exit}'; }"
)
# As ifconfig has them: an address's network, from its mask in hexadecimal, octet by octet.
_NETS = (
    'ifconfig -a | awk \'$1 == "inet" && $2 !~ /^127[.]/ '
    '{split($2, a, "."); hex = "0123456789abcdef"; net = ""; bits = 0; for (i = 1; i <= 4; i++) '
    "{block = 273 - 16 * index(hex, substr($4, 2 * i + 1, 1)) "
    "- index(hex, substr($4, 2 * i + 2, 1)); "
    'net = net (i > 1 ? "." : "") a[i] - a[i] % block; for (; block < 256; block *= 2) bits++} '
    'printf "%s/%d; ", net, bits}\''
)
_SELF = 'ifconfig -a | awk \'$1 == "inet" {printf "%s; ", $2}\''


@operation()
def readdressed(directory: str, old: str, new: str, lan: str) -> Commands:
    """Fit the configuration of a named, copied into a jail that has never run, to its address.

    What was bound to `old` or to 127.0.0.1 is bound to `new`. Who may recurse stays as it was: in a
    jail localnets and localhost mean the jail's address alone, so the host's are written out, and
    `lan` with them, the network that its programs come from now. Undone with the jail's tree.
    """
    networks = host.get_fact(Networks)
    script = f"{directory}/readdressed.awk"
    yield NewFile(script, _AWK.read_text(encoding="utf-8"))
    given = {"old": quote(old), "new": quote(new), "lan": quote(lan)}
    if networks is None:  # then the host says it as the line is typed
        given |= {"nets": f'"$({_NETS})"', "self": f'"$({_SELF}){_acl([old, lan])}"'}
    else:
        nets = [*dict.fromkeys(str(each.network) for each in networks if not each.ip.is_loopback)]
        self = [*dict.fromkeys([*(str(each.ip) for each in networks), old, lan])]
        given |= {"nets": quote(_acl(nets)), "self": quote(_acl(self))}
    variables = " ".join(f"-v {name}={value}" for name, value in given.items())
    yield Reversible(
        f"find {quote(directory)} -type f -name '*.conf*' ! -name 'rndc.conf*' "
        f"-exec awk {variables} -f {quote(staged(script))} {{}} + && rm {quote(staged(script))}",
        undo=":",
        says=f"named.conf for {new}: bound to it, recursion as open or closed as it was",
    )


def _acl(elements: list[str]) -> str:
    return " ".join(f"{element};" for element in elements)


@operation()
def updates_held() -> Commands:
    """Let the host's named write its dynamic zones out and take no update until it is thawed."""
    yield Reversible(
        "rndc freeze",
        undo="rndc thaw || true",
        live=True,
        says="the host's named writes its dynamic zones out and takes no updates",
    )


@operation()
def zones_in_jail(jail: str, public: str, address: str) -> Commands:
    """Wait until the jail's named has the host's zones, to the same serial.

    A named that has its socket but not yet its zones answers, and answers wrongly. `public` is the
    host's address, `address` the jail's. A zone that the host itself does not answer for is passed
    over.
    """
    yield Reversible(
        _the_same(f"-I {address} @{public}", f"@{address}"),
        undo=":",
        live=True,
        says=f"the named of jail {jail} has the host's zones",
    )


@operation()
def zones_anew_in_jail(script: str, jail: str, public: str, address: str) -> Commands:
    """Start the jail's named anew, which must not be serving yet, and wait as zones_in_jail."""
    yield Reversible(
        f"service -j {quote(jail)} {quote(script)} onerestart && "
        + _the_same(f"-I {address} @{public}", f"@{address}"),
        undo=":",
        live=True,
        says=f"the named of jail {jail} reads its zones anew, and has them",
        sees=ANY,
    )


@operation()
def zones_on_the_way_back(script: str, public: str, address: str) -> Commands:
    """Nothing now; the undo has the host's named read what the jail's wrote, before it serves."""
    yield Reversible(
        ":",
        undo=f"service {quote(script)} onerestart && "
        + _the_same(f"@{address}", f"-I {address} @{public}"),
        live=True,
        says="on the way back the host's named reads its zones anew while the jail's serves",
    )


def _the_same(has: str, shall: str) -> str:
    return (
        f"{_SERIAL}; for zone in $({_ZONES}); do "
        f'wanted=$(serial {has} "$zone"); [ -n "$wanted" ] || continue; '
        f'until [ "$(serial {shall} "$zone")" = "$wanted" ]; do sleep 0.2; done; done'
    )


@operation()
def transfers_ended(ports: tuple[int, ...], limit: int = 30) -> Commands:
    """Wait until the host's named has no TCP connection left, `limit` seconds at the most."""
    wanted = ",".join(map(str, ports))
    yield Reversible(
        f"i=0; while sockstat -4cq -j 0 -P tcp -p {wanted} | grep -q . && [ $i -lt {limit} ]; "
        "do sleep 1; i=$((i + 1)); done; sleep 1",
        undo=":",
        live=True,
        says="let zone transfers and questions under way end",
    )
