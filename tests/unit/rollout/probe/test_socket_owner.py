"""The loop that runs on the host, under shells of this machine, with stubs that print as FreeBSD's
sockstat and ps do.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.probe.socket_owner import LOOP, SocketOwner

SHELLS = {"dash": ["dash"], "bash --posix": ["bash", "--posix"]}
PS = r"""#!/bin/sh
# ps -o jid= -o jail= -p PIDS
[ "$1 $2 $3 $4 $5" = "-o jid= -o jail= -p" ] || exit 64
IFS=,
for pid in $6; do
    case $pid in
    10*) echo "  0 -" ;;
    20*) echo " 20 web" ;;
    30*) echo " 30 mysql.inner" ;;
    90*) echo " 90 -" ;; # a jail that is just dying
    esac
done
"""


@pytest.fixture
def connection() -> Iterator[socket.socket]:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        yield client


class Host:
    """A directory of stubs before the PATH of a local shell."""

    def __init__(self, where: Path, shell: list[str], came_from: str = "") -> None:
        self.table = where / "table"
        self.table.write_text("")
        self.pid = where / "pid"
        self._stub(where / "sockstat", f'#!/bin/sh\necho "$*" >>{where}/asked\ncat {self.table}\n')
        self._stub(where / "ps", PS)
        self.asked = where / "asked"
        self.argv = [
            "env",
            f"PATH={where}:{os.environ['PATH']}",
            f"SSH_CONNECTION={came_from}",
            "sh",
            "-c",
            f'echo $$ >{self.pid}; exec "$@"',
            "sh",
            *shell,
        ]

    def holds(self, *rows: str) -> None:
        new = self.table.with_suffix(".new")
        new.write_text("".join(row + "\n" for row in rows))
        new.rename(self.table)

    def _stub(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)


def row(pid: str, foreign: str, local: str = "203.0.113.2:80") -> str:
    return f"root     httpd      {pid:<5} 3  tcp4   {local:<21} {foreign}"


def ask(socket_owner: SocketOwner, connection: socket.socket, limit: float = 5.0) -> str | None:
    """Asks until the owner is known, since the shell takes a moment to start."""
    deadline = time.monotonic() + limit
    while (who := socket_owner.who(connection, 80)) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return who


@pytest.fixture(params=list(SHELLS))
def shell(request: pytest.FixtureRequest) -> list[str]:
    argv = SHELLS[request.param]
    if shutil.which(argv[0]) is None:
        pytest.skip(f"no {argv[0]} here")
    return argv


def test_the_owner_of_the_connection(
    tmp_path: Path, shell: list[str], connection: socket.socket
) -> None:
    host = Host(tmp_path, shell)
    port = connection.getsockname()[1]
    socket_owner = SocketOwner(host.argv)
    try:
        for pid, who in (("1001", "host"), ("2001", "web"), ("3001", "mysql.inner")):
            host.holds(
                row("2002", f"127.0.0.1:{port + 1}"),  # another client's connection
                row("2003", "203.0.113.2:80", local=f"127.0.0.1:{port}"),  # a client on the host
                row("?", f"127.0.0.1:{port}"),
                row(pid, f"127.0.0.1:{port}"),
            )
            assert ask(socket_owner, connection) == who
        assert host.asked.read_text().splitlines()[0] == "-46cnq -P tcp -p 80"
    finally:
        socket_owner.close()


@pytest.mark.parametrize("pid", ["?", "9001", "7777"])
def test_what_is_not_known_is_not_guessed(
    tmp_path: Path, connection: socket.socket, pid: str
) -> None:
    """Not accepted, in a dying jail, gone in between."""
    host = Host(tmp_path, ["sh"])
    foreign = f"127.0.0.1:{connection.getsockname()[1]}"
    host.holds(row("1001", foreign))
    socket_owner = SocketOwner(host.argv)
    try:
        assert ask(socket_owner, connection) == "host"
        host.holds(row(pid, foreign))
        assert socket_owner.who(connection, 80) is None
    finally:
        socket_owner.close()


def test_behind_a_nat_all_from_that_address_must_agree(
    tmp_path: Path, connection: socket.socket
) -> None:
    host = Host(tmp_path, ["sh"], came_from="198.51.100.7 50000 203.0.113.2 22")
    port = connection.getsockname()[1]
    socket_owner = SocketOwner(host.argv)
    try:
        host.holds(row("1001", "198.51.100.7:1"), row("2001", f"198.51.100.7:{port}"))
        assert ask(socket_owner, connection) == "web"  # the port was kept: no doubt
        host.holds(row("2001", "198.51.100.7:1"), row("2002", "198.51.100.7:2"))
        assert socket_owner.who(connection, 80) == "web"
        host.holds(row("2001", "198.51.100.7:1"), row("1001", "198.51.100.7:2"))
        assert socket_owner.who(connection, 80) is None
        host.holds(row("2001", "198.51.100.77:1"))
        assert socket_owner.who(connection, 80) is None
    finally:
        socket_owner.close()


def test_a_cut_connection_is_made_again(tmp_path: Path, connection: socket.socket) -> None:
    host = Host(tmp_path, ["sh"])
    host.holds(row("1001", f"127.0.0.1:{connection.getsockname()[1]}"))
    socket_owner = SocketOwner(host.argv)
    try:
        assert ask(socket_owner, connection) == "host"
        os.kill(int(host.pid.read_text()), signal.SIGKILL)
        began = time.monotonic()
        socket_owner.who(connection, 80)
        assert time.monotonic() - began < 2 * socket_owner.limit
        assert ask(socket_owner, connection) == "host"
    finally:
        socket_owner.close()


def test_a_silent_host_is_given_up(connection: socket.socket, tmp_path: Path) -> None:
    """It receives the question and never answers, as on a connection that was lost silently."""
    starts = tmp_path / "starts"
    socket_owner = SocketOwner(
        ["sh", "-c", f"echo >>{starts}; echo ready; sleep 60"], limit=0.1, patience=0.2
    )
    try:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and (not starts.exists() or starts.stat().st_size < 2):
            assert socket_owner.who(connection, 80) is None
            time.sleep(0.02)
        assert starts.stat().st_size >= 2  # it was started again
    finally:
        socket_owner.close()


def test_no_host_at_all(connection: socket.socket) -> None:
    socket_owner = SocketOwner(["/nonexistent/ssh"])
    try:
        assert socket_owner.who(connection, 80) is None
    finally:
        socket_owner.close()


def test_the_loop_is_clean_sh(tmp_path: Path) -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("no shellcheck here")
    script = tmp_path / "loop.sh"
    script.write_text("#!/bin/sh\n" + LOOP)
    done = subprocess.run([shellcheck, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
