"""Boxes to rehearse on. The stand-in is always available; the package `box` has the others."""

from __future__ import annotations

import ssl
import tempfile
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
from rollout.probe.certificates import Certificates
from rollout.probe.tls import Certificate
from rollout.probe.transfer import Sink, Transfer
from rollout.probe.watch import Watch
from rollout.probe.watches import watches
from rollout.site import Site
from standin import OUTSIDE, BaseHost, StandIn, memory

_PORTS = count(50000)  # for sinks on the operator's side


STANDIN = "the stand-in"


def _direct(address: str, port: int, proto: str) -> tuple[str, int]:
    return address, port


def _no_clients(say: Callable[[str], None]) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True)
class Box:
    """A host that may break.

    `watches` and `socket_owner` are for the prober: the ports to probe, and the command that finds
    the owner of a connection. `reboot` shuts it down and starts it again; `pull_plug` cuts the
    power and restores it. Both return when it has booted. `cut` ends all connections; new ones work
    a moment later. `door` gives the address and port by which this machine reaches a public port
    (address, port, protocol). Within the context `traffic`, clients use its services. At its end it
    reports their results, and raises Stuck if something that a server had acknowledged is lost.
    """

    name: str
    target: Target
    outside: Outside
    watches: tuple[Watch, ...]
    socket_owner: tuple[str, ...] | None
    reboot: Callable[[], None]
    pull_plug: Callable[[], None]
    cut: Callable[[], None]
    door: Callable[[str, int, str], tuple[str, int]] = _direct
    traffic: Callable[[Callable[[str], None]], AbstractContextManager[None]] = _no_clients
    is_freebsd: bool = False


@dataclass(frozen=True)
class _Model:
    """The outside of a stand-in, which says itself who would answer a client."""

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
    """The number of bytes, once the stand-in knows it (a moment after nc began), or else 0."""
    deadline = time.monotonic() + limit
    while (received := count()) is None and time.monotonic() < deadline:
        time.sleep(0.005)
    return received or 0


@dataclass(frozen=True)
class _ModelSink:
    standin: StandIn
    port: int
    address: str = OUTSIDE

    def received(self, limit: float) -> Transfer | None:
        received = _awaited(lambda: self.standin.sent(self.port), limit)
        return Transfer(received, 0.0) if received else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None: ...


def _sample(site: Site) -> BaseHost:
    sample = BaseHost.sample()
    if any(jail.limits.rules(name) for name, jail in site.jails.items()):
        sample = sample.with_files({"/boot/loader.conf": "kern.racct.enable=1\n"})
    return sample


def box_on(standin: StandIn, site: Site) -> Box:
    """A box on this stand-in, which has been booted."""

    def restart() -> None:
        standin.power_off()
        standin.boot()

    return Box(
        name=STANDIN,
        target=standin,
        outside=_Model(standin, Certificates(partial(_presented, standin))),
        watches=watches(site, standin.control),
        socket_owner=None,
        reboot=restart,
        pull_plug=restart,
        cut=standin.cut,
    )


@contextmanager
def standin_box(
    site: Site, where: Path | None = None, base: BaseHost | None = None
) -> Iterator[Box]:
    """A new stand-in, booted, below `where`; by default in memory, if there is room, and deleted
    when the context ends. By default the sample server, whose kernel counts what jails take if the
    site limits that.
    """
    if where is None:
        with (
            tempfile.TemporaryDirectory(dir=memory(), prefix="cellblock-") as folder,
            standin_box(site, Path(folder), base) as box,
        ):
            yield box
        return
    with StandIn.build(where / "standin", base or _sample(site)) as standin:
        standin.boot()
        yield box_on(standin, site)
