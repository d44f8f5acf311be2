"""A daemon that only its site file knows: what it answers to questions, before and after."""

from __future__ import annotations

from collections.abc import Sequence

from operations import daemon
from operations.command import quote

_TRIES = 150  # with 0.2 s between two: a daemon may have to load its data first


def same_answers(questions: Sequence[str], jail: str) -> daemon.Twin:
    """A hand-over's comparison: each question must print what it printed before.

    They are typed on the host, and so reach whichever daemon runs. In the undo the host's must give
    an answer to each; that it is another one than the jail's is told, and no reason to be stuck:
    clients may have written. Answers may be secret: they stay in the journal.
    """
    here, there = "on the host", f"in jail {jail}"
    noted = [f'{{ {each}; }} </dev/null > "$KEEP/asked.{n}"' for n, each in enumerate(questions)]
    back = [
        f'{{ {{ {each}; }} </dev/null > "$KEEP/back.{n}" 2>/dev/null || : > "$KEEP/back.{n}"; }}'
        for n, each in enumerate(questions)
    ]
    again = [
        f'{{ [ ! -s "$KEEP/back.{n}" ] || {{ {_heard(each, there, here)} && '
        f'{{ cmp -s "$KEEP/back.{n}" "$KEEP/now" || '
        f"echo {quote(f'notice: {each}: prints something else {here} than {there} before')}; }}; "
        "}; }"
        for n, each in enumerate(questions)
    ]
    same = [_heard(each, here, there, f"asked.{n}") for n, each in enumerate(questions)]
    return daemon.Twin(
        "the answers",
        noted=" && ".join(noted),
        same=" && ".join(same),
        back=" && ".join(back),
        again=" && ".join(again),
        limit=60 * len(questions),
    )


def _heard(question: str, before: str, now: str, noted: str = "") -> str:
    """sh that fails, and says so, unless an answer comes; the one that was `noted`, if any."""
    is_it = f'cmp -s "$KEEP/{noted}" "$KEEP/now"' if noted else '[ -s "$KEEP/now" ]'
    what = f"something else {now} than {before}" if noted else f"nothing {now}"
    return (
        f'(n=0; until {{ {question}; }} </dev/null > "$KEEP/now" 2> "$KEEP/error" && {is_it}; '
        f"do n=$((n + 1)); [ $n -lt {_TRIES} ] || {{ echo {quote(f'{question}: prints {what}')}; "
        'cat "$KEEP/error"; exit 1; }; sleep 0.2; done)'
    )
