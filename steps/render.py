"""Templates of the steps: each is named after the file that it becomes."""

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
    """The text of a template. A variable that it wants and nobody gave is refused by name."""
    try:
        return _ENVIRONMENT.get_template(f"{template}.j2").render(**values)
    except UndefinedError as error:
        raise Refused(
            f"steps/templates/{template}.j2: {error.message}",
            todo="give the template that value, or take it out of the template",
        ) from None
