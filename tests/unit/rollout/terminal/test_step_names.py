"""The kept names of steps are those of the site file as it is now."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.terminal import step_names
from tests.rehearsal.sites import SAMPLE


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cellblock"


def without(subject: str, tmp_path: Path) -> Path:
    site = tmp_path / "site.toml"
    text = SAMPLE.read_text(encoding="utf-8")
    site.write_text(text.replace(f'"{subject}",', "", 1), encoding="utf-8")
    return site


def test_a_changed_site_file_has_its_own_names_and_one_set_is_kept(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = step_names.of(SAMPLE)
    assert "traffic" in whole
    site = without("traffic", tmp_path)
    assert [name for name in whole if name != "traffic"] == step_names.of(site)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(step_names, "_made", lambda _: pytest.fail("it was not kept"))
    assert "traffic" not in step_names.of(site)


def test_another_version_of_the_program_makes_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    step_names.of(SAMPLE)
    monkeypatch.setattr(step_names, "_PROGRAM", Path("/nowhere"))
    monkeypatch.setattr(step_names, "_made", lambda _: ["other"])
    assert step_names.of(SAMPLE) == ["other"]


@pytest.mark.parametrize("text", [None, "order = ["])
def test_without_a_plan_there_are_no_names(text: str | None, tmp_path: Path, cache: Path) -> None:
    site = tmp_path / "site.toml"
    if text is not None:
        site.write_text(text)
    assert step_names.of(site) == []
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert "web.jail" in step_names.of(SAMPLE)
