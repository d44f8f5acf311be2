"""`cellblock watch` as it is typed: what cannot be is refused, and a silent host is a finding."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import deploy
from rollout import site
from rollout.errors import Refused, Unreachable
from rollout.monitoring import notify, state

PROJECT = Path(__file__).parents[4]
SAMPLE = PROJECT / "site.example.toml"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site file whose hook keeps what it gets, and whose host refuses the login."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "ssh").write_text(
        "#!/bin/sh\necho 'Permission denied, says hunter2' >&2; exit 255\n"
    )
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = tmp_path / "site.toml"
    found.write_text(hooked(f"cat >> {tmp_path}/events"), encoding="utf-8")
    return found


def hooked(command: str) -> str:
    text = SAMPLE.read_text(encoding="utf-8")
    return text.replace("[hooks]\n", f"[hooks]\ncommand = {json.dumps(command)}\n")


def watch(file: Path, *words: str) -> Result:
    done = CliRunner().invoke(deploy.main, ["watch", "--site", str(file), *words])
    if isinstance(done.exception, SystemExit) or done.exception is None:
        return done
    raise done.exception


def test_a_host_that_cannot_be_asked_is_told_once(file: Path, tmp_path: Path) -> None:
    prom = tmp_path / "cellblock.prom"
    first, second = watch(file), watch(file, "--prometheus", str(prom))
    assert (first.exit_code, second.exit_code) == (5, 5)
    assert first.stdout.startswith(
        "new: the host could not be asked: root@203.0.113.2: ssh refused the login: "
        "authentication was denied"
    )
    assert "    Permission denied, says hunter2\n" in first.stdout
    assert (first.stderr, second.output) == ("", "")
    [event] = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert [each["id"] for each in event["new"]] == ["host"]
    assert "hunter2" not in json.dumps(event)
    assert 'cellblock_up{site="dcserver"} 0\n' in prom.read_text()


def test_a_hook_that_fails_is_said_and_tried_again_at_the_next_watch(
    file: Path, tmp_path: Path
) -> None:
    file.write_text(hooked("echo no way out >&2; exit 3"), encoding="utf-8")
    first = watch(file)
    assert first.stderr == "warning: the hook failed at watch: it exited with 3: no way out\n"
    file.write_text(hooked(f"cat >> {tmp_path}/events"), encoding="utf-8")
    assert watch(file).stdout == first.stdout
    assert watch(file).output == ""
    assert len((tmp_path / "events").read_text().splitlines()) == 1


def test_a_page_that_cannot_be_pinged_is_a_warning(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinged = []

    def ping(url: str, *, well: bool) -> str:
        pinged.append((url, well))
        return "example.org gave no good answer: x"

    monkeypatch.setattr(notify, "ping", ping)
    watch(file)
    done = watch(file, "--ping", "https://example.org/x")
    assert (done.exit_code, done.stdout) == (5, "")
    assert done.stderr == "warning: --ping: example.org gave no good answer: x\n"
    assert pinged == [("https://example.org/x", False)]


def test_syslog_is_told_if_asked(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []

    def syslog(told: Iterator[tuple[int, str]]) -> str:
        lines.extend(text for _, text in told)
        return ""

    monkeypatch.setattr(notify, "syslog", syslog)
    watch(file, "--syslog")
    watch(file, "--syslog")
    assert len(lines) == 1
    assert lines[0].startswith("dcserver: new: host: the host could not be asked: ")


def test_every_so_many_minutes_until_it_is_ended(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("rollout.terminal.monitor.sleep", sleep)
    done = CliRunner().invoke(deploy.main, ["watch", "--site", str(file), "--every", "2", "--json"])
    assert "Aborted!" in done.output
    assert all(100 < each <= 120 for each in waited)
    told = [json.loads(line)["findings"][0]["told"] for line in done.stdout.splitlines() if line]
    assert told == ["new", "before", "before"]


def test_what_cannot_be_kept_is_told_all_the_same_and_is_no_end(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise Refused("what was told cannot be kept there: No space left on device")

    def sleep(_: float) -> None:
        waited.append(_)
        if len(waited) == 2:
            raise KeyboardInterrupt

    waited: list[float] = []
    monkeypatch.setattr(state, "keep", full)
    monkeypatch.setattr("rollout.terminal.monitor.sleep", sleep)
    done = CliRunner().invoke(deploy.main, ["watch", "--site", str(file), "--every", "2"])
    assert done.stdout.count("new: the host could not be asked: ") == 2
    assert done.stderr.count("No space left on device") == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--ping", "hc-ping.com/x"], "--ping hc-ping.com/x: expected a URL"),
        (["--prometheus", "/nosuch/x.prom"], "--prometheus /nosuch/x.prom: expected a file in a"),
        (["--prometheus", "/"], "--prometheus /: expected a file in a"),
        (["--prometheus", f"/{'x' * 300}"], "expected a file in a"),
        (["--every", "0"], "0 is not in the range"),
        (["--every", "soon"], "'soon' is not a valid integer"),
    ],
)
def test_what_cannot_be_is_refused_before_the_host_is_asked(
    file: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.setattr("rollout.terminal.server.connected", _never)
    done = CliRunner().invoke(deploy.main, ["watch", "--site", str(file), *words])
    assert says in f"{done.output}{done.exception}"
    assert not state.place(site.read(file)).exists()


@contextmanager
def _never(*_: object, **__: object) -> Iterator[None]:
    raise AssertionError("a connection was opened")
    yield


def test_a_state_that_cannot_be_read_is_refused_before_the_host_is_asked(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rollout.terminal.server.connected", _never)
    place = state.place(site.read(file))
    place.parent.mkdir(parents=True)
    place.write_text("{")
    done = CliRunner().invoke(deploy.main, ["watch", "--site", str(file)])
    assert f"{place}: what earlier watches told cannot be read" in str(done.exception)
    assert not isinstance(done.exception, Unreachable)
