"""crypt(3) of the C library, as programs that check a system password use it."""

from __future__ import annotations

import ctypes
from ctypes.util import find_library
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def _library() -> Any:
    library = ctypes.CDLL(find_library("crypt"))
    library.crypt.restype = ctypes.c_char_p
    return library


def of(password: str, setting: str) -> str:
    """The hash with the method and salt of `setting`, which may be a hash. "" if it is none."""
    made: bytes | None = _library().crypt(password.encode(), setting.encode())
    return (made or b"").decode(errors="replace")
