"""BIND moves by overlap: its configuration for the jail, and its zones there."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pyinfra import host
from pyinfra.api import operation

from operations import daemon, files, firewall
from operations.command import ANY, Commands, NewFile, Reversible, quote, staged
from operations.doors import Ways
from operations.facts import Listeners, Networks

CONTROL = 953
"""The port of rndc(8), if named.conf does not say otherwise."""

_LOCAL_ETC = "/usr/local/etc"
_AWK = Path(__file__).with_name("named.awk")

# The zones that this named is configured for, with their views.
_ZONES = "awk '$2 == \"IN\" && $4 ~ /^(primary|master|secondary|slave)$/ {print $1, $3}' | sort -u"
# Reads zones with their views; prints what a named says of each. A transfer has the serial and the
# content; where none is allowed, or with views, since the view of an answer depends on who asks,
# rndc(8) tells the serial. A named that does not answer rndc is asked no more in this round. Asked
# from a LAN address (drill -I), the public address is the host's own named by UDP, and by TCP until
# clients are forwarded.
_ANSWERS = (
    'answers() { silent=; while read -r zone view rest && [ -n "$zone" ]; do '
    'echo "= $zone $view"; said=; [ -z "${asking-}" ] || kill -0 $asking 2>/dev/null || silent=1; '
    'if [ "$silent" ]; then continue; fi; if [ "$view" = _default ]; '
    'then said=$($within drill "$@" "$zone" AXFR </dev/null 2>/dev/null) || :; '
    "fi; case $said in ''|';;'*) said=$($rndc zonestatus \"$zone\" IN \"$view\" </dev/null 2>&1) "
    "|| case $said in *' not loaded'*|*' not found'*) ;; *) silent=1;; esac;; esac; "
    "printf '%s\\n' \"$said\"; done; }"
)
# Of the zones that the first named has and the second has not the same: name, view, both serials;
# then, if only the content differs, a record that only one of them has. All zones if the first
# named is silent. With `newer`, a later serial will do, too (RFC 1982).
_BEHIND = (
    '\'function behind(z) {if (!newer || has[z, 1] == "none") return has[z, 0] != has[z, 1]; '
    "return newer < 2 && (has[z, 1] - has[z, 0] + 4294967296) % 4294967296 > 2147483647} "
    'BEGIN {s = 0} $1 == "--" {s = 1; next} '
    '$1 == "=" && NF == 3 {z = $2 " " $3; if (!s) asked[z]; next} '
    "/^name: |^rndc: .zonestatus/ {heard[s]} /^(signed )?serial: / {has[z, s] = $NF} "
    '$3 == "IN" && NF > 4 {heard[s]; got[z, s]; more[z, $0] += s ? -1 : 1; '
    'if ($4 == "SOA") has[z, s] = $7} '
    'END {for (z in asked) for (s = 0; s < 2; s++) if (!((z, s) in has)) has[z, s] = "none"; '
    'for (z in asked) if (!(0 in heard) || has[z, 0] != "none" && behind(z)) '
    "print z, has[z, 0], has[z, 1]; "
    "for (k in more) if (more[k]) {split(k, p, SUBSEP); z = p[1]; "
    "if ((z, 0) in got && (z, 1) in got && has[z, 0] == has[z, 1] && !(z in told)) "
    "{told[z]; print z, has[z, 0], has[z, 1], (more[k] > 0), p[2]}}}'"
)
# From ifconfig: each address's network, computed from its hexadecimal mask, octet by octet.
_NETS = (
    'ifconfig -a | awk \'$1 == "inet" '
    '{split($2, a, "."); hex = "0123456789abcdef"; net = ""; bits = 0; for (i = 1; i <= 4; i++) '
    "{block = 273 - 16 * index(hex, substr($4, 2 * i + 1, 1)) "
    "- index(hex, substr($4, 2 * i + 2, 1)); "
    'net = net (i > 1 ? "." : "") a[i] - a[i] % block; for (; block < 256; block *= 2) bits++} '
    'printf "%s/%d; ", net, bits}\''
)
_SELF = 'ifconfig -a | awk \'$1 == "inet" {printf "%s; ", $2}\''


@operation()
def readdressed(directory: str, old: str, new: str, lan: str, ways: Ways | None = None) -> Commands:
    """Adapt the configuration of a named, copied into a jail that has never run, to its address.

    What was bound to `old` or to 127.0.0.1 is bound to `new`; where it listened at a further
    address of the host, it listens at the jail's address for that (`ways`). The clients that may
    recurse stay the same: in a jail, localnets and localhost mean only the jail's addresses, so the
    host's networks are written out, and `lan`, from which its programs come now: they came from
    127.0.0.1, which both had in them. `directory` is the jail's copy of /usr/local/etc: what
    named.conf includes from there is adapted, too, whatever its name. Undone with the jail's tree.
    """
    networks = host.get_fact(Networks)
    script = f"{directory}/readdressed.awk"
    yield NewFile(script, _AWK.read_text(encoding="utf-8"))
    given = {"old": quote(old), "new": quote(new), "lan": quote(lan)}
    given |= {"from": quote(_LOCAL_ETC), "into": quote(directory)}
    if more := firewall.further(ways).get(new):
        given["further"] = quote(" ".join(f"{each} {end}" for each, end in more.items()))
    if networks is None:  # the command reads them on the host
        given |= {"nets": f'"$({_NETS}){lan};"', "self": f'"$({_SELF}){_acl([old, lan])}"'}
    else:
        nets = [*(str(each.network) for each in networks), lan]
        self = [*dict.fromkeys([*(str(each.ip) for each in networks), old, lan])]
        given |= {"nets": quote(_acl(list(dict.fromkeys(nets)))), "self": quote(_acl(self))}
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
def resolver(new: str) -> Commands:
    """Let the host's own programs ask `new`, where they asked named at 127.0.0.1.

    Another name server may be there (local_unbound beside an authoritative named): it stays.
    """
    others = [
        each.command
        for each in host.get_fact(Listeners, ports=(53,))
        if each.proto == "udp" and each.address in ("*", "127.0.0.1") and each.command != "named"
    ]
    if others:
        host.noop(f"{others[0]} answers at 127.0.0.1, and goes on")
        return
    old, to = "nameserver 127.0.0.1", f"nameserver {new}"
    yield from files.line._inner(path="/etc/resolv.conf", old=old, new=to)


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
    """Wait until the jail's named has the host's zones, with the same serials and content.

    A named that has its socket but not yet its zones answers, but wrongly. `public` is the host's
    address, `address` the jail's. Zones for which the host itself gives no answer are skipped.
    A zone that is still not the same after `limit` seconds is named, with both serials.
    """
    yield Reversible(
        _the_same(_on_host(public, address), _in_jail(jail, address), limit),
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
    yield Reversible(
        f"service -j {quote(jail)} {quote(script)} onerestart && "
        + _the_same(_on_host(public, address), _in_jail(jail, address), limit),
        undo=":",
        live=True,
        says=f"restart the named of jail {jail} and wait until it has the current zones",
        sees=ANY,
        limit=limit + _ASKING,
    )


@operation()
def zones_for_clients(jail: str, public: str, address: str, limit: int = 10) -> Commands:
    """Compare what clients now get at the public address with the zones of the host's named."""
    clients = _Named("at the public address", f"@{public}", f"jexec {quote(jail)} rndc")
    yield Reversible(
        _the_same(_on_host(public, address)._replace(within="false"), clients, limit),
        undo=":",
        live=True,
        says="compare the zones that clients get at the public address with those of the host's "
        "named",
        limit=limit + _ASKING,
    )


