"""The report of a run: report.json, and report.html, which is made from that alone.

docs/report.md describes both.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from click import Abort

from rollout.engine.checks import Verdict
from rollout.engine.listener import Result
from rollout.engine.runner import Runner
from rollout.errors import CellblockError, Interrupted, Refused
from rollout.plan import Plan
from rollout.probe import outage
from rollout.probe.outage import Owner, Timeline
from rollout.probe.watch import Watch
from rollout.probe.watches import labels
from rollout.probe.watching import watching
from rollout.report import certificates, evidence, page, snapshot, summary, tables, timeline
from rollout.report.evidence import Evidence, Log

FORMAT = 1
ROLLBACK = "rollback"
ENDS = {
    0: "done",
    1: "refused",
    2: "rolled back",
    3: "stuck",
    4: "waiting at a gate",
    5: "host unreachable",
    6: "locked by another run",
    130: "interrupted",
}


def folder(site: str, command: str) -> Path:
    """A new directory for one run. Only its owner may read it: it shows what the server is like."""
    state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    stem = time.strftime(f"%Y-%m-%dT%H.%M.%S-{command}")
    made = state / "cellblock" / site / stem
    try:
        made.parent.mkdir(parents=True, exist_ok=True)
        if made.exists():  # another run of this very second
            made = made.with_name(f"{stem}-{os.getpid()}")
        made.mkdir(mode=0o700)
    except OSError as error:
        raise Refused(
            f"{made}: no directory for the report can be made there: {error.strerror}",
            todo="set XDG_STATE_HOME to a directory that you may write",
        ) from None
    return made


@dataclass(frozen=True)
class Act:
    """A run that ended. `confirmed` are the steps that were confirmed before it began; `injected`
    is the failure that a rehearsal put into it, `part` which of the rehearsal's parts it is.
    """

    name: str
    began: float
    ended: float
    results: tuple[Result, ...]
    timelines: Mapping[str, Timeline]
    confirmed: list[str]
    found: Evidence
    injected: str = ""
    part: str = ""

    @property
    def owners(self) -> list[tuple[str, tuple[Owner, ...]]]:
        return [(name, each.owners) for name, each in self.timelines.items() if each.owners]


class Record:
    """One run of a command. The report is written when the context ends, with or without an error.

    `say` gets the place of the report. A report that cannot be written is reported there, too, and
    changes no outcome. `results` and `act_summary` are those of the last act. `not_modelled`
    says in which a rehearsal's box is not as the server for which it is rehearsed.
    """

    def __init__(
        self, plan: Plan, command: str, where: str, files: Path, say: Callable[[str], None]
    ) -> None:
        self.plan = plan
        self.command = command
        self.where = where
        self.files = files
        self.say = say
        self.acts: list[dict[str, Any]] = []
        self.results: list[dict[str, Any]] = []
        self.verdicts: list[dict[str, str]] = []
        self.not_modelled: list[str] = []
        self.act_summary = ""
        self._began = time.time()

    def __enter__(self) -> Record:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        with self._without_harm("the report could not be written"):
            if self.acts:
                self._write(_end(error))
            elif not any(self.files.iterdir()):
                self.files.rmdir()  # refused before anything began: there is nothing to report

    @contextmanager
    def _without_harm(self, what: str) -> Iterator[None]:
        """An error in the report never changes how the run ends."""
        try:
            yield
        except Exception as error:
            self.say(f"{what}: {type(error).__name__}: {error}")

    @contextmanager
    def act(
        self,
        name: str,
        runner: Runner,
        watches: Sequence[Watch],
        socket_owner: Sequence[str] | None,
        *,
        injected: str = "",
        part: str = "",
    ) -> Iterator[None]:
        """Run while the prober watches, and keep the result; `results` has the figures."""
        probes = self.files / f"{re.sub('[^a-z0-9]+', '-', name.partition(',')[0])}.jsonl"
        self.results, self.act_summary = [], ""
        before = evidence.confirmed(runner.session)
        began = time.time()
        try:
            with watching(watches, socket_owner, probes):
                runner.outside.certificates.watch(watches)
                runner.outside.certificates.remember()
                runner.listener.watching(probes)
                yield
        finally:
            ended = time.time()
            timelines = self._timelines(probes)
            self.results = tables.results_data(runner.results, timelines, self._limits)
            with self._without_harm(f"{name} will be missing in the report"):
                found = evidence.gather(runner.connection.target, runner.results, name == ROLLBACK)
                done = tuple(runner.results)
                self.add(Act(name, began, ended, done, timelines, before, found, injected, part))

    def _timelines(self, probes: Path) -> dict[str, Timeline]:
        """By the label of each port of the site, also of those that were not watched."""
        watched = outage.read(probes) if probes.exists() else {}
        ports = labels(self.plan.site).values()
        return {each: watched.get(each) or outage.not_watched(each) for each in ports} | watched

    def add(self, act: Act) -> None:
        """Add an act to the report."""
        self.acts.append(self._data(act))
        self.act_summary = summary.act(self.acts[-1])

    @property
    def _limits(self) -> dict[str, Mapping[str, float]]:
        return {step.name: step.outage for step in self.plan.steps}

    def _data(self, act: Act) -> dict[str, Any]:
        seen_first = {each: min(own, key=lambda o: o.first).who for each, own in act.owners}
        seen_last = {each: max(own, key=lambda o: o.last).who for each, own in act.owners}
        found = act.found
        return {
            "name": act.name,
            "part": act.part,
            "injected": act.injected,
            "began": round(act.began, 3),
            "seconds": round(act.ended - act.began, 3),
            "outcomes": dict(Counter(each.outcome for each in act.results)),
            "checks_asked": sum(len(each.checks) for each in act.results),
            "checks_passed": sum(each.passed for each in act.results),
            "steps": [
                self._step(act, result, figures)
                for result, figures in zip(
                    act.results,
                    tables.results_data(act.results, act.timelines, self._limits),
                    strict=True,
                )
            ],
            "services": [
                timeline.service(each, act.began, act.ended, act.results)
                for each in act.timelines.values()
            ],
            "checks": _checks((each.step, each.checks) for each in act.results),
            "before": self._server(found.before, act.confirmed, seen_first, found.missing),
            "after": self._server(found.after, found.confirmed, seen_last, found.missing),
            "verified": None,
            "compared": None,
        }

    def _step(self, act: Act, result: Result, figures: dict[str, Any]) -> dict[str, Any]:
        steps = {step.name: n for n, step in enumerate(self.plan.steps)}
        position = steps.get(result.step)
        step = None if position is None else self.plan.steps[position]
        log = act.found.logs.get(result.step, Log([], 0))
        compared = act.found.compared.get(result.step)
        return {
            **figures,
            "number": None if position is None else position + 1,
            "why": step.why if step else "",
            "expected_outage": dict(step.outage) if step else {},
            "began": round(result.began - act.began, 3),
            "ended": round(result.ended - act.began, 3),
            "reason": result.reason,
            "compared": None if compared is None else asdict(compared),
            "log": log.lines,
            "log_left_out": log.left_out,
        }

    def _server(
        self, facts: list[str], confirmed: list[str], who: dict[str, str], missing: str
    ) -> dict[str, Any]:
        """`seen` of a port is who answered a probe there, first or last in the act."""
        if missing:
            return {"missing": missing}
        server = snapshot.read(self.plan.site, facts)
        names = labels(self.plan.site)
        for port in server["ports"]:
            label = names.get((port["service"], port["port"], port["proto"]), "")
            port["seen"] = who.get(label)
        return {"missing": "", "confirmed": confirmed, **server}

    def verified(self, verdicts: Sequence[Verdict]) -> None:
        """The results of all checks, run again after the last act."""
        if self.acts:
            self.acts[-1]["verified"] = _checks([("verify", verdicts)])

    def compared(self, when: str, facts: int, differences: Iterable[str]) -> None:
        """After the last act the host's fingerprint was compared with an earlier one."""
        if self.acts:
            comparison = {"when": when, "facts": facts, "differences": list(differences)}
            self.acts[-1]["compared"] = comparison

    def summary(self, error: BaseException | None) -> str:
        """The result of the whole run in sentences, if it ends with this error."""
        with self._without_harm("the summary could not be made"):
            return summary.run(self._report(_end(error)))
        return ""

    def _report(self, end: dict[str, Any]) -> dict[str, Any]:
        site = self.plan.site
        ended = time.time()
        local = time.localtime(ended)
        return {
            "format": FORMAT,
            "made_by": f"cellblock {_version()}".strip(),
            "command": self.command,
            "site": site.name,
            "site_file": str(site.path),
            "site_hash": site.hash,
            "host": self.where,
            "wan_address": str(site.host.wan_address),
            "began": round(self._began, 3),
            "ended": round(ended, 3),
            "zone": {"name": local.tm_zone, "offset": local.tm_gmtoff},
            "end": end,
            "acts": self.acts,
            "verdicts": self.verdicts,
            "not_modelled": self.not_modelled,
        }

    def _write(self, end: dict[str, Any]) -> None:
        data = self._report(end)
        for line in certificates.of_run(data):
            self.say(line)
        text = json.dumps(data, indent=1, ensure_ascii=False).encode(errors="replace")
        (self.files / "report.json").write_bytes(text)
        html = self.files / "report.html"
        html.write_text(page.render(json.loads(text)), encoding="utf-8")
        self.say(f"report: {html}")


