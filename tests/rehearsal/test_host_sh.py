"""host.sh on the stand-in: power cuts, lost connections, hanging commands, and the recovery."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import operation

from operations import files, rc
from operations.command import Commands, Reversible
from rollout import plan, site
from rollout.engine.connection import Connection
from rollout.engine.listener import Listener
from rollout.errors import RolledBack
from rollout.host import bundle, journal
from rollout.host.session import Target
from rollout.plan import Plan
from rollout.plan.step import Step, check, use
from rollout.site import JOURNAL
from standin import BaseHost, StandIn

PROJECT = Path(__file__).parents[2]
SAMPLE = site.read(PROJECT / "site.example.toml")
BASE = next(step for step in plan.make(SAMPLE).steps if step.name == "base")
FOLLOW = f"sh {JOURNAL}/host.sh"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with StandIn.build(tmp_path_factory.mktemp("host.sh") / "s", BaseHost.sample()) as standin:
        yield standin


@pytest.fixture
def host(machine: StandIn) -> StandIn:
    machine.rebuild(BaseHost.sample())
    machine.boot()
    return machine


@operation()
def typed(do: str, undo: str, live: bool = False, limit: int = 20) -> Commands:
    yield Reversible(do, undo=undo, says=do[:30], live=live, limit=limit)


def makes(name: str, then: str = ":", live: bool = False, **more: Any) -> Any:
    return use(
        typed,
        do=f"echo do-{name} >> /root/acts; touch /etc/{name}; {then}",
        undo=f"echo undo-{name} >> /root/acts; rm -f /etc/{name}",
        live=live,
        **more,
    )


def step(name: str, *operations: Any, **more: Any) -> Step:
    return Step(name, "Because.", operations, (check("file::is_there"),), **more)


def planned(*steps: Step) -> Plan:
    """After the product's own step `base`, which installs the rc.d script."""
    return Plan(SAMPLE, (BASE, *steps))


class Run:
    def __init__(self, host: Target, *steps: Step) -> None:
        self.host = host
        self.connection = Connection(planned(*steps), host, Listener())
        self.connection.take()
        self.confirmed(0)

    def begin(self, position: int) -> str:
        plan = self.connection.plan
        answers = bundle.gather_facts([plan.steps[position]], self.connection.session.output)
        made = bundle.compile_step(position + 1, plan.steps[position], answers)
        self.connection.session.output(bundle.upload_script(made, "t", JOURNAL))
        return made.directory

    def confirmed(self, position: int) -> None:
        self.connection.confirm(self.connection.follow(self.begin(position)))


@pytest.fixture
def run(host: StandIn) -> Iterator[Callable[..., Run]]:
    opened: list[Run] = []

    def open_(*steps: Step) -> Run:
        opened.append(Run(host, *steps))
        return opened[-1]

    yield open_
    for each in opened:
        each.connection.close()


def state(host: StandIn, directory: str) -> str:
    found = [p.name for p in (host.root / JOURNAL[1:] / "steps" / directory).glob("state.*")]
    assert len(found) == 1, found
    return found[0].removeprefix("state.")


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def acts(host: StandIn) -> list[str]:
    path = host.root / "root/acts"
    return path.read_text().split() if path.exists() else []


def fingerprint(host: StandIn) -> list[str]:
    done = host.run(f"{FOLLOW} fingerprint")
    assert done.returncode == 0, done.stderr
    # Pids and sockets of daemons belong to the boot, not to what a step leaves behind.
    return [line for line in done.stdout.splitlines() if line]


def test_the_fingerprint_sees_the_hosts_parts(host: StandIn, run: Callable[..., Run]) -> None:
    """With an empty fingerprint everything would count as undone."""
    run()
    kinds = {line.split()[0] for line in fingerprint(host)}
    assert {"line", "path", "hash", "address", "mount", "service"} <= kinds
    before = fingerprint(host)
    for change in (
        "touch /etc/x",
        "chmod 600 /etc/x",
        "echo x > /etc/x",
        "sysrc x_enable=YES",
        "ifconfig lo0 inet 127.0.0.9/32 alias",
        "service apache24 onestop",
    ):
        assert host.run(change).returncode == 0, change
        after = fingerprint(host)
        assert after != before, change
        before = after


def set_clock(host: StandIn, by: int) -> None:
    done = host.run(f"date -f %s $(($(date +%s) + {by}))")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("by", [-3600, 3600])
