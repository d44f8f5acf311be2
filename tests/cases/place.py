"""The host of a case, set up on a box, and how its questions are asked there."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from shlex import quote

from rollout.host.session import Session
from rollout.plan import Plan
from rollout.rehearsal.box import Box
from standin import BaseHost, QueryFailed, StandIn
from survey.standin.base_host import Rebuilt, rebuilt
from tests.cases.asking import SOMEBODY, Question, of_client, on_mariadb
from tests.cases.asking import ask as asked
from tests.cases.case import Ask, Case, recording

_KEY = re.compile(r"\bkey (\d+)$", re.MULTILINE)  # asking.ask gives its tag
_ANSWERS_WITHIN = 10.0  # seconds: after a boot or a cut-over a daemon may still be loading
NOBODY = "nobody answers"


class CannotBeMade(Exception):
    """The box could not be set up as the host of the case."""


def host_of(case: Case) -> Rebuilt:
    """The base host on the stand-in, before what the case changes of it, and what is typed there.

    Raises Refused for a survey of which none can be built.
    """
    if case.survey:
        return rebuilt(recording(case))
    base = BaseHost.with_postfix() if case.base == "postfix" else BaseHost.sample()
    return Rebuilt(base, (), ())


class Host:
    """One host. While `moved` is False, questions for jails go to the host itself."""

    def __init__(self, case: Case, plan: Plan, box: Box) -> None:
        self.case = case
        self.plan = plan
        self.box = box
        self.moved = False
        self.silent: set[Ask] = set()
        self._keys: list[str] = []
        self._kept: Session | None = None

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Within the context, commands share one connection, until the host restarts."""
        self._kept = Session(self.box.target)
        try:
            yield
        finally:
            self._kept.close()
            self._kept = None

    def restart(self) -> None:
        if self._kept is not None:
            self._kept.close()
        self.box.reboot()
        if self._kept is not None:
            self._kept = Session(self.box.target)

    def prepare(self) -> None:
        """Set up the base host of the case, restart it, and type its first commands."""
        self._seed()
        self._typed(self._files())
        self._typed(self._maps())
        self.restart()
        if self.case.survey:
            for line in host_of(self.case).typed:
                self.sh(line)
        for line in self.case.before:
            self._typed(line)
        self._own()

    def _seed(self) -> None:
        """The table that the stand-in's MySQL has, while MySQL is where the image has it."""
        case = self.case
        asked = [each.sql or "" for each in case.ask]
        asked += [case.meanwhile.sql or ""] if case.meanwhile else []
        if isinstance(self.box.target, StandIn) or not any("rows" in each for each in asked):
            return
        made = "CREATE TABLE rows (mark VARCHAR(64)) ENGINE=InnoDB"
        filled = (
            "INSERT INTO rows WITH RECURSIVE n AS (SELECT 1 AS i UNION SELECT i + 1 FROM n "
            "WHERE i < 1000) SELECT i FROM n"
        )
        self._typed(f"{self._mysql(made)} && {self._mysql(filled)}")

    def _mysql(self, statement: str) -> str:
        client = self.plan.site.services["mysql"].client or "mysql"
        return f"{client} -N -e {quote(on_mariadb(statement))}"

    def _files(self) -> str:
        lines = ["set -e"]
        for path, target in self.case.links.items():
            folder = target.rpartition("/")[0] or "/"
            at, to = quote(path), quote(target)
            lines.append(
                f"mkdir -p {quote(folder)}; [ ! -e {at} ] || mv {at} {to}; ln -s {to} {at}"
            )
        for path, text in self.case.files.items():
            mode = "; chmod 555" if text.startswith("#!") else "; :"
            lines.append(f"mkdir -p {quote(path.rpartition('/')[0])}")
            lines.append(f"printf %s {quote(text)} > {quote(path)}{mode} {quote(path)}")
        for path, text in self.case.append.items():
            lines.append(f"mkdir -p {quote(path.rpartition('/')[0])}")
            lines.append(f"printf '%s\\n' {quote(text)} >> {quote(path)}")
        return "\n".join(lines)

    def _maps(self) -> str:
        """Postfix' maps among the files are made: without FILE.db all mail that asks them waits."""
        texts = [*self.case.files.values(), *self.case.append.values()]
        named = [each for each in self.case.files if any(f"hash:{each}" in text for text in texts)]
        return "\n".join(f"/usr/local/sbin/postmap hash:{quote(each)}" for each in named) or ":"

    def _own(self) -> None:
        """Give the paths of `owners` to their users; `before` creates some of them."""
        for path, words in self.case.owners.items():
            owner, _, mode = words.partition(" ")
            self._typed(f"chown -R {quote(owner)} {quote(path)} && chmod {mode} {quote(path)}")

    def _typed(self, text: str) -> None:
        code, said = self.sh(text)
        if code:
            raise CannotBeMade(f"could not be set up: {text!r} ended with {code}: {said}")

    def sh(self, command: str, where: str = "host") -> tuple[int, str]:
        """Exit code and output of a command, typed on the host or in the jail of a service."""
        jail = self._jail(where.removeprefix("jail:")) if where.startswith("jail:") else ""
        line = f"jexec {quote(jail)} sh -c {quote(command)}" if jail else f"( {command}\n)"
        if self._kept is not None:
            done = self._kept.run(line, limit=300)
        else:
            with Session(self.box.target) as session:
                done = session.run(line, limit=300)
        return done.code, done.out + (done.err if done.code else "")

    def _jail(self, name: str) -> str:
        """The jail of a service, or of that name; "" while the service is still on the host."""
        site = self.plan.site
        if not self.moved:
            return ""
        jail = name if name in site.jails else site.jail_of(name)
        return jail if jail in site.built else ""

    def answers(self) -> list[str]:
        return [self.answer(ask) for ask in self.case.ask]

    def numbered(self, answers: Iterable[str]) -> list[str]:
        """Answers that can be compared with another host's: each made keys for its zones, and keeps
        them, so a key is told by its number among those of the host's answers so far.
        """
        return [_KEY.sub(lambda key: f"key #{self._number(key[1])}", each) for each in answers]

    def _number(self, tag: str) -> int:
        if tag not in self._keys:
            self._keys.append(tag)
        return self._keys.index(tag) + 1

    def answer(self, ask: Ask) -> str:
        """The answer to a question, as text that can be compared."""
        if ask.sql is not None:
            return self.sql(ask.sql)
        if ask.sh is not None:
            code, out = self.sh(ask.sh, ask.where)
            return f"exit {code}: {out.strip()}"
        silent = ask.refused or ask in self.silent
        deadline = time.monotonic() + (1 if silent else _ANSWERS_WITHIN)
        while (said := self._said(ask)) is None and time.monotonic() < deadline:
            time.sleep(0.5)
        if said is None and not self.moved:
            self.silent.add(ask)
        return NOBODY if said is None else said

    def _said(self, ask: Ask) -> str | None:
        """What the port says: its content on a real FreeBSD, on the stand-in that somebody does."""
        on_freebsd = not isinstance(self.box.target, StandIn)
        if on_freebsd and (question := self.question(ask)) is not None:
            with suppress(Exception):  # whatever it raises is no answer, as for a probe
                return asked(question, secrets.token_hex(6))
            return None
        return SOMEBODY if self._answers(ask) else None

    def sql(self, statement: str) -> str:
        """The rows that a program on the host gets over TCP."""
        if isinstance(self.box.target, StandIn):
            try:
                return "\n".join(self.box.target.query(statement, "127.0.0.1", source="host"))
            except QueryFailed as error:
                return f"no rows: {error}"
        code, out = self.sh(self._mysql(statement))
        return f"exit {code}: {out}"

    def question(self, ask: Ask) -> Question | None:
        """The question as a client puts it, from outside; None if it has none."""
        target = self.box.target
        control = str(target.control) if isinstance(target, StandIn) else ""
        return of_client(ask, self.plan.site, self.box.door, control)

    def _answers(self, ask: Ask) -> bool:
        assert ask.port is not None
        source = ask.source
        if source != "outside" and not source[0].isdigit():
            source = (self._jail(source) if source != "host" else "") or "host"
        target = self.box.target
        if source[0].isdigit() and not isinstance(target, StandIn):
            raise CannotBeMade(f"only the stand-in has a client at {source}")
        if isinstance(target, StandIn):
            return target.who_answers(ask.address, ask.port, ask.proto, source) is not None
        if source == "outside":
            return self.box.outside.who(ask.address, ask.port, ask.proto) is not None
        line = f"nc -z -w 5 {ask.address} {ask.port}"
        if ask.proto == "udp":
            line = f"drill -p {ask.port} @{ask.address} . NS | grep -q ';; ->>HEADER'"
        code, _ = self.sh(line, "host" if source == "host" else f"jail:{source}")
        return code == 0


__all__ = ["NOBODY", "CannotBeMade", "Host"]
