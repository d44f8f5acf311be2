"""A wheel has all of the program, below one name; installed, it runs from any folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
VERSION = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
# Files of the repository for its readers and developers; all others are the program.
NOT_THE_PROGRAM = re.compile(
    r"(\.|docs/|runbooks/|tests/(?!__init__|checks/))"
    r"|(CHANGELOG\.md|CONTRIBUTING\.md|README\.md|Makefile|pyproject\.toml)$"
)
FOREIGN = ("box", "deploy", "operations", "rollout", "standin", "steps", "survey", "tests")


def repository() -> list[str]:
    """Its files: those that git has, and those that it is about to have."""
    told = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [name for name in told.split("\0") if name and (PROJECT / name).exists()]


def pip(*words: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: the build leaves files in its folder, and takes what an older one left."""
    source, to = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in repository():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, source / name)
    pip("wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", to, source)
    (made,) = to.iterdir()
    return made


@dataclass(frozen=True)
class Installed:
    """The command in an environment, run from an empty folder."""

    packages: Path
    command: Path
    empty: Path

    def run(self, *words: str | Path, limit: float = 60) -> subprocess.CompletedProcess[str]:
        state = str(self.empty.with_name("state"))
        done = subprocess.run(
            [self.command, *words],
            cwd=self.empty,
            env={**os.environ, "XDG_STATE_HOME": state, "PYTHONDONTWRITEBYTECODE": ""},
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def files(self) -> set[tuple[str, int]]:
        """With the times of their last change; without the interpreter's bytecode."""
        below = (each for each in self.packages.rglob("*") if "__pycache__" not in each.parts)
        return {(str(each), each.stat().st_mtime_ns) for each in below if each.is_file()}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An environment of its own, which has the dependencies from this one and others' packages with
    the names that ours have in the repository. Nothing in it can be written, unless root tries.
    """
    place = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "env"], check=True)
    pip("--python", place / "env", "install", "--no-index", "--no-deps", wheel)
    (packages,) = (place / "env" / "lib").glob("python*/site-packages")
    theirs = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "dependencies.pth").write_text("\n".join(theirs))
    for name in FOREIGN:
        (packages / name).mkdir()
        (packages / name / "__init__.py").write_text(f"raise SystemExit('somebody else's {name}')")
    for each in packages.rglob("*"):
        each.chmod(0o555 if each.is_dir() else 0o444)
    (place / "empty").mkdir()
    return Installed(packages, place / "env" / "bin" / "cellblock", place / "empty")


def test_the_wheel_has_every_file_of_the_program_and_no_other(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    program = {f"cellblock/{name}" for name in repository() if not NOT_THE_PROGRAM.match(name)}
    assert names == program


def test_what_is_installed_has_one_name(installed: Installed) -> None:
    there = {each.name for each in installed.packages.iterdir()}
    assert there == {
        *("cellblock", f"cellblock-{VERSION}.dist-info", "dependencies.pth"),
        *FOREIGN,
    }


def test_it_says_its_version_and_helps(installed: Installed) -> None:
    assert installed.run("--version").stdout == f"cellblock, version {VERSION}\n"
    told = installed.run("--help").stdout
    assert told.startswith("Usage: cellblock ")
    sample = re.search(r"The sample site file, .*\n +(/.*)\n", told)
    assert sample
    assert Path(sample[1]) == installed.packages / "cellblock" / "site.example.toml"


def test_without_a_site_file_the_runbook_is_the_samples(installed: Installed) -> None:
    done = installed.run("runbook")
    assert done.returncode == 0
    assert (PROJECT / "runbooks" / "07-mysql.md").read_text(encoding="utf-8") in done.stdout
    assert done.stderr.startswith("there is no site.toml here: this is for the sample site, /")


def test_a_site_file_that_is_wrong_or_missing_is_refused_with_the_place_of_the_sample(
    installed: Installed, tmp_path: Path
) -> None:
    sample = installed.packages / "cellblock" / "site.example.toml"
    wrong = tmp_path / "site.toml"
    wrong.write_text(sample.read_text(encoding="utf-8").replace("[lan]", "[wan]"))
    for words in (["check"], ["check", "--site", wrong]):
        done = installed.run(*words)
        assert (done.returncode, done.stdout) == (1, "")
        assert str(sample) in done.stderr


def test_a_step_that_fails_is_rehearsed_and_nothing_is_written_where_it_is_installed(
    installed: Installed,
) -> None:
    before = installed.files()
    done = installed.run("rehearse", "--quiet", "--break", "base", limit=300)
    assert done.returncode == 2, done.stdout + done.stderr
    assert installed.files() == before
    assert not any(installed.empty.iterdir())
