"""The jail's Apache sends what the host's sends, or its start is undone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

import pytest

from rollout.errors import RolledBack
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from tests.rehearsal.https import applied, new_certificate, planned, with_tls
from tests.rehearsal.on_standin import runner, typed
from tests.rehearsal.sites import ordered

CONF = "/usr/local/etc/apache24"
OLD = "/usr/local/www/old"


@pytest.fixture(scope="module")
def made() -> Plan:
    return ordered("web")


@pytest.fixture
def box(made: Plan, tmp_path: Path) -> Iterator[Box]:
    with standin_box(made.site, tmp_path) as box:
        yield box


@pytest.mark.parametrize(
    ("spoilt", "says"),
    [
        pytest.param(
            f"sed -i '' -e 's/ServerName shop/ServerName lost/' {CONF}/extra/*.conf",
            "http://shop.example.org:80/.*: the host answers .*; jail web answers 200",
            id="a lost virtual host",
        ),
        pytest.param(
            f"mkdir {OLD} && echo yesterday > {OLD}/index.html && "
            f"sed -i '' -e 's,/usr/local/www/example.org,{OLD},' {CONF}/extra/*.conf",
            "http://www.example.org:80/: the host answers 200, 24 bytes, sha256 [0-9a-f]{12}; "
            "jail web answers 200, 10 bytes",
            id="an old page",
        ),
        pytest.param(
            f"mkdir {OLD} && "
            f"sed -i '' -e 's,/usr/local/www/example.org,{OLD},' {CONF}/extra/*.conf",
            "http://example.org:80/: the host answers 200, .*; jail web answers 404",
            id="no page",
        ),
    ],
)
def test_another_page_undoes_the_step(spoilt: str, says: str, made: Plan, box: Box) -> None:
    with runner(made, box) as there:
        there.apply("web.jail")
        typed(box, f"jexec web sh -c {quote(spoilt)}")
        with pytest.raises(RolledBack) as undone:
            there.apply("web.standby")
        assert re.search(says, undone.value.evidence or ""), undone.value.evidence
        assert typed(box, "service -j web apache24 onestatus || true").startswith("apache24 is not")


def test_another_page_over_tls_undoes_the_step(tmp_path: Path) -> None:
    """Where port 80 leads to https alone, this is the only page that people see."""
    made = planned()
    with with_tls(made, tmp_path, new_certificate(tmp_path)) as box:
        applied(made, box, tmp_path / "jail", "web.jail")
        places = f"{CONF}/httpd.conf {CONF}/extra/*"
        jails = f"mkdir {OLD} && sed -i '' -e 's,/usr/local/www/example.org,{OLD},' {places}"
        typed(box, f"jexec web sh -c {quote(jails)}")
        with pytest.raises(RolledBack) as undone:
            applied(made, box, tmp_path / "standby", "web.standby")
    said = "https://dcserver.example.org:443/: the host answers 200, .*; jail web answers 404"
    assert re.search(said, undone.value.evidence or ""), undone.value.evidence


def test_pages_that_are_the_same_let_the_move_go_on(made: Plan, box: Box) -> None:
    with runner(made, box) as there:
        there.apply("web.standby")
        assert all(verdict.passed for verdict in there.verify())
