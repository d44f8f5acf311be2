"""The services that presented a different certificate than before, from report.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_SHOWN = 3  # names of a certificate; report.json has all of them


def of_run(report: Mapping[str, Any]) -> Iterator[str]:
    """The lines of all acts, each with the name of its act where there are several."""
    for act in report["acts"]:
        place = f"{act['name']}: " if len(report["acts"]) > 1 else ""
        yield from (f"{place}{line}" for line in of_act(act))


def of_act(act: Mapping[str, Any]) -> Iterator[str]:
    """A line for each certificate of a service that differs from its first one."""
    for service in act["services"]:
        found = {each["sha256"]: each for each in reversed(service["certificates"])}
        for other in reversed(found.values()):
            first = service["certificates"][0]
            if other["sha256"] != first["sha256"]:
                since = f" since {other['step']}" if other["step"] else ""
                yield (
                    f"{service['service']}: another certificate than before{since}: "
                    f"{_text(other)}; before: {_text(first)}"
                )


def _text(certificate: Mapping[str, Any]) -> str:
    names, ends = certificate["names"], certificate["ends"]
    fingerprint = f"SHA-256 {certificate['sha256'][:16]}"
    if ends is None:
        return f"not readable ({fingerprint})"
    more = [f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return f"{', '.join([*names[:_SHOWN], *more])}, ends {ends} ({fingerprint})"
