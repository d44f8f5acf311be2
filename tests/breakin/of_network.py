"""Attempts by packets: ports of others and of the host, addresses that are not the jail's."""

from __future__ import annotations

from tests.breakin.attempt import CALLED, NO_KERNEL, NO_SYSLOG, WRITTEN, Attempt, Goal

PORT = 9903
"""At which a listener waits in each other jail and at the host's addresses."""


def _called(
    name: str, to: str, options: str = "", jails: tuple[str, ...] = (), lacks: str = ""
) -> Attempt:
    """A word to a listener, by TCP or with -u by UDP."""
    does = f'echo "$mark" | nc -N -w 2 {options} {to} {PORT}'
    if "-u" in options:
        does = f'echo "$mark" | nc -w 1 {options} {to} {PORT}'
    proto = "udp" if "-u" in options else "tcp"
    lacks = lacks or ("daemons that answer any datagram" if proto == "udp" else "")
    own = options.partition("-s ")[2]
    reaches = "" if lacks else f"{to} 22 {proto} {own}".rstrip()
    return Attempt(name, "root", CALLED, does, jails, reaches=reaches, lacks=lacks)


def _ssh(name: str, to: str, jails: tuple[str, ...] = ()) -> Attempt:
    """sshd notes what it was told."""
    noted = Goal(
        'grep -qsF "$mark" /var/log/auth.log',
        'logger -p auth.info -t sshd "$mark"',
        "cp /var/log/auth.log /root/breakin/log; grep -v "
        "pwned- /root/breakin/log > /var/log/auth.log",
    )
    does = f'echo "$mark" | nc -w 3 {to} 22'
    return Attempt(name, "root", noted, does, jails, reaches=f"{to} 22 tcp")


SEVERAL = ("bind",)
"""Whose jail has an address for answers over UDP besides its own: $further."""
_SPOOFED = "addresses that a socket is bound to"
ATTEMPTS = (
    _called("a port of another jail", "$other"),
    _called("a port of another jail over UDP", "$other", "-u"),
    _called("the host's loopback", "127.0.0.1"),
    _called("the host's loopback over UDP", "127.0.0.1", "-u"),
    _called("another address of the host's loopback", "127.0.0.2", lacks="127.0.0.2"),
    _called("a port of the host at the public address", "$wan"),
    _called("a port of the host over UDP", "$wan", "-u"),
    _called("the host's loopback by IPv6", "::1", "-6", lacks="IPv6"),
    _called("another jail from the host's address", "$other", "-s $wan", lacks=_SPOOFED),
    _called("another jail from 127.0.0.1", "$other", "-s 127.0.0.1", lacks=_SPOOFED),
    _called("another jail from a third one's address", "$other", "-s $third", lacks=_SPOOFED),
    _called(
        "another jail over UDP from the host's address", "$other", "-u -s $wan", lacks=_SPOOFED
    ),
    _called("another jail from a further address of its own", "$other", "-s $further", SEVERAL),
    _called("another jail over UDP from there", "$other", "-u -s $further", SEVERAL),
    _called("the host from there", "$wan", "-s $further", SEVERAL),
    _called("the host over UDP from there", "$wan", "-u -s $further", SEVERAL),
    _ssh("the host's sshd at a further address of its own", "$further", SEVERAL),
    _called("all of the network by broadcast", "10.80.0.255", "-u", lacks="broadcasts"),
    _ssh("the host's sshd at the public address", "$wan"),
    _ssh("the host's sshd at the jail's own address", "$own"),
    _ssh("the host's sshd at another jail's address", "$other"),
    Attempt(
        "lines in the host's log by UDP",
        "root",
        WRITTEN,
        'for h in 127.0.0.1 $wan 10.80.0.1; do logger -h $h -p auth.err "$mark"; done',
        lacks=NO_SYSLOG,
    ),
    Attempt(
        "lines in the host's log by its socket",
        "root",
        WRITTEN,
        "for s in /var/run/log /var/run/logpriv "
        '../../../../../../../var/run/log; do logger -S $s "$mark"; '
        'echo "<11>$mark" | nc -w 1 -uU $s; done; logger -p kern.emerg "$mark"',
        lacks=NO_SYSLOG,
    ),
    Attempt(
        "packets as they are written (raw sockets)",
        "root",
        Goal(
            'jexec "$jail" ping -c 1 -t 10 "$own"',
            'jail -m name="$jail" allow.raw_sockets=1',
            'jail -m name="$jail" allow.raw_sockets=0',
        ),
        "ping -c 1 -t 2 $other; traceroute -n -w 1 -q 1 -m 1 $other",
        lacks=NO_KERNEL,
    ),
)
