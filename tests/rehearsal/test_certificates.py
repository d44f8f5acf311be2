"""A TLS port presents the same certificate after the move as before, or the step is undone."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from rollout.errors import RolledBack
from rollout.probe.tls import Certificate
from tests.rehearsal.https import CERTIFICATE, applied, new_certificate, planned, with_tls
from tests.rehearsal.on_standin import host, runner, typed


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
