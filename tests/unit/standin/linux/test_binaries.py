"""The shims' own sh: klibc's where it is installed, with its library; else this machine's sh."""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path

import pytest

from standin.linux import binaries


def test_the_shims_have_this_machines_sh_without_klibc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "KLIBCS", str(tmp_path / "absent"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    binaries.lay(tmp_path / "tree")
    shims, scripts = (
        tmp_path / "tree" / path[1:] for path in (binaries.SHIMS_SHELL, binaries.SHELL)
    )
    assert shims.read_bytes() == scripts.read_bytes()


@pytest.mark.skipif(not Path(binaries.KLIBCS).exists(), reason="klibc-utils is not installed")
def test_klibcs_sh_has_its_library_where_it_looks_for_it(tmp_path: Path) -> None:
    binaries.lay(tmp_path)
    (library,) = tmp_path.glob("lib/klibc-*.so")
    wanted = f"/lib/{library.name}".encode() + b"\0"
    for path in (binaries.SHIMS_SHELL, *chain(*binaries.KLIBC.values())):
        assert wanted in (tmp_path / path[1:]).read_bytes()
    assert os.access(library, os.X_OK)
