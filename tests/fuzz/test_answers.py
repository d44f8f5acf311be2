"""Hosts that print anything: a clear refusal, never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from hypothesis import example, given
from hypothesis import strategies as st

from rollout import audit, plan, site, usage
from rollout.engine import checks, drift
from rollout.engine.checks import Verdict
from rollout.engine.listener import Listener
from rollout.engine.runner import Runner
from rollout.errors import CellblockError
from rollout.host import bundle, journal
from rollout.host.session import Said, Session
from rollout.host.together import Result
from rollout.monitoring import looking, prometheus, shown, state
from rollout.probe import outage
from rollout.report import status
from rollout.site.limits import Limits
from tests.fuzz.material import HOST_LINES, JOURNAL_LINES, PROJECT, WORDS, spoken, tried
from tests.unit.rollout.unreachable import Nowhere

PLAN = plan.make(site.read(PROJECT / "site.example.toml"))
POSITIONS = st.integers(0, len(PLAN.steps) - 1)


class Babbling(Session):
    """A session whose host prints `said` for every command."""

    def __init__(self, said: str, code: int = 0) -> None:
        self.said = said
        self.code = code
        self.trips = 0
        self.typed: list[str] = []
        self.target = Nowhere()

    @property
    def alive(self) -> bool:
        return True

    def run(self, command: str, *, limit: float = 120, line: Any = None) -> Result:
        self.typed.append(command)
        if line is not None:
            for row in self.said.split("\n"):
                line(row)
        return Result(self.code, self.said, self.said)

    def run_all(self, commands: Sequence[str], **_: Any) -> list[Result]:
        return [self.run(each) for each in commands]

    def begin(self, questions: Sequence[str], **_: Any) -> Callable[[], Said]:
        said = {each: self.run(each) for each in questions}
        return lambda: said

    def close(self) -> None: ...


def refused_at_most(act: Any) -> None:
    try:
        act()
    except CellblockError as error:
        assert error.what
        str(error).encode(errors="replace")


@tried
@given(spoken(JOURNAL_LINES))
def test_a_journal(text: str) -> None:
    def act() -> None:
        found = journal.parse(text)
        status.text(status.data(PLAN, found))
        for entry in found.entries:
            assert entry.number >= 0
            assert isinstance(entry.name, str)
        journal.must_fit(found, PLAN)

    refused_at_most(act)


@tried
@given(POSITIONS, spoken(HOST_LINES, 40))
@example(3, "=== fact 99\n=== fact x\n===")
@example(3, "=== fact 0\ninet 10.0.0.1 netmask 0xff00ff00\n=== fact 1\n\tinet\n=== fact")
def test_facts(position: int, text: str) -> None:
    step = PLAN.steps[position]

    def act() -> None:
        answers = bundle.gather_facts([step], lambda _: text)
        made = bundle.compile_step(position + 1, step, answers)
        bundle.upload_script(made, "t", "/var/db/cellblock")

    refused_at_most(act)


@st.composite
def answered(draw: st.DrawFn) -> tuple[int, str]:
    """For each command some output, which need not fit it."""
    position = draw(POSITIONS)
    asked = len(bundle.fact_commands(PLAN.steps[position]))
    rows = [f"=== fact {n}\n{draw(spoken(HOST_LINES, 4))}" for n in range(asked)]
    return position, "\n".join([*rows, "=== fact"])


@tried
@given(answered())
def test_facts_in_their_frame(given: tuple[int, str]) -> None:
    test_facts.hypothesis.inner_test(*given)  # type: ignore[attr-defined] # hypothesis' own way


@tried
@given(spoken(HOST_LINES, 40))
@example("localhost x /home/a\nsetuid 9 /home/b")
def test_what_scripts_of_ours_print(text: str) -> None:
    session = Babbling(text)
    refused_at_most(lambda: audit.table(audit.search(session, PLAN.site)))
    refused_at_most(lambda: audit.undo(session))
    refused_at_most(lambda: usage.table(usage.read(PLAN.site, lambda _: text, 1)))
    found = drift.parse(text)
    drift.text(found)
    json.dumps(drift.data(found))
    found.files(found.lost(list(found.owns)))


@tried
@given(spoken(HOST_LINES, 15), st.sampled_from([0, 1, 6, 255]))
def test_a_whole_command_with_a_host_that_babbles(text: str, code: int) -> None:
    """Nothing is uploaded except host.sh and a step whose facts were readable."""
    for name in ("known", "apply", "rollback", "verify"):
        session = Babbling(text, code)
        run = Runner(PLAN, Nowhere(), Nowhere(), Listener())
        run.connection._session = session
        run.connection._open = lambda session=session: session  # type: ignore[method-assign,misc]
        with patch.object(checks, "run", lambda *_, **__: []):
            refused_at_most(getattr(run, name))


MEASURED = st.sampled_from(
    [
        *("/dev/ada0p4 1000 960 40 96% /var", "zroot/a 1 1 -1 108% /home/\udcff"),
        *("host 99999", "web 100", "memoryuse=99999999999999999999", "maxproc=9"),
        "changed 001-base + path /etc/\udcff File 1 x",
    ]
)


@tried
@given(spoken(st.one_of(JOURNAL_LINES, HOST_LINES, MEASURED), 15), st.sampled_from([0, 0, 0, 1]))
@example("/dev/ada0p4 1 1 1 " + "9" * 5000 + "% /", 0)
def test_a_watch(text: str, code: int) -> None:
    jails = {
        name: jail.model_copy(update={"limits": Limits(memory=1024, processes=9)})
        for name, jail in PLAN.site.jails.items()
    }
    made = plan.make(PLAN.site.model_copy(update={"jails": jails}))
    run = Runner(made, Nowhere(), Nowhere(), Listener(), session=Babbling(text, code))
    with patch.object(checks, "run", lambda *_, **__: [Verdict("a b: c", False, 0, text)]):
        looked = looking.look(lambda: nullcontext(run))
    found = state.compare(made.site, {}, looked, state.now())
    assert found.any is bool(looked.findings)
    shown.text(found).encode()
    json.dumps(shown.event(made.site, found))
    json.dumps(shown.data(made.site, looked, found, state.now(), []))
    assert all("\n" not in line for _, line in shown.lines(made.site, found))
    prometheus.text(made.site, looked, found, state.now()).encode()
    with TemporaryDirectory() as folder:
        state.keep(Path(folder, "state.json"), found.after)
        assert state.read(Path(folder, "state.json")) == found.after


@tried
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.dictionaries(
                st.sampled_from(["t", "ms", "service", "error", "who", "held", "rate"]),
                st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), WORDS),
                max_size=7,
            ).map(lambda line: json.dumps(line).encode()),
        ),
        max_size=12,
    )
)
def test_what_the_prober_wrote(lines: list[bytes]) -> None:
    """The prober's file is on our disk, but a full disk or a crash may leave anything in it."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "probes.jsonl")
        path.write_bytes(b"\n".join(lines))
        for timeline in outage.read(path).values():
            str(timeline.window(0.0, 1.0))
            assert timeline.owners is not None
            assert timeline.rate_reached >= 0
            assert timeline.intervals is not None
