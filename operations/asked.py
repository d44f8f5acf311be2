"""A daemon that only its site file knows: what it answers to questions, before and after."""

from __future__ import annotations

from collections.abc import Sequence

from operations import daemon
from operations.command import quote

_TRIES = 150  # with 0.2 s between two: a daemon may have to load its data first


def same_answers(questions: Sequence[str], jail: str) -> daemon.Twin:
    """A hand-over's comparison: each question must print what it printed before.

    They are typed on the host, and so reach whichever daemon runs. The undo does the same the other
    way round. Answers may be secret: they stay in the journal, and only their lengths are told.
    """
    here, there = "on the host", f"in jail {jail}"
    noted = [f'{{ {each}; }} </dev/null > "$KEEP/asked.{n}"' for n, each in enumerate(questions)]
    back = [
        f'{{ {{ {each}; }} </dev/null > "$KEEP/back.{n}" 2>/dev/null || : > "$KEEP/back.{n}"; }}'
        for n, each in enumerate(questions)
    ]
    again = [
        f'{{ [ ! -s "$KEEP/back.{n}" ] || {_heard(each, f"back.{n}", there, here)}; }}'
        for n, each in enumerate(questions)
    ]
    same = [_heard(each, f"asked.{n}", here, there) for n, each in enumerate(questions)]
    return daemon.Twin(
        "the answers",
        noted=" && ".join(noted),
        same=" && ".join(same),
        back=" && ".join(back),
        again=" && ".join(again),
        limit=60 * len(questions),
    )


def _heard(question: str, noted: str, before: str, now: str) -> str:
    """sh that fails, and says how far it differs, unless the answer becomes what was `noted`."""
    told = quote(f"{question}: prints something else {now} than {before}")
    return (
        f'(n=0; until {{ {question}; }} </dev/null > "$KEEP/now" 2> "$KEEP/error" '
        f'&& cmp -s "$KEEP/{noted}" "$KEEP/now"; do n=$((n + 1)); [ $n -lt {_TRIES} ] || '
        f'{{ echo {told}: $(wc -l < "$KEEP/now") lines, and $(wc -l < "$KEEP/{noted}") before; '
        'cat "$KEEP/error"; exit 1; }; sleep 0.2; done)'
    )
