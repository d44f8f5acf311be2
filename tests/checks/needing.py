"""What a service's daemon needs: asked of its processes, and of its rc variables."""

from __future__ import annotations

import re
import shlex
from shlex import quote
from typing import Any

from operations import rc
from operations.needs import InUse, Need
from rollout.site import Site
from tests.checks.asking import asking

_PATH = re.compile(r"(?<![\w.$/-])/[^\s'\":,;]+")


def needs(host: Any, site: Site, service: str) -> tuple[list[Need], list[str]]:
    """The needs, and what could not be read."""
    used = asking(host)(InUse, ports=[each.port for each in site.services[service].ports])
    ports = ", ".join(str(each.port) for each in site.services[service].ports)
    unread = [] if used else [f"procstat -f shows no process that listens on {ports}"]
    return [*_variables(host, site.services[service].rcvar), *(used or ())], unread


def _variables(host: Any, rcvar: str) -> list[Need]:
    """The variables, and the paths in their values that the host has."""
    said = shlex.split(host.check_output(rc.variables(rcvar)))
    if not said:
        return []
    values = [(name, value) for name, _, value in (word.partition("=") for word in said)]
    files = rc.read_for(rcvar.removesuffix("_enable"))
    lines = host.run(f"grep -nE '^[^#]*[a-z_]+=' $({files}) /dev/null").stdout.splitlines()
    paths = {path for _, value in values for path in _PATH.findall(value)}
    there = f'for each in {" ".join(map(quote, paths))}; do [ ! -e "$each" ] || echo "$each"; done'
    exist = host.check_output(there).splitlines() if paths else []
    found = []
    for name, value in values:
        at = [line for line in lines if re.match(rf"[^:]*:\d+:[^#]*\b{name}=", line)]
        where = ":".join(at[-1].split(":")[:2]) if at else "rc.conf"
        told = f"{where}: {name}={value}"
        found.append(Need("variable", name, told))
        found += [Need("path", path, told) for path in _PATH.findall(value) if path in exist]
    return found
