"""A run on the live server under the prober, and the plan for it as it is."""

from __future__ import annotations

from collections.abc import Callable

from rollout.engine.gates import Answer
from rollout.engine.listener import Listener
from rollout.engine.runner import ManualEntry, Runner
from rollout.errors import Refused
from rollout.host import bundle
from rollout.plan import Plan
from rollout.probe.private import private_watches
from rollout.probe.watches import watches
from rollout.rehearsal import history
from rollout.report import record
from rollout.report.plans import Ahead
from rollout.terminal.server import connected, ssh


def watched(
    made: Plan,
    name: str,
    listener: Listener,
    answer: Answer,
    run: Callable[[Runner], None],
    *,
    say: Callable[[str], None],
    manual: ManualEntry | None = None,
) -> None:
    """Run while the prober watches the services, and show the result, however the run ends."""
    target = ssh(made.site)
    with (
        record.Record(made, name, target.name, record.folder(made.site.name, name), say) as kept,
        connected(made, listener, answer, manual) as runner,
        private_watches(made.site, target, listener.note) as private,
    ):
        listener.act(name)
        error: BaseException | None = None
        try:
            with kept.act(name, runner, (*watches(made.site), *private), target.sh()):
                run(runner)
        except BaseException as raised:
            error = raised
            raise
        finally:
            listener.ended(kept.results, kept.summary(error))


def apply(runner: Runner, to: str | None, *, strict: bool) -> None:
    """Apply, after a remark on each step that was not rehearsed as it is."""
    done = {entry.name for entry in runner.known().done}
    wanted = runner.plan.steps[: runner.plan.upto(to)]
    left = [step for step in wanted if step.operations and step.name not in done]
    release = history.release_of(runner.session.output("uname -r"))
    for line in history.remarks(left, release, strict=strict):
        runner.listener.note(line)
    runner.apply(to)


def offline(made: Plan, step: str | None, to: str | None) -> list[Ahead]:
    """The steps as compiled without a server."""
    last = made.upto(step or to)
    return [
        (bundle.compile_step(n + 1, each, None), each.gate, ())
        for n, each in enumerate(made.steps[:last])
        if step in (None, each.name)
    ]


def ahead(runner: Runner, step: str | None, to: str | None) -> list[Ahead]:
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
