"""A person with a runbook: reads its pages, types their lines into a shell, compares the output."""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import time
from dataclasses import dataclass, field
from typing import IO

from operations.command import ANY

LIMIT = 300.0  # seconds that one line may take
_LOGIN, _QUIET = 60.0, 3.0  # seconds until the first output, and after the last
_PS1, _PS2 = "typist-1> ", "typist-2> "
_PARTS = {
    "Before you start": "before",
    "Type these commands in this order": "typed",
    "Check the result": "checks",
    "To undo, type these commands in this order": "back",
}


@dataclass(frozen=True)
class Line:
    """A block's item. `sees` is None where the page names no output."""

    title: str
    text: str
    sees: str | None

    @property
    def on_host(self) -> bool:
        """Whether this shell runs it: not a line for another machine, or one beside such a line."""
        return not self.title.startswith(("on another machine: ", "meanwhile, on the host: "))


@dataclass
class Section:
    step: str
    before: list[Line] = field(default_factory=list)
    typed: list[Line] = field(default_factory=list)
    checks: list[Line] = field(default_factory=list)
    back: list[Line] = field(default_factory=list)


def sections(page: str) -> list[Section]:
    """The steps of a page of Markdown, as a reader finds them: by headings and code blocks."""
    found = []
    for part in re.split(r"(?m)^## ", page)[1:]:
        section = Section(part.partition("\n")[0])
        for heading, text in re.findall(r"(?ms)^### ([^\n]+)\n(.*?)(?=^### |\Z)", part):
            own = text.partition("\n**Stop.**")[0]  # what a gate shows is for a person to judge
            if heading in _PARTS:
                blocks = re.findall(r"(?ms)^```sh\n(.*?)\n```$", own)
                lines = [line for block in blocks for line in items(block)]
                getattr(section, _PARTS[heading]).extend(lines)
        found.append(section)
    return found


def items(block: str) -> list[Line]:
    """The lines that a block contains, in order."""
    found = []
    # A file in a block has lines of its own that begin with "# "; each item ends with its expected
    # output, except those of the undo, which are single lines.
    ends = r"(?m)(^# expect: [^\n]*)\n\n" if "\n# expect: " in block else r"()\n\n(?=# )"
    parts = re.split(ends, block)
    for item in [*map("".join, zip(parts[::2], parts[1::2], strict=False)), parts[-1]]:
        title, _, rest = item.rstrip("\n").partition("\n")
        text, mark, sees = rest.rpartition("\n# expect: ")
        wanted = ("" if sees == "nothing" else sees) if mark else None
        found.append(Line(title.removeprefix("# "), text if mark else rest, wanted))
    return found


def seen(sees: str, printed: str) -> bool:
    """Whether a person would accept the output as the page's; white space is ignored."""
    parts = [r"\s+".join(map(re.escape, part.split())) for part in sees.split(ANY)]
    return re.fullmatch(r"\s*" + ".*".join(parts) + r"\s*", printed, re.DOTALL) is not None


class Typist:
    """Types one line after the other into a shell, and waits for its prompt after each."""

    def __init__(self, shell: subprocess.Popen[bytes], start: str) -> None:
        """`start` is typed first, line by line: it makes the shell an interactive sh."""
        assert shell.stdin is not None
        assert shell.stdout is not None
        self._shell = shell
        self._in: IO[bytes] = shell.stdin
        self._out: IO[bytes] = shell.stdout
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._out, selectors.EVENT_READ)
        for line in start.split("\n"):
            self._send(line)
            self._until_quiet()  # otherwise the login shell would read what is typed too early
        # In two parts, so that the echo of this line is not taken for the prompt.
        ps1, ps2 = (f"'{each[:4]}''{each[4:]}'" for each in (_PS1, _PS2))
        self._send(f"PS1={ps1} PS2={ps2}")
        self._until_prompt()

    def close(self) -> None:
        self._ready.close()
        self._shell.kill()
        self._shell.wait()
        for pipe in (self._shell.stdin, self._shell.stdout, self._shell.stderr):
            if pipe is not None:
                pipe.close()

    def type(self, text: str) -> tuple[str, int]:
        """The output while these lines are typed, and $? after them."""
        printed = "".join(self._typed(line) for line in text.split("\n"))
        return printed, int(self._typed("echo $?"))

    def _typed(self, line: str) -> str:
        self._send(line)
        return self._until_prompt()

    def _send(self, line: str) -> None:
        self._in.write(line.encode() + b"\n")
        self._in.flush()

    def _until_quiet(self) -> None:
        deadline = time.monotonic() + _LOGIN
        while self._ready.select(max(0.0, deadline - time.monotonic())):
            assert os.read(self._out.fileno(), 65536), "the shell ended"
            deadline = min(deadline, time.monotonic() + _QUIET)

    def _until_prompt(self) -> str:
        got = b""
        deadline = time.monotonic() + LIMIT
        while not got.endswith((_PS1.encode(), _PS2.encode())):
            left = deadline - time.monotonic()
            assert left > 0 and self._ready.select(left), f"no prompt; it said: {got[-2000:]!r}"
            data = os.read(self._out.fileno(), 65536)
            assert data, f"the shell ended; it said: {got[-2000:]!r}"
            got += data
        text = got.decode(errors="backslashreplace").replace("\r", "")
        return text.removesuffix(_PS1).removesuffix(_PS2)
