"""The outage of a manual cut-over: stop and start in one ssh command, while a client inserts rows.

The outage of Cellblock's own cut-over is compared with it, in the same run on the same guest.
"""

import time
from dataclasses import dataclass

from box.clients.results import Gap, Inserted, Verdict
from box.qemu.guest import Guest
from box.remote import Answer
from box.run_clients import inserting, verify

SETTLE = 3.0  # seconds of normal service before and after, so that the gap is the typed one


class BaselineError(Exception):
    """The typed commands did not bring the service back, so there is nothing to compare with."""


@dataclass(frozen=True)
class Typed:
    """A stop and start by hand, as the inserting client noticed it."""

    inserted: Inserted
    verdict: Verdict
    began: float  # monotonic, as in the results
    took: float  # seconds until the ssh command had ended

    @property
    def gap(self) -> Gap:
        return self.inserted.longest_gap


def type_stop_and_start(
    guest: Guest, stop: str, start: str, rate: float = 200.0, settle: float = SETTLE
) -> Typed:
    """Run `stop` and, if it succeeds, `start` in one ssh command while a client inserts rows.

    Both are lines for sh. Raises BaselineError when either fails or no row is acknowledged
    afterwards.
    """
    with inserting(guest, rate) as client:
        client.wait_ready()
        time.sleep(settle)
        began = time.monotonic()
        answer = guest.sh(one_line(stop, start))
        took = time.monotonic() - began
        time.sleep(settle)
        inserted = client.stop()
        refuse_if_it_failed(answer, inserted, began + took)
        verdict = verify(guest, client)
    return Typed(inserted, verdict, began, took)


def one_line(stop: str, start: str) -> str:
    """Both as one command, whose daemon does not hold ssh's pipes open.

    ssh ends only when no process holds its stdout any more, and a daemon keeps the one that it was
    started with.
    """
    return (
        f'said=$(mktemp) || exit; {{ {stop}\n}} >"$said" 2>&1 && {{ {start}\n}} >>"$said" 2>&1\n'
        'code=$?; cat "$said"; rm "$said"; exit $code'
    )


def refuse_if_it_failed(answer: Answer, inserted: Inserted, ended: float) -> None:
    if answer.exit != 0:
        raise BaselineError(f"exit {answer.exit}: {answer.stdout}{answer.stderr}")
    if not any(row.at > ended for row in inserted.acknowledged):
        last = inserted.failures[-1].error if inserted.failures else "no error either"
        raise BaselineError(f"no row was acknowledged after the start; the client saw: {last}")
