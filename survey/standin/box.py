"""A box that is the stand-in of a surveyed host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rollout.host.session import Session
from rollout.host.survey import Recording
from rollout.plan import Plan
from rollout.rehearsal.box import Box, standin_box
from survey.standin.base_host import Rebuilt, rebuilt
from survey.standin.compared import differences

MADE_UP = "Not of the host, but made up for this rehearsal:"
DIFFERS = "In this the stand-in is not as the host:"


@contextmanager
def surveyed_box(
    made: Plan, recording: Recording, say: Callable[[str], None]
) -> Iterator[tuple[Box, list[str]]]:
    """A box as the host was surveyed, and in words what of the host it does not have.

    These are said before it is used. Raises Refused for a survey that has too little of the host.
    """
    host = rebuilt(recording)
    with standin_box(made.site, base=host.base) as box:
        typed(host, box)
        found = list(differences(recording, made, box))
        words = [*host.words, *found]
        say("\n".join([MADE_UP, *(f"  - {each}" for each in host.words)]))
        if found:
            say("\n".join([DIFFERS, *(f"  - {each}" for each in found)]))
        yield box, words


def typed(host: Rebuilt, box: Box) -> None:
    """Type what no boot does. A line that fails is found by comparing with the survey."""
    with Session(box.target) as session:
        session.run_all(list(host.typed), limit=120)
