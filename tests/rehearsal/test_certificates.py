"""A TLS port presents the same certificate after the move as before, or the step is undone."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rollout import plan, site
from rollout.errors import RolledBack
from rollout.plan import Plan
from rollout.probe.tls import Certificate
from rollout.rehearsal.box import Box, standin_box
from rollout.report.record import Record
from rollout.site import Listen
from standin import BaseHost
from standin.samples import files
from tests.rehearsal.on_standin import host, runner, typed
from tests.rehearsal.sites import FIRST, SAMPLE
from tests.unit.rollout.probe import served

CERTIFICATE = "/usr/local/etc/apache24/server.crt"


def new_certificate(where: Path) -> str:
    pem = served.der(served.certified(where, "www.example.org"))
    return ssl.DER_cert_to_PEM_cert(pem)


def planned() -> Plan:
    sample = site.read(SAMPLE)
    secure = Listen.model_validate({"port": 443, "probe": "https", "name": "www.example.org"})
    web = sample.services["web"]
    services = {**sample.services, "web": web.model_copy(update={"ports": (*web.ports, secure)})}
    order = (*FIRST, "mysql", "web")
    return plan.make(sample.model_copy(update={"services": services, "order": order}))


@contextmanager
def with_tls(made: Plan, where: Path, certificate: str) -> Iterator[Box]:
    httpd = f"{files.HTTPD}Listen 443\nSSLCertificateFile {CERTIFICATE}\n"
    more = {"/usr/local/etc/apache24/httpd.conf": httpd, CERTIFICATE: certificate}
    with standin_box(made.site, where, BaseHost.sample().with_files(more)) as box:
        yield box


def applied(made: Plan, box: Box, files: Path, to: str | None = None) -> Record:
    files.mkdir()
    kept = Record(made, "apply", box.target.name, files, lambda text: None)
    with (
        kept,
        runner(made, box) as there,
        kept.act("apply", there, box.watches, box.socket_owner),
    ):
        there.apply(to)
    return kept


def test_the_same_certificate_is_in_the_report(tmp_path: Path) -> None:
    made, before = planned(), new_certificate(tmp_path)
    with with_tls(made, tmp_path, before) as box:
        kept = applied(made, box, tmp_path / "apply")
        with runner(made, box) as there:
            verdicts = {each.name: each.passed for each in there.verify()}
        assert verdicts["service presents the same certificate: web"]
    [web] = [each for each in kept.acts[0]["services"] if each["service"] == "web 443/tcp"]
    [found] = web["certificates"]
    assert list(found["names"]) == ["www.example.org"]
    assert found["sha256"] == Certificate.of(ssl.PEM_cert_to_DER_cert(before)).sha256


def test_another_certificate_fails_the_step_and_is_in_the_report(tmp_path: Path) -> None:
    """The certificate was renewed on the host after it had been copied into the jail."""
    made, renewed = planned(), new_certificate(tmp_path)
    with with_tls(made, tmp_path, new_certificate(tmp_path)) as box:
        applied(made, box, tmp_path / "first", "web.standby")
        typed(box, f"cat > {CERTIFICATE} <<'END'\n{renewed}END")
        with pytest.raises(RolledBack, match=r"web\.cutover") as caught:
            applied(made, box, tmp_path / "second")
        assert "203.0.113.2:443/tcp presents another certificate: www.example.org" in str(
            caught.value
        )
        assert host(box).who_answers("203.0.113.2", 443) == "host"
        assert host(box).strange == []
