"""The certificates that TLS ports present: then, and now."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from rollout.probe.tls import Certificate
from rollout.probe.watch import Watch
from rollout.probe.watches import labels
from rollout.site import Listen, Site

_ANSWER_WITHIN = 15.0  # seconds
_CERTIFICATE_WITHIN = 5.0  # seconds, for one attempt


def presented(watch: Watch) -> Certificate:
    """The certificate that a port presents to a client that connects now."""
    # Not before: few checks ask for one, and the protocols load a client for each service.
    from rollout.probe.protocols import KINDS

    with KINDS[watch.kind](watch).answered(time.monotonic() + _CERTIFICATE_WITHIN) as answer:
        if answer.certificate is None:
            raise LookupError("an answer without a certificate")
        return Certificate.of(answer.certificate)


class Certificates:
    """The certificates that TLS ports presented at the start of a run, to compare them with now."""

    def __init__(self, ask: Callable[[Watch], Certificate] = presented) -> None:
        self.ask = ask
        self._watches: dict[str, Watch] = {}
        self._first: dict[str, Certificate] = {}

    def watch(self, watches: Sequence[Watch]) -> None:
        """Ask these from now on, in place of earlier ones."""
        self._watches = {each.name: each for each in watches}
        self._first = {}

    @property
    def ports(self) -> tuple[Watch, ...]:
        """Those that speak TLS."""
        return tuple(each for each in self._watches.values() if each.has_certificate)

    def remember(self) -> None:
        """Ask each TLS port now. One that does not answer is reported by `changed`."""
        for watch in self.ports:
            with suppress(Exception):  # whatever it raises is no answer, as for a probe
                self._first[watch.name] = self.ask(watch)

    def changed(self, site: Site, service: str, listen: Listen) -> str | None:
        """What has changed at a port since the start of the run; "" if nothing has, None for a port
        that is not watched.

        Without `remember`, what is presented now counts as the start.
        """
        name = labels(site)[service, listen.port, listen.proto]
        return self._changed(name) if name in self._watches else None

    def _changed(self, name: str) -> str:
        now = self.now(self._watches[name])
        if isinstance(now, str):
            return now
        first = self._first.setdefault(name, now)
        return "" if now == first else f"presents another certificate: {now}; before: {first}"

    def now(self, watch: Watch) -> Certificate | str:
        """What a TLS port presents, or in words that it presents nothing. It is asked for a while:
        a service may be starting.
        """
        deadline = time.monotonic() + _ANSWER_WITHIN
        while True:
            try:
                return self.ask(watch)
            except Exception as error:  # whatever it is, a client got no certificate
                if time.monotonic() > deadline:
                    return f"presents no certificate ({type(error).__name__}: {error})"
                time.sleep(0.5)