def _end(error: BaseException | None) -> dict[str, Any]:
    if error is None:
        return {"code": 0, "word": ENDS[0], "what": "", "evidence": "", "todo": ""}
    if isinstance(error, CellblockError):
        return {
            "code": error.code,
            # Refused means that nothing was changed; other errors with code 1 do not.
            "word": ENDS[error.code] if error.code != 1 or isinstance(error, Refused) else "failed",
            "what": error.what,
            "evidence": error.evidence,
            "todo": error.todo,
        }
    if isinstance(error, (KeyboardInterrupt, Abort)):
        return {
            "code": Interrupted.code,
            "word": ENDS[Interrupted.code],
            "what": str(error) or "you pressed ^C",
            "evidence": "",
            "todo": "",
        }
    name = type(error).__name__
    return {"code": None, "word": "interrupted", "what": name, "evidence": str(error), "todo": ""}


def _checks(by_step: Iterable[tuple[str, Iterable[Verdict]]]) -> list[dict[str, Any]]:
    """Each check once: how often it ran, after which steps, and what its failures said."""
    found: dict[str, dict[str, Any]] = {}
    for step, verdicts in by_step:
        for verdict in verdicts:
            check = found.setdefault(
                verdict.name,
                {"name": verdict.name, "asked": 0, "passed": 0, "slowest": 0.0, "first": step},
            )
            check["asked"] += 1
            check["passed"] += verdict.passed
            check["slowest"] = max(check["slowest"], round(verdict.seconds, 3))
            check["last"] = step
            failures = check.setdefault("failures", [])
            if not verdict.passed:
                failures.append({"step": step, "found": verdict.message})
    return list(found.values())


def _version() -> str:
    try:
        return version("cellblock")
    except PackageNotFoundError:
        return ""  # a checkout that was never installed
