"""Asks the host who holds the probe's connection: the only proof of who answered. A banner is not
one.

One long-lived shell on the host runs LOOP. Where it cannot be reached, is slow or does not know,
the owner is None, and nobody waits for longer than `limit`; the connection is made again in the
background.
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

# sockstat(1) has "?" for the owner of a connection that no process has accepted yet, or holds no
# longer. ps(1) prints "-" as the name of the host, and also of a jail that is just dying (print.c,
# jailname()): so the jid decides. Behind a NAT the client has another address than it thinks, the
# one that ssh came from, and perhaps another port; then the owner is the one that all connections
# from there to this port agree on, or nobody.
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


ENDED = ""  # in place of an answer: the connection has ended
TRIES = 3
PAUSE = 0.5  # seconds before a connection that ended is made again; doubled up to:
LONGEST_PAUSE = 15.0


def cut(shell: subprocess.Popen[str]) -> None:
    if shell.returncode is None:  # afterwards its number may be somebody else's
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)


class SocketOwner:
    """`argv` gives a POSIX sh as root on the host, reading its commands from stdin.

    In seconds: `limit`, for one answer; `patience`, with a host that says nothing at all. That is
    far more, since a host that is only busy does not get faster by another ssh handshake.
    """

    def __init__(self, argv: Sequence[str], limit: float = 3.0, patience: float = 20.0) -> None:
        self.limit = limit
        self.patience = patience
        self._argv = list(argv)
        self._shell: subprocess.Popen[str] | None = None
        self._ready = False  # the shell's, for questions
        self._answers: Queue[str] = Queue()
        self._turn = Lock()
        self._heard = 0.0  # when, by time.monotonic()
        self._closed = Event()
        self._thread = Thread(target=self._keep_connected, name="socket owner", daemon=True)
        self._thread.start()

    def who(self, connection: socket, port: int) -> str | None:
        """Who holds the other end, the host's `port`: "host", a jail's name, or None if unknown."""
        address, client = connection.getsockname()[:2]
        question = f"{port} {address} {client} tcp"
        for _ in range(TRIES):
            owner = self._ask(question)
            if owner != "-":
                return owner
            self._closed.wait(0.1)  # it may not have been accepted yet
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
                if asked == question:  # else it is late, to an earlier question
                    return owner
        except Empty:
            if time.monotonic() - self._heard > self.patience:
                cut(shell)  # a lost line looks like this; a new connection may get through
        except (OSError, ValueError):
            pass  # the shell has just ended, which _keep_connected sees too
        finally:
            self._turn.release()
        return None

    def _keep_connected(self) -> None:
        pause = 0.0
        while not self._closed.wait(pause):
            worked = self._converse()
            pause = PAUSE if worked else min(max(2 * pause, PAUSE), LONGEST_PAUSE)

    def _converse(self) -> bool:
        """One connection, from its start to its end; true if questions could be asked."""
        worked = False
        try:
            shell = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # ssh's words to each try, while a host restarts
                text=True,
                errors="replace",
                process_group=0,  # with what it started itself: a sudo, a ProxyCommand
            )
        except OSError:
            return False
        with suppress(OSError), shell:  # its pipe may tell once more, when closed, that it ended
            self._shell, self._answers = shell, Queue()
            with suppress(OSError, ValueError):  # it ended while we wrote to it
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
            self._heard = time.monotonic()
            # sh reads ahead: a question sent before this line would be lost in its buffer
            if self._ready:
                self._answers.put(line.rstrip("\n"))
            else:
                self._ready = line == "ready\n"
