"""What tests share: the laboratory's fixtures (a real FreeBSD guest, where an image is at hand),
and a place for the reports of what they run.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest_plugins = ["tests.lab.fixtures"]


@pytest.fixture(scope="session", autouse=True)
def _reports_are_nobodys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
