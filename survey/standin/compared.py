"""A stand-in that was built from a survey, compared with it: what differs is told, in words.

Both are asked alike: what a survey reads of a host, the checks of `check`, and the plan's commands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from operations.needs import listeners
from rollout.engine.checks import Verdict
from rollout.engine.listener import Listener
from rollout.engine.runner import Runner
from rollout.errors import CellblockError, Refused
from rollout.host.replay import Replay
from rollout.host.session import Session
from rollout.host.survey import Recording
from rollout.plan import Plan
from rollout.probe.recorded import OfSurvey
from rollout.probe.watches import watches
from rollout.rehearsal.box import Box
from survey import host as hosts
from survey.host import Host
from survey.standin import files

_SHOWN = 5
_LONGEST = 120


def differences(recording: Recording, made: Plan, box: Box) -> Iterator[str]:
    """A sentence for each thing in which the box is not as the host was."""
    with (
        Runner(made, box.target, box.outside, Listener()) as ours,
        of_survey(recording, made) as theirs,
    ):
        ours.connection.connect()
        yield from _of_hosts(hosts.read(theirs.session), hosts.read(ours.session))
        mounts = [_mounts(each.session) for each in (theirs, ours)]
        yield from _of_sets("mounts", *mounts)
        wanted, found = _verdicts(theirs), _verdicts(ours)
        yield from _of_checks(wanted, found)
        if all(each.passed for each in found.values()):
            yield from _of_commands(theirs, ours)


def of_survey(recording: Recording, made: Plan) -> Runner:
    """A runner that reads the survey in the place of the host."""
    outside = OfSurvey(recording)
    outside.certificates.watch(watches(made.site))
    session = Replay(recording)
    return Runner(made, session.target, outside, Listener(), session=session)


def refusal(recording: Recording, made: Plan) -> Refused | None:
    """What `check --survey` refuses, or None."""
    with of_survey(recording, made) as runner:
        verdicts, fitting = runner.check()
        failed = [each for each in verdicts if not each.passed]
        if failed:
            return Refused(
                f"{runner.connection.target.name} does not pass the checks of {made.site.path}",
                evidence="\n".join(f"{each.name}: {each.message}" for each in failed),
                todo="nothing was rehearsed: mend what is named, and survey the host again",
            )
        try:
            fitting.must_fit()
        except Refused as refused:
            return refused
    return None


def _of_hosts(wanted: Host, found: Host) -> Iterator[str]:
    if wanted.about.release != found.about.release:
        yield f"the host runs FreeBSD {wanted.about.release}, the stand-in is {found.about.release}"
    for what, there, here in (
        ("addresses", _addresses(wanted), _addresses(found)),
        ("routes", _words(wanted.routes), _words(found.routes)),
        ("jails", wanted.jails, found.jails),
        ("rc variables", _pairs(wanted.rc_conf), _pairs(found.rc_conf)),
        ("enabled rc scripts", _scripts(wanted), _scripts(found)),
        ("accounts of people", _words(wanted.people), _words(found.people)),
        ("name servers", wanted.servers, found.servers),
        ("firewall rules", _words(wanted.rules), _words(found.rules)),
        ("ports that are listened at", _ports(wanted), _ports(found)),
        ("kinds of files", _pairs(wanted.kinds), _pairs(found.kinds)),
    ):
        yield from _of_sets(what, there, here)


def _of_sets(what: str, wanted: Collection[str], found: Collection[str]) -> Iterator[str]:
    for where, these in (
        ("on the host, not in the stand-in", [each for each in wanted if each not in found]),
        ("in the stand-in, not on the host", [each for each in found if each not in wanted]),
    ):
        if these:
            more = f" and {len(these) - _SHOWN} more" if len(these) > _SHOWN else ""
            yield f"{what} {where}: {', '.join(map(_short, these[:_SHOWN]))}{more}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _addresses(host: Host) -> list[str]:
    return [f"{each} on {name}" for name, those in host.interfaces.items() for each in those]


def _words(rows: Collection[object]) -> list[str]:
    return [" ".join(map(str, row)) if isinstance(row, tuple) else str(row) for row in rows]


def _pairs(values: Mapping[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in values.items()]


def _scripts(host: Host) -> list[str]:
    return [each.name for each in host.scripts if any(on for _, on in each.rcvars)]


def _ports(host: Host) -> list[str]:
    rows = listeners(host.running.sockets)
    return list(dict.fromkeys(f"{each.address}:{each.port}/{each.proto[:3]}" for each in rows))


def _mounts(session: Session) -> list[str]:
    rows = (line.split() for line in session.run(files.MOUNTS).out.splitlines())
    return [f"{row[1]} ({row[2]} of {row[0]})" for row in rows if len(row) > 2]


def _verdicts(runner: Runner) -> dict[str, Verdict]:
    return {each.name: each for each in runner.verify()}


def _of_checks(wanted: Mapping[str, Verdict], found: Mapping[str, Verdict]) -> Iterator[str]:
    for name, each in found.items():
        there = wanted.get(name)
        if there is None or not there.answered or there.passed == each.passed:
            continue
        passes, fails = "in the stand-in", "on the host"
        if there.passed:
            passes, fails = fails, passes
        said = there.message or each.message
        yield f"the check {name!r} passes {passes}, and fails {fails}: {said}"


def _of_commands(theirs: Runner, ours: Runner) -> Iterator[str]:
    """The plan, command by command."""
    for position, step in enumerate(ours.plan.steps):
        try:
            wanted = [each.do for each in theirs.compiled(position).commands]
            found = [each.do for each in ours.compiled(position).commands]
        except CellblockError as error:
            yield f"{step.name} could not be compared: {error.what}"
            continue
        for text in wanted:
            if text not in found:
                yield f"{step.name} has a command on the host alone: {_short(_first(text))}"
        for text in found:
            if text not in wanted:
                yield f"{step.name} has a command in the stand-in alone: {_short(_first(text))}"


def _first(text: str) -> str:
    """A command begins with its title."""
    return text.strip().partition("\n")[0]