@operation()
def zones_on_the_way_back(
    script: str, jail: str, public: str, address: str, limit: int = 60
) -> Commands:
    """Note the zones of the host's named; the undo restarts it, and it reads the jail's changes.

    It must then have them again, with the same or later serials. The jail's named is not asked:
    whoever sits in the jail may let it answer anything, or nothing.
    """
    here = _on_host(public, address)._replace(within="false")
    yield Reversible(
        f'{_LISTED} && {{ {_asked(here)}; }} > "$KEEP/zones"',
        undo=f"service {quote(script)} onerestart && {_as_noted(here, limit)}",
        live=True,
        says="note the zones of the host's named; the undo restarts it while the jail's still "
        "serves, and waits until it has them again",
        limit=limit + _ASKING,
    )


class _Named(NamedTuple):
    """A named: where it runs, how drill(1) asks it, and the rndc(8) that controls it.

    `within` stands before drill: a limit, or false(1), so that rndc tells the serials. Once clients
    are forwarded, that is the only way to the host's own: a transfer from the LAN goes to the jail.
    """

    where: str
    asked: str
    rndc: str
    within: str = ""


def _on_host(public: str, address: str) -> _Named:
    return _Named("on the host", f"-I {address} @{public}", "rndc")


def _in_jail(jail: str, address: str) -> _Named:
    return _Named(f"in jail {jail}", f"@{address}", f"jexec {quote(jail)} rndc")


_TOLD = 10  # zones
_ASKING = 240  # seconds for asking for thousands of zones, besides the wait


_LISTED = f'{_ANSWERS}; zones=$(named-checkconf -l) && zones=$(echo "$zones" | {_ZONES})'
_HEARD = quote("^(name|rndc: .zonestatus)|[[:space:]]IN[[:space:]]")


def _asked(one: _Named) -> str:
    asked = f"within={quote(one.within)}; rndc={quote(one.rndc)}"
    return f"{asked}; printf '%s\\n' \"$zones\" | answers {one.asked}"


