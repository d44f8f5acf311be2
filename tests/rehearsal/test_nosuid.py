"""`nosuid` in the site file: a mount gives no rights by set-uid bits, or it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout import plan, site
from rollout.errors import Refused
from rollout.rehearsal.box import standin_box
from tests.rehearsal.on_standin import runner, typed
from tests.rehearsal.sites import written

HOMES = '    { source = "/usr/home", writable = true },\n'


@pytest.fixture
def made(tmp_path: Path) -> plan.Plan:
    file = written(tmp_path, "web")
    text = file.read_text(encoding="utf-8")
    text = text.replace(HOMES, HOMES.replace("true }", "true, nosuid = true }"), 1)
    text = text.replace('data = ["/usr/local/www"]\n', 'data = ["/usr/local/www"]\nnosuid = true\n')
    file.write_text(text, encoding="utf-8")
    return plan.make(site.read(file))


def test_homes_and_data_are_mounted_without_set_uid_bits(made: plan.Plan, tmp_path: Path) -> None:
    with standin_box(made.site, tmp_path) as box, runner(made, box) as running:
        running.apply("web.jail")
        there = typed(box, "mount -p | awk '/web.root.*nosuid/ {print $2, $4}'").splitlines()
        root = "/usr/jails/web/root"
        assert {f"{root}/usr/home rw,nosuid", f"{root}/usr/local/www rw,nosuid"} <= set(there)
        assert all(verdict.passed for verdict in running.verify())
        typed(box, "sed -i '' -e 's/,nosuid//' /usr/jails/web/fstab; service jail onerestart web")
        [failed] = [verdict for verdict in running.verify() if not verdict.passed]
        assert "without nosuid" in failed.message


def test_where_a_program_needs_them_it_is_refused(made: plan.Plan, tmp_path: Path) -> None:
    with standin_box(made.site, tmp_path) as box, runner(made, box) as running:
        typed(box, "cp /bin/sh /usr/home/user001/as-me; chmod 4755 /usr/home/user001/as-me")
        with pytest.raises(Refused) as refused:
            running.apply("web.jail")
    assert "/usr/home/user001/as-me" in refused.value.evidence
    assert "chmod ug-s" in refused.value.evidence
