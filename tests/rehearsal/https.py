"""Shared by rehearsals: the sample host, with an Apache that serves port 443, too."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rollout import plan, site
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from rollout.report.record import Record
from rollout.site import Listen
from standin import BaseHost
from standin.samples import files
from tests.rehearsal.on_standin import runner
from tests.rehearsal.sites import FIRST, SAMPLE
from tests.unit.rollout.probe import served

CERTIFICATE = "/usr/local/etc/apache24/server.crt"
HTTPD = (
    f"{files.HTTPD}Listen 443\nSSLCertificateFile {CERTIFICATE}\n<VirtualHost *:443>\n"
    '    ServerName www.example.org\n    DocumentRoot "/usr/local/www/example.org"\n'
    "</VirtualHost>\n"
)
"""Its configuration."""


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
    more = {"/usr/local/etc/apache24/httpd.conf": HTTPD, CERTIFICATE: certificate}
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
