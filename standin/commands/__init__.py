"""The shims: FreeBSD's commands over the model, one noun a file."""

from __future__ import annotations

import importlib
import pkgutil


def load() -> None:
    """Import every module here, so that each command is registered."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
