"""A step compiled to plain sh: what runs on the host, what takes it back, how it gets there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import PurePosixPath
from shlex import quote
from types import MappingProxyType

from pyinfra.api.command import PyinfraCommand
from pyinfra.api.exceptions import OperationError

from operations.command import LIMIT, NewFile, Reversible
from rollout.errors import Refused
from rollout.host.session import Answers, asked
from rollout.plan.step import Step


@dataclass(frozen=True)
class Command:
    """One command of a bundle. `do` and `undo` are sh, as they are printed and as they run."""

    says: str
    do: str
    undo: str | None
    keep: tuple[str, ...] = ()
    owns: Mapping[str, str] = field(default_factory=dict)
    limit: int = LIMIT
    live: bool = False
    sees: str = ""

    @property
    def kept(self) -> bool:
        """Whether there is to be a "$KEEP" for it."""
        return bool(self.keep) or "$KEEP" in self.do


@dataclass(frozen=True)
class Bundle:
    """A compiled step. `facts` are the lines that it was made from, `answers` what they printed."""

    directory: str
    step: Step
    hash: str
    commands: tuple[Command, ...]
    answers: Answers


def questions(step: Step) -> tuple[str, ...]:
    """The facts that a step's operations ask for: arguments alone decide which.

    Found by letting the operations run against default answers, so that all of them can be put to
    the host in one round trip.
    """
    with asked(None) as host:
        for used in step.operations:
            try:
                list(used.commands())
            except OperationError:
                continue  # it will say so again when it has the real answers
    return tuple(dict.fromkeys(host.questions))


def compile_step(number: int, step: Step, hash: str, answers: Answers | None) -> Bundle:
    """Let the step's operations yield their commands. Raises Refused when one says no.

    Without answers it is for a host that has nothing of ours yet.
    """
    commands: list[Command] = []
    with asked(answers):
        for used in step.operations:
            try:
                commands += [_command(command) for command in used.commands()]
            except OperationError as error:
                raise Refused(f"step {step.name}: {error}", evidence=str(used)) from error
    for command in commands:
        if command.undo is None and not (step.point_of_no_return and step.gate):
            raise Refused(
                f"step {step.name}: {command.says} has no undo",
                evidence=command.do,
                todo="mark the step as a point of no return and put a gate before it",
            )
    return Bundle(f"{number:03}-{step.name}", step, hash, tuple(commands), answers or {})


def _command(command: PyinfraCommand) -> Command:
    if isinstance(command, Reversible):
        return Command(
            command.says,
            command.do,
            command.undo,
            command.keep,
            command.owns,
            command.limit,
            command.live,
            command.sees,
        )
    if isinstance(command, NewFile):
        return Command(
            f"write {PurePosixPath(command.path).name} to a temporary file",
            _written(command.content, quote(command.staged)),
            f"rm -f {quote(command.staged)}",
        )
    raise TypeError(f"{command!r} is neither Reversible nor NewFile")


def _written(content: str, to: str) -> str:
    """The sh that writes `content`, to the byte, for root's eyes alone."""
    if not content.endswith("\n"):
        return f"(umask 077 && printf %s {quote(content)} > {to})"
    end = "END-OF-FILE"
    while end in content.split("\n"):
        end += "-"
    return f"(umask 077 && cat > {to}) <<'{end}'\n{content}{end}"


def facts_script(lines: tuple[str, ...]) -> str:
    """One script that asks all facts; each answer stands between marker lines.

    awk 1 ends a last line that has no newline, as in many a hand-written rc.conf.
    """
    asked = [f"echo '{_MARK}{n}'\n({line}) 2>/dev/null | awk 1\n" for n, line in enumerate(lines)]
    return "".join(asked) + f"echo '{_MARK.rstrip()}'\n"


_MARK = "=== fact "


