"""timeout(1), and what a light stand-in does without."""

from __future__ import annotations

from pathlib import Path

import pytest

from standin import BaseHost, StandIn


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("echo in | timeout 9 cat; echo $?", "in\n0\n"),
        ("timeout 9 sh -c 'exit 3'; echo $?", "3\n"),
        ("timeout 0.2 sleep 9; echo $?", "124\n"),
        ("timeout -s KILL 0.2 sleep 9; echo $?", "137\n"),
        ("timeout -k 0.2 0.2 sh -c 'trap \"\" TERM; sleep 9'; echo $?", "137\n"),
        ("timeout --preserve-status 0.2 sleep 9; echo $?", "143\n"),
        ("timeout 9 nosuchcommand 2>/dev/null; echo $?", "127\n"),
    ],
)
def test_timeout_ends_with_the_code_that_tells_how(shared: StandIn, line: str, said: str) -> None:
    assert shared.run(line).stdout == said


def test_a_light_one_has_its_own_sh_fsync_and_random_bytes(tmp_path: Path) -> None:
    with StandIn.build(tmp_path / "light", BaseHost.sample(), light=True) as light:
        for _ in range(2):  # another host in its place is light, too
            light.boot()
            done = light.run(
                "fsync /etc/rc.conf /nosuch; echo $?; fsync /etc /etc/rc.conf; echo $?"
            )
            assert (done.stdout, done.stderr) == (
                "66\n0\n",
                "fsync: open /nosuch: No such file or directory\n",
            )
            is_shims = light.run("cmp -s /bin/sh /libexec/standin/shims-sh; echo $?").stdout
            assert is_shims == "0\n"
            zeros = light.run("dd if=/dev/urandom bs=8 count=1 2>/dev/null | od -An -tx1").stdout
            assert zeros.split() == ["00"] * 8
            assert not [each for each in light.calls if each == "fsync /etc /etc/rc.conf"]
            light.rebuild(BaseHost.sample())
