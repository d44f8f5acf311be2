"""Asks the host and its services how they are. It changes nothing there.

Besides the checks, which share their round trips, it takes two: the state of the steps first, and
all else at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from hashlib import sha256
from shlex import quote

from operations.queues import POSTFIX, SENDMAIL, SUBMISSION, of_jail
from rollout.engine import drift
from rollout.engine.checks import Verdict, named
from rollout.engine.runner import Runner
from rollout.errors import CellblockError, Refused
from rollout.host import journal
from rollout.host.journal import Journal
from rollout.host.together import Result
from rollout.monitoring import measures
from rollout.monitoring.finding import KINDS, Finding, Looked, ordered
from rollout.plan import Plan
from rollout.report import status
from rollout.site import HOST, Site

_OF_A_RUN = frozenset({"site", "step", "jail", "check", "drift"})
"""What a run of Cellblock changes while it is under way: it tells itself how that ends."""
_LIMIT = 300.0  # seconds, for one question: a queue or a file system may be slow
_DISKS = "df -k -t ufs,zfs,tmpfs"
_JAILS = "jls name"


def look(reach: Callable[[], AbstractContextManager[Runner]]) -> Looked:
    """All that is to be found now. A host that cannot be asked is a finding."""
    try:
        with reach() as runner:
            return _looked(runner)
    except CellblockError as error:
        says = f"the host could not be asked: {error.what}"
        found = Finding("host", says, error.evidence, error.todo)
        return Looked(ordered([found]), frozenset({"host"}), reached=False)


def _looked(runner: Runner) -> Looked:
    site = runner.plan.site
    before = journal.read(runner.session)
    found: list[Finding] = []
    failed: list[Verdict] = []
    unasked: frozenset[str] = frozenset()
    if not before.lock:
        try:
            # None that leaves something: a message an hour would fill root's mailbox.
            failed = [each for each in runner.verify(leaving=False) if not each.passed]
        except Refused as error:
            found.append(Finding("site", error.what, error.evidence, error.todo))
            unasked = frozenset({"check"})
    limited = [name for name in site.built if measures.limits(site, name)]
    asked = [
        journal.question(),
        drift.question(),
        _DISKS,
        _JAILS,
        _queues(site),
        *(f"rctl -u jail:{quote(name)}" for name in limited),
    ]
    now, drifted, disks, jails, queues, *used = runner.session.run_all(asked, limit=_LIMIT)
    known = journal.parse(_out(runner, asked[0], now))
    if before.lock or known.lock:
        unasked = _OF_A_RUN
    found += _steps(runner.plan, known)
    stopped = _stopped(site, known, _out(runner, _JAILS, jails).split())
    about = _about(runner.plan, stopped)
    found += _jails(stopped, [each for each in failed if each.name in about])
    found += _checks(each for each in failed if each.name not in about)
    found += _drift(site, _out(runner, "the comparison of status --drift", drifted), stopped)
    found += measures.full(site, _out(runner, _DISKS, disks))
    found += measures.waiting(site, _out(runner, "the count of mail queues", queues))
    for name, each in zip(limited, used, strict=True):
        found += measures.limited(site, name, each.out)
    found += _certificates(runner, stopped)
    left = [each for each in found if each.kind not in unasked]
    return Looked(ordered(left), frozenset(KINDS) - unasked)


def _out(runner: Runner, what: str, result: Result) -> str:
    if result.code != 0:
        raise Refused(
            f"{runner.connection.target.name}: {what}: exit code {result.code}",
            evidence=result.err[-2000:],
            todo="run it there as root, and see what is wrong",
        )
    return result.out


def _checks(failed: Iterable[Verdict]) -> Iterator[Finding]:
    for verdict in failed:
        yield Finding(
            f"check/{verdict.name}",
            f'the check "{verdict.name}" fails',
            verdict.message,
            "mend what it names; cellblock verify runs all checks again",
        )


def _steps(plan: Plan, known: Journal) -> Iterator[Finding]:
    """Nothing is under way, so these were left."""
    advice = status.data(plan, known)["next"]
    for entry in known.entries:
        if entry.state not in ("prepared", "confirmed", "undone"):
            says = f"{entry.name} is {entry.state}: {status.STATES[entry.state]}"
            reason = entry.stuck or journal.in_words(entry.reason)
            yield Finding(f"step/{entry.name}", says, reason, advice, entry.state)


def _stopped(site: Site, known: Journal, runs: list[str]) -> list[str]:
    """The jails that were built and do not run."""
    done = {entry.name for entry in known.done}
    built = [name for name in site.built if f"{site.builder(name)}.jail" in done]
    return [name for name in built if name not in runs]


def _about(plan: Plan, stopped: Sequence[str]) -> set[str]:
    """The checks that ask these jails or their services, by name: all that they say is known."""
    services = [each for name in stopped for each in plan.site.jails[name].services]
    words = {*stopped, *services}
    return {
        named(check)
        for step in plan.steps
        for check in step.checks
        if words & {word for value in check.about for word in value.split()}
    }


def _jails(stopped: Sequence[str], failed: Sequence[Verdict]) -> Iterator[Finding]:
    for name in stopped:
        yield Finding(
            f"jail/{name}",
            f"the jail {name} does not run",
            f"{len(failed)} checks that ask jails which do not run fail, and are not listed",
            f"on the host: service jail start {name}; what it prints, and "
            f"/var/log/jail_{name}.log, say why if it does not start",
        )


def _certificates(runner: Runner, stopped: Sequence[str]) -> Iterator[Finding]:
    site, certificates = runner.plan.site, runner.outside.certificates
    away = {port for (port, _), name in site.served.items() if name in stopped}
    ports = [each for each in certificates.ports if (each.behind or each.port) not in away]
    return measures.certificates(site, ((each, certificates.now(each)) for each in ports))


def _drift(site: Site, output: str, stopped: Sequence[str]) -> Iterator[Finding]:
    """Without what goes with a jail that stops: its mounts, and the sockets that others see."""
    changes = [
        each for each in drift.parse(output).changes if not _is_of(site, each.place, stopped)
    ]
    if changes:
        count = len(changes)
        yield Finding(
            "drift",
            f"others changed {count} thing{'s' * (count > 1)} that the steps left",
            drift.table(changes),
            "see that this was meant; cellblock rollback asks before it destroys any of it",
            _digest(f"{each.place}\t{each.now}" for each in changes),
        )


def _digest(lines: Iterable[str]) -> str:
    text = "\n".join(lines)
    return sha256(text.encode(errors="surrogateescape")).hexdigest()


def _is_of(site: Site, place: str, stopped: Sequence[str]) -> bool:
    return any(
        place == f"jail {name}"
        or place.startswith((f"mount {site.root(name)}/", f"mount {site.shown(name)}/"))
        or place.startswith(f"{site.shown(name)}/")
        for name in stopped
    )


def _queues(site: Site) -> str:
    """sh that prints for each queue whose it is, and how many messages wait in it."""
    places = [
        (name, queue, of_jail(queue, name) if name else queue.directory)
        for name in ("", *site.built)
        for queue in (SENDMAIL, SUBMISSION, POSTFIX)
    ]
    return "; ".join(
        f"if cd {place} 2>/dev/null; then echo {quote(name or HOST)} "
        f'"$( ({queue.control}) 2>/dev/null | wc -l)"; fi'
        for name, queue, place in places
    )
