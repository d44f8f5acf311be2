"""Probes of a mail server: SMTP, IMAP and POP3; plain, over TLS, and with STARTTLS."""

from __future__ import annotations

import imaplib
import poplib
import smtplib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

from rollout.probe import tls
from rollout.probe.watch import Answer, Watch, answer, left


@dataclass(frozen=True)
class Smtp:
    """The banner (220, nothing else), then QUIT."""

    watch: Watch

    @contextmanager
    def answered(self, deadline: float) -> Iterator[Answer]:
        with self._client(deadline) as client:
            yield answer(client.sock)

    def _client(self, deadline: float) -> smtplib.SMTP:
        return smtplib.SMTP(
            str(self.watch.address),
            self.watch.port,
            local_hostname=HELO,
            timeout=left(deadline),
        )


HELO = "cellblock"  # else smtplib looks up our name, perhaps at the name server that moves


class Smtps(Smtp):
    """The same over TLS."""

    def _client(self, deadline: float) -> smtplib.SMTP:
        return smtplib.SMTP_SSL(
            str(self.watch.address),
            self.watch.port,
            local_hostname=HELO,
            timeout=left(deadline),
            context=tls.context(self.watch.host),
        )


class SmtpStarttls(Smtp):
    """The same, then EHLO and STARTTLS, as on a submission port."""

    def _client(self, deadline: float) -> smtplib.SMTP:
        client = super()._client(deadline)
        with closed_on_failure(client.close):
            client.starttls(context=tls.context(self.watch.host))
        return client


@contextmanager
def closed_on_failure(close: Callable[[], None]) -> Iterator[None]:
    """Close a client whose STARTTLS failed. A regular logout would raise, and hide the cause."""
    try:
        yield
    except BaseException:
        with suppress(OSError):  # the failed handshake may have closed its socket
            close()
        raise


@dataclass(frozen=True)
class Imap:
    watch: Watch

    @contextmanager
    def answered(self, deadline: float) -> Iterator[Answer]:
        with self._client(deadline) as client:
            yield answer(client.sock)

    def _client(self, deadline: float) -> imaplib.IMAP4:
        return imaplib.IMAP4(str(self.watch.address), self.watch.port, timeout=left(deadline))


class Imaps(Imap):
    def _client(self, deadline: float) -> imaplib.IMAP4:
        return imaplib.IMAP4_SSL(
            str(self.watch.address),
            self.watch.port,
            ssl_context=tls.context(self.watch.host),
            timeout=left(deadline),
        )


class ImapStarttls(Imap):
    def _client(self, deadline: float) -> imaplib.IMAP4:
        client = super()._client(deadline)
        with closed_on_failure(client.shutdown):
            client.starttls(ssl_context=tls.context(self.watch.host))
        return client


@dataclass(frozen=True)
class Pop3:
    watch: Watch

    @contextmanager
    def answered(self, deadline: float) -> Iterator[Answer]:
        with closing(self._client(deadline)) as client:
            yield answer(client.sock)
            client.quit()

    def _client(self, deadline: float) -> poplib.POP3:
        return poplib.POP3(str(self.watch.address), self.watch.port, timeout=left(deadline))


class Pop3s(Pop3):
    def _client(self, deadline: float) -> poplib.POP3:
        return poplib.POP3_SSL(
            str(self.watch.address),
            self.watch.port,
            context=tls.context(self.watch.host),
            timeout=left(deadline),
        )


class Pop3Starttls(Pop3):
    def _client(self, deadline: float) -> poplib.POP3:
        client = super()._client(deadline)
        with closed_on_failure(client.close):
            client.stls(context=tls.context(self.watch.host))
        return client
