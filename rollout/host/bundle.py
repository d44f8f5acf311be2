"""A step compiled to plain sh: its commands, their undo, and their upload to the host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import PurePosixPath
from shlex import quote
from types import MappingProxyType

from pyinfra.api.command import PyinfraCommand
from pyinfra.api.exceptions import OperationError

from operations.command import LIMIT, NewFile, Reversible
from rollout.errors import Refused
from rollout.host.session import Answers, facts_from
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
        """Whether it needs a directory "$KEEP" for its before-images."""
        return bool(self.keep) or "$KEEP" in self.do


@dataclass(frozen=True)
class Bundle:
    """A compiled step. `answers` are the facts that it was compiled from."""

    directory: str
    step: Step
    commands: tuple[Command, ...]
    answers: Answers


def fact_commands(step: Step) -> tuple[str, ...]:
    """The commands of the facts that a step's operations need; only their arguments decide which.

    To find them, the operations run against default answers. So one round trip can gather all.
    """
    with facts_from(None) as host:
        for used in step.operations:
            try:
                list(used.commands())
            except OperationError:
                continue  # it fails again with the real answers, and is reported then
    return tuple(dict.fromkeys(host.commands))


def all_fact_commands(steps: Iterable[Step]) -> tuple[str, ...]:
    """Those of some steps, each once."""
    return tuple(dict.fromkeys(line for step in steps for line in fact_commands(step)))


def compile_step(number: int, step: Step, answers: Answers | None) -> Bundle:
    """Let the step's operations yield their commands. Raises Refused if one of them refuses.

    Without answers it compiles for a host that Cellblock has not changed yet.
    """
    commands: list[Command] = []
    with facts_from(answers):
        for used in step.operations:
            try:
                commands += [_command(command) for command in used.commands()]
            except OperationError as error:
                raise Refused(f"step {step.name}: {error}") from error
    for command in commands:
        if command.undo is None and not (step.point_of_no_return and step.gate):
            raise Refused(
                f"step {step.name}: {command.says} has no undo",
                evidence=command.do,
                todo="mark the step as a point of no return and put a gate before it",
            )
    return Bundle(f"{number:03}-{step.name}", step, tuple(commands), answers or {})


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
    """The sh that writes `content`, byte for byte, readable by root only."""
    if not content.endswith("\n"):
        return f"(umask 077 && printf %s {quote(content)} > {to})"
    end = "END-OF-FILE"
    while end in content.split("\n"):
        end += "-"
    return f"(umask 077 && cat > {to}) <<'{end}'\n{content}{end}"


def facts_script(lines: tuple[str, ...]) -> str:
    """One script that gathers all facts, with a marker line before each answer.

    Whether an answer ends with a newline, as some hand-written files do not, makes no difference.
    """
    parts = [
        f"echo '{_MARK}{n}'\nsaid=$( (\n{line}\n) 2>/dev/null; echo .)\nsay\n"
        for n, line in enumerate(lines)
    ]
    return "".join([_SAY, *parts, f"echo '{_MARK.rstrip()}'\n"])


_MARK = "=== fact "
_SAY = """\
say() { # no program is started for it
    said=${said%.}
    case $said in
        '' | *"
") printf %s "$said" ;;
        *) printf '%s\\n' "$said" ;;
    esac
}
"""


def read_answers(lines: tuple[str, ...], output: str) -> Answers:
    """The answer to each fact command. Raises Refused if one is missing."""
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
        f"only {len(answers)} of {len(lines)} facts could be gathered from the host",
        evidence=output[-500:],
        todo="check that root's sh works on the host, and that no login script prints anything",
    )


def rows(output: str) -> list[str]:
    """The lines that a fact's command printed."""
    return output.removesuffix("\n").split("\n") if output else []


def gather_facts(
    steps: Iterable[Step],
    run: Callable[[str], str],
    known: Mapping[str, list[str]] = MappingProxyType({}),
) -> Answers:
    """Gather the facts of some steps from the host, in one round trip; not those that are known."""
    lines = all_fact_commands(steps)
    asked = tuple(line for line in lines if line not in known)
    found = read_answers(asked, run(facts_script(asked))) if asked else {}
    return {line: found[line] if line in found else known[line] for line in lines}


def files(bundle: Bundle, token: str) -> dict[str, str]:
    """The files of the step's directory in the journal (docs/architecture.md): name -> content."""
    lines = tuple(bundle.answers)
    output = "".join(
        f"{_MARK}{n}\n" + "".join(row + "\n" for row in rows)
        for n, rows in enumerate(bundle.answers.values())
    )
    planned = f"{output}{_MARK.rstrip()}\n".encode(errors="surrogateescape")
    found = {
        "why": bundle.step.why + "\n",
        "hash": bundle.step.hash + "\n",
        "token": token + "\n",
        "confirm_within": f"{bundle.step.confirm_within}\n",
        "facts.sh": facts_script(lines) if lines else "",
        "facts.planned": planned.decode(errors="replace"),
        "facts.sum": sha256(planned).hexdigest() + "\n",
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
    """The sh that creates the step's directory, complete or not at all, and starts the run.

    `more` are further files for it; `then` is the command of host.sh that starts the run.
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
        # If the directory exists, mv would move the new one into it, where nothing reads it.
        f"if [ -d {there} ]; then old={old} n=0; while [ -e $old.$n ]; do n=$((n + 1)); done; "
        f"mv {there} $old.$n; fi",
        f"mv {new} {there}",
        f"fsync {journal}/steps",
        f"sh {journal}/host.sh {then} {bundle.directory}",
    ]
    return " &&\n".join(lines)
