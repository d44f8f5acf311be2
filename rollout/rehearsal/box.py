"""Boxes to rehearse on. The stand-in is the one that is always at hand."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Self

from rollout.engine.checks import Outside
from rollout.host.session import Target
from rollout.probe.outside import Certificates, watches
from rollout.probe.protocols import Watch
from rollout.probe.tls import Certificate
from rollout.probe.transfer import Sink, Transfer
from rollout.site import Site
from standin import OUTSIDE, BaseHost, StandIn

_PORTS = count(50000)  # of sinks of the operator's


STANDIN = "the stand-in"


def _nobody(say: Callable[[str], None]) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True)
class Box:
    """A host that may break.

    `watches` and `socket_owner` are the prober's: what it asks, and the command that it asks for
    owners. `reboot` restarts it as its administrator would, `pull_plug` takes the power and gives
    it back; both return when it has booted. `cut` ends all connections, and they can be made again
    a moment later. While `traffic` is entered clients use its services; as it is left it says what
    they saw, and raises Stuck when something that they had been promised is lost.
    """

    name: str
    target: Target
    outside: Outside
    watches: tuple[Watch, ...]
    socket_owner: tuple[str, ...] | None
    reboot: Callable[[], None]
    pull_plug: Callable[[], None]
    cut: Callable[[], None]
    traffic: Callable[[Callable[[str], None]], AbstractContextManager[None]] = _nobody
    is_freebsd: bool = False


@dataclass(frozen=True)
class _Model:
    """The stand-in says itself who would answer a client."""

    standin: StandIn
    certificates: Certificates

    def who(self, address: str, port: int, proto: str) -> str | None:
        return self.standin.who_answers(address, port, proto)

    def sink(self) -> Sink:
        return _ModelSink(self.standin, next(_PORTS))

    def read(self, address: str, port: int, limit: float) -> Transfer:
        return Transfer(_awaited(lambda: self.standin.given(address, port), limit), 0.0)


def _presented(standin: StandIn, watch: Watch) -> Certificate:
    found = standin.certificate(str(watch.address), watch.port, watch.source)
    if found is None:
        raise LookupError("no answer, or one without a certificate")
    return Certificate.of(ssl.PEM_cert_to_DER_cert(found))


def _awaited(count: Callable[[], int | None], limit: float) -> int:
    """The stand-in's word once it has one, a moment after the host's nc began; or else 0."""
    deadline = time.monotonic() + limit
    while (came := count()) is None and time.monotonic() < deadline:
        time.sleep(0.005)
    return came or 0


@dataclass(frozen=True)
class _ModelSink:
    standin: StandIn
    port: int
    address: str = OUTSIDE

    def received(self, limit: float) -> Transfer | None:
        came = _awaited(lambda: self.standin.sent(self.port), limit)
        return Transfer(came, 0.0) if came else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None: ...


@contextmanager
def standin_box(site: Site, where: Path, base: BaseHost | None = None) -> Iterator[Box]:
    """A fresh stand-in, booted; gone when the context ends. Without `base`, the sample server."""
    with StandIn.build(where / "standin", base or BaseHost.sample()) as standin:
        standin.boot()

        def restart() -> None:
            standin.power_off()
            standin.boot()

        yield Box(
            name=STANDIN,
            target=standin,
            outside=_Model(standin, Certificates(partial(_presented, standin))),
            watches=watches(site, standin.control),
            socket_owner=None,
            reboot=restart,
            pull_plug=restart,
            cut=standin.cut,
        )