def test_a_clock_that_is_set_moves_no_deadline(
    host: StandIn, run: Callable[..., Run], by: int
) -> None:
    begun = run(step("one", makes("a"), confirm_within=12))
    directory = begun.begin(1)
    until(lambda: state(host, directory) == "applied")
    set_clock(host, by)
    left = begun.connection.entry(directory).left
    assert 0 < left <= 12
    time.sleep(2)
    assert state(host, directory) == "applied", "the undo came too early"
    until(lambda: state(host, directory) == "undone")
    log = (host.root / JOURNAL[1:] / "steps" / directory / "reason").read_text()
    assert log == "no confirm came before the deadline\n"


@pytest.mark.parametrize("by", [-3600, -1, 1, 3600])
def test_a_clock_that_is_set_leaves_the_lock_to_its_living_owner(
    host: StandIn, run: Callable[..., Run], by: int
) -> None:
    owner = run(step("one", makes("a")))
    set_clock(host, by)
    taking = f"sh {JOURNAL}/host.sh lock $$ another somebody"
    assert host.run(taking).returncode == 6
    assert journal.read(owner.connection.session).lock
    host.cut()
    until(lambda: host.run(taking).returncode == 0, 5)


def test_a_lock_whose_file_is_left_by_a_power_cut_is_free(
    host: StandIn, run: Callable[..., Run]
) -> None:
    run(step("one", makes("a")))
    host.power_off()
    host.boot()
    taken = host.run(f"sh {JOURNAL}/host.sh lock $$ another somebody")
    assert (taken.returncode, "since" in taken.stdout) == (0, True)


def test_a_deadline_from_before_a_restart_is_over(host: StandIn, run: Callable[..., Run]) -> None:
    """A restart that nothing undid, as in the step `base` itself, starts the count anew."""
    begun = run(step("one", makes("a"), confirm_within=600))
    directory = begun.begin(1)
    until(lambda: state(host, directory) == "applied")
    (host.root / JOURNAL[1:] / "steps" / directory / "deadline").write_text("9999999\n")
    assert begun.connection.entry(directory).left == 0
    until(lambda: state(host, directory) == "undone")


def test_after_a_power_cut_the_boot_undoes_what_was_not_confirmed(
    host: StandIn, run: Callable[..., Run]
) -> None:
    """By the rc.d script of the step base, without an operator; confirmed steps stay."""
    begun = run(
        step("one", makes("a")),
        step("two", makes("b"), makes("c", live=True), makes("d", then="sleep 60", limit=90)),
    )
    begun.confirmed(1)
    before = fingerprint(host)
    directory = begun.begin(2)
    until(lambda: "do-d" in acts(host))
    host.power_off()
    assert state(host, directory) == "applying"
    host.boot()
    assert state(host, directory) == "undone"
    assert acts(host)[4:] == ["undo-d", "undo-b"], "c lived in the kernel"
    assert state(host, "002-one") == state(host, "001-base") == "confirmed"
    host.run("rm -f /etc/c")
    assert fingerprint(host) == before


@pytest.mark.parametrize("line", ["fsync *", "sh -eu */do/002.sh", "sh -eu */undo/001.sh"])
def test_power_lost_at_any_line_comes_back_to_before_the_step(
    host: StandIn, run: Callable[..., Run], line: str
) -> None:
    begun = run(
        step(
            "one",
            use(rc.variable, name="apache24_flags", value="-x"),
            use(files.put, path="/etc/ours", content="ours\n"),
            makes("b", then="false" if "undo" in line else ":"),
        )
    )
    before = fingerprint(host)
    host.break_at(line, nth=3 if line.startswith("fsync") else 1, mode="power")
    directory = "002-one"
    try:
        begun.connection.session.run(":")
        begun.begin(1)
    except Exception as error:  # the power may fail during the upload itself
        assert "ended" in str(error) or "failed" in str(error), error
    until(lambda: not host.is_up)
    host.power_off()
    host.boot()
    if (host.root / JOURNAL[1:] / "steps" / directory).exists():
        assert state(host, directory) in ("undone", "prepared")
    assert fingerprint(host) == before


def test_a_step_goes_on_while_the_network_is_gone(host: StandIn, run: Callable[..., Run]) -> None:
    begun = run(step("one", makes("a", then="sleep 2"), makes("b")))
    directory = begun.begin(1)
    until(lambda: "do-a" in acts(host))
    host.cut()
    entry = begun.connection.follow(directory)
    assert (entry.state, acts(host)) == ("applied", ["do-a", "do-b"])
    begun.connection.confirm(entry)
    assert state(host, directory) == "confirmed"


