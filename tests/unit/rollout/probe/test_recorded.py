"""What ports answer to this machine, recorded and asked again without them."""

from __future__ import annotations

import pytest

from rollout import site
from rollout.host.survey import Recording, Unanswered
from rollout.probe.certificates import Certificates
from rollout.probe.recorded import OfSurvey, RecordedOutside
from rollout.probe.tls import Certificate
from rollout.probe.transfer import Sink, Transfer
from rollout.probe.watch import Watch
from rollout.probe.watches import watches
from rollout.site import Listen
from tests.rehearsal.sites import SAMPLE

_SAMPLE = site.read(SAMPLE)
_WEB = _SAMPLE.services["web"]
_SECURE = _WEB.model_copy(update={"ports": (Listen(port=443, probe="https"),)})
SITE = _SAMPLE.model_copy(update={"services": {**_SAMPLE.services, "web": _SECURE}})
SHOWN = Certificate("ab" * 32, ("www.example.org",), "2027-01-31T12:00:00Z")


class Answering:
    """MySQL's port does not answer, and the mail server's shows a certificate."""

    def __init__(self, shown: Certificate | None) -> None:
        self._shown = shown
        self.certificates = Certificates(self._present)

    def _present(self, watch: Watch) -> Certificate:
        if self._shown is None:
            raise LookupError("none")
        return self._shown

    def who(self, address: str, port: int, proto: str) -> str | None:
        if port == 3306:
            raise ConnectionRefusedError
        return "host" if proto == "tcp" else None

    def sink(self) -> Sink:
        raise NotImplementedError

    def read(self, address: str, port: int, limit: float) -> Transfer:
        raise NotImplementedError


def recording(outside: RecordedOutside) -> Recording:
    return Recording(
        host="h", release="r", made="m", answers={}, who=outside.asked,
        certificates=outside.presented,
    )  # fmt: skip


def test_who_answered_is_told_again_and_what_was_not_asked_is_not() -> None:
    outside = RecordedOutside(Answering(None))
    assert outside.who("203.0.113.2", 25, "tcp") == "host"
    assert outside.who("203.0.113.2", 53, "udp") is None
    with pytest.raises(ConnectionRefusedError):
        outside.who("203.0.113.2", 3306, "tcp")
    again = OfSurvey(recording(outside))
    assert again.who("203.0.113.2", 25, "tcp") == "host"
    assert again.who("203.0.113.2", 53, "udp") is None
    assert again.who("203.0.113.2", 3306, "tcp") is None
    with pytest.raises(Unanswered, match=r"who answers at 203[.]0[.]113[.]2:80/tcp"):
        again.who("203.0.113.2", 80, "tcp")
    with pytest.raises(Unanswered):
        again.sink()
    with pytest.raises(Unanswered):
        again.read("203.0.113.2", 80, 1.0)


def test_an_address_that_a_router_translates_is_asked_where_clients_find_it() -> None:
    class Seen(Answering):
        def who(self, address: str, port: int, proto: str) -> str | None:
            return "host" if address == "198.51.100.7" else None

    outside = RecordedOutside(Seen(None), {"10.0.0.5": "198.51.100.7"})
    assert outside.who("10.0.0.5", 25, "tcp") == "host"
    assert outside.who("10.0.0.6", 25, "tcp") is None
    assert outside.asked == {"10.0.0.5:25/tcp": "host", "10.0.0.6:25/tcp": None}


@pytest.mark.parametrize("shown", [SHOWN, None])
def test_a_certificate_is_there_again_or_was_none(
    shown: Certificate | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rollout.probe.certificates._ANSWER_WITHIN", 0.0)
    service, listen = "web", SITE.services["web"].ports[0]
    live = RecordedOutside(Answering(shown))
    live.certificates.watch(watches(SITE))
    said = live.certificates.changed(SITE, service, listen)
    again = OfSurvey(recording(live))
    again.certificates.watch(watches(SITE))
    told = again.certificates.changed(SITE, service, listen)
    assert bool(said) == bool(told) == (shown is None)
    empty = OfSurvey(recording(RecordedOutside(Answering(shown))))
    empty.certificates.watch(watches(SITE))
    with pytest.raises(Unanswered, match="the certificate that"):
        empty.certificates.changed(SITE, service, listen)


def test_a_port_without_a_certificate_is_not_asked_for_one() -> None:
    outside = OfSurvey(recording(RecordedOutside(Answering(None))))
    assert outside.certificates.changed(_SAMPLE, "web", _SAMPLE.services["web"].ports[0]) is None
