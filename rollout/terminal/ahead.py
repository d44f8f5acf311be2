"""The steps that are ahead, for `plan`: compiled for the server as it is, or without one."""

from __future__ import annotations

from rollout.engine.runner import Runner
from rollout.errors import Refused
from rollout.host import bundle
from rollout.plan import Plan
from rollout.report.plans import Ahead


def offline(made: Plan, step: str | None, to: str | None) -> list[Ahead]:
    """The steps as compiled without a server."""
    last = made.upto(step or to)
    return [
        (bundle.compile_step(n + 1, each, None), each.gate, ())
        for n, each in enumerate(made.steps[:last])
        if step in (None, each.name)
    ]


def on_server(runner: Runner, step: str | None, to: str | None) -> list[Ahead]:
    """The steps that are left on the server, compiled for it as it is now."""
    made = runner.plan
    known = runner.known()
    last = made.upto(step or to)
    runner.must_pass_preflight(known, last)
    done = {entry.directory for entry in known.done}
    if step and made.directory(last - 1) in done:
        raise Refused(
            f"{step} is confirmed already: nothing of it is left to do",
            todo="status shows the state of each step; runbook has its commands",
        )
    left = [n for n in range(last) if made.directory(n) not in done]
    return [
        (each, runner.gate(each.step), runner.found(each.step))
        for each in runner.compiled_at_once(left[-1:] if step else left)
    ]
