"""Each service of the sample arrives with all its needs; `make mutants` takes their carriers away.

The host sets an rc variable of each daemon, so that a variable left behind would be missed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from operations.jail import LOCAL
from rollout.rehearsal.box import standin_box
from tests.rehearsal.on_standin import runner, typed
from tests.rehearsal.sites import ordered

# A host without one of these would not miss its mount.
LOCAL_THERE = f"cd /usr/local && mkdir -p {' '.join(LOCAL)}"
VARIABLES = "sysrc named_flags=-4 mysql_args=--x=1 apache24_flags=-DX sendmail_procname=x"


@pytest.mark.whole
@pytest.mark.parametrize("subject", ["bind", "mysql", "web", "mail"])
def test_service_arrives_with_all_its_needs(subject: str, tmp_path: Path) -> None:
    made = ordered(subject)
    with standin_box(made.site, tmp_path) as box:
        typed(box, f"{VARIABLES} && {LOCAL_THERE}")
        with runner(made, box) as there:
            there.apply()
            assert [each for each in there.verify() if not each.passed] == []
