"""Reads the operator's TOML files, and describes what is wrong with a value in one."""

from __future__ import annotations

import re
import tomllib
from datetime import date, time
from pathlib import Path
from typing import Any

from rollout.errors import Refused

_LONGEST = 200  # characters of a value that are shown
_DEEPEST = 3  # tables within tables that are shown
_SECRET = re.compile(r"client$|pass|secret|token", re.IGNORECASE)


def load(path: Path, todo: str = "") -> dict[str, Any]:
    """Read a TOML file. Raises Refused, with this `todo`, when it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # an editor may write a BOM
    except OSError as error:
        raise Refused(f"{path}: cannot be read: {error.strerror}", todo=todo) from None
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise Refused(
            f"{path}: not TOML: the byte {byte:#04x} at offset {error.start} is not UTF-8",
            todo="save the file as UTF-8",
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"{path}: not TOML: {error}", todo=todo) from None
    except RecursionError:
        raise Refused(f"{path}: brackets are nested too deeply", todo=todo) from None
    except ValueError:  # from int(), which reads no more digits than sys.get_int_max_str_digits()
        raise Refused(f"{path}: a number has too many digits", todo=todo) from None


def problem(item: Any, *above: str) -> str:
    """A line for one error of pydantic: key, value and what was expected.

    `above` is the key of the table.
    """
    key = ".".join(_printable(str(part)) for part in (*above, *item["loc"]))
    if item["type"] == "missing":
        return f"{key}: missing, and needed"
    value = '"..."' if _SECRET.search(key) else shown(item["input"])  # it is written to logs, too
    return f"{key} = {value}: {_expected(item)}"


def _expected(item: Any) -> str:
    if item["type"] == "extra_forbidden":
        return "unknown key"
    if item["type"] in ("model_type", "dict_type"):  # pydantic would name a class of ours
        return "expected a table"
    text: str = item["msg"]
    return text.removeprefix("Value error, ").replace("Input should be ", "expected ")


def shown(value: Any) -> str:
    """A value in TOML syntax, on one line of limited length."""
    text = _text(value, _DEEPEST)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _text(value: Any, depth: int) -> str:
    if isinstance(value, (list, dict)):
        return _nested(value, depth - 1) if depth else "..."
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, int) and abs(value) >= 10**_LONGEST:
        return f"a number of more than {_LONGEST} digits"
    return repr(value)


def _nested(value: list[Any] | dict[str, Any], depth: int) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_text(each, depth) for each in value)}]"
    pairs = [f"{_printable(key)} = {_text(each, depth)}" for key, each in value.items()]
    return f"{{ {', '.join(pairs)} }}" if pairs else "{}"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
