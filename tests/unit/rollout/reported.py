"""Reports for tests: what the report makes of acts with given results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rollout import errors, plan, site
from rollout.engine.checks import Verdict
from rollout.engine.listener import Result
from rollout.probe.outage import Probed, Timeline
from rollout.probe.tls import Certificate, Presented
from rollout.report import page
from rollout.report.evidence import Compared, Evidence, Log
from rollout.report.record import Act, Record

SAMPLE = site.read(Path(__file__).parents[3] / "site.example.toml")
PLAN = plan.make(SAMPLE)
BEGAN = 1700000000.0
EACH = 4.0  # seconds that a step takes
PROBES = 20.0  # a second

BEFORE = """\
address lo0: 127.0.0.1
address vtnet0: 203.0.113.2
module ipfw
mount /dev/vtbd0p3 / ufs rw
rule 65535 set 31 allow ip from any to any
service apache24 runs
service mysql-server runs
service named runs
service sendmail runs
sets enable 0 1 2 3 4""".splitlines()
AFTER = """\
address lo0: 127.0.0.1
address lo1: 10.80.0.2
address lo1: 10.80.0.3
address vtnet0: 203.0.113.2
jail bind /usr/jails/bind/root 10.80.0.2
jail mysql /usr/jails/mysql/root 10.80.0.3
module ipfw
mount /bin /usr/jails/bind/root/bin nullfs ro
mount /bin /usr/jails/mysql/root/bin nullfs ro
mount /dev/vtbd0p3 / ufs rw
mount /var/db/mysql /usr/jails/mysql/root/var/db/mysql nullfs rw
nat ipfw nat 52 config ip 203.0.113.2 same_ports redirect_addr 10.80.0.2 203.0.113.2
rule # DISABLED 00054 set 24 fwd 10.80.0.4,80 tcp from any to 203.0.113.2 80 in
rule 00052 set 22 fwd 10.80.0.2,53 tcp from any to 203.0.113.2 53 in
rule 00052 set 22 nat 52 udp from not 10.80.0.0/24 to 203.0.113.2 53 in
rule 00053 set 23 fwd 10.80.0.3,3306 tcp from any to 203.0.113.2 3306 in
rule 65535 set 31 allow ip from any to any
service apache24 runs
service sendmail runs""".splitlines()


def names(upto: str = "mysql.cutover") -> list[str]:
    """The steps of the sample that do something."""
    steps = PLAN.steps[: PLAN.position(upto) + 1]
    return [step.name for step in steps if step.operations]


def checks(count: int, failed: int = 0) -> tuple[Verdict, ...]:
    return tuple(
        Verdict(f"jail claim {n}", n >= failed, 0.01 * n, "it does not" if n < failed else "")
        for n in range(count)
    )


def results(
    steps: Sequence[str],
    *,
    ends: str = "confirmed",
    verdicts: Sequence[Verdict] = checks(9),
    reason: str = "",
) -> tuple[Result, ...]:
    """One after the other; the last one ends as `ends` says, for this reason."""
    return tuple(
        Result(
            name,
            ends if name == steps[-1] else "confirmed",
            7,
            tuple(verdicts),
            1,
            40,
            BEGAN + 1 + n * EACH,
            BEGAN + 1 + (n + 1) * EACH - 0.2,
            reason if name == steps[-1] else "",
        )
        for n, name in enumerate(steps)
    )


def timeline(
    service: str,
    seconds: float,
    *,
    gap: tuple[float, float] | None = None,
    blind: tuple[float, float] | None = None,
    after: str = "host",
    certificates: Sequence[Presented] = (),
) -> Timeline:
    """Answers of the host, and of `after` after the gap; times are those of the act."""
    probes = []
    for n in range(int(seconds * PROBES)):
        at = n / PROBES + 0.3
        if blind and blind[0] <= at < blind[1]:
            continue
        out = gap is not None and gap[0] <= at < gap[1]
        who = "host" if gap is None or at < gap[0] else after
        error = "ConnectionRefusedError: [Errno 111] Connection refused" if out else None
        probes.append(
            Probed(BEGAN + at, BEGAN + at + 0.004, error, None if out else who, held=False)
        )
    return Timeline(service, PROBES, (tuple(probes),), tuple(certificates))


def presented(at: float, *names: str, sha256: str = "a" * 64) -> Presented:
    """A certificate, from that moment of the act on."""
    return Presented(BEGAN + at, Certificate(sha256, names, "2031-05-06T07:08:09Z"))


def act(
    name: str = "apply",
    done: Sequence[Result] | None = None,
    timelines: Sequence[Timeline] | None = None,
    injected: str = "",
    **found: Any,
) -> Act:
    done = results(names()) if done is None else done
    seconds = 2 + EACH * len(done)
    if timelines is None:
        cutover = 1 + EACH * (len(done) - 1) + 1.5
        timelines = (
            timeline("bind 53/udp", seconds - 1),
            timeline("mysql", seconds - 1, gap=(cutover, cutover + 0.6), after="mysql"),
            timeline("web", seconds - 1),
        )
    logs = {
        each.step: Log([f"2026-11-24T02:45:34Z {each.step}: applying", "001 a command"], 0)
        for each in done
    }
    host: dict[str, Any] = {"before": BEFORE, "after": AFTER, "logs": logs, **found}
    host.setdefault("confirmed", [each.step for each in done])
    seen = {each.service: each for each in timelines}
    return Act(name, BEGAN, BEGAN + seconds, tuple(done), seen, [], Evidence(**host), injected)


def left(
    where: Path,
    *acts: Act,
    error: BaseException | None = None,
    not_modelled: Sequence[str] = (),
    **changes: Any,
) -> tuple[dict[str, Any], str]:
    """What a run of these acts leaves in `where`: the JSON's value and the page's text."""
    made = replace(PLAN, site=PLAN.site.model_copy(update=changes)) if changes else PLAN
    said: list[str] = []
    record = Record(made, "apply", "root@203.0.113.2", where, said.append)
    record.not_modelled = list(not_modelled)
    for each in acts:
        record.add(each)
    record.__exit__(type(error) if error else None, error, None)
    assert [text.partition(":")[0] for text in said] == ["report"], said
    data = json.loads((where / "report.json").read_text(encoding="utf-8"))
    return data, (where / "report.html").read_text(encoding="utf-8")


def broken() -> tuple[Act, errors.CellblockError]:
    """A run whose last step is stuck half-way."""
    what = "mysql.cutover is stuck: everything was undone, but the host is not as before"
    done = results(names(), ends="stuck", verdicts=checks(9, failed=2), reason=what)
    differs = Compared(320, ["- service mysql-server runs", "+ rule 00056 set 26 <deny> all"])
    error = errors.Stuck(what, evidence="service mysql-server: not running", todo="see the log")
    return act("apply again", done, compared={"mysql.cutover": differs}), error


def failed() -> tuple[Act, errors.CellblockError]:
    """A rehearsal in which an injected failure hit a command, and the step was rolled back."""
    what = "mysql.cutover: command 007 failed (1): ipfw rule 56; it was rolled back"
    done = results(["mysql.cutover"], ends="rolledback", verdicts=(), reason=what)
    log = [
        "007 ipfw rule 56",
        "2023-11-14T22:13:22Z 007 failed (1)",
        "2023-99-99T22:13:22Z 008 failed",
    ]
    found = act(
        "apply mysql.cutover, command 7 of mysql.cutover fails",
        done,
        (timeline("mysql", 5.0),),
        "command 7 of mysql.cutover fails",
        logs={"mysql.cutover": Log(log, 0)},
        compared={"mysql.cutover": Compared(320, [])},
    )
    return found, errors.RolledBack(what)


def shown(report: Mapping[str, Any]) -> str:
    return page.render(report)
