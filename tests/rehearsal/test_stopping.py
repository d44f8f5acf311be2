"""A jail is stopped by the host, whatever its own root does against it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.rehearsal.box import standin_box
from tests.rehearsal.on_standin import runner, typed
from tests.rehearsal.sites import ordered


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param("exit 1", id="it fails"),
        pytest.param("sleep 1000", id="it hangs", marks=pytest.mark.whole),
    ],
)
def test_a_jail_that_will_not_stop_is_rolled_back(tmp_path: Path, refusal: str) -> None:
    made = ordered("bind")
    with standin_box(made.site, tmp_path) as box, runner(made, box) as running:
        running.apply("bind.jail")
        typed(box, f"jexec bind sh -c 'echo {refusal} > /etc/rc.shutdown'")
        running.rollback(set_aside=True)
        assert typed(box, "jls name") == ""
