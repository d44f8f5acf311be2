import time

from box.clients.stopping import Pace, Stop


def turns(pace: Pace, stop: Stop) -> int:
    count = 0
    while pace.take_turn(stop):
        count += 1
    return count


def test_the_pace_is_kept_and_the_deadline_ends_it() -> None:
    assert 8 <= turns(Pace(50), Stop(0.2)) <= 11


def test_missed_turns_are_not_made_up_for() -> None:
    stop, pace = Stop(10), Pace(10)
    pace.take_turn(stop)
    time.sleep(0.35)
    began = time.monotonic()
    for _ in range(3):
        pace.take_turn(stop)
    assert time.monotonic() - began > 0.09


def test_no_turn_after_stop() -> None:
    stop = Stop(10)
    stop.ask()
    assert turns(Pace(1), stop) == 0


def test_a_wait_ends_at_the_deadline() -> None:
    began = time.monotonic()
    Stop(0.05).wait(10)
    assert time.monotonic() - began < 1
