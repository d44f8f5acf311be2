"""Site files of every kind: a clear refusal that names the file, or a plan."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given
from hypothesis import strategies as st

from rollout import plan, site, usage
from rollout.engine import gates
from rollout.errors import CellblockError, Refused
from rollout.probe.watches import watches
from rollout.runbook import pages
from tests.fuzz.material import SAMPLE, VALUES, WORDS, document, likely, mutated, scratched, tried

PLAN = plan.make(site.read(Path(__file__).parents[2] / "site.example.toml"))
STEPS = [step.name for step in PLAN.steps]
ANSWERS = st.one_of(
    VALUES,
    st.fixed_dictionaries(
        {"answer": st.one_of(st.just("yes"), VALUES), "by": VALUES}, optional={"at": VALUES}
    ),
)


def taken(text: bytes) -> None:
    """What every command does with a site file before it contacts the host."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "site.toml")
        path.write_bytes(text)
        try:
            made = plan.make(site.read(path))
            pages.pages(made)
            watches(made.site)
            for name in made.site.jails:
                usage.tcpdump(made.site, name)
        except CellblockError as error:
            assert isinstance(error, Refused), error
            assert error.what
            assert len(str(error)) < 20_000, "nobody reads that"


@tried
@given(mutated())
@example(SAMPLE.replace('user = "root"', 'user = "root"\nkey = "~nobody-there/key"'))
@example(SAMPLE.replace("[services.bind]", "[services.dns]").replace('["bind"]', '["dns"]'))
@example(SAMPLE.replace("[services.mail]", "[services.post]").replace('["mail"]', '["post"]'))
@example("x = " + "[" * 1500)
def test_the_sample_with_other_values(text: str) -> None:
    taken(text.encode())


@tried
@given(likely())
def test_the_sample_with_values_of_the_right_kind(text: str) -> None:
    taken(text.encode())


@tried
@given(scratched())
def test_the_sample_with_other_bytes(text: bytes) -> None:
    taken(text)


@tried
@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=5))
def test_any_toml(tables: dict[str, object]) -> None:
    taken(document(tables).encode())


@tried
@given(st.binary(max_size=200))
def test_anything(text: bytes) -> None:
    taken(text)


@tried
@given(st.dictionaries(st.one_of(st.sampled_from(STEPS), WORDS), ANSWERS, max_size=3))
def test_any_answers(tables: dict[str, object]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "answers.toml")
        path.write_bytes(document(tables).encode())
        try:
            gates.read(path, PLAN)
        except Refused as error:
            assert str(path) in error.what
            assert len(str(error)) < 20_000, "nobody reads that"


def test_what_is_mutated_was_right_before() -> None:
    """Otherwise all mutations would be refused for the same reason."""
    from tests.fuzz.material import TABLES

    with TemporaryDirectory() as folder:
        path = Path(folder, "site.toml")
        path.write_text(document(TABLES))
        assert plan.make(site.read(path)).site.hash == PLAN.site.hash
