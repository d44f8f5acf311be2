"""Asks the host who holds the probe's connection. Only this proves who answered; a banner does not.

One long-lived shell on the host runs LOOP. When the host cannot be reached, is slow or does not
know, the owner is None. No question takes longer than `limit`; a lost connection is made again in
the background.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, Queue
from socket import socket
from threading import Event, Lock, Thread

# sockstat(1) prints "?" as the owner of a connection that no process has accepted yet, or holds any
# more. ps(1) prints "-" as the jail of a process on the host, and also for a jail that is dying
# (print.c, jailname()), so the jid decides. Behind a NAT the host sees the client at another
# address, the one that ssh came from, and perhaps at another port. Then the owner is the one that
# all connections from there to this port have in common, if there is one.
LOOP = r"""
came_from=${SSH_CONNECTION:-}
came_from=${came_from%% *}

holders() { # PORT ADDRESS CLIENTPORT PROTO: the processes that hold it, with commas between
    sockstat -46cnq -P "$4" -p "$1" |
    awk -v port="$1" -v address="$2" -v client="$3" -v seen="$came_from" '
        NF < 7 || $(NF - 4) !~ /^[0-9]+$/ { next }
        {
            here = $(NF - 1); sub(/.*:/, "", here)
            from = $NF; sub(/:[^:]*$/, "", from)
            from_port = $NF; sub(/.*:/, "", from_port)
        }
        here != port { next }
        from_port == client && (from == address || from == seen) { exact = exact "," $(NF - 4) }
        from == seen { same = same "," $(NF - 4) }
        END { print substr(exact == "" ? same : exact, 2) }'
}

owner() { # the same arguments: "host", a jail or "-"
    pids=$(holders "$@")
    [ -n "$pids" ] || { echo -; return; }
    ps -o jid= -o jail= -p "$pids" |
    awk '
        { name = $1 == 0 ? "host" : $2 }
        NR > 1 && name != first { name = "-" }
        { first = name }
        END { print NR ? name : "-" }'
}

echo ready
while read -r port address client proto; do
    echo "$port $address $client $proto $(owner "$port" "$address" "$client" "$proto")"
done
"""


ENDED = ""  # stands for an answer: the connection has ended
TRIES = 3
PAUSE = 0.5  # seconds before a lost connection is made again; doubled each time, up to:
LONGEST_PAUSE = 15.0


def cut(shell: subprocess.Popen[str]) -> None:
    if shell.returncode is None:  # once it has ended, another process may have its pid
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)


class SocketOwner:
    """`argv` starts a POSIX sh as root on the host that reads its commands from stdin.

    `limit` is in seconds, for one answer. `patience` is the time after which a host that sends
    nothing is reconnected. It is much longer, since another ssh handshake would only slow down a
    busy host.
    """

    def __init__(self, argv: Sequence[str], limit: float = 3.0, patience: float = 20.0) -> None:
        self.limit = limit
        self.patience = patience
        self._argv = list(argv)
        self._shell: subprocess.Popen[str] | None = None
        self._ready = False  # whether the shell takes questions
        self._answers: Queue[str] = Queue()
        self._turn = Lock()
        self._last_line = 0.0  # time of the last line, by time.monotonic()
        self._closed = Event()
        self._thread = Thread(target=self._keep_connected, name="socket owner", daemon=True)
        self._thread.start()

    def who(self, connection: socket, port: int) -> str | None:
        """The owner of the other end, the host's `port`: "host", a jail's name, None if unknown."""
        address, client = connection.getsockname()[:2]
        question = f"{port} {address} {client} tcp"
        for _ in range(TRIES):
            owner = self._ask(question)
            if owner != "-":
                return owner
            self._closed.wait(0.1)  # the daemon may not have accepted it yet
        return None

    def close(self) -> None:
        self._closed.set()
        if self._shell is not None:
            cut(self._shell)
        self._answers.put(ENDED)
        self._thread.join(self.limit)

    def _ask(self, question: str) -> str | None:
        shell, answers = self._shell, self._answers
        if not self._ready or shell is None or shell.stdin is None:
            return None
        if not self._turn.acquire(timeout=self.limit):
            return None
        deadline = time.monotonic() + self.limit
        try:
            shell.stdin.write(f"{question}\n")
            shell.stdin.flush()
            while True:
                answer = answers.get(timeout=max(0.0, deadline - time.monotonic()))
                if answer == ENDED:
                    return None
                asked, _, owner = answer.rpartition(" ")
                if asked == question:  # else it is a late answer to an earlier question
                    return owner
        except Empty:
            if time.monotonic() - self._last_line > self.patience:
                cut(shell)  # the network may be down; a new connection may work
        except (OSError, ValueError):
            pass  # the shell has just ended; _keep_connected starts another
        finally:
            self._turn.release()
        return None

    def _keep_connected(self) -> None:
        pause = 0.0
        while not self._closed.wait(pause):
            worked = self._connect_once()
            pause = PAUSE if worked else min(max(2 * pause, PAUSE), LONGEST_PAUSE)

    def _connect_once(self) -> bool:
        """Hold one connection from start to end; true if questions could be asked."""
        worked = False
        try:
            shell = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # ssh complains at each attempt while a host restarts
                text=True,
                errors="replace",
                process_group=0,  # so that cut() ends its children, too: a sudo, a ProxyCommand
            )
        except OSError:
            return False
        with suppress(OSError), shell:  # closing its pipe may raise once more when it has ended
            self._shell, self._answers = shell, Queue()
            with suppress(OSError, ValueError):  # it ended during a write
                self._listen(shell)
            self._answers.put(ENDED)
            worked, self._ready = self._ready, False
            cut(shell)
        return worked

    def _listen(self, shell: subprocess.Popen[str]) -> None:
        if shell.stdin is None or shell.stdout is None or self._closed.is_set():
            return
        shell.stdin.write(LOOP)
        shell.stdin.flush()
        for line in shell.stdout:
            self._last_line = time.monotonic()
            # sh reads ahead: it would swallow a question that is sent before "ready"
            if self._ready:
                self._answers.put(line.rstrip("\n"))
            else:
                self._ready = line == "ready\n"
