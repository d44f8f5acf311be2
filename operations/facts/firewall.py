"""ipfw(8), its module, rules and nat instances."""

from __future__ import annotations

import re
from dataclasses import dataclass
from shlex import quote

from pyinfra.api.facts import FactBase

from operations.command import Look


class Module(FactBase[bool]):
    """Whether a kernel module is loaded or compiled in (kldstat -m)."""

    @staticmethod
    def assumed(module: str) -> Look:
        line = f"kldstat -q -m {quote(module)} || echo not loaded"
        return Look(line, "not loaded", claim=f"{module} is not loaded yet")

    def command(self, module: str) -> str:
        return f"kldstat -q -m {quote(module)} && echo yes || echo no"

    def process(self, output: list[str]) -> bool:
        return output == ["yes"]


class Kenv(FactBase[str]):
    """A kernel environment variable; "" if it is not set."""

    default = str

    @staticmethod
    def assumed(variable: str) -> Look:
        return Look(f"kenv -q {quote(variable)}", claim=f"{variable} is not set yet")

    def command(self, variable: str) -> str:
        return f"kenv -q {quote(variable)} 2>/dev/null || true"


@dataclass(frozen=True)
class Rule:
    number: int
    set: int
    body: str
    enabled: bool = True


class Rules(FactBase[tuple[Rule, ...]]):
    """ipfw's rules, with those of disabled sets; none if ipfw is not loaded.

    Sorted: a boot adds ours part by part, in another order than the steps did, and rules of one
    number stand in the order in which they were added.
    """

    default = tuple

    def command(self) -> str:
        return "ipfw -S list 2>/dev/null | sort"

    def process(self, output: list[str]) -> tuple[Rule, ...]:
        pattern = re.compile(r"(# DISABLED )?(\d+) set (\d+) (.*)")
        matches = (pattern.fullmatch(line.strip()) for line in output)
        return tuple(
            Rule(int(m[2]), int(m[3]), m[4], enabled=m[1] is None) for m in matches if m is not None
        )


class HostRules(FactBase[tuple[Rule, ...]]):
    """The rules of the host's own firewall: those outside of the sets `first` to `last`."""

    default = tuple

    @staticmethod
    def _listed(first: int, last: int, more: str = "") -> str:
        """A rule of a disabled set has the words `# DISABLED` before its number."""
        set = 's = ($1 == "#") ? $5 : $3'
        return (
            f"ipfw -S list 2>/dev/null | awk '{{{set}}} (s < {first} || s > {last}){more}' || true"
        )

    @staticmethod
    def assumed(first: int, last: int) -> Look:
        line = HostRules._listed(first, last, " && !/^65535 /").removesuffix(" || true")
        return Look(line, claim="the host has no rules of its own in ipfw")

    def command(self, first: int, last: int) -> str:
        return self._listed(first, last)

    def process(self, output: list[str]) -> tuple[Rule, ...]:
        return Rules().process(output)


class OnePass(FactBase[bool]):
    """Whether the search of ipfw's rules ends at a rule of nat or dummynet."""

    @staticmethod
    def default() -> bool:
        return True

    def command(self) -> str:
        return "sysctl -n net.inet.ip.fw.one_pass 2>/dev/null || true"

    def process(self, output: list[str]) -> bool:
        return output != ["0"]


class Nats(FactBase[dict[int, str]]):
    """ipfw's nat instances: number -> configuration, without options that were not given."""

    default = dict

    def command(self) -> str:
        return "ipfw nat show config 2>/dev/null || true"

    def process(self, output: list[str]) -> dict[int, str]:
        matches = (re.fullmatch(r"ipfw nat (\d+) config (.*)", line.strip()) for line in output)
        return {int(found[1]): found[2] for found in matches if found is not None}
