from pathlib import Path

import pytest

from box.qemu.image import TOOLS
from box.requirements import Missing, require_tools


def test_missing_tools_are_named_with_their_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Missing, match=r"qemu-system-x86_64 \(Debian: qemu-system-x86\)"):
        require_tools(TOOLS)
