from pathlib import Path

import pytest
from pydantic import ValidationError

from box.clients.results import (
    Acknowledged,
    Downloaded,
    Failure,
    Gap,
    Inserted,
    longest_gap,
)

INSERTED = Inserted(
    run="r",
    started=10.0,
    ended=20.0,
    acknowledged=(Acknowledged(mark="r-1", at=10.5), Acknowledged(mark="r-3", at=19.0)),
    failures=(Failure(at=11.0, error="gone"),),
)


@pytest.mark.parametrize(
    ("answers", "gap"),
    [
        ([1.0, 1.5, 4.0, 9.5], Gap(start=4.0, seconds=5.5)),
        ([9.5, 4.0, 1.0], Gap(start=4.0, seconds=5.5)),  # of several threads, so not in order
        ([6.0, 6.5, 9.0], Gap(start=6.5, seconds=2.5)),  # it took long to arrive
        ([1.0, 2.0], Gap(start=2.0, seconds=8.0)),  # it never came back
        ([], Gap(start=0.0, seconds=10.0)),  # it never arrived
    ],
)
def test_longest_gap(answers: list[float], gap: Gap) -> None:
    assert longest_gap(0.0, answers, 10.0) == gap


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    INSERTED.write(tmp_path / "out.json")
    assert Inserted.read(tmp_path / "out.json") == INSERTED
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_half_a_result_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text(INSERTED.model_dump_json()[:-20])
    with pytest.raises(ValidationError):
        Inserted.read(tmp_path / "out.json")


def test_the_gap_of_the_inserts() -> None:
    assert INSERTED.longest_gap == Gap(start=10.5, seconds=8.5)


@pytest.mark.parametrize(
    ("received", "expected", "error", "whole"),
    [(5, 5, None, True), (4, 5, None, False), (0, 0, None, False), (5, 5, "reset", False)],
)
def test_a_download_is_whole_or_not(
    received: int, expected: int, error: str | None, whole: bool
) -> None:
    downloaded = Downloaded(
        started=0.0,
        ended=1.0,
        expected=expected,
        received=received,
        received_slowly=0,
        sha256="",
        longest_pause=0.0,
        error=error,
    )
    assert downloaded.is_whole == whole
