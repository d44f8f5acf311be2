"""Shared by the runner's tests: steps on the small host whose commands record what they did."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rollout.engine import gates
from rollout.engine.runner import Runner
from rollout.host import bundle
from rollout.plan.step import Gate, Step, Use, check, use
from rollout.runbook.manual import Manual, Typist
from tests.unit.rollout.small_host import Noted, SmallHost, planned, typed
from tests.unit.rollout.unreachable import Unreachable

GATE = Gate("Is it well?", ("the log",))


class Nobody(Unreachable):
    def who(self, address: str, port: int, proto: str) -> str | None:
        raise AssertionError("nothing probes from outside here")


def _says(yes: bool) -> gates.Answer:
    return lambda step, gate: "me" if yes else ""


class Lab:
    """Steps on the small host: each command records in `acts` what it did."""

    def __init__(self, host: SmallHost) -> None:
        self.host = host
        self.listener = Noted()
        self.root = host.root
        self.acts_file = host.where / "acts"
        self.opened: list[Runner] = []

    def runner(self, *steps: Step, yes: bool = False, typist: Typist | None = None) -> Runner:
        runner = Runner(
            planned(*steps),
            self.host,
            Nobody(),
            self.listener,
            _says(yes),
            manual=Manual(typist) if typist else None,
        )
        self.opened.append(runner)
        return runner

    def path(self, name: str) -> Path:
        return self.root / "etc" / name

    def where(self, name: str) -> Path:
        """A path on the host that its fingerprint does not cover."""
        return self.host.where / name

    def makes(self, name: str, then: str = "", undo: str = "", **more: Any) -> Use:
        act = f"echo do-{name} >> {self.acts_file}; touch {self.path(name)}"
        back = f"echo undo-{name} >> {self.acts_file}; {undo or f'rm -f {self.path(name)}'}"
        return use(typed, do=f"{act}{then and '; ' + then}", undo=back, **more)

    def step(self, name: str, *operations: Use, **more: Any) -> Step:
        wanted = more.pop("wants", "")
        asked = check("file::is_there", path=str(self.path(wanted))) if wanted else ALWAYS
        return Step(name, "Because.", operations, (asked,), **more)

    @property
    def acts(self) -> list[str]:
        return self.acts_file.read_text().split() if self.acts_file.exists() else []


ALWAYS = check("file::always")


def leave_applied(lab: Lab, *steps: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's machine dies between the run of the last step and its confirm."""

    class Died(Exception): ...

    def die(*_: Any) -> None:
        raise Died

    runner = lab.runner(*steps)
    monkeypatch.setattr(runner, "_checked", die)
    with pytest.raises(Died):
        runner.apply()
    lab.host.cut()


def start(runner: Runner, position: int = 0, token: str = "t") -> str:  # noqa: S107 # no secret
    """Upload a step and start it without waiting; returns its directory."""
    assert isinstance(runner.connection.target, SmallHost)
    if not runner.connection.channels:
        runner.connection.take()
    made = runner.compiled(position)
    runner.session.output(bundle.upload_script(made, token, str(runner.connection.target.journal)))
    return made.directory


def until(holds: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
