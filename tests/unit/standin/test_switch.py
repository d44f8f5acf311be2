"""The power switch of a stand-in: what it hears of a boot."""

import os

import pytest

from standin.machine.__main__ import told


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("77\nup\n", (77, True)),
        ("up\n77\n", (77, True)),
        ("77\n", (77, False)),
        ("", (0, False)),
    ],
    ids=["as usual", "its own process was late", "the power failed", "it never began"],
)
def test_whichever_process_tells_first(text: str, heard: tuple[int, bool]) -> None:
    report, tell = os.pipe()
    os.write(tell, text.encode())
    os.close(tell)
    assert told(report) == heard
    os.close(report)
