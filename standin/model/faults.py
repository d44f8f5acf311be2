"""Injected faults: a command that fails or hangs, a cut connection, a power failure."""

from __future__ import annotations

import asyncio
import fnmatch
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from standin.linux.binaries import SHELL, SHIMS_SHELL
from standin.linux.layout import HIDDEN

Mode = Literal["fail", "fail-after", "hang", "cut", "power", "hold", "hold-after"]
MODES: tuple[str, ...] = get_args(Mode)
HELD = "/libexec/standin/bin/held"
"""The shim that runs after a command which `hold-after` holds."""


@dataclass
class Fault:
    """Happens once, at the nth command line that the pattern (fnmatch) fits."""

    pattern: str
    nth: int
    mode: Mode
    seen: int = 0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode {self.mode!r}: expected one of {', '.join(MODES)}")
        if self.nth < 1:
            raise ValueError(f"nth {self.nth}: counts from 1")

    def as_dict(self) -> dict[str, object]:
        return {name: value for name, value in asdict(self).items() if name != "seen"}


class Faults:
    def __init__(self, root: Path, *, light: bool = False) -> None:
        self._root = root
        self._sh = SHIMS_SHELL if light else SHELL
        self.waiting: list[Fault] = []
        self._struck = asyncio.Event()
        self._go = asyncio.Event()

    def watch_sh(self) -> None:
        """While a fault may match `sh ...`, make /bin/sh the sh that checks for faults first."""
        patterns = [fault.pattern for fault in self.waiting]
        asked = [each for each in patterns if each[:1] in ("s", *"*?[")]
        hidden = self._root / HIDDEN
        (hidden / "asked.new").write_text("".join(f"{pattern}\n" for pattern in asked))
        (hidden / "asked.new").rename(hidden / "asked")
        fresh = hidden / "fresh-sh"
        fresh.unlink(missing_ok=True)  # a rename onto another name of the same file leaves both
        fresh.hardlink_to(self._root / (f"{HIDDEN}/watched-sh" if asked else self._sh[1:]))
        fresh.rename(self._root / "bin/sh")

    def due(self, line: str) -> Mode | None:
        """The fault that hits this command, if any."""
        struck: Mode | None = None
        for fault in list(self.waiting):
            if fnmatch.fnmatchcase(line, fault.pattern):
                fault.seen += 1
                if fault.seen == fault.nth and struck is None:
                    struck = fault.mode
                    self.waiting.remove(fault)
        return struck

    async def hold(self) -> None:
        """Keep the calling command waiting until `release`."""
        self._go.clear()
        self._struck.set()
        await self._go.wait()

    async def held(self, seconds: float) -> bool:
        """Wait until a command is held; False when none is after that time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._struck.wait(), seconds)
        return self._struck.is_set()

    def release(self) -> None:
        self._struck.clear()
        self._go.set()
