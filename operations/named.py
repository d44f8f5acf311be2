"""BIND moves by overlap: its configuration for the jail, and its zones there."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pyinfra import host
from pyinfra.api import operation

from operations.command import ANY, Commands, NewFile, Reversible, quote, staged
from operations.facts import Networks

_AWK = Path(__file__).with_name("named.awk")

# The zones that this named is configured for.
_ZONES = "awk '$2 == \"IN\" && $4 ~ /^(primary|master|secondary|slave)$/ {print $1}' | sort -u"
# Reads names of zones; prints each with the serial of a named's authoritative answer, if it gives
# one. drill(1) prints its question first, with the words of a record (ldns 1.8.3): only what stands
# in the answer section is one. Asked from a LAN address (drill -I), the public address is always
# the host's own named, even while other clients are forwarded. A named that does not answer at all,
# for which drill waits and then fails, is asked no more in this round.
_SERIALS = (
    'serials() { while read -r zone rest && [ -n "$zone" ]; do echo "= $zone"; '
    'drill "$@" "$zone" SOA </dev/null 2>/dev/null || break; done | '
    'awk \'$1 == "=" {zone = $2; aa = answer = 0} /^;; flags:/ {aa = / aa /} '
    '/^;; [A-Z]+ SECTION:/ {answer = $2 == "ANSWER"} '
    'aa && answer && $4 == "SOA" {print zone, $7}\'; }'
)
# Of the zones that the first named has and the second has not: name, the first's serial, and the
# second's.
_BEHIND = (
    "awk '!NF {second = 1; next} second {has[$1] = $2; next} {wanted[$1] = $2} "
    "END {for (zone in wanted) if (has[zone] != wanted[zone]) "
    'print zone, wanted[zone], has[zone] ? has[zone] : "none"}\''
)
# From ifconfig: each address's network, computed from its hexadecimal mask, octet by octet.
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
    """Adapt the configuration of a named, copied into a jail that has never run, to its address.

    What was bound to `old` or to 127.0.0.1 is bound to `new`. The clients that may recurse stay the
    same: in a jail, localnets and localhost mean only the jail's address, so the host's networks
    are written out, and `lan`, from which its programs come now. Undone with the jail's tree.
    """
    networks = host.get_fact(Networks)
    script = f"{directory}/readdressed.awk"
    yield NewFile(script, _AWK.read_text(encoding="utf-8"))
    given = {"old": quote(old), "new": quote(new), "lan": quote(lan)}
    if networks is None:  # the command reads them on the host
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
        says=f"adapt named.conf to {new}: listen on it, recursion for the same clients as before",
    )


def _acl(elements: list[str]) -> str:
    return " ".join(f"{element};" for element in elements)


@operation()
def updates_held() -> Commands:
    """Freeze the host's dynamic zones: written to disk, and no updates until they are thawed."""
    yield Reversible(
        "rndc freeze",
        undo="rndc thaw || true",
        live=True,
        says="freeze the dynamic zones of the host's named: written to disk, updates refused",
    )


@operation()
def zones_in_jail(jail: str, public: str, address: str, limit: int = 60) -> Commands:
    """Wait until the jail's named has the host's zones, with the same serials.

    A named that has its socket but not yet its zones answers, but wrongly. `public` is the host's
    address, `address` the jail's. Zones for which the host itself gives no answer are skipped.
    A zone that is still not the same after `limit` seconds is named, with both serials.
    """
    there = _Named(f"in jail {jail}", f"@{address}")
    yield Reversible(
        _the_same(_Named("on the host", f"-I {address} @{public}"), there, limit),
        undo=":",
        live=True,
        says=f"wait until the named of jail {jail} has the host's zones",
        limit=limit + _ASKING,
    )


@operation()
def zones_anew_in_jail(
    script: str, jail: str, public: str, address: str, limit: int = 60
) -> Commands:
    """Restart the jail's named, which must not serve clients yet, and wait like zones_in_jail."""
    there = _Named(f"in jail {jail}", f"@{address}")
    yield Reversible(
        f"service -j {quote(jail)} {quote(script)} onerestart && "
        + _the_same(_Named("on the host", f"-I {address} @{public}"), there, limit),
        undo=":",
        live=True,
        says=f"restart the named of jail {jail} and wait until it has the current zones",
        sees=ANY,
        limit=limit + _ASKING,
    )


@operation()
def zones_on_the_way_back(
    script: str, jail: str, public: str, address: str, limit: int = 60
) -> Commands:
    """Does nothing now; the undo restarts the host's named, so that it reads the jail's changes."""
    here = _Named("on the host", f"-I {address} @{public}")
    yield Reversible(
        ":",
        undo=f"service {quote(script)} onerestart && "
        + _the_same(_Named(f"in jail {jail}", f"@{address}"), here, limit),
        live=True,
        says="do nothing now; the undo restarts the host's named while the jail's still serves",
        limit=limit + _ASKING,
    )


class _Named(NamedTuple):
    """A named: where it runs, and how drill(1) asks it."""

    where: str
    asked: str


_ASKING = 240  # seconds for asking for thousands of zones, besides the wait


def _the_same(has: _Named, shall: _Named, limit: int) -> str:
    """Two questions a zone, and no other process: 2,000 zones take some 20 s.

    A sleep(1) counts the limit, since the clock may be set meanwhile.
    """
    behind = (
        f'late=$({{ echo "$zones" | serials {has.asked}; echo; '
        f'echo "$zones" | serials {shall.asked}; }} | {_BEHIND})'
    )
    told = quote(f'{{print "zone " $1 ": serial " $2 " {has.where}, " $3 " {shall.where}"}}')
    return (
        f'{_SERIALS}; zones=$(named-checkconf -l) && zones=$(echo "$zones" | {_ZONES}) && '
        f'{behind} && if [ -n "$late" ]; then sleep {limit} >/dev/null 2>&1 & timer=$!; '
        'while [ -n "$late" ] && kill -0 $timer 2>/dev/null; do sleep 0.2; zones=$late; '
        f"{behind}; done; kill $timer 2>/dev/null || true; fi && "
        f'if [ -n "$late" ]; then echo "$late" | awk {told}; false; fi'
    )


@operation()
def transfers_ended(ports: tuple[int, ...], limit: int = 30) -> Commands:
    """Wait until the host's named has no TCP connection left, for at most `limit` seconds."""
    wanted = ",".join(map(str, ports))
    yield Reversible(
        f"i=0; while sockstat -4cq -j 0 -P tcp -p {wanted} | grep -q . && [ $i -lt {limit} ]; "
        "do sleep 1; i=$((i + 1)); done; sleep 1",
        undo=":",
        live=True,
        says=f"give zone transfers and queries in progress up to {limit} s to finish",
    )
