"""A run on the live server under the prober."""

from __future__ import annotations

from collections.abc import Callable

from rollout.engine.gates import Answer
from rollout.engine.listener import Listener
from rollout.engine.runner import ManualEntry, Runner
from rollout.plan import Plan
from rollout.probe.private import private_watches
from rollout.probe.watches import watches
from rollout.rehearsal import history
from rollout.report import record
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
