"""Templates of the steps: each has the name of the file that it becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, UndefinedError

from rollout.errors import Refused

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,  # noqa: S701 # rc.conf and jail.conf are no HTML; site.py checks what goes in
)


def render(template: str, **values: Any) -> str:
    """The text of a template. Refuses, by name, a variable that has no value."""
    try:
        return _ENVIRONMENT.get_template(f"{template}.j2").render(**values)
    except UndefinedError as error:
        raise Refused(
            f"steps/templates/{template}.j2: {error.message}",
            todo="pass that value to the template, or remove it from the template",
        ) from None
