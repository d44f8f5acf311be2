"""The connection to the host during a run: a shared one, and a new one for each confirm."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from rollout.engine.listener import Listener
from rollout.errors import CellblockError, Locked, Refused, RolledBack, Stuck, Unreachable
from rollout.host import journal
from rollout.host.journal import Entry, Journal
from rollout.host.session import Session, Target
from rollout.host.together import Result
from rollout.plan import Plan
from rollout.site import JOURNAL

_NOTICE = re.compile(r"(?:\S+Z )?notice: (.*)")
"""A line of a step's log for whoever runs it, by a command or by host.sh."""
_FOLLOW_FOR = 1800.0  # seconds: longer than any step may take
_LEFT_ALONE = "the host undoes by itself what was not confirmed; nothing was started from here"
_LOCK_FOR = 10.0  # seconds: the shell of a killed run first finishes its command
_TRY_FOR = 60.0  # seconds to try to reach a host that does not answer

T = TypeVar("T")


class Connection:
    """Reaches one host. It counts its cost: `channels` opened, round `trips` made.

    With a `session` it opens none to read the host.
    """

    def __init__(
        self, plan: Plan, target: Target, listener: Listener, session: Session | None = None
    ) -> None:
        self.plan = plan
        self.target = target
        self.listener = listener
        self.channels = 0
        self._run = secrets.token_hex(4)
        self._trips = 0
        self._session = session

    @property
    def trips(self) -> int:
        return self._trips + (self._session.trips if self._session else 0)

    @property
    def session(self) -> Session:
        """The connection that everything but the confirm shares. It is opened at its first use."""
        if self._session is None:
            self._session = self._open()
        return self._session

    def _open(self) -> Session:
        self.channels += 1
        return Session(self.target)

    def connect(self) -> None:
        """Reach the host for the first time. Raises Unreachable, with what the site file says."""
        try:
            self.session.run(":")
        except Unreachable as error:
            site = self.plan.site
            raise Unreachable(
                f"{error.what} (port {site.host.port}; [host] in {site.path})",
                evidence=f"{error.evidence}\n{_LEFT_ALONE}",
                todo=error.todo,
            ) from None

    def take(self) -> None:
        """Take the lock, and upload host.sh and the plan. Raises Locked.

        It tries for a while: the shell of a killed run holds the lock for a moment longer.
        """
        tries = Retrying(
            retry=retry_if_exception_type(Locked),
            stop=stop_after_delay(_LOCK_FOR),
            wait=wait_fixed(0.5),
            reraise=True,
        )
        stale = tries(journal.take, self.session, self.plan, self._run)
        if stale:
            self.listener.note(f"took over the stale lock of {stale}: that run ended unexpectedly")

    def close(self) -> None:
        if self._session is not None:
            with suppress(CellblockError):  # without a connection the lock is stale anyway
                journal.release(self._session)
        self._drop()

    def _drop(self) -> None:
        if self._session is not None:
            self._trips += self._session.trips
            self._session.close()
            self._session = None

    def entry(self, directory: str) -> Entry:
        """The journal's entry for a step that was begun."""
        return _entry(directory, journal.read(self.session, directory))

    def start(self, upload: str, directory: str, token: str) -> Entry:
        """Upload a step, which begins, and wait until it rests: one round trip.

        Raises Unreachable if the connection ended before the host had all of it.
        """
        try:
            uploaded, known = self._followed(directory, upload)
        except Unreachable as error:
            self._reconnected(error, directory)
            if all(each.token != token for each in journal.read(self.session, directory).entries):
                raise
            return self._resumed(directory)
        if uploaded.code != 0:
            raise Refused(
                f"{directory} could not be put onto {self.target.name} (exit {uploaded.code}); it "
                "did not begin",
                evidence=uploaded.err,
            )
        return _rested(directory, known)

    def undo(self, directory: str, reason: str) -> tuple[Entry, str]:
        """Have the host undo a step, and wait until it rests: one round trip. Returns also what the
        host said against it.
        """
        begin = f"sh {JOURNAL}/host.sh start-undo {directory} '{reason}'"
        try:
            begun, known = self._followed(directory, begin)
        except Unreachable as error:
            self._reconnected(error, directory)
            if self.entry(directory).state not in ("confirmed", "applied"):
                return self._resumed(directory), ""
            begun, known = self._followed(directory, begin)  # it had not begun
        return _rested(directory, known), begun.err

    def follow(self, directory: str) -> Entry:
        """Wait until a step rests, and report its log; reconnect if the connection ends."""
        try:
            return _rested(directory, self._followed(directory)[1])
        except Unreachable as error:
            self._reconnected(error, directory)
            return self._resumed(directory)

    def _reconnected(self, error: Unreachable, directory: str) -> None:
        self.listener.note(f"{error.what}; the step continues on the host; reconnecting")
        self.renew(directory)

    def _resumed(self, directory: str) -> Entry:
        """The same after the connection had ended."""
        # The host may have restarted before any step had installed the undo at boot.
        self.session.output(f"sh {JOURNAL}/host.sh arm {directory}")
        return _rested(directory, self._followed(directory)[1])

    def _followed(self, directory: str, first: str = ":") -> tuple[Result, Journal]:
        """What `first` said, and the journal's entry after the step has come to rest."""
        follow = f"sh {JOURNAL}/host.sh follow {directory}"
        begun, _, known = self.session.run_all(
            [first, follow, journal.question(directory)],
            limit=_FOLLOW_FOR,
            line=self._line,
            told=1,
        )
        return begun, journal.parse(known.out)

    def _line(self, text: str) -> None:
        """What a command says to whoever runs it is more than a line of the log."""
        self.listener.line(text)
        if notice := _NOTICE.fullmatch(text):
            self.listener.note(notice[1])

    def renew(self, directory: str) -> None:
        """Connect again after the shared connection has ended, and take the lock again."""

        def again() -> None:
            self._drop()
            self.take()

        self._retrying(again, directory)

    def confirm(self, entry: Entry) -> None:
        """Confirm a step over a new connection, which proves that logins still work.

        Raises RolledBack when the host reached its deadline first.
        """
        command = f"sh {JOURNAL}/host.sh confirm {entry.directory} {entry.token}"

        def confirm() -> Result:
            with self._open() as fresh:
                self._trips += 1
                return fresh.run(command, limit=30)

        if self._retrying(confirm, entry.directory).code == 0:
            return
        now = self.follow(entry.directory)
        if now.state != "confirmed":  # the answer to an earlier confirm may have been lost
            raise RolledBack(
                f"{entry.name}: the confirm came too late: the host had already rolled it back",
                evidence=now.reason,
                todo="raise [run] confirm_within, or find out what was slow",
            )

    def _retrying(self, attempt: Callable[[], T], directory: str) -> T:
        """Try for a while to reach the host: one lost connection does not mean a lost host."""
        tries = Retrying(
            retry=retry_if_exception_type(Unreachable),
            stop=stop_after_delay(_TRY_FOR),
            wait=wait_fixed(1),
            reraise=True,
        )
        try:
            return tries(attempt)
        except Unreachable as error:
            raise Unreachable(
                error.what,
                evidence=error.evidence,
                todo=f"the host rolls {directory} back at its deadline unless it is confirmed; "
                "run cellblock status when the host can be reached again",
            ) from None


def _entry(directory: str, known: Journal) -> Entry:
    for entry in known.entries:
        if entry.directory == directory:
            return entry
    raise Refused(f"the journal has no step {directory}", todo="run cellblock status")


def _rested(directory: str, known: Journal) -> Entry:
    entry = _entry(directory, known)
    if entry.state not in journal.RESTING:
        raise Stuck(
            f"{directory} is {entry.state}, and its log ended",
            todo=f"look at {JOURNAL}/steps/{directory}/log on the host, and at status",
        )
    return entry
