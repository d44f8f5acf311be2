"""What a check says, or that it says nothing."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest


def tells(told: str) -> AbstractContextManager[Any]:
    """Within it a check fails with these words in its message, or passes if there are none."""
    return pytest.raises(AssertionError, match=re.escape(told)) if told else nullcontext()