def read_answers(lines: tuple[str, ...], output: str) -> Answers:
    """What each question was answered. Raises Refused when one was not."""
    answers: Answers = {}
    current: list[str] = []
    marks = [*(f"{_MARK}{n}" for n in range(len(lines))), _MARK.rstrip()]
    for row in output.removesuffix("\n").split("\n"):
        if row != marks[len(answers)]:
            current.append(row)
        elif len(answers) < len(lines):
            current = answers[lines[len(answers)]] = []
        else:
            return answers
    raise Refused(
        f"{len(answers)} of {len(lines)} facts could be gathered from the host",
        evidence=output[-500:],
        todo="see that root's sh works on the host, and whether something prints at every login",
    )


def ask(step: Step, run: Callable[[str], str]) -> Answers:
    """Put a step's facts to the host, in one round trip."""
    lines = questions(step)
    return read_answers(lines, run(facts_script(lines))) if lines else {}


def files(bundle: Bundle, token: str) -> dict[str, str]:
    """The files of the step's directory in the journal (docs/architecture.md): name -> content."""
    lines = tuple(bundle.answers)
    output = "".join(
        f"{_MARK}{n}\n" + "".join(row + "\n" for row in rows)
        for n, rows in enumerate(bundle.answers.values())
    )
    told = f"{output}{_MARK.rstrip()}\n".encode(errors="surrogateescape")
    found = {
        "why": bundle.step.why + "\n",
        "hash": bundle.hash + "\n",
        "token": token + "\n",
        "confirm_within": f"{bundle.step.confirm_within}\n",
        "facts.sh": facts_script(lines) if lines else "",
        "facts.planned": told.decode(errors="replace"),
        "facts.sum": sha256(told).hexdigest() + "\n",
    }
    owns = {place: left for each in bundle.commands for place, left in each.owns.items()}
    found["owns"] = "".join(f"{place}\t{' '.join(left.split())}\n" for place, left in owns.items())
    for number, command in enumerate(bundle.commands, 1):
        n = f"{number:03}"
        found[f"do/{n}.sh"] = f"# {command.says}\n{command.do}\n"
        found[f"undo/{n}.sh"] = f"# undo: {command.says}\n{command.undo or ':'}\n"
        found[f"keep/{n}"] = "".join(path + "\n" for path in command.keep)
        found[f"limit/{n}"] = f"{command.limit}\n"
        if command.live:
            found[f"live/{n}"] = ""
    return found


def upload_script(
    bundle: Bundle,
    token: str,
    journal: str,
    more: Mapping[str, str] = MappingProxyType({}),
    then: str = "start",
) -> str:
    """The sh that lays the step's directory down whole, or not at all, and starts the run.

    `more` are further files of it; `then` is the command of host.sh that begins.
    """
    new = f"{journal}/steps/.new-{bundle.directory}"
    there = f"{journal}/steps/{bundle.directory}"
    contents = {**files(bundle, token), **more}
    folders = {str(PurePosixPath(new, name).parent) for name in contents} | {f"{new}/do"}
    folders |= {f"{new}/before/{n:03}" for n, each in enumerate(bundle.commands, 1) if each.kept}
    old = f"{journal}/history/{bundle.directory}.$(date +%s)"
    lines = [
        "umask 077",
        f"rm -rf {new}",
        f"mkdir -p {' '.join(sorted(folders))} {journal}/history",
        *(f"printf %s {quote(text)} > {new}/{name}" for name, text in contents.items()),
        f": > {new}/state.prepared",
        f"find {new} -exec fsync {{}} +",
        # Into a directory that is there already mv would move it, and nobody would look there.
        f"if [ -d {there} ]; then old={old} n=0; while [ -e $old.$n ]; do n=$((n + 1)); done; "
        f"mv {there} $old.$n; fi",
        f"mv {new} {there}",
        f"fsync {journal}/steps",
        f"sh {journal}/host.sh {then} {bundle.directory}",
    ]
    return " &&\n".join(lines)