def _the_same(has: _Named, shall: _Named, limit: int) -> str:
    """At most two questions a zone and named, and few other processes."""
    return f"{_LISTED} && {_waits(_asked(has), has, shall, limit, again='zones=$late; ')}"


def _waits(
    first: str, has: _Named, shall: _Named, limit: int, *, again: str = "", newer: int = 0
) -> str:
    """sh that waits until `shall` has the zones that `first` prints of `has`.

    A sleep(1) counts the limit, since the clock may be set meanwhile.
    """
    behind = f"late=$({{ {first}; echo --; {_asked(shall)}; }} | awk -v newer={newer} {_BEHIND})"
    told = _told(has, shall)
    return (
        f'{behind} && if [ -n "$late" ]; then sleep {limit} >/dev/null 2>&1 & timer=$!; '
        f'while [ -n "$late" ] && kill -0 $timer 2>/dev/null; do sleep 0.2; {again}'
        f"{behind}; done; kill $timer 2>/dev/null || true; fi && "
        f'if [ -n "$late" ]; then printf \'%s\\n\' "$late" | awk {told}; false; fi'
    )


def _told(has: _Named, shall: _Named) -> str:
    """An awk program that says of the first zones that are not the same what each has."""
    return quote(
        f'NR > {_TOLD} {{more++; next}} {{print "zone " $1 ($2 == "_default" ? "" : " in view " $2)'
        f' ": serial " $3 " {has.where}, " $4 " {shall.where}"; if (NF > 4) {{'
        f'only = $5 ? "{has.where}" : "{shall.where}"; sub(/^[^ ]+ [^ ]+ [^ ]+ [^ ]+ [01] /, ""); '
        'print "  only " only ": " $0}} END {if (more) print "and " more " more zones"}'
    )


def same_zones(jail: str, public: str, address: str, limit: int = 60) -> daemon.Twin:
    """A hand-over's comparison, for zones that a named writes itself (dynamic, signed, secondary).

    The zones that the one has when it stops are noted; the other must come up with them, or with
    later ones. In the undo that is what the host's had; if the jail's says that it has others (for
    a minute it is asked), that is told: whoever sits in the jail may let it answer anything.
    """
    here, there = _on_host(public, address), _in_jail(jail, address)
    back = _waits('cat "$KEEP/back"', there, here, limit, newer=1)
    told = f"notice: the named on the host has other zones than that of jail {jail} said"
    limited = "timeout -k 1 10"
    there_asked = _asked(there._replace(rndc=f"{limited} {there.rndc}", within=limited))
    return daemon.Twin(
        "the zones",
        noted=f'{_LISTED} && rndc status >/dev/null && {{ {_asked(here)}; }} > "$KEEP/zones"',
        same=_waits('cat "$KEEP/zones"', here, there, limit, newer=1),
        back=f"zones=; {_LISTED}; {{ sleep 60 >/dev/null 2>&1 & asking=$!; }}; "
        f'{{ {there_asked}; }} > "$KEEP/back" || :; kill $asking 2>/dev/null || :; asking=',
        again=f'{{ ! grep -qE {_HEARD} "$KEEP/back" || {{ {back}; }} || echo {quote(told)}; }} && '
        f"{_as_noted(here, limit)}",
        limit=2 * limit + _ASKING,
    )


def _as_noted(here: _Named, limit: int) -> str:
    """sh that waits until the host's named has the zones that it had, apart from those that its
    configuration does not have any more.

    Whoever sits in the jail may have written an earlier serial into a file: that is told. Only a
    zone that the host's named does not have at all needs a person.
    """
    known = (
        """{ printf '%s\\n' "$zones"; echo --; cat "$KEEP/zones"; } | awk '"""
        """$0 == "--" {s = 1; next} !s {known[$0]; next} """
        """$1 == "=" {on = ($2 " " $3) in known} !on {next} """
        """$1 == "=" || /^(name|serial|signed serial|rndc): / {print} """
        """$3 == "IN" && $4 == "SOA" {print "name: -"; print "serial: " $7}'"""
    )
    shown = _told(here._replace(where="on the host before"), here)
    told = "notice: files of zones were changed in the jail: the host's named has earlier serials"
    return (
        f'if [ -s "$KEEP/zones" ]; then {_LISTED} && '
        f"behind() {{ {{ {known}; echo --; {_asked(here)}; }} | awk -v newer=$1 {_BEHIND}; }} && "
        f"{{ sleep {limit} >/dev/null 2>&1 & timer=$!; }} && "
        'while late=$(behind 1) && [ -n "$late" ] && kill -0 $timer 2>/dev/null; do sleep 0.2; '
        "done; kill $timer 2>/dev/null || true; "
        f'if [ -n "$late" ]; then printf \'%s\\n\' "$late" | awk {shown}; '
        f'echo {quote(told)}; [ -z "$(behind 2)" ]; fi; fi'
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