def test_a_network_that_goes_at_the_confirm(host: StandIn, run: Callable[..., Run]) -> None:
    """Whether or not the confirm arrived, both sides agree in the end."""
    begun = run(step("one", makes("a")))
    entry = begun.connection.follow(begun.begin(1))
    host.break_at("sh *host.sh confirm *", mode="cut")
    begun.connection.confirm(entry)
    assert state(host, "002-one") == "confirmed"


def test_no_confirm_no_step(host: StandIn, run: Callable[..., Run]) -> None:
    begun = run(step("one", makes("a"), confirm_within=1))
    before = fingerprint(host)
    entry = begun.connection.follow(begun.begin(1))
    until(lambda: state(host, "002-one") == "undone")
    with pytest.raises(RolledBack, match="too late"):
        begun.connection.confirm(entry)
    assert fingerprint(host) == before


def test_a_command_that_hangs_is_killed_and_undone(host: StandIn, run: Callable[..., Run]) -> None:
    begun = run(step("one", makes("a"), makes("b", then="service apache24 onerestart", limit=2)))
    host.break_at("service apache24 onerestart", mode="hang")
    entry = begun.connection.follow(begun.begin(1))
    assert (entry.state, acts(host)) == ("undone", ["do-a", "do-b", "undo-b", "undo-a"])


def test_children_of_a_command_that_hangs_are_killed_with_it(
    host: StandIn, run: Callable[..., Run]
) -> None:
    hangs = makes("a", then="(sleep 400; touch /root/late) & sleep 500", limit=1)
    begun = run(step("one", hangs))
    assert begun.connection.follow(begun.begin(1)).state == "undone"
    assert host.run("pgrep -f '^sleep [45]00'").stdout == ""


def test_everything_can_be_undone_at_the_console(host: StandIn, run: Callable[..., Run]) -> None:
    begun = run(step("one", makes("a")), step("two", makes("b"), makes("c")))
    begun.confirmed(1)
    begun.confirmed(2)
    begun.connection.close()
    done = host.run(f"{FOLLOW} undo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert acts(host)[3:] == ["undo-c", "undo-b", "undo-a"]
    assert not (host.root / "usr/local/etc/rc.d/cellblock").exists()
    assert {state(host, d) for d in ("001-base", "002-one", "003-two")} == {"undone"}
    assert host.run(f"{FOLLOW} undo").returncode == 0


def test_the_stand_in_knew_every_command(host: StandIn, run: Callable[..., Run]) -> None:
    run(step("one", makes("a"))).confirmed(1)
    host.run(f"{FOLLOW} undo; {FOLLOW} status; {FOLLOW} recover")
    assert [line for line in host.strange if "host.sh" in line or "sh -eu" in line] == []
    assert host.strange == []


# The script's text.


def shellcheck() -> str:
    """From the dev extra of this Python; without it these tests fail, they do not pass."""
    found = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which(
        "shellcheck"
    )
    assert found, "there is no shellcheck: pip install -e '.[dev]'"
    return found


@pytest.mark.parametrize("dialect", ["sh", "dash"])
def test_host_sh_is_clean_sh(dialect: str) -> None:
    done = subprocess.run(
        [shellcheck(), "-s", dialect, "-"],
        input=journal.host_sh(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_script_of_the_boot_is_clean_sh(tmp_path: Path) -> None:
    [script] = [u for u in BASE.operations if u.arguments.get("mode") == "555"]
    path = tmp_path / "cellblock"
    path.write_text(script.arguments["content"])
    # SC1091, SC2034: rc.subr is the host's, and it reads the variables. SC2223: rc.subr(8)'s way.
    done = subprocess.run(
        [shellcheck(), "-s", "sh", "-e", "SC1091,SC2034,SC2223", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_every_command_that_host_sh_runs_is_of_freebsds_base_system() -> None:
    """No timeout of GNU's, no flock, no readlink -f; and nothing that only bash has."""
    text = journal.host_sh()
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    # FreeBSD's own is the same for a program that leaves no other behind.
    assert code.count("timeout 20 du ") == 1
    code = code.replace("timeout 20 du ", "du ")
    for foreign in ("timeout ", "flock ", "setsid ", "readlink ", "seq ", "local ", "[[ ", "&>"):
        assert not re.search(rf"(^|[\s;|&(]){re.escape(foreign)}", code), foreign
