"""Plays attempts in the jails of a box, and asks the host which of them have succeeded."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from shlex import quote

from rollout.host.session import Session
from rollout.rehearsal.box import Box
from rollout.site import Site
from standin import StandIn
from tests.breakin import of_files, of_kernel, of_network
from tests.breakin.attempt import HERE, Attempt, Goal
from tests.breakin.of_kernel import PARAMETERS
from tests.breakin.of_network import PORT, SEVERAL

ALL = (*of_files.ATTEMPTS, *of_kernel.ATTEMPTS, *of_network.ATTEMPTS)
ACCOUNT, OTHER = "user001", "user002"
"""Whose scripts attack, and who has what they are after; made where the box does not have them."""
_LIMIT = 900.0
_HIT = """#!/bin/sh
# Leaves a mark if the host's root runs it, outside of a jail.
[ "$(sysctl -n security.jail.jailed)" = 0 ] && [ -d /root/breakin ] && : > "/root/breakin/hit-$1"
"""
_PLACES = (
    "/etc /root /boot /bin /sbin /lib /libexec /usr/bin /usr/sbin /usr/lib /usr/libexec "
    "/usr/local /var/cron /var/log /var/at /var/backups /tmp"
)
"""Where the host keeps what no jail may write."""
_MARK = "pwned-[a-z]+-[0-9]+-x"


@dataclass(frozen=True)
class Try:
    """An attempt in one jail; `mark` is its word."""

    attempt: Attempt
    jail: str
    mark: str

    def __str__(self) -> str:
        return f"{self.attempt.name} ({self.attempt.whom} of {self.jail})"


class Siege:
    """All attempts on one box whose site is that of the plan."""

    def __init__(self, site: Site, box: Box) -> None:
        self.site = site
        self.box = box
        self.model = box.target if isinstance(box.target, StandIn) else None
        self.secret = secrets.token_hex(16)
        self._further: dict[str, str] = {}
        self.tries = tuple(self._tries())

    def _tries(self) -> Iterator[Try]:
        for number, attempt in enumerate(ALL):
            if self.model and attempt.lacks:
                continue
            for jail in self.site.built:
                if attempt.last and self.site.disk(jail) is None:
                    continue
                if not attempt.jails or set(attempt.jails) & set(self.site.jails[jail].services):
                    yield Try(attempt, jail, f"pwned-{jail}-{number}-x")

    @property
    def unmodelled(self) -> list[Attempt]:
        """Attempts that this box has no model of."""
        return [each for each in ALL if self.model and each.lacks]

    def of(self, jails: Iterable[str], *, lasting: bool = False, last: bool = False) -> list[Try]:
        wanted, when = set(jails), (lasting, last)
        return [
            each
            for each in self.tries
            if each.jail in wanted and (each.attempt.lasting, each.attempt.last) == when
        ]

    # On the host.

    def sh(self, text: str) -> str:
        with Session(self.box.target) as session:
            return session.run(f"(\n{text}\n)", limit=_LIMIT).out

    def prepare(self) -> None:
        """What only the host has, before anything moves."""
        real = (
            ""
            if self.model
            else f"""
            BREAKIN={self.secret} daemon -f -p {HERE}/pid sleep 86399
            BREAKIN={self.secret} daemon -f -u www -p {HERE}/pid-www sleep 86398
            posixshmcontrol create /breakin
            echo "breakin {self.secret}" > /dev/console
        """
        )
        card, second = self.site.host.wan_interface, self.site.host.wan_address + 1
        # named answers at two addresses, so its jail has two (docs/decisions/0033).
        named = "/usr/local/etc/namedb/named.conf"
        self.sh(f"""
            ifconfig {card} inet {second}/32 alias
            sysrc ifconfig_{card}_alias0="inet {second}/32"
            sed -i '' 's/listen-on {{/listen-on {{ {second};/' {named}; service named restart
            mkdir -p {HERE}; chmod 700 {HERE}; cd {HERE} || exit
            printf %s {self.secret} > secret; echo untouched > victim; chmod 600 secret victim
            echo "$(stat -f '%Su %Lp %z %l' victim) $(cat victim)" > was
            printf %s {quote(_HIT)} > /usr/local/sbin/breakin-hit
            chmod 555 /usr/local/sbin/breakin-hit
            for each in {ACCOUNT} {OTHER}; do
                id $each >/dev/null 2>&1 || pw useradd $each -m -d /usr/home/$each
                mkdir -p /usr/home/$each/public_html; chown $each /usr/home/$each/public_html
            done
            echo theirs > /usr/home/{OTHER}/breakin-victim
            chown {OTHER} /usr/home/{OTHER}/breakin-victim
            chmod 600 /usr/home/{OTHER}/breakin-victim
            : > pid; : > pid-www
            {real}
            sleep 1; : > begun
        """)

    def listen(self) -> None:
        """Listeners of the host and of each jail, and what must stay as it is from now on."""
        lines = [f"{of_kernel.STATE}; state > {HERE}/state-before 2>/dev/null"]
        lines.append(f"ipfw -S list | sort | md5 > {HERE}/rules-before")
        lines.append(f"df -k / | awk 'NR == 2 {{print $4}}' > {HERE}/free")
        lines += [f"jls -j {j} {PARAMETERS} > {HERE}/params-{j}" for j in self.site.built]
        lines.append(f"jls name | sort | tr '\\n' ' ' > {HERE}/jails-before")
        if not self.model:
            wan = self.site.host.wan_address
            places = [("", "127.0.0.1"), ("", "127.0.0.2"), ("", str(wan)), ("", "::1")]
            places += [(f"jexec {j} ", str(self.site.jails[j].address)) for j in self.site.built]
            for inside, address in places:
                for udp in ("", "u"):
                    heard = f"{HERE}/heard-{udp}{address.replace(':', '.')}"
                    lines.append(f"daemon -f -o {heard} {inside}nc -dlk{udp} {address} {PORT}")
            lines.append("sleep 1")
        self.sh("\n".join(lines))

    # In the jails.

    def play(self, tries: Sequence[Try]) -> None:
        """Type these in their jails, one after the other."""
        pids = f"victim=$(cat {HERE}/pid); victim_www=$(cat {HERE}/pid-www)"
        self.sh("\n".join([pids, *(self._typed(each) for each in tries), "true"]))

    def _typed(self, one: Try) -> str:
        known = {
            "mark": one.mark,
            "jail": one.jail,
            **self._addresses(one),
            "pace": "1" if self.model else "2",  # seconds; an emulated processor forks slowly
        }
        names = " ".join(f"{name}={quote(value)}" for name, value in known.items())
        script = f"{names}; PATH=$PATH:/usr/local/sbin\n{of_files.FUNCTIONS}\n{one.attempt.does}\n:"
        # timeout(1) would wait for what is left running.
        within = "" if one.attempt.lasting else "timeout 20 "
        return (
            f"jexec {self._as(one)}{one.jail} {within}sh -c "
            f'"victim=$victim victim_www=$victim_www\n"{quote(script)} </dev/null >/dev/null 2>&1'
        )

    def _addresses(self, one: Try) -> dict[str, str]:
        """The names that an attempt has for addresses."""
        own = str(self.site.jails[one.jail].address)
        others = [str(self.site.jails[e].address) for e in self.site.built if e != one.jail]
        others = others or [own]
        wan = str(self.site.host.wan_address)
        named = {"own": own, "other": others[0], "third": others[-1], "wan": wan}
        if set(SEVERAL) & set(self.site.jails[one.jail].services):
            if one.jail not in self._further:
                *_, self._further[one.jail] = self.sh(f"jls -j {one.jail} ip4.addr").split(",")
            named["further"] = self._further[one.jail].strip()
        return named

    def _as(self, one: Try) -> str:
        if one.attempt.whom == "root":
            return ""
        if one.attempt.whom == "account":
            return f"-U {ACCOUNT} "
        user = self.site.services[self.site.jails[one.jail].services[0]].user
        return f"-U {user if user != 'root' else 'smmsp'} "

    # Questions.

    def succeeded(self, tries: Sequence[Try], *, searching: bool = True) -> list[Try]:
        """Those of which the host sees a success now.

        Without `searching` its files are not searched for marks, which stay, and take a minute on
        an emulated processor.
        """
        if not tries:
            return []
        asked = [each for each in tries if not (self.model and each.attempt.reaches)]
        lines = [self._search(), of_kernel.STATE, f"secret={self.secret}"]
        lines.append('written=" $(search)"' if searching else "written=")
        lines += [
            self._each(e, f"if ( {e.attempt.goal.seen} ); then echo '+ {e.mark}' >&7; fi")
            for e in asked
        ]
        said = self.sh("exec 7>&1 >/dev/null 2>&1\n" + "\n".join(lines)).splitlines()
        found = {line[2:] for line in said if line.startswith("+ ")}
        return [e for e in tries if e.mark in found or (e not in asked and self.reached(e))]

    def _each(self, one: Try, line: str) -> str:
        own = self.site.jails[one.jail].address
        known = f"jail={one.jail} root={self.site.root(one.jail)} own={own} mark={one.mark}"
        return f"{known}\n{line}"

    def _search(self) -> str:
        """sh that prints the marks in files and names of the host itself."""
        mine = [HERE, "/libexec/standin", "/usr/local/etc/cellblock", "/usr/local/sbin/breakin-hit"]
        mine += [path for jail in self.site.built for path in self.site.shared(jail)]
        mine += ["/var/log/jail_*.log"]
        skipped = " -o ".join(f"-path {quote(each)}" for each in mine)
        find = f"find -x {_PLACES} \\( {skipped} \\) -prune -o"
        return (
            f"search() {{ {{ {find} -type f -newer {HERE}/begun "
            f"-exec grep -aohE '{_MARK}' {{}} + ; "
            f"{find} -name '*pwned-*' -print; }} 2>/dev/null | grep -aoE '{_MARK}' | sort -u | "
            "tr '\\n' ' '; }"
        )

    def reached(self, one: Try, source: str = "") -> bool:
        """On the stand-in: whether anybody would answer."""
        assert self.model is not None
        known = self._addresses(one)
        address, port, proto, *own = one.attempt.reaches.split()
        address = known["wan"] if source else known.get(address.removeprefix("$"), address)
        sender = "" if source or not own else known[own[0].removeprefix("$")]
        owner = self.model.who_answers(address, int(port), proto, source or one.jail, sender=sender)
        return owner is not None and owner != one.jail

    def blind(self, tries: Sequence[Try]) -> tuple[list[Try], int]:
        """Those whose question does not see a planted success, or sees one that is not there; and
        how many were planted.
        """
        if self.model:
            near = [e for e in tries if e.attempt.reaches]
            tries = [e for e in tries if not e.attempt.reaches]
            deaf = [e for e in near if not self.reached(e, "outside")]
        else:
            near, deaf = [], []
        can = [each for each in tries if each.attempt.goal.planted]
        before = self.succeeded(can)
        self._all(can, lambda goal: goal.planted)
        there = self.succeeded(can)
        self._all(can, lambda goal: goal.clean)
        after = self.succeeded(can)
        wrong = [e for e in can if e not in there or e in before or e in after]
        return wrong + deaf, len(can) + len(near)

    def _all(self, tries: Sequence[Try], what: Callable[[Goal], str]) -> None:
        lines = [of_kernel.STATE, f"secret={self.secret}"]
        lines += [self._each(each, f"( {what(each.attempt.goal)} )") for each in tries]
        self.sh("\n".join([*lines, "true"]))
