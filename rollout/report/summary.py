"""The result of a run in sentences, for the terminal and the page, from report.json alone.

`run` takes the whole report, `act` one of its acts (docs/report.md describes them).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollout.errors import Interrupted, Locked, RolledBack, Stuck, Unreachable, Waiting

Report = Mapping[str, Any]
Act = Mapping[str, Any]

_HOST = "host"  # who answers at a port that did not move


@dataclass(frozen=True)
class Outage:
    """The time that one watched service did not answer, in seconds, and the limit for it.

    `limit` is that of the steps during which it was down: 0 where they expect no outage. `gaps`
    are those of the act that it is made of.
    """

    service: str
    seconds: float
    limit: float
    steps: tuple[str, ...]
    gaps: tuple[Mapping[str, Any], ...]

    @property
    def alarm(self) -> bool:
        return self.seconds > self.limit

    @property
    def allowed(self) -> str:
        """The limit in words."""
        exceeded = ", exceeded" if self.alarm else ""
        return f"limit {self.limit:g} s{exceeded}" if self.limit else "no outage was expected"

    def __str__(self) -> str:
        during = f" during {_listed(self.steps)}" if self.steps and not self.limit else ""
        return f"{self.service} was down for {self.seconds:.2f} s{during} ({self.allowed})"


def run(report: Report) -> str:
    """The result of a whole run: what happened, what was down, what was compared."""
    acts = report["acts"]
    sentences = [_end(report)]
    if acts:
        sentences += [_places(acts[-1]), _outages(acts)]
        # After a failed step, the first question is whether everything is as before.
        failed = report["end"]["code"] == RolledBack.code
        sentences.insert(1 if failed else len(sentences), _compared(report))
    return " ".join(each for each in sentences if each)


def act(act: Act) -> str:
    """The result of one act of a rehearsal, or of an apply or a rollback without its end."""
    return " ".join(each for each in (_places(act), _outages([act])) if each)


def outages(act: Act) -> list[Outage]:
    """Each service that was down in an act, with its expected and other outages apart."""
    limits = {step["step"]: step["expected_outage"] for step in act["steps"]}
    found = []
    for each in act["services"]:
        service = each["service"].partition(" ")[0]
        expected: dict[bool, list[Mapping[str, Any]]] = {True: [], False: []}
        for gap in each["gaps"]:
            expected[any(limits[step].get(service) for step in gap["steps"])].append(gap)
        for gaps in expected.values():
            if gaps:
                steps = tuple(dict.fromkeys(step for gap in gaps for step in gap["steps"]))
                limit = sum(limits[step].get(service, 0.0) for step in steps)
                seconds = sum(gap["seconds"] for gap in gaps)
                found.append(Outage(each["service"], seconds, limit, steps, tuple(gaps)))
    return found


def unwatched(act: Act) -> list[str]:
    """The services that were not watched, so that it is unknown whether they answered."""
    watched = [each["service"].partition(" ")[0] for each in act["services"]]
    there = [port["service"] for port in act["after"].get("ports", [])]
    return [service for service in dict.fromkeys(there) if service not in watched] + [
        each["service"] for each in act["services"] if each["verdict"] == "not watched"
    ]


def thin(act: Act) -> list[str]:
    """The services with too few probes to say that they always answered."""
    return [each["service"] for each in act["services"] if each["verdict"] == "thin"]


def _end(report: Report) -> str:
    end, acts = report["end"], report["acts"]
    step = acts[-1]["steps"][-1]["step"] if acts and acts[-1]["steps"] else ""
    at = f" at {step}" if step else ""
    if end["code"] == 0:
        return _done(report["command"], acts)
    ends = {
        RolledBack.code: f"{step or 'A step'} failed and was rolled back.",
        Stuck.code: f"Stuck{at}: manual repair is needed.",
        Waiting.code: f"Waiting for you{at}; the steps before it are confirmed.",
        Unreachable.code: "The host cannot be reached; it undoes by itself what is not confirmed.",
        Locked.code: "Another run holds the lock.",
        Interrupted.code: f"Interrupted{at}.",
    }
    return ends.get(end["code"]) or f"{str(end['word']).capitalize()}{at}: {end['what']}."


def _done(command: str, acts: Sequence[Act]) -> str:
    steps = len(acts[-1]["steps"]) if acts else 0
    if command == "apply":
        return f"{_count(steps)} applied and confirmed." if steps else "No step was left to apply."
    if command == "rollback":
        return (
            f"{_count(steps)} undone; compared with before: identical."
            if steps
            else "There was nothing to undo."
        )
    return ""


def _count(steps: int) -> str:
    return "1 step was" if steps == 1 else f"{steps} steps were"


def _places(act: Act) -> str:
    """Which services run in jails at the end of an act, by the last answer or else the rules."""
    answers: dict[str, set[str | None]] = {}
    for port in act["after"].get("ports", []):
        answers.setdefault(port["service"], set()).add(port["seen"] or port["leads_to"])
    jailed = [name for name, who in answers.items() if not who & {_HOST, None}]
    if not answers:
        return ""
    alone = len(answers) == 1
    everything = f"The service {next(iter(answers))}" if alone else f"All {len(answers)} services"
    if len(jailed) == len(answers):
        return f"{everything} {'runs in a jail' if alone else 'run in jails'}."
    if jailed:
        verb = "runs in a jail" if len(jailed) == 1 else "run in jails"
        return f"{len(jailed)} of {len(answers)} services {verb} ({_listed(jailed)})."
    if all(who == {_HOST} for who in answers.values()):
        return f"{everything} {'runs' if alone else 'run'} on the host."
    return "No service runs in a jail."


def _outages(acts: Sequence[Act]) -> str:
    """The longest outage of each service, and those that always answered."""
    acts = [each for each in acts if each["services"]]
    if not acts:
        return "Outages: not watched."
    worst: dict[tuple[str, bool], Outage] = {}
    for each in (found for one in acts for found in outages(one)):
        key = (each.service, bool(each.limit))
        worst[key] = max(each, worst.get(key, each), key=lambda outage: outage.seconds)
    blind = list(dict.fromkeys(name for one in acts for name in unwatched(one)))
    vague = [name for one in acts for name in thin(one) if name not in blind]
    doubtful = {*blind, *vague, *(service for service, _ in worst)}
    labels = dict.fromkeys(each["service"] for one in acts for each in one["services"])
    sentences = [f"{each}." for each in worst.values()]
    if steady := _services(label for label in labels if label not in doubtful):
        sentences.append(f"{_listed(steady)} always answered.")
    if blind:
        sentences.append(f"{_listed(blind)}: not watched.")
    if vague:
        sentences.append(f"{_listed(list(dict.fromkeys(vague)))}: not watched all the time.")
    return " ".join(sentences)


def _services(labels: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(label.partition(" ")[0] for label in labels))


def _compared(report: Report) -> str:
    failed = report["end"]["code"] == RolledBack.code
    found = [each["compared"] for each in report["acts"] if each["compared"]]
    if not found:  # the host compares after every undo, and is stuck if something differs
        return "Compared with before: identical." if failed else ""
    word = "Compared with before" if failed else "Rolled back and compared"
    if differences := found[-1]["differences"]:
        return f"{word}: {len(differences)} lines differ."
    return f"{word}: identical ({found[-1]['facts']} facts)."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
