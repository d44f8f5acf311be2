"""The small host, under each sh that host.sh must run under, and the runner's steps on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout.engine import checks
from rollout.engine.checks import Verdict
from tests.unit.rollout.lab import Lab
from tests.unit.rollout.small_host import SmallHost, small_host


@pytest.fixture(params=["dash", pytest.param("bash", marks=pytest.mark.whole)])
def host(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SmallHost]:
    yield from small_host(tmp_path / "h", request.param, monkeypatch)


@pytest.fixture
def lab(host: SmallHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    def run(wanted: Any, session: Any, *_: Any) -> list[Verdict]:
        verdicts = []
        for each in wanted:
            path = dict(each.values).get("path", "/")
            well = session.run(f"test -e {path}").code == 0
            verdicts.append(Verdict(each.test, well, 0.0, "" if well else f"{path} is missing"))
        return verdicts

    monkeypatch.setattr(checks, "run", run)
    made = Lab(host)
    yield made
    for runner in made.opened:
        runner.__exit__()
