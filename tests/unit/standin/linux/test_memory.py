"""A tree lies in memory only where many fit, and where its programs may run."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from standin.linux import memory as module


def test_a_tree_lies_there_if_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SHARED", tmp_path)
    monkeypatch.setattr(module, "_LEAST", 0)
    assert module.memory() == tmp_path
    monkeypatch.setattr(module, "_LEAST", 1 << 62)
    assert module.memory() is None


def test_and_not_where_nothing_may_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SHARED", tmp_path)
    monkeypatch.setattr(module, "_LEAST", 0)
    monkeypatch.setattr(os, "statvfs", lambda place: SimpleNamespace(f_flag=os.ST_NOEXEC))
    assert module.memory() is None


def test_and_not_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SHARED", tmp_path / "none")
    assert module.memory() is None
